"""What a letter says beside its own details, as it is when the letter is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.notifier.letters.kinds import EnrolmentState
from services.notifier.letters.news import NewsItem
from shared.events.seances import NumberedSession


@dataclass(frozen=True, slots=True)
class LetterContext:
    """A letter's session, its reader's enrolment, other sessions to propose, the news that it announces.

    ``other``: the session that it names beside its own. ``suppressed``: mails came back from the address, so
    no more are sent to it. ``former_address``: it is one that the agent had, and has no more.
    ``evaluation_asked``: another letter asks, or has asked, what its reader thought of the session.
    ``people``: the names of whom it speaks, by enrolment, of those who are known (still).
    ``listed``: the sessions that it lists.
    ``withdrawn``: the resource that it is about was published by mistake.
    ``trainers``: the names of who speaks or teaches in the session, of those who are known.
    """

    session: NumberedSession | None = None
    enrolment: EnrolmentState | None = None
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
