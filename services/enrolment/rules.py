"""Who gets a seat. Pure and total: facts and a request in, decisions out, no clock, no I/O.

:func:`judge` and :func:`judge_withdrawal` say what a request deserves; a :class:`Book` is one session while
a batch is decided, and the only place where seats and the line change. The rules are numbered as in the
domain's list: 1 seats are never exceeded, 2 a freed seat goes to the first in line, 5 approvals, 7 asking
again, 8 withdrawal and cancellation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypedDict, assert_never
from uuid import UUID, uuid5

from shared.events.catalogue import Audience, SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Awaiting,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SessionOccupancyChanged,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent, ApprovalPolicy, Reason, Status, WaitingList

_ENROLMENT_IDS = UUID("0b0c8f0a-6a55-5c0e-8f0e-3f3b5a1d9c77")


class State(StrEnum):
    """Where an enrolment stands."""

    PENDING_APPROVAL = "pending_approval"
    PENDING_SELECTION = "pending_selection"
    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    SESSION_CANCELLED = "session_cancelled"

    @property
    def is_live(self) -> bool:
        """Whether the enrolment has not ended."""
        return self in _LIVE


_LIVE = frozenset(
    {State.PENDING_APPROVAL, State.PENDING_SELECTION, State.ENROLLED, State.WAITLISTED, State.OFFERED}
)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One agent's enrolment in one session. ``ticket`` is its order of receipt; refused ones have none."""

    enrolment_id: UUID
    version: int
    session_id: UUID
    agent: Agent
    state: State
    reason: Reason | None
    ticket: int | None
    request_id: UUID
    received_at: datetime


@dataclass(frozen=True, slots=True)
class SeatRequest:
    """An agent asks for a seat."""

    request_id: UUID
    received_at: datetime
    session_id: UUID
    agent: Agent
    approved: bool
    traceparent: str | None = None

    @property
    def agent_id(self) -> str:
        return self.agent.agent_id


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Somebody gives up an enrolment."""

    request_id: UUID
    received_at: datetime
    session_id: UUID
    agent_id: str
    reason: str | None
    traceparent: str | None = None


Request = SeatRequest | Withdrawal


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, for whoever asks later. ``outcome`` is a state, or ``refused``."""

    request: Request
    outcome: State
    reason: Reason | None = None


