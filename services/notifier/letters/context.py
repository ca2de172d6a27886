from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.notifier.letters.kinds import KnownEnrolment
from services.notifier.letters.news import NewsItem
from shared.events.seances import NumberedSession


@dataclass(frozen=True, slots=True)
class OtherCertificates:
    """The other letters about the certificate of an enrolment.

    ``was_sent``: an earlier one brought a certificate. ``is_leaving``: an earlier one may do so now.
    ``is_newer``: a later decision called for another one.
    """

    was_sent: bool = False
    is_leaving: bool = False
    is_newer: bool = False


@dataclass(frozen=True, slots=True)
class LetterContext:
    """The known facts about a letter's session and reader.

    ``other`` is a second session named in the letter. ``people`` and ``trainers`` are names of persons who
    are still known. ``listed`` are the sessions in a letter to organisers. ``suppressed``: mails to the
    address bounced. ``former_address``: the agent no longer has this address. ``evaluation_asked``: another
    letter asks for the evaluation. ``withdrawn``: the announced resource was withdrawn.
    """

    session: NumberedSession | None = None
    enrolment: KnownEnrolment | None = None
    alternatives: Sequence[NumberedSession] = ()
    news: Sequence[NewsItem] = ()
    suppressed: bool = False
    other: NumberedSession | None = None
    former_address: bool = False
    evaluation_asked: bool = False
    people: Mapping[UUID, str] = field(default_factory=dict)
    listed: Mapping[UUID, NumberedSession] = field(default_factory=dict)
    trainers: Sequence[str] = ()
    withdrawn: bool = False
    certificates: OtherCertificates = OtherCertificates()
