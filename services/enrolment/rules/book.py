"""One session while it is decided upon: the only place where its seats and its line change.

Every move goes through :meth:`Book.begin` and :meth:`Book.move`, which allow only the transitions of the
lifecycle and keep the counts; ``answering`` says what is asked, ``organising`` what organisers do.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.enrolment.rules.diary import Diary
from services.enrolment.rules.holds import hold_until, last_moment_to_offer
from services.enrolment.rules.judging import Granted, Prospects, Refused, judge_place
from services.enrolment.rules.line import Line
from services.enrolment.rules.seats import Seats, counts_by_employer
from services.enrolment.rules.words import (
    TRANSITIONS,
    Answer,
    AsksForSeats,
    Cause,
    Change,
    Enrolment,
    Policy,
    Request,
    SeatRequest,
    State,
    common,
    enrolment_id,
    refusal,
    refused,
)
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EnrolmentWithdrawn,
    LapseCause,
    SeatOffered,
    SeatOfferLapsed,
    SessionOccupancyChanged,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent, ApprovalPolicy, Reason, Status, WaitingList

_CANCELLABLE = frozenset(
    {
        State.PENDING_APPROVAL,
        State.PENDING_SELECTION,
        State.WAITLISTED,
        State.OFFERED,
        State.ENROLLED,
    }
)


@dataclass(slots=True)
class Book:
    """One session, at one moment.

    ``latest`` holds, of each agent that this is about, the live enrolment or else the last that ended.
    ``line`` has at hand who may be next. What was decided collects in ``decisions``, ``answers``,
    ``changed``, ``changes`` and ``marked``.
    """

    session: SessionState
    now: datetime
    policy: Policy = field(default_factory=Policy)
    seats: Seats = field(default_factory=Seats)
    line: Line = field(default_factory=Line)
    next_ticket: int = 1
    occupancy_version: int = 0
    latest: dict[str, Enrolment] = field(default_factory=dict)
    marks: dict[UUID, dict[int, str]] = field(default_factory=dict)
    diary: Diary | None = None
    decisions: list[tuple[Decision, str | None]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    changed: dict[UUID, Enrolment] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    marked: dict[tuple[UUID, int], str] = field(default_factory=dict)
    session_is_new: bool = False
    is_begun: bool = False
    """Nothing was known of the session until now, or is any more: ``session`` is the first that is heard."""
    because: Request | None = None
    """What is being answered: the moves that follow from it are told with it."""
    _told: tuple[int | None, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.occupancy_version:
            self._told = self._occupancy()

    # -------------------------------------------------------------------------------- what there is

    def prospects(self, agent: Agent) -> Prospects:
        """What there is for this agent. A seat that somebody in line may take is theirs already, or never."""
        latest = self.latest.get(agent.agent_id)
        return Prospects(
            seat_is_free=not self._the_line_comes_first()
            and self.seats.may_take(self.session, agent.employer, self.now),
            is_live=latest is not None and latest.state.is_live,
            quota_is_reached=self.seats.reaches_quota(self.session, agent.employer),
            overlaps=self.diary is not None and self.diary.overlaps(agent.agent_id, self.session),
        )

    def numbers(self) -> dict[str, int | str | None]:
        """The seats and the line as they are, for whoever asks later why."""
        return {
            "session_version": self.session.version,
            "capacity": self.session.capacity,
            "enrolled": self.seats.enrolled,
            "offered": self.seats.offered,
            "waiting": len(self.line),
        }

    def numbers_for(self, agent: Agent) -> dict[str, int | str | None]:
        """What else decides where it matters for whom an agent works."""
        if not counts_by_employer(self.session):
            return {}
        return self.seats.numbers_for(self.session, agent.employer, self.now)

    def occupancy(self) -> SessionOccupancyChanged | None:
        """The occupancy to publish, once, if it is not what was last told."""
        if self._told == self._occupancy():
            return None
        self._told = self._occupancy()
        self.occupancy_version += 1
        capacity, enrolled, waiting, offered = self._told
        return SessionOccupancyChanged(
            session_id=self.session.session_id,
            version=self.occupancy_version,
            capacity=capacity,
            enrolled=enrolled,
            waiting=waiting,
            offered=offered,
        )

    def was_told(self, last: SessionOccupancyChanged) -> None:
        """Go on from the occupancy that was told last, where that is not known here any more."""
        if last.version > self.occupancy_version:
            self.occupancy_version = last.version
            self._told = last.capacity, last.enrolled, last.waiting, last.offered

    # -------------------------------------------------------------------------------- what time and others do

    def expire(self, until: datetime) -> None:
        """End what is over by then: offers without an answer, pending enrolments without a word.

        ``until``: the moment by which all that was answered in time has been taken in. Needs those offers and
        pending enrolments in ``latest``.
        """
        over = until - self.policy.grace
        for one in self._standing(State.OFFERED):
            if one.hold_until is not None and one.hold_until <= over:
                self.lapse(one, LapseCause.EXPIRED)
        if self.session.enrolment_closes_at <= over:
            for one in self._standing(State.PENDING_APPROVAL):
                self._end(one, Cause.APPROVAL_MISSING, Reason.APPROVAL_DENIED)
        if self.session.ends_at <= over:
            for one in self._standing(State.PENDING_SELECTION):
                self._end(one, Cause.SELECTION, Reason.NOT_SELECTED)
        self.give_away()

    def _end(self, pending: Enrolment, cause: Cause, reason: Reason) -> None:
        ended = self.move(pending, State.REFUSED, cause, reason=reason)
        self.tell(refusal(ended, None))

    def change(self, session: SessionState) -> None:
        """Take over a newer state: end everything if it is cancelled, else give away what became free.

        A cancellation is final: nothing that is told after it changes anything. Needs every offer in
        ``latest``; for a cancellation, or when nobody's word is needed any more, every live enrolment.
        A book that is begun anew has enrolments already, and what they were never told is made up for.
        """
        if self.session.status is Status.CANCELLED and not self.is_begun:
            return
        before, self.session = self.session, session
        self.session_is_new = True
        if session.status is Status.CANCELLED:
            self._cancel()
        else:
            self._shorten_offers()
            self.give_away()
            changed = self.is_begun or before.approval is not session.approval
            if session.approval is ApprovalPolicy.NONE and changed:
                self._place_the_pending()

    def place(
        self, pending: Enrolment, cause: Cause, request_id: UUID | None, *, ticket: int | None = None
    ) -> Enrolment:
        """Give a pending enrolment a seat, its place in line, or neither (rule 5). Needs the whole line."""
        verdict = judge_place(self.session, self.prospects(pending.agent))
        if isinstance(verdict, Refused):
            denied = self.move(pending, State.REFUSED, cause, reason=verdict.reason)
            self.tell(refusal(denied, request_id))
            return denied
        placed = self.move(pending, verdict.state, cause, ticket=ticket or pending.ticket)
        if verdict is Granted.SEAT:
            self.tell(AgentEnrolled(**common(placed), request_id=request_id))
        else:
            position = self.line.position(placed)
            self.tell(AgentWaitlisted(**common(placed), request_id=request_id, position=position))
        return placed

    def _place_the_pending(self) -> None:
        """Nobody's word is needed any more: who waited for one gets what there is, in order of receipt."""
        for state in (State.PENDING_APPROVAL, State.PENDING_SELECTION):
            for one in self._standing(state):
                self.place(one, Cause.APPROVAL_DROPPED, None)

    def give_away(self) -> None:
        """Free seats go to the first in line that may take them (rule 2)."""
        while (first := self._next_in_line()) is not None:
            if self.session.waiting_list is WaitingList.OFFER:
                until = hold_until(self.session, self.now, self.policy)
                if until is None:
                    return
                held = self.move(first, State.OFFERED, Cause.SEAT_FREED, hold_until=until)
                self.tell(SeatOffered(**common(held), request_id=None, hold_until=until))
            else:
                seated = self.move(first, State.ENROLLED, Cause.SEAT_FREED)
                self.tell(AgentEnrolled(**common(seated), request_id=None, from_waiting_list=True))

    def lapse(self, offer: Enrolment, cause: LapseCause, request_id: UUID | None = None) -> None:
        """End an offer that was declined or not answered; the seat is free then."""
        why = Cause.OFFER_EXPIRED if cause is LapseCause.EXPIRED else Cause.OFFER_DECLINED
        lapsed = self.move(offer, State.LAPSED, why, request_id=request_id)
        self.tell(SeatOfferLapsed(**common(lapsed), request_id=request_id, cause=cause))

    def _next_in_line(self) -> Enrolment | None:
        """Who is to have a seat now: the first that may take one, while the line is served at all."""
        if self.now >= self._line_is_served_until():
            return None
        return next(
            (one for one in self.line if self.seats.may_take(self.session, one.agent.employer, self.now)),
            None,
        )

    def _the_line_comes_first(self) -> bool:
        """Whether a seat that is free is kept from whoever does not wait, though the line is served no more.

        A line of offers is different: once no offer can reach it while others may still enrol, a free seat is
        whoever's who asks, rather than nobody's (ADR 0007).
        """
        if not self.line or self.session.waiting_list is WaitingList.OFFER:
            return False
        return self.now >= self._line_is_served_until()

    def _line_is_served_until(self) -> datetime:
        """Offers end before the start; without, while one may still enrol or the session is to come."""
        if self.session.waiting_list is WaitingList.OFFER:
            return last_moment_to_offer(self.session, self.policy)
        return max(self.session.starts_at, self.session.enrolment_closes_at)

    def _shorten_offers(self) -> None:
        """An offer never outlives the last moment to offer, also when the session is brought forward."""
        last = last_moment_to_offer(self.session, self.policy)
        for one in self._standing(State.OFFERED):
            if one.hold_until is None or one.hold_until <= last:
                continue
            if last <= self.now:
                self.lapse(one, LapseCause.EXPIRED)
            else:
                shorter = self.move(one, State.OFFERED, Cause.OFFER_SHORTENED, hold_until=last)
                self.tell(SeatOffered(**common(shorter), request_id=None, hold_until=last))

    def _cancel(self) -> None:
        """End every live enrolment but those of whom it was recorded that they came, or did not (rule 8)."""
        for one in list(self.latest.values()):
            if one.state in _CANCELLABLE:
                ended = self.move(one, State.SESSION_CANCELLED, Cause.SESSION_CANCELLED)
                self.tell(
                    EnrolmentWithdrawn(**common(ended), request_id=None, by=WithdrawnBy.SESSION_CANCELLED)
                )

    def _standing(self, state: State) -> list[Enrolment]:
        """Those at hand in this state, the earliest end of an offer first, then in order of receipt."""
        standing = [one for one in self.latest.values() if one.state is state]
        return sorted(standing, key=lambda one: (one.hold_until or self.now, one.place))

    # -------------------------------------------------------------------------------- every single step

    def begin(self, request: AsksForSeats, agent: Agent, state: State) -> Enrolment:
        """A new enrolment, in its first state; one that waits queues behind everybody."""
        one_of_many = None if isinstance(request, SeatRequest) else agent.agent_id
        enrolment = Enrolment(
            enrolment_id=enrolment_id(request.request_id, one_of_many),
            version=1,
            session_id=self.session.session_id,
            agent=agent,
            state=state,
            reason=None,
            ticket=self.next_ticket,
            request_id=request.request_id,
            received_at=request.received_at,
        )
        self.next_ticket += 1
        self._keep(enrolment)
        if state is State.WAITLISTED:
            self.line.join_the_end(enrolment)
        else:
            self._take(enrolment)
        if self.diary is not None:
            self.diary.write(agent.agent_id, self.session)
        return enrolment

    def refuse(self, request: AsksForSeats, agent: Agent, reason: Reason) -> Enrolment:
        """A request refused leaves an enrolment that never was; a live one stays what it is."""
        enrolment = refused(request, agent, reason)
        self.changed[enrolment.enrolment_id] = enrolment
        latest = self.latest.get(agent.agent_id)
        if latest is None or not latest.state.is_live:
            self.latest[agent.agent_id] = enrolment
        self.tell(refusal(enrolment, request.request_id))
        return enrolment

    def move(
        self, before: Enrolment, state: State, cause: Cause, *, request_id: UUID | None = None, **other: Any
    ) -> Enrolment:
        """Take an enrolment to another state, with the seat or the place that goes with it.

        ``other``: members to change besides. Raises ``ValueError`` for what the lifecycle does not have.
        """
        if state not in TRANSITIONS[before.state]:
            raise ValueError(f"an enrolment that is {before.state} never becomes {state}")
        after = replace(before, state=state, version=before.version + 1, **other)
        self._give_back(before)
        if state is State.WAITLISTED:
            self.line.join(after)
        else:
            self._take(after)
        self._keep(after)
        if self.diary is not None and not state.is_live:
            self.diary.strike_out(after.agent.agent_id, self.session)
        cause_id = request_id or (self.because.request_id if self.because else None)
        self.changes.append(Change(after, cause, cause_id, self.numbers()))
        return after

    def tell(self, decision: Decision) -> None:
        """Have an event published, in the trace of what is being answered."""
        self.decisions.append((decision, self.because.traceparent if self.because else None))

    def note(self, **facts: int | str | None) -> None:
        """Add to the numbers of the last move what else it was decided by."""
        last = self.changes[-1]
        self.changes[-1] = replace(last, facts={**last.facts, **facts})

    def mark(self, enrolment: Enrolment, module: int, attendance: str) -> None:
        """Keep what was seen of an agent at a module."""
        self.marks.setdefault(enrolment.enrolment_id, {})[module] = attendance
        self.marked[enrolment.enrolment_id, module] = attendance

    def _keep(self, enrolment: Enrolment) -> None:
        # In the order of change: an enrolment that ends is written before the one that takes its place.
        self.changed.pop(enrolment.enrolment_id, None)
        self.changed[enrolment.enrolment_id] = enrolment
        self.latest[enrolment.agent.agent_id] = enrolment

    def _give_back(self, enrolment: Enrolment) -> None:
        if enrolment.state is State.WAITLISTED:
            self.line.leave(enrolment)
        else:
            self._count(enrolment, -1)

    def _take(self, enrolment: Enrolment) -> None:
        self._count(enrolment, 1)

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
        return self.session.capacity, self.seats.enrolled, len(self.line), self.seats.offered
