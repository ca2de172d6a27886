"""Which letters a fact calls for, to whom and when: a table one can read.

Pure. No address is looked up here, no text is written (``templates``), nothing is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from shared.events.catalogue import ReplayPublished
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatOffered,
    SeatOfferLapsed,
    WithdrawnBy,
)
from shared.events.vocabulary import Reason

Facts = Mapping[str, str | int | bool | None]
"""What a letter says beyond the session and the addressee; JSON, moments as RFC 3339 text."""


class Priority(IntEnum):
    """What goes first when much is to send."""

    ANSWER = 0
    REMINDER = 1
    NEWS = 2


class Calendar(StrEnum):
    """What a letter does to the agent's calendar."""

    INVITE = "invite"
    CANCEL = "cancel"


class Link(StrEnum):
    """What a letter lets its reader do by a signed link, where links can be signed."""

    WITHDRAW = "withdraw"
    OFFER = "offer"
    CERTIFICATE = "certificate"


class Template(StrEnum):
    """Every letter, by the name of its templates."""

    CONFIRMED = "enrolment-confirmed"
    SEAT_ASSIGNED = "seat-assigned"
    WAITLISTED = "waitlisted"
    SEAT_OFFERED = "seat-offered"
    OFFER_LAPSED = "offer-lapsed"
    PENDING = "pending"
    REFUSED = "refused"
    ALREADY_ENROLLED = "already-enrolled"
    WITHDRAWAL_REFUSED = "withdrawal-refused"
    OFFER_REFUSED = "offer-refused"
    WITHDRAWN = "withdrawn"
    SESSION_CANCELLED = "session-cancelled"
    REPLAY_AVAILABLE = "replay-available"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Kind:
    """What all letters of one template share. ``subject`` has ``{title}``, the session's."""

    subject: str
    priority: Priority = Priority.ANSWER
    calendar: Calendar | None = None
    link: Link | None = None


KINDS: Mapping[Template, Kind] = {
    # template                    subject                                            priority, calendar, link
    Template.CONFIRMED: Kind(
        "Votre inscription est confirmée : {title}", calendar=Calendar.INVITE, link=Link.WITHDRAW
    ),
    Template.SEAT_ASSIGNED: Kind(
        "Une place vous est attribuée : {title}", calendar=Calendar.INVITE, link=Link.WITHDRAW
    ),
    Template.WAITLISTED: Kind("Vous êtes sur la liste d’attente : {title}", link=Link.WITHDRAW),
    Template.SEAT_OFFERED: Kind("Une place s’est libérée, à confirmer : {title}", link=Link.OFFER),
    Template.OFFER_LAPSED: Kind("La place proposée n’est plus réservée : {title}"),
    Template.PENDING: Kind("Votre demande d’inscription est bien reçue : {title}", link=Link.WITHDRAW),
    Template.REFUSED: Kind("Votre demande d’inscription n’est pas acceptée : {title}"),
    Template.ALREADY_ENROLLED: Kind("Rien ne change pour votre inscription : {title}"),
    Template.WITHDRAWAL_REFUSED: Kind("Votre désistement n’a pas pu être enregistré : {title}"),
    Template.OFFER_REFUSED: Kind("Votre réponse n’a pas pu être prise en compte : {title}"),
    Template.WITHDRAWN: Kind("Votre désistement est enregistré : {title}", calendar=Calendar.CANCEL),
    Template.SESSION_CANCELLED: Kind("Session annulée : {title}", calendar=Calendar.CANCEL),
    Template.REPLAY_AVAILABLE: Kind("Le replay est disponible : {title}", priority=Priority.NEWS),
    Template.CERTIFICATE: Kind("Votre attestation est disponible : {title}", link=Link.CERTIFICATE),
}


class Standing(StrEnum):
    """Where an agent stands in a session, as the last decision left it."""

    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    LAPSED = "lapsed"
    PENDING = "pending"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that a fact calls for, at once, to the agent whom the fact is about.

    ``needs_session`` is false where the session may never be known: such a letter does not wait for it.
    """

    template: Template
    facts: Facts = field(default_factory=dict)
    needs_session: bool = True


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter to one agent, as it stands in the queue: all that its text depends on but the session.

    ``version`` is the enrolment's when the letter was called for, ``called_for_at`` when that was;
    ``message_id`` stays the same at each attempt.
    """

    mail_id: UUID
    template: Template
    facts: Facts
    message_id: str
    agent_id: str
    address: str
    given_name: str
    family_name: str
    session_id: UUID
    enrolment_id: UUID
    version: int
    called_for_at: datetime