# ---------------------------------------------------------------------------------------- verdicts


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why."""

    reason: Reason


class Granted(StrEnum):
    """Yes, in one of four ways."""

    SEAT = "seat"
    PLACE_IN_LINE = "place_in_line"
    AWAITS_APPROVAL = "awaits_approval"
    AWAITS_SELECTION = "awaits_selection"


def judge(
    session: SessionState, *, seat_is_free: bool, is_live: bool, request: SeatRequest
) -> Granted | Refused:
    """Seat the agent, queue them, or say why not (rules 1, 2, 5 and 7).

    ``is_live`` says whether the agent has a live enrolment in this session already. The deadline is judged
    by when the broker received the request, not by when we came to it.
    """
    if session.status is Status.CANCELLED:
        return Refused(Reason.SESSION_CANCELLED)
    if session.status is Status.DRAFT:
        return Refused(Reason.NOT_OPEN_YET)
    if is_live:
        return Refused(Reason.ALREADY_ENROLLED)
    if request.received_at < session.enrolment_opens_at:
        return Refused(Reason.NOT_OPEN_YET)
    if request.received_at >= session.enrolment_closes_at:
        return Refused(Reason.DEADLINE_PASSED)
    if not is_in_audience(session.audience, request.agent):
        return Refused(Reason.NOT_ELIGIBLE)
    if session.approval is ApprovalPolicy.SELECTION:
        return Granted.AWAITS_SELECTION
    if session.approval is ApprovalPolicy.EMPLOYER and not request.approved:
        return Granted.AWAITS_APPROVAL
    if seat_is_free:
        return Granted.SEAT
    if session.waiting_list is WaitingList.NONE:
        return Refused(Reason.SESSION_FULL)
    return Granted.PLACE_IN_LINE


def is_in_audience(audience: Audience, agent: Agent) -> bool:
    """Whether the session is meant for this agent: by function, authority and delegation."""
    return (
        (not audience.functions or agent.function in audience.functions)
        and (not audience.sirets or agent.employer.siret in audience.sirets)
        and (not audience.delegations or agent.employer.delegation in audience.delegations)
    )


def judge_withdrawal(session: SessionState, state: State | None, received_at: datetime) -> Refused | None:
    """Why a withdrawal is refused, or None (rule 8). ``state`` is that of the live enrolment, if any."""
    if state is None:
        return Refused(Reason.NOT_ENROLLED)
    if state is State.ENROLLED and received_at >= session.starts_at:
        return Refused(Reason.DEADLINE_PASSED)
    return None


_STATE_OF = {
    Granted.SEAT: State.ENROLLED,
    Granted.PLACE_IN_LINE: State.WAITLISTED,
    Granted.AWAITS_APPROVAL: State.PENDING_APPROVAL,
    Granted.AWAITS_SELECTION: State.PENDING_SELECTION,
}


def enrolment_id(request: SeatRequest) -> UUID:
    """The id of the enrolment that a request begins: the same however often the request is decided."""
    return uuid5(_ENROLMENT_IDS, request.request_id.bytes.hex())


def refused(request: SeatRequest, reason: Reason) -> Enrolment:
    """The enrolment that a refused request leaves behind."""
    return Enrolment(
        enrolment_id=enrolment_id(request),
        version=1,
        session_id=request.session_id,
        agent=request.agent,
        state=State.REFUSED,
        reason=reason,
        ticket=None,
        request_id=request.request_id,
        received_at=request.received_at,
    )


def refusal(enrolment: Enrolment) -> EnrolmentRefused:
    """What is told of a refused enrolment."""
    if enrolment.reason is None:
        raise ValueError("only a refused enrolment has a reason")
    return EnrolmentRefused(**_common(enrolment), request_id=enrolment.request_id, reason=enrolment.reason)


class _Common(TypedDict):
    enrolment_id: UUID
    version: int
    session_id: UUID
    agent: Agent


def _common(enrolment: Enrolment) -> _Common:
    return {
        "enrolment_id": enrolment.enrolment_id,
        "version": enrolment.version,
        "session_id": enrolment.session_id,
        "agent": enrolment.agent,
    }


# ---------------------------------------------------------------------------------------- the book


@dataclass(slots=True)
class Book:
    """One session while a batch is decided.

    ``latest`` holds, of each agent that the batch is about, the live enrolment or else the last that ended.
    ``line`` holds the head of the waiting list in order, long enough for the seats that the batch can free.
    What was decided collects in ``decisions``, ``answers`` and ``changed``.
    """

    session: SessionState
    enrolled: int = 0
    offered: int = 0
    waiting: int = 0
    next_ticket: int = 1
    occupancy_version: int = 0
    latest: dict[str, Enrolment] = field(default_factory=dict)
    line: dict[str, Enrolment] = field(default_factory=dict)
    decisions: list[tuple[Decision, str | None]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    changed: dict[UUID, Enrolment] = field(default_factory=dict)
    _told: tuple[int | None, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.occupancy_version:
            self._told = self._occupancy()

    @property
    def seat_is_free(self) -> bool:
        """Whether anybody may sit down. An offer counts as a seat; a lowered capacity may be exceeded."""
        capacity = self.session.capacity
        return capacity is None or self.enrolled + self.offered < capacity

    def decide(self, requests: Iterable[Request], now: datetime) -> None:
        """Answer requests in the order in which they were received, each exactly once."""
        for request in requests:
            match request:
                case SeatRequest():
                    self._answer(request)
                case Withdrawal():
                    self._withdraw(request, now)
                case _:
                    assert_never(request)

    def change(self, session: SessionState, now: datetime) -> None:
        """Take over a newer state: end everything if it is cancelled, else fill seats that became free.

        A cancellation is final: nothing that is told after it changes anything.
        """
        if self.session.status is Status.CANCELLED:
            return
        self.session = session
        if session.status is Status.CANCELLED:
            self._cancel()
        else:
            self.give_away(now)

    def give_away(self, now: datetime) -> None:
        """Free seats go to the first in line, while one may enrol or the session is to come (rule 2)."""
        last_moment = max(self.session.starts_at, self.session.enrolment_closes_at)
        while self.line and self.seat_is_free and now < last_moment:
            first = next(iter(self.line.values()))
            self._leave_line(first)
            self.enrolled += 1
            seated = self._move(first, State.ENROLLED)
            self._tell(AgentEnrolled(**_common(seated), request_id=None, from_waiting_list=True))

    def occupancy(self) -> SessionOccupancyChanged | None:
        """The occupancy to publish, once, if it is not what was last told."""
        if self._told == self._occupancy():
            return None
        self._told = self._occupancy()
        self.occupancy_version += 1
        return SessionOccupancyChanged(
            session_id=self.session.session_id,
            version=self.occupancy_version,
            capacity=self.session.capacity,
            enrolled=self.enrolled,
            waiting=self.waiting,
            offered=self.offered,
        )

    # -------------------------------------------------------------------------------- one request

    def _answer(self, request: SeatRequest) -> None:
        latest = self.latest.get(request.agent_id)
        is_live = latest is not None and latest.state.is_live
        # A seat that is free beside a line is the line's, however late it can be given.
        seat_is_free = self.seat_is_free and not self.waiting
        verdict = judge(self.session, seat_is_free=seat_is_free, is_live=is_live, request=request)
        if isinstance(verdict, Refused):
            enrolment = refused(request, verdict.reason)
            self.changed[enrolment.enrolment_id] = enrolment
            if not is_live:
                self.latest[request.agent_id] = enrolment
            self.answers.append(Answer(request, State.REFUSED, verdict.reason))
            self._tell(refusal(enrolment), request)
            return
        enrolment = self._begin(request, _STATE_OF[verdict])
        self.answers.append(Answer(request, enrolment.state))
        common = _common(enrolment)
        match verdict:
            case Granted.SEAT:
                self.enrolled += 1
                self._tell(AgentEnrolled(**common, request_id=request.request_id), request)
            case Granted.PLACE_IN_LINE:
                self.waiting += 1
                self.line[request.agent_id] = enrolment
                self._tell(
                    AgentWaitlisted(**common, request_id=request.request_id, position=self.waiting), request
                )
            case Granted.AWAITS_APPROVAL:
                self._tell_pending(enrolment, Awaiting.EMPLOYER_APPROVAL, request)
            case Granted.AWAITS_SELECTION:
                self._tell_pending(enrolment, Awaiting.SELECTION, request)
            case _:
                assert_never(verdict)

    def _withdraw(self, request: Withdrawal, now: datetime) -> None:
        latest = self.latest.get(request.agent_id)
        live = latest if latest is not None and latest.state.is_live else None
        refusal_ = judge_withdrawal(self.session, live.state if live else None, request.received_at)
        if refusal_ is not None or live is None:
            reason = refusal_.reason if refusal_ else Reason.NOT_ENROLLED
            self.answers.append(Answer(request, State.REFUSED, reason))
            if latest is not None:  # else nobody is known who could be told
                self._tell(
                    EnrolmentRefused(
                        **_common(latest), request_id=request.request_id, reason=reason, asked="withdrawal"
                    ),
                    request,
                )
            return
        self._free(live)
        ended = self._move(live, State.WITHDRAWN)
        self.answers.append(Answer(request, State.WITHDRAWN))
        self._tell(
            EnrolmentWithdrawn(**_common(ended), request_id=request.request_id, reason=request.reason),
            request,
        )
        self.give_away(now)

    def _cancel(self) -> None:
        """End every live enrolment: all of them must be in ``latest`` (rule 8)."""
        for enrolment in list(self.latest.values()):
            if enrolment.state.is_live:
                self._free(enrolment)
                ended = self._move(enrolment, State.SESSION_CANCELLED)
                self._tell(
                    EnrolmentWithdrawn(**_common(ended), request_id=None, by=WithdrawnBy.SESSION_CANCELLED)
                )

    # -------------------------------------------------------------------------------- small steps

    def _begin(self, request: SeatRequest, state: State) -> Enrolment:
        enrolment = Enrolment(
            enrolment_id=enrolment_id(request),
            version=1,
            session_id=request.session_id,
            agent=request.agent,
            state=state,
            reason=None,
            ticket=self.next_ticket,
            request_id=request.request_id,
            received_at=request.received_at,
        )
        self.next_ticket += 1
        self.changed[enrolment.enrolment_id] = enrolment
        self.latest[request.agent_id] = enrolment
        return enrolment

    def _move(self, enrolment: Enrolment, state: State) -> Enrolment:
        moved = replace(enrolment, state=state, version=enrolment.version + 1)
        self.changed[moved.enrolment_id] = moved
        self.latest[moved.agent.agent_id] = moved
        return moved

    def _free(self, enrolment: Enrolment) -> None:
        """Give back what an enrolment that ends holds: its seat, its offer or its place in line."""
        match enrolment.state:
            case State.ENROLLED:
                self.enrolled -= 1
            case State.OFFERED:
                self.offered -= 1
            case State.WAITLISTED:
                self._leave_line(enrolment)
            case _:  # pending: it holds nothing
                return

    def _leave_line(self, enrolment: Enrolment) -> None:
        self.waiting -= 1
        self.line.pop(enrolment.agent.agent_id, None)

    def _tell(self, decision: Decision, request: Request | None = None) -> None:
        self.decisions.append((decision, request.traceparent if request else None))

    def _tell_pending(self, enrolment: Enrolment, awaiting: Awaiting, request: SeatRequest) -> None:
        self._tell(
            EnrolmentPending(**_common(enrolment), request_id=request.request_id, awaiting=awaiting), request
        )

    def _occupancy(self) -> tuple[int | None, int, int, int]:
        return self.session.capacity, self.enrolled, self.waiting, self.offered
