"""One session while requests are decided: its seats and waiting list change only here.

:meth:`SessionRoster.begin` and :meth:`SessionRoster.move` allow only the transitions of the lifecycle and
keep the counts.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.eligibility import Availability, Granted, Refused, judge_place, outside_of
from services.enrolment.rules.enrolments import (
    DecisionMembers,
    Enrolment,
    EnrolmentChange,
    Place,
    decision_members,
    new_enrolment,
    refusal_event,
    refused_enrolment,
)
from services.enrolment.rules.holds import line_ends_at
from services.enrolment.rules.outcomes import PortalOutcome
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.requests import Request, RequestForSeats, RequestKey, RequestResult
from services.enrolment.rules.seats import Seats, counts_by_employer
from services.enrolment.rules.states import TRANSITIONS, Cause, State
from services.enrolment.rules.waiting_list import NUMBER_BITS, SessionWaitingList, first_ticket
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EndedBecause,
    LapseCause,
    MinimumMissed,
    NominationAnswered,
    SeatNotObtained,
    SeatOfferLapsed,
    SelectionDue,
    SessionOccupancyChanged,
    SessionPart,
)
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey, Status, WaitingList

Certified = tuple[AgentKey, str]
_LAPSES = {
    EndedBecause.ANSWER: Cause.OFFER_DECLINED,
    EndedBecause.SILENCE: Cause.OFFER_EXPIRED,
    EndedBecause.SESSION_CHANGED: Cause.OFFER_CUT,
}


@dataclass(slots=True)
class SessionRoster:
    """``latest`` holds each agent's live enrolment, or the last ended one.

    ``waiting_list`` holds the first agents in line. ``changed``, ``recorded`` and ``changes`` (history) are
    to be saved.
    """

    session: SessionState
    now: datetime
    policy: Policy = field(default_factory=Policy)
    seats: Seats = field(default_factory=Seats)
    waiting_list: SessionWaitingList = field(default_factory=SessionWaitingList)
    kept: list[tuple[Place, Seats]] = field(default_factory=list)
    """Free seats kept by groups, by place; the places behind may not take them (rule 17). Set by a promotion.
    """
    next_ticket: int = 1
    newest_receipt: datetime | None = None
    """The receipt of the newest request that began an enrolment. An older request is not last in line."""
    occupancy_version: int = 0
    latest: dict[AgentKey, Enrolment] = field(default_factory=dict)
    attendance: dict[UUID, dict[int, str]] = field(default_factory=dict)
    schedule: AgentSchedule | None = None
    certified: Collection[Certified] = frozenset()
    cancelled_at: datetime | None = None
    """When the cancellation was read. Modules that had not begun by then did not take place."""
    decisions: list[tuple[Decision, Request | None]] = field(default_factory=list)
    outcomes: list[tuple[PortalOutcome, Request]] = field(default_factory=list)
    results: list[RequestResult] = field(default_factory=list)
    changed: dict[UUID, Enrolment] = field(default_factory=dict)
    changes: list[EnrolmentChange] = field(default_factory=list)
    recorded: dict[tuple[UUID, int], str] = field(default_factory=dict)
    void_certificates: set[UUID] = field(default_factory=set)
    question_answers: dict[UUID, list[KeptAnswer]] = field(default_factory=dict)
    notices: list[MinimumMissed | SelectionDue | NominationAnswered] = field(default_factory=list)
    close_judged_for: datetime | None = None
    session_has_changed: bool = False
    parts_changed: set[SessionPart] = field(default_factory=set)
    vacancies: Counter[str] = field(default_factory=Counter)
    """Trainees who left since the close and are not replaced, by SIRET (rule 14)."""
    last_nominations: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When the last list was received, by SIRET and issuer."""
    seats_were_added: bool = False
    """An organiser gave a seat above the capacity or quota (rule 22)."""
    is_new: bool = False
    answering: Request | None = None
    """Changes are published in the trace of this request."""
    _published: tuple[int | None, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.occupancy_version:
            self._published = self._occupancy()

    # -------------------------------------------------------------------------------- what there is

    def availability(
        self, agent: Agent, *, leaves: UUID | None = None, place: Place | None = None
    ) -> Availability:
        latest, required = self.latest.get(agent.key), self.session.prerequisite
        return Availability(
            seat_is_free=not self._waiting_list_comes_first()
            and self._seats_for(place).may_take(self.session, agent.employer, self.now),
            is_live=latest is not None and latest.state.is_live,
            line_is_over=self.line_is_over(),
            quota_is_reached=self.seats.reaches_quota(self.session, agent.employer),
            overlaps=self.schedule is not None and self.schedule.overlaps(agent.key, self.session, leaves),
            lacks_prerequisite=required is not None and (agent.key, required.offer_id) not in self.certified,
        )

    def latest_for(self, request: Request, agent: AgentKey) -> Enrolment | None:
        """Return None also if the sender may not act for the agent's employer."""
        latest = self.latest.get(agent)
        return latest if latest is not None and request.limits.allow(latest.agent.employer) else None

    def numbers(self) -> dict[str, int | str | None]:
        numbers: dict[str, int | str | None] = {
            "session_version": self.session.version,
            "capacity": self.session.capacity,
            "enrolled": self.seats.enrolled,
            "offered": self.seats.offered,
            "waiting": len(self.waiting_list),
        }
        if self.kept:
            numbers["kept_for_groups"] = sum(seats.enrolled for _, seats in self.kept)
        return numbers

    def numbers_for(self, agent: Agent) -> dict[str, int | str | None]:
        if not counts_by_employer(self.session):
            return {}
        return self.seats.numbers_for(self.session, agent.employer, self.now)

    def occupancy(self) -> SessionOccupancyChanged | None:
        """Return the occupancy once after each change, else None."""
        if self._published == self._occupancy():
            return None
        self._published = self._occupancy()
        self.occupancy_version += 1
        capacity, enrolled, waiting, offered = self._published
        return SessionOccupancyChanged(
            session_id=self.session.session_id,
            version=self.occupancy_version,
            capacity=capacity,
            enrolled=enrolled,
            waiting=waiting,
            offered=offered,
        )

    def resume_from(self, last: SessionOccupancyChanged) -> None:
        """Continue from the last published occupancy after the database lost it."""
        if last.version > self.occupancy_version:
            self.occupancy_version = last.version
            self._published = last.capacity, last.enrolled, last.waiting, last.offered

    # ------------------------------------------------------------------------------- pending, offers, kept

    def settle_pending(
        self, pending: Enrolment, cause: Cause, request: RequestKey | None, *, ticket: int | None = None
    ) -> Enrolment:
        """Give a pending agent a seat, a place in line, or neither (rule 5).

        The places behind must be loaded.
        """
        place = -pending.priority, ticket or pending.ticket or 0
        verdict = judge_place(self.session, self.availability(pending.agent, place=place))
        if isinstance(verdict, Refused):
            return self.refuse_pending(pending, cause, verdict.reason, request)
        placed = self.move(pending, verdict.state, cause, ticket=ticket or pending.ticket)
        if verdict is Granted.SEAT:
            self.publish(AgentEnrolled(**self.members(placed, request)))
        else:
            position = self.waiting_list.position(placed)
            self.publish(AgentWaitlisted(**self.members(placed, request), position=position))
        return placed

    def lapse(self, offer: Enrolment, because: EndedBecause, request: RequestKey | None = None) -> None:
        lapsed = self.move(offer, State.LAPSED, _LAPSES[because])
        cause = LapseCause.DECLINED if because is EndedBecause.ANSWER else LapseCause.EXPIRED
        self.publish(SeatOfferLapsed(**self.members(lapsed, request), cause=cause, because=because))

    def end_line(self, *, cut: bool = False) -> None:
        """End the loaded part of the waiting list. ``cut``: a change of the session ended it."""
        for waiting in list(self.waiting_list):
            cause, because = Cause.LINE_ENDED, None
            if cut:
                cause, because = Cause.LINE_CUT, EndedBecause.SESSION_CHANGED
            elif self.seats.reaches_quota(self.session, waiting.agent.employer):
                cause, because = Cause.LINE_ENDED_AT_QUOTA, EndedBecause.QUOTA
            ended = self.move(waiting, State.NOT_OBTAINED, cause)
            self.publish(SeatNotObtained(**self.members(ended), because=because))

    def refuse_pending(
        self,
        pending: Enrolment,
        cause: Cause,
        reason: Reason,
        request: RequestKey | None = None,
        *,
        because: EndedBecause | None = None,
    ) -> Enrolment:
        refused = self.move(pending, State.REFUSED, cause, reason=reason)
        self.publish(refusal_event(refused, self.session.version, request, because))
        return refused

    def _seats_for(self, place: Place | None) -> Seats:
        """Return the seats seen from this position in the waiting list. Groups ahead of it keep some."""
        if not self.kept:
            return self.seats
        if place is None and self.answering is not None:
            place = 0, self._ticket(self.answering.received_at)
        seats = self.seats
        for of_group, kept in self.kept:
            if place is None or of_group < place:
                seats = seats.and_kept(kept)
        return seats

    def groups_kept_until(self) -> datetime | None:
        ends = (
            group.kept_until
            for group in self.waiting_list.groups.values()
            if group.kept_until is not None and not group.is_passed
        )
        return min(ends, default=None)

    def _waiting_list_comes_first(self) -> bool:
        """Return whether the waiting list keeps free seats although it is no longer served.

        A list of offers keeps none: its free seat goes to the next request while enrolment is open (ADR
        0007).
        """
        if not self.waiting_list or self.session.waiting_list is WaitingList.OFFER:
            return False
        return self.now >= self.line_ends_at()

    def line_is_over(self) -> bool:
        """Judge by the receipt of the present request."""
        return (self.answering.received_at if self.answering else self.now) >= self.line_ends_at()

    def line_ends_at(self) -> datetime:
        return line_ends_at(self.session, self.policy)

    def close_due_at(self) -> datetime | None:
        """Return when the organiser decides, or None without a minimum (rule 15) or selection."""
        session = self.session
        decides = session.minimum is not None or session.approval.by_selection
        if not decides or session.status is not Status.PUBLISHED:
            return None
        closes_at = session.enrolment_closes_at
        is_judged = self.close_judged_for is not None and self.close_judged_for >= closes_at
        return None if is_judged else closes_at

    def _has_lost_minimum(self) -> bool:
        """Return whether the last seat given up after the close was the first that the minimum lacks."""
        session = self.session
        is_decided = session.enrolment_closes_at <= self.now < session.starts_at
        return is_decided and session.minimum == self.seats.taken + 1

    def in_state(self, state: State) -> list[Enrolment]:
        found = [enrolment for enrolment in self.latest.values() if enrolment.state is state]
        return sorted(found, key=lambda enrolment: (enrolment.hold_until or self.now, enrolment.place))

    # -------------------------------------------------------------------------------- single changes

    def begin(
        self, request: RequestForSeats, agent: Agent, state: State, *, together: int | None = None
    ) -> Enrolment:
        """A waiting enrolment gets its place by time of receipt.

        ``together`` is the ticket of its waiting group.
        """
        enrolment = new_enrolment(
            request,
            agent,
            state,
            ticket=together or self.draw_ticket(request.received_at),
            waits_together=together is not None,
        )
        self.newest_receipt = max(request.received_at, self.newest_receipt or request.received_at)
        self._keep(enrolment)
        if state is State.WAITLISTED:
            self.waiting_list.add(enrolment)
        else:
            self._count(enrolment, 1)
        if self.schedule is not None:
            self.schedule.add(agent.key, self.session)
        return enrolment

    def draw_ticket(self, moment: datetime) -> int:
        """Tickets sort by the moment, to the millisecond, then by order of drawing."""
        ticket = self._ticket(moment)
        self.next_ticket += 1
        return ticket

    def _ticket(self, moment: datetime) -> int:
        return first_ticket(moment) + self.next_ticket % (1 << NUMBER_BITS)

    def refuse(self, request: RequestForSeats, agent: Agent, reason: Reason) -> Enrolment:
        enrolment = refused_enrolment(request, agent, reason)
        self.changed[enrolment.enrolment_id] = enrolment
        latest = self.latest.get(agent.key)
        if latest is None or not latest.state.is_live:
            self.latest[agent.key] = enrolment
        outside = outside_of(self.session.audience, agent) if reason is Reason.NOT_ELIGIBLE else ()
        self.publish(refusal_event(enrolment, self.session.version, request.key, outside=outside))
        return enrolment

    def move(self, before: Enrolment, state: State, cause: Cause, **other: Any) -> Enrolment:
        """``other`` are further changes. Raises ``ValueError`` for a forbidden transition."""
        if state not in TRANSITIONS[before.state]:
            raise ValueError(f"an enrolment that is {before.state} never becomes {state}")
        after = replace(before, state=state, version=before.version + 1, **other)
        if before.state is State.WAITLISTED:
            self.waiting_list.remove(before)
        else:
            self._count(before, -1)
        if state is State.WAITLISTED:
            self.waiting_list.add(after)
        else:
            self._count(after, 1)
        self._keep(after)
        if before.state.holds_seat and not state.holds_seat and self._has_lost_minimum():
            self.close_judged_for = None
        if self.schedule is not None and not state.is_live:
            self.schedule.remove(after.agent.key, self.session)
        request_key = self.answering.key if self.answering else None
        self.changes.append(EnrolmentChange(after, cause, request_key, self.numbers()))
        return after

    def members(self, enrolment: Enrolment, request: RequestKey | None = None) -> DecisionMembers:
        return decision_members(enrolment, self.session.version, request)

    def publish(self, decision: Decision) -> None:
        self.decisions.append((decision, self.answering))

    def publish_outcome(self, request: Request, outcome: PortalOutcome | None) -> None:
        """An outcome of None publishes nothing: a decision answers the request."""
        if outcome is not None:
            self.outcomes.append((outcome, request))

    def add_numbers(self, **added: int | str | None) -> None:
        last = self.changes[-1]
        self.changes[-1] = replace(last, numbers={**last.numbers, **added})

    def record(self, enrolment: Enrolment, module: int, attendance: str) -> None:
        self.attendance.setdefault(enrolment.enrolment_id, {})[module] = attendance
        self.recorded[enrolment.enrolment_id, module] = attendance

    def _keep(self, enrolment: Enrolment) -> None:
        # Keep the order of change: an ended enrolment is saved before the one that replaces it.
        self.changed.pop(enrolment.enrolment_id, None)
        self.changed[enrolment.enrolment_id] = enrolment
        self.latest[enrolment.agent.key] = enrolment

    def _count(self, enrolment: Enrolment, number: int) -> None:
        if enrolment.state.has_seat:
            self.seats.enrolled += number
        elif enrolment.state is State.OFFERED:
            self.seats.offered += number
        else:
            return
        if counts_by_employer(self.session):
            self.seats.take(enrolment.agent.employer, number)

    def _occupancy(self) -> tuple[int | None, int, int, int]:
        return self.session.capacity, self.seats.enrolled, len(self.waiting_list), self.seats.offered
