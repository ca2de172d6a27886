"""One session played at random against a model so simple that one can see that it is right.

The model hears the events, nothing else, and keeps who is where. At each event it asks the naive questions:
was there a seat, was anybody before them, was an answer due, was the move legal? A world is what is played
with: the rules alone, or the store on a real Postgres (``tests/integration/enrolment/test_machine.py``).
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.enrolment.rules import (
    ApprovalDecision,
    Fault,
    GroupRequest,
    OfferAnswer,
    Policy,
    RankingFault,
    Request,
    SeatRequest,
    Withdrawal,
)
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatOffered,
    SeatOfferLapsed,
    SessionOccupancyChanged,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent
from tests.support.builders import a_session, an_agent

Told = Decision | SessionOccupancyChanged

POLICY = Policy(grace=timedelta(seconds=60))
OPENS = datetime.fromisoformat("2025-03-03T08:00:00+00:00")
CLOSES, STARTS = OPENS + timedelta(days=12), OPENS + timedelta(days=17)
EMPLOYERS = [
    ("21350238800019", "bretagne"),
    ("21440109300015", "bretagne"),
    ("21750001600019", "ile-de-france"),
]
AGENTS = [
    an_agent(
        f"A{number}",
        employer={
            "siret": EMPLOYERS[number % 3][0],
            "name": f"Ville {number % 3}",
            "delegation": EMPLOYERS[number % 3][1],
        },
    )
    for number in range(9)
]
agents = st.sampled_from(AGENTS)


class World(Protocol):
    """What is played with. Each call is one transaction at the machine's moment and returns what was told."""

    def hear(self, session: SessionState, now: datetime) -> list[Told]: ...
    def ask(self, requests: Sequence[Request], now: datetime) -> list[Told]: ...
    def catch_up(self, now: datetime) -> list[Told]:
        """The clock comes round, all that had come having been read."""
        ...

    def rank(
        self, ranked: Sequence[str], not_selected: Sequence[str], now: datetime
    ) -> tuple[RankingFault | Fault | None, list[Told]]: ...
    def prioritise(self, agent_id: str, priority: int, now: datetime) -> tuple[Fault | None, list[Told]]: ...


