from enum import StrEnum

from shared.events.enrolment import (
    AgentDetailsCorrected,
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    NewAddressGiven,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
)
from shared.events.portal import SubscriptionChanged
from shared.events.vocabulary import Event


class Happening(StrEnum):
    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    LAPSED = "lapsed"
    NOT_OBTAINED = "not_obtained"
    PENDING = "pending"
    ENROLMENT_REFUSED = "enrolment_refused"
    WITHDRAWAL_REFUSED = "withdrawal_refused"
    OFFER_REFUSED = "offer_refused"
    APPROVAL_REFUSED = "approval_refused"
    SWAP_REFUSED = "swap_refused"
    WITHDRAWN = "withdrawn"
    ATTENDED = "attended"
    ABSENT = "absent"
    ABSENT_JUSTIFIED = "absent_justified"
    CORRECTED = "corrected"
    ADDRESS_GIVEN = "address_given"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


_PLAIN: dict[type[Event], Happening] = {
    AgentWaitlisted: Happening.WAITLISTED,
    SeatOffered: Happening.OFFERED,
    SeatNotObtained: Happening.NOT_OBTAINED,
    NewAddressGiven: Happening.ADDRESS_GIVEN,
}


def happening_of(event: Event) -> tuple[Happening, str | None] | None:
    """Return what happened to the agent, and why or how, or None if the event is not part of a story."""
    match event:
        case AgentEnrolled():
            return Happening.ENROLLED, _how_enrolled(event)
        case SeatOfferLapsed(cause=cause):
            return Happening.LAPSED, cause.value
        case EnrolmentPending(awaiting=awaiting):
            return Happening.PENDING, awaiting.value
        case EnrolmentRefused(asked=requested, reason=reason):
            return Happening(f"{requested}_refused"), reason.value
        case EnrolmentWithdrawn():
            return Happening.WITHDRAWN, _how_withdrawn(event)
        case AttendanceRecorded(attendance=attendance):
            is_first = event.certified and not event.certificate_void
            return Happening(attendance.value), "certified" if is_first else None
        case AgentDetailsCorrected(corrected_by=by):
            return Happening.CORRECTED, None if by is None else by.value
        case SubscriptionChanged(subscribed=subscribed):
            return Happening.SUBSCRIBED if subscribed else Happening.UNSUBSCRIBED, None
    plain = _PLAIN.get(type(event))
    return None if plain is None else (plain, None)


def _how_enrolled(event: AgentEnrolled) -> str | None:
    if event.moved_from is not None:
        return "moved_here"
    return "from_waiting_list" if event.from_waiting_list else None


def _how_withdrawn(event: EnrolmentWithdrawn) -> str:
    if event.moved_to is not None:
        return "moved_away"
    return "joined" if event.joined_to is not None else event.by.value
