"""What is true of a roster after every transaction, whatever happened in it."""

from collections import Counter

from services.enrolment.rules.enrolments import EnrolmentChange
from services.enrolment.rules.seats import counts_by_employer
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    LapseCause,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
    WithdrawnBy,
)
from shared.events.vocabulary import Status


class Invariants:
    """Compares a roster at the end of a transaction with what it was when it was opened."""

    def __init__(self, roster: SessionRoster) -> None:
        self._roster = roster
        self._taken = roster.seats.taken
        self._versions = {latest.enrolment_id: latest.version for latest in roster.latest.values()}

    def check(self) -> None:
        self._check_seats()
        self._check_waiting_list()
        self._check_events()

    def _check_seats(self) -> None:
        """The seats are those of the enrolments, and no more than there are."""
        roster, seats, capacity = self._roster, self._roster.seats, self._roster.session.capacity
        states = Counter(latest.state for latest in roster.latest.values())
        numbers = sum(states[state] for state in State if state.has_seat), states[State.OFFERED]
        assert (seats.enrolled, seats.offered) == numbers
        if capacity is not None and not roster.seats_were_added:
            assert seats.taken <= max(capacity, self._taken), "more seats are taken than there are"
        if counts_by_employer(roster.session):
            employers = [
                latest.agent.employer for latest in roster.latest.values() if latest.state.holds_seat
            ]
            assert +seats.by_siret == Counter(employer.siret for employer in employers)
            assert +seats.by_delegation == Counter(employer.delegation for employer in employers)
        occupancy = roster.occupancy()
        if occupancy is not None:
            assert (occupancy.enrolled, occupancy.offered) == numbers
            assert occupancy.waiting == states[State.WAITLISTED]
            assert roster.occupancy() is None, "the occupancy is published twice"

    def _check_waiting_list(self) -> None:
        """The waiting list is in order, and nobody waits beside a free seat."""
        roster, line = self._roster, self._roster.waiting_list
        waits = [latest for latest in roster.latest.values() if latest.state is State.WAITLISTED]
        assert len(line) == len(waits)
        places = sorted({(-waiting.priority, waiting.ticket) for waiting in waits})
        found = [places.index((-waiting.priority, waiting.ticket)) + 1 for waiting in line]
        assert found == sorted(found) == [line.position(waiting) for waiting in line], "not in order"
        is_served = roster.session.status is Status.PUBLISHED and roster.now < roster.line_ends_at()
        if waits and is_served and not line.groups and not counts_by_employer(roster.session):
            capacity = roster.session.capacity
            assert capacity is not None, "somebody waits where seats have no limit"
            assert roster.seats.taken >= capacity, "somebody waits beside a free seat"

    def _check_events(self) -> None:
        """Each new enrolment and each change is published once, as what it is; a priority is not."""
        roster = self._roster
        changes = {
            (change.enrolment.enrolment_id, change.enrolment.version): change
            for change in roster.changes
            if change.cause is not Cause.PRIORITY
        }
        begun = {(enrolment_id, 1) for enrolment_id in roster.changed.keys() - self._versions.keys()}
        moves = Counter(change.enrolment.enrolment_id for change in roster.changes)
        for enrolment_id, enrolment in roster.changed.items():
            assert enrolment.version == self._versions.get(enrolment_id, 1) + moves[enrolment_id]
        published = [event for event, _ in roster.decisions if not _is_mere_reply(event)]
        numbers = Counter((event.enrolment_id, event.version) for event in published)
        assert numbers == Counter([*changes, *begun]), "not every change is published once"
        for event in published:
            change = changes.get((event.enrolment_id, event.version))
            if change is not None:
                _check_event(event, change)
            elif isinstance(event, AgentEnrolled):
                assert not event.from_waiting_list
            elif isinstance(event, AgentWaitlisted) and len(published) == 1:
                assert event.position == roster.waiting_list.position(roster.changed[event.enrolment_id])


def _is_mere_reply(event: Decision) -> bool:
    """Return whether the event only says that a request about an enrolment changed nothing."""
    return isinstance(event, EnrolmentRefused) and event.asked != "enrolment"


def _check_event(event: Decision, change: EnrolmentChange) -> None:
    state, cause = change.enrolment.state, change.cause
    assert isinstance(event, _EVENTS_OF_CAUSES.get(cause) or _EVENTS[state])
    match event:
        case AgentEnrolled():
            assert event.from_waiting_list == (cause in (Cause.SEAT_FREED, Cause.OFFER_ACCEPTED))
        case SeatOffered():
            assert event.hold_until == change.enrolment.hold_until
        case SeatOfferLapsed():
            assert (event.cause is LapseCause.DECLINED) == (cause is Cause.OFFER_DECLINED)
        case EnrolmentWithdrawn():
            assert event.by is _WITHDRAWN_BY.get(cause, WithdrawnBy.AGENT)
            assert event.attendance_kept == state.has_seat


_EVENTS: dict[State, type[Decision]] = {
    State.PENDING_APPROVAL: EnrolmentPending,
    State.PENDING_SELECTION: EnrolmentPending,
    State.WAITLISTED: AgentWaitlisted,
    State.OFFERED: SeatOffered,
    State.ENROLLED: AgentEnrolled,
    State.REFUSED: EnrolmentRefused,
    State.LAPSED: SeatOfferLapsed,
    State.NOT_OBTAINED: SeatNotObtained,
    State.WITHDRAWN: EnrolmentWithdrawn,
}
_EVENTS_OF_CAUSES: dict[Cause, type[Decision]] = {
    Cause.ATTENDANCE: AttendanceRecorded,
    Cause.SESSION_CANCELLED: EnrolmentWithdrawn,
}
_WITHDRAWN_BY = {
    Cause.EMPLOYER: WithdrawnBy.EMPLOYER,
    Cause.REPLACED: WithdrawnBy.EMPLOYER,
    Cause.SESSION_CANCELLED: WithdrawnBy.SESSION_CANCELLED,
}