@dataclass
class Model:
    """Who is where, by what was told. ``order`` is that of receipt, or of the ranking."""

    session: SessionState
    state: dict[str, str] = field(default_factory=dict)
    hold_until: dict[str, datetime] = field(default_factory=dict)
    order: dict[str, int] = field(default_factory=dict)
    priority: Counter[str] = field(default_factory=Counter)
    versions: Counter[uuid.UUID] = field(default_factory=Counter)
    enrolment: dict[str, uuid.UUID] = field(default_factory=dict)
    occupancy: SessionOccupancyChanged | None = None
    agents: dict[str, Agent] = field(default_factory=lambda: {one.agent_id: one for one in AGENTS})

    def having(self, *states: str) -> list[str]:
        return [agent_id for agent_id, state in self.state.items() if state in states]

    @property
    def taken(self) -> list[str]:
        return self.having("enrolled", "offered")

    @property
    def line(self) -> list[str]:
        return sorted(self.having("waitlisted"), key=lambda one: (-self.priority[one], self.order[one]))

    def may_take_a_seat(self, agent_id: str, now: datetime) -> bool:
        """The naive answer, counted anew each time (rules 1, 3 and 4)."""
        employer = self.agents[agent_id].employer
        mine = [one for one in self.taken if self.agents[one].employer.siret == employer.siret]
        quota = self.session.quota_per_authority
        if quota is not None and len(mine) >= quota:
            return False
        if self.session.capacity is None:
            return True
        kept: Counter[str] = Counter()
        for reserved in self.session.reserved_seats:
            if now < reserved.release_at:
                kept[reserved.delegation] += reserved.seats
        for delegation in kept:
            sitting = [one for one in self.taken if self.agents[one].employer.delegation == delegation]
            kept[delegation] = max(0, kept[delegation] - len(sitting))
        if kept[employer.delegation]:  # where more is reserved than there is, who comes first has it
            return len(self.taken) < self.session.capacity
        return len(self.taken) + sum(kept.values()) < self.session.capacity

    def line_is_served(self, now: datetime) -> bool:
        if self.session.status == "cancelled":
            return False
        if self.session.waiting_list == "offer":
            return now < self.session.starts_at - POLICY.last_offer
        return now < max(self.session.starts_at, self.session.enrolment_closes_at)

    def next_in_line(self, now: datetime) -> str | None:
        if not self.line_is_served(now):
            return None
        return next((one for one in self.line if self.may_take_a_seat(one, now)), None)

    # ------------------------------------------------------------------------------------ what is told

    def hears(self, told: Told, now: datetime) -> None:
        """Take an event in, and complain if it should never have been."""
        if isinstance(told, SessionOccupancyChanged):
            return self._occupancy(told)
        agent_id = told.agent.agent_id
        before = self.state.get(agent_id)
        if isinstance(told, EnrolmentRefused) and self._changes_nothing(told, before):
            return None
        self._version(told, agent_id)
        match told:
            case AgentEnrolled():
                self._seat_is_theirs(agent_id, before, told, now)
                self.state[agent_id] = "enrolled"
            case SeatOffered():
                assert before in ("waitlisted", "offered"), f"offered to somebody {before}"
                if before == "waitlisted":
                    assert self.next_in_line(now) == agent_id, "offered out of turn, or without a seat"
                assert now < told.hold_until <= self.session.starts_at - POLICY.last_offer
                self.state[agent_id], self.hold_until[agent_id] = "offered", told.hold_until
            case SeatOfferLapsed():
                assert before == "offered"
                if told.request_id is None:
                    last = self.session.starts_at - POLICY.last_offer
                    assert self.hold_until[agent_id] + POLICY.grace <= now or last <= now, "too early"
                self.state[agent_id] = "lapsed"
            case AgentWaitlisted():
                assert before not in ("enrolled", "offered", "waitlisted")
                assert self.session.waiting_list != "none"
                assert not self.may_take_a_seat(agent_id, now), "asked to wait beside a free seat"
                self.state[agent_id] = "waitlisted"
                assert told.position == self.line.index(agent_id) + 1, "told another place in line"
            case EnrolmentPending():
                assert not _is_live(before)
                self.state[agent_id] = f"pending_{told.awaiting.removeprefix('employer_')}"
            case EnrolmentRefused():
                assert before is None or not _is_live(before) or before.startswith("pending_")
                self.state[agent_id] = "refused"
            case EnrolmentWithdrawn():
                assert before in (
                    "enrolled",
                    "offered",
                    "waitlisted",
                    "pending_approval",
                    "pending_selection",
                )
                self.state[agent_id] = (
                    "session_cancelled" if told.by is WithdrawnBy.SESSION_CANCELLED else "withdrawn"
                )
            case _:
                raise AssertionError(f"nobody expected {told}")
        return None

    def _changes_nothing(self, told: EnrolmentRefused, before: str | None) -> bool:
        if told.asked != "enrolment":
            return True
        return told.reason == "already_enrolled" and before is not None and _is_live(before)

    def _seat_is_theirs(self, agent_id: str, before: str | None, told: AgentEnrolled, now: datetime) -> None:
        if before == "offered":
            assert told.from_waiting_list
            return
        assert self.may_take_a_seat(agent_id, now), "a seat that there is not"
        if before == "waitlisted":
            assert told.from_waiting_list
            assert self.next_in_line(now) == agent_id, "promoted out of turn"
        else:
            assert not told.from_waiting_list
            assert self.next_in_line(now) is None, "seated before somebody who waits"

    def _version(self, told: Decision, agent_id: str) -> None:
        self.versions[told.enrolment_id] += 1
        assert told.version == self.versions[told.enrolment_id], "a version was left out, or told twice"
        if told.version > 1:
            assert self.enrolment[agent_id] == told.enrolment_id
        self.enrolment[agent_id] = told.enrolment_id

    def _occupancy(self, told: SessionOccupancyChanged) -> None:
        assert told.version == (self.occupancy.version if self.occupancy else 0) + 1
        self.occupancy = told


def _is_live(state: str | None) -> bool:
    return state not in (None, "refused", "lapsed", "withdrawn", "session_cancelled")