def letters_for(decision: Decision, before: Standing | None) -> tuple[Letter, ...]:
    """The letters that a decision calls for (DOMAIN.md, Mails).

    ``before`` is where the agent stood, None where that is not known. Who never had a seat has nothing in
    their calendar to cancel.
    """
    had_seat = before in (None, Standing.ENROLLED)
    match decision:
        case AgentEnrolled(from_waiting_list=True):
            return (Letter(Template.SEAT_ASSIGNED),)
        case AgentEnrolled():
            return (Letter(Template.CONFIRMED),)
        case AgentWaitlisted(position=position):
            return (Letter(Template.WAITLISTED, {"position": position}),)
        case SeatOffered(hold_until=hold_until):
            return (Letter(Template.SEAT_OFFERED, {"hold_until": hold_until.isoformat()}),)
        case SeatOfferLapsed(cause=cause):
            return (Letter(Template.OFFER_LAPSED, {"cause": cause.value}),)
        case EnrolmentPending(awaiting=awaiting):
            return (Letter(Template.PENDING, {"awaiting": awaiting.value}),)
        case EnrolmentRefused():
            return _letters_of_refusal(decision)
        case EnrolmentWithdrawn(by=WithdrawnBy.SESSION_CANCELLED):
            return (Letter(Template.SESSION_CANCELLED, {"had_seat": had_seat}),)
        case EnrolmentWithdrawn(by=by):
            return (Letter(Template.WITHDRAWN, {"by": by.value, "had_seat": had_seat}),)
        case AttendanceRecorded(certified=True):
            return (Letter(Template.CERTIFICATE),)
        case _:
            return ()  # attendance alone, and what later versions publish


def _letters_of_refusal(refused: EnrolmentRefused) -> tuple[Letter, ...]:
    if refused.asked == "approval":
        return ()  # the employer asked, and reads the answer on their portal
    if refused.reason is Reason.NOT_ENROLLED:
        return ()  # there was nothing to withdraw: the portal is told, the agent need not be
    if refused.reason is Reason.ALREADY_ENROLLED and refused.asked == "enrolment":
        return (Letter(Template.ALREADY_ENROLLED),)  # a refusal, but not one of the seat they have
    known = refused.reason is not Reason.UNKNOWN_SESSION
    return (Letter(_REFUSALS[refused.asked], {"reason": refused.reason.value}, needs_session=known),)


_REFUSALS = {
    "enrolment": Template.REFUSED,
    "withdrawal": Template.WITHDRAWAL_REFUSED,
    "offer": Template.OFFER_REFUSED,
}
"""The letter that says no, by what was asked."""


def standing_after(decision: Decision) -> Standing | None:
    """Where the agent stands once ``decision`` is taken; None where it leaves them as they were."""
    match decision:
        case AgentEnrolled():
            return Standing.ENROLLED
        case AgentWaitlisted():
            return Standing.WAITLISTED
        case SeatOffered():
            return Standing.OFFERED
        case SeatOfferLapsed():
            return Standing.LAPSED
        case EnrolmentPending():
            return Standing.PENDING
        case EnrolmentRefused(asked="enrolment", reason=reason) if reason not in _CHANGE_NOTHING:
            return Standing.REFUSED
        case EnrolmentWithdrawn():
            return Standing.WITHDRAWN
        case _:
            return None


_CHANGE_NOTHING = frozenset({Reason.ALREADY_ENROLLED, Reason.NOT_ENROLLED})


_OTHERS_MAY_HELP = frozenset(
    {
        Reason.DEADLINE_PASSED,
        Reason.SESSION_FULL,
        Reason.SESSION_CANCELLED,
        Reason.NOT_SELECTED,
        Reason.QUOTA_REACHED,
    }
)


def suggests_others(mail: Mail) -> bool:
    """Whether a letter names other sessions of the same offer: another one could be the answer."""
    if mail.template is Template.REFUSED:
        return mail.facts.get("reason") in _OTHERS_MAY_HELP
    return mail.template is Template.SESSION_CANCELLED


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one enrolment: the last decision that changed it, and where the agent stands."""

    version: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class News:
    """What a batch of decisions amounts to.

    ``called_for`` names each decision by its place in the batch; ``standings`` holds the last decision
    about each enrolment that changed.
    """

    called_for: list[tuple[int, Letter]]
    standings: dict[UUID, tuple[Decision, Standing]]


def read(known: Mapping[UUID, Known], decisions: Sequence[Decision]) -> News:
    """Read decisions in order. One that is older than what is known calls for nothing: it is history.

    A refusal that leaves an enrolment as it was has no version of its own, so it is never old.
    """
    latest = dict(known)
    news = News([], {})
    for place, decision in enumerate(decisions):
        before = latest.get(decision.enrolment_id)
        after = standing_after(decision)
        if after is not None:
            if before is not None and decision.version <= before.version:
                continue
            latest[decision.enrolment_id] = Known(decision.version, after)
            news.standings[decision.enrolment_id] = (decision, after)
        called_for = letters_for(decision, before.standing if before else None)
        news.called_for.extend((place, letter) for letter in called_for)
    return news


def letter_about(replay: ReplayPublished) -> Letter | None:
    """The letter to everyone enrolled in the session that was recorded; None where there was none here."""
    if replay.session_id is None:
        return None
    return Letter(Template.REPLAY_AVAILABLE, {"replay_title": replay.title, "replay_url": replay.url})