class EnrolmentMachine(RuleBasedStateMachine):
    """Requests, duplicates, answers, organisers, changes of the session and of the clock, in any order."""

    world: World

    def new_world(self) -> World:
        raise NotImplementedError

    @initialize(
        capacity=st.sampled_from([2, 1, 3, 4, 0, None]),
        waiting_list=st.sampled_from(["offer", "automatic", "none"]),
        approval=st.sampled_from(["none", "employer", "selection"]),
        reserved=st.lists(
            st.tuples(st.sampled_from(["bretagne", "ile-de-france"]), st.integers(1, 3)), max_size=2
        ),
        quota=st.sampled_from([None, None, 1, 2]),
    )
    def publish(
        self,
        capacity: int | None,
        waiting_list: str,
        approval: str,
        reserved: list[tuple[str, int]],
        quota: int | None,
    ) -> None:
        self.now = self.received_at = OPENS + timedelta(hours=2)
        self.asked: list[Request] = []
        session = a_session(
            capacity=capacity,
            waiting_list=waiting_list,
            approval=approval,
            quota_per_authority=quota,
            reserved_seats=[
                {"delegation": delegation, "seats": seats, "release_at": OPENS + timedelta(days=3 * number)}
                for number, (delegation, seats) in enumerate(reserved, start=1)
            ],
            enrolment_opens_at=OPENS,
            enrolment_closes_at=CLOSES,
            starts_at=STARTS,
            ends_at=STARTS + timedelta(hours=7),
        )
        self.model = Model(session)
        self.world = self.new_world()
        self.change()

    # ------------------------------------------------------------------------------------ what portals ask

    @rule(data=st.data(), number=st.integers(1, 6))
    def ask(self, data: st.DataObject, number: int) -> None:
        """Some requests in one batch, of any kind, about anybody."""
        requests = [data.draw(self.a_request(), label="request") for _ in range(number)]
        self.answer(requests)

    @rule(
        several=st.lists(agents, min_size=2, max_size=6, unique_by=lambda agent: agent.agent_id),
        approved=st.booleans(),
    )
    def ask_for_seats(self, several: list[Agent], approved: bool) -> None:
        self.answer(
            [SeatRequest(uuid.uuid4(), self.now, self.session_id, agent, approved) for agent in several]
        )

    @precondition(lambda self: self.model.having("enrolled"))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        agent_id = data.draw(st.sampled_from(sorted(self.model.having("enrolled"))))
        self.answer([Withdrawal(uuid.uuid4(), self.now, self.session_id, agent_id, None)])

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """Kafka delivers at least once."""
        self.answer([data.draw(st.sampled_from(self.asked))], again=True)

    @precondition(lambda self: self.model.having("offered"))
    @rule(data=st.data(), accepted=st.booleans())
    def answer_an_offer(self, data: st.DataObject, accepted: bool) -> None:
        agent_id = data.draw(st.sampled_from(sorted(self.model.having("offered"))))
        received_at = data.draw(st.sampled_from([self.now, self.received_at]))
        in_time = received_at < self.model.hold_until[agent_id]
        self.answer([OfferAnswer(uuid.uuid4(), received_at, self.session_id, agent_id, accepted)])
        after = ("enrolled" if accepted else "lapsed") if in_time else "offered"
        assert self.model.state[agent_id] == after, "the time of receipt decides, not that of reading"

    @precondition(lambda self: self.model.having("pending_approval"))
    @rule(data=st.data(), granted=st.booleans())
    def decide_an_approval(self, data: st.DataObject, granted: bool) -> None:
        agent_id = data.draw(st.sampled_from(sorted(self.model.having("pending_approval"))))
        self.answer([ApprovalDecision(uuid.uuid4(), self.received_at, self.session_id, agent_id, granted)])

    # ------------------------------------------------------------------------------------ what organisers do

    @precondition(lambda self: self.model.session.approval == "selection")
    @rule(data=st.data())
    def rank(self, data: st.DataObject) -> None:
        candidates = data.draw(st.permutations(sorted(self.model.having("pending_selection"))))
        cut = data.draw(st.integers(0, len(candidates)))
        ranked, not_selected = candidates[:cut], candidates[cut:]
        for agent_id in ranked:
            self.model.order[agent_id] = self.next_order()
        fault, told = self.world.rank(ranked, not_selected, self.now)
        over = self.model.session.status == "cancelled" or self.now >= self.model.session.ends_at
        assert (fault is not None) == over
        self.take_in(told)
        if not over:
            assert not self.model.having("pending_selection"), "a candidate was left without an answer"

    @precondition(lambda self: self.model.session.approval == "selection")
    @rule(data=st.data())
    def rank_wrongly(self, data: st.DataObject) -> None:
        """A ranking that forgets somebody, or names somebody twice or a stranger, changes nothing."""
        candidates = sorted(self.model.having("pending_selection"))
        wrong = data.draw(
            st.sampled_from([candidates[1:], [*candidates, *candidates[:1]], [*candidates, "X"]])
        )
        if sorted(wrong) == candidates:
            return
        fault, told = self.world.rank(wrong, [], self.now)
        assert fault is not None
        assert told == []

    @precondition(lambda self: self.model.having("waitlisted"))
    @rule(data=st.data(), priority=st.integers(0, 2))
    def prioritise(self, data: st.DataObject, priority: int) -> None:
        agent_id = data.draw(st.sampled_from(self.model.line))
        fault, told = self.world.prioritise(agent_id, priority, self.now)
        assert fault is None
        self.model.priority[agent_id] = priority
        self.model.versions[self.model.enrolment[agent_id]] += 1
        self.take_in(told)

    @rule(agent=agents)
    def prioritise_somebody_who_does_not_wait(self, agent: Agent) -> None:
        if self.model.state.get(agent.agent_id) != "waitlisted":
            assert self.world.prioritise(agent.agent_id, 1, self.now) == (Fault.NOT_IN_LINE, [])

    # ------------------------------------------------------------------------------------ what time does

    @rule(capacity=st.sampled_from([0, 1, 2, 3, 5, None]))
    def change_capacity(self, capacity: int | None) -> None:
        self.change(capacity=capacity)

    @rule(quota=st.sampled_from([None, 1, 3]))
    def change_quota(self, quota: int | None) -> None:
        self.change(quota_per_authority=quota)

    @precondition(lambda self: self.model.having("pending_approval", "pending_selection"))
    @rule()
    def need_nobodys_agreement_any_more(self) -> None:
        self.change(approval="none")
        if self.model.session.status != "cancelled":
            assert not self.model.having("pending_approval", "pending_selection")

    @rule(days=st.integers(-8, 8))
    def move_the_session(self, days: int) -> None:
        starts_at = STARTS + timedelta(days=days)
        self.change(
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=7),
            enrolment_closes_at=min(CLOSES, starts_at),
        )

    @precondition(lambda self: self.model.having("offered"))
    @rule(hours=st.integers(1, 60))
    def bring_the_session_forward(self, hours: int) -> None:
        """So far that offers would outlive the last moment to offer."""
        end = max(self.model.hold_until[one] for one in self.model.having("offered"))
        starts_at = max(end - timedelta(hours=hours), self.now) + POLICY.last_offer
        self.change(
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=7),
            enrolment_closes_at=min(CLOSES, starts_at),
        )

    @precondition(lambda self: len(self.asked) > 15)
    @rule()
    def cancel(self) -> None:
        self.change(status="cancelled")

    @rule(hours=st.sampled_from([1, 6, 30, 50]))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.come_round()

    @rule(hours=st.sampled_from([1, 6, 30]))
    def fall_behind(self, hours: int) -> None:
        """Requests come, but nobody reads them for a while."""
        self.now += timedelta(hours=hours)

    @precondition(lambda self: self.model.having("offered"))
    @rule(seconds=st.sampled_from([-1, 0, 59, 60]))
    def let_an_offer_end(self, seconds: int) -> None:
        end = min(self.model.hold_until[one] for one in self.model.having("offered"))
        self.now = max(self.now, end + timedelta(seconds=seconds))
        self.come_round()

    # ------------------------------------------------------------------------------------ how it is played

    @property
    def session_id(self) -> uuid.UUID:
        return self.model.session.session_id

    def come_round(self) -> None:
        self.received_at = self.now
        self.take_in(self.world.catch_up(self.now))
        for agent_id in self.model.having("offered"):
            assert self.now < self.model.hold_until[agent_id] + POLICY.grace, "an offer outlived its end"

    orders = 0

    def next_order(self) -> int:
        self.orders += 1
        return self.orders

    def a_request(self) -> st.SearchStrategy[Request]:
        ids = st.builds(uuid.uuid4)  # new each time a sequence is played, also when it is played again
        # Received since the last was read, in the order of the partition: at the latest now.
        about = [ids, st.just(self.received_at), st.just(self.session_id)]
        agent_ids = agents.map(lambda agent: agent.agent_id)
        asking: st.SearchStrategy[Request] = st.builds(SeatRequest, *about, agents, st.booleans())
        group: st.SearchStrategy[Request] = st.builds(
            GroupRequest,
            *about,
            st.lists(agents, min_size=1, max_size=4, unique_by=lambda agent: agent.agent_id).map(tuple),
            st.booleans(),
        )
        withdrawal: st.SearchStrategy[Request] = st.builds(Withdrawal, *about, agent_ids, st.none())
        offer: st.SearchStrategy[Request] = st.builds(OfferAnswer, *about, agent_ids, st.booleans())
        approval: st.SearchStrategy[Request] = st.builds(ApprovalDecision, *about, agent_ids, st.booleans())
        return st.one_of(asking, asking, asking, group, withdrawal, offer, approval)

    def answer(self, requests: list[Request], *, again: bool = False) -> None:
        known = set(self.model.state)
        told = self.world.ask(requests, self.now)
        if again:
            answered = [one for one in told if isinstance(one, Decision) and one.request_id is not None]
            assert answered == [], "answered a second time"
        else:
            self.asked += requests
            answers = Counter(
                (one.request_id, one.agent.agent_id)
                for one in told
                if isinstance(one, Decision) and one.request_id is not None
            )
            for request in requests:
                if isinstance(request, SeatRequest | GroupRequest):
                    known |= set(request.agent_ids)
                for agent_id in request.agent_ids:
                    number = answers.pop((request.request_id, agent_id), 0)
                    assert number == 1 or (number == 0 and agent_id not in known), "not exactly one answer"
            assert not answers, "an answer that nobody asked for"
        self.received_at = max(self.received_at, *(request.received_at for request in requests))
        self.take_in(told)

    def change(self, **changes: Any) -> None:
        before = self.model.session
        after = a_session(**(before.model_dump() | changes | {"version": before.version + 1}))
        if before.status != "cancelled":
            self.model.session = after
        else:
            after = a_session(**(after.model_dump() | {"status": "cancelled"}))
            self.model.session = a_session(**(before.model_dump() | {"version": after.version}))
        self.take_in(self.world.hear(after, self.now))

    def take_in(self, told: list[Told]) -> None:
        """Hear what was told, in order; then ask what must be true whenever nobody is at work."""
        taken_before = len(self.model.taken)
        for one in told:
            note(f"{self.now:%d %H:%M:%S} {type(one).__name__} {getattr(one, 'agent', one) and _who(one)}")
            if isinstance(one, AgentWaitlisted | EnrolmentPending) and one.version == 1:
                self.model.order[one.agent.agent_id] = self.next_order()
                self.model.priority[one.agent.agent_id] = 0
            self.model.hears(one, self.now)
        self.check(taken_before)

    def check(self, taken_before: int) -> None:
        model = self.model
        capacity = model.session.capacity
        assert capacity is None or len(model.taken) <= max(capacity, taken_before), (
            "more than there are seats"
        )
        assert model.next_in_line(self.now) is None, "somebody waits while a seat they may take is free"
        for agent_id in model.having("offered"):
            last = model.session.starts_at - POLICY.last_offer
            assert model.hold_until[agent_id] <= last, "an offer outlives the last moment to offer"
        if model.session.status == "cancelled":
            assert not any(_is_live(state) for state in model.state.values()), "cancelled, and yet enrolled"
        told = model.occupancy
        if told is not None or model.state:
            assert told is not None
            assert (told.enrolled, told.offered, told.waiting) == (
                len(model.having("enrolled")),
                len(model.having("offered")),
                len(model.having("waitlisted")),
            ), "the occupancy is not what is"
            assert told.capacity == capacity


def _who(told: Told) -> str:
    return (
        told.agent.agent_id
        if isinstance(told, Decision)
        else f"{told.enrolled}+{told.offered}, {told.waiting}"
    )
