"""Three sessions of one offer among which agents move at random (rule 18), each compared with its own model.

As in ``enrolment_machine``, a world is what is tested: the rules alone, or the store on a real Postgres.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.enrolment.rules.requests import OfferAnswer, Request, SeatRequest, Swap, Withdrawal
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EnrolmentPending,
    EnrolmentWithdrawn,
)
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import a_session
from tests.support.enrolment_model import AGENTS, CLOSES, OPENS, STARTS, EnrolmentEvent, Model, is_live

agents = st.sampled_from(AGENTS)
numbers = st.integers(0, 2)


class SeveralSessions(Protocol):
    """What is tested. Each call is one transaction and returns the events, in order for each session."""

    def apply_state(self, session: SessionState, now: datetime) -> list[EnrolmentEvent]: ...
    def ask(self, requests: Sequence[Request], now: datetime) -> list[EnrolmentEvent]: ...
    def expire(self, now: datetime) -> list[EnrolmentEvent]: ...


class MovingMachine(RuleBasedStateMachine):
    """Requests, moves, answers to offers and time, in any order."""

    world: SeveralSessions

    def new_world(self, session_ids: Sequence[uuid.UUID]) -> SeveralSessions:
        raise NotImplementedError

    @initialize(
        capacities=st.lists(st.sampled_from([1, 2, 3, 0, None]), min_size=3, max_size=3),
        waiting_lists=st.lists(st.sampled_from(["automatic", "offer", "none"]), min_size=3, max_size=3),
        approval=st.sampled_from(["none", "none", "employer"]),
        quota=st.sampled_from([None, None, 1]),
        reserved=st.sampled_from([0, 0, 1, 2]),
    )
    def publish(
        self,
        *,
        capacities: list[int | None],
        waiting_lists: list[str],
        approval: str,
        quota: int | None,
        reserved: int,
    ) -> None:
        self.now = OPENS + timedelta(hours=2)
        self.requests_made: list[Request] = []
        self.read = 0
        release = OPENS + timedelta(days=3)
        seats = [{"delegation": "bretagne", "seats": reserved, "release_at": release}] if reserved else []
        sessions = [
            a_session(
                capacity=capacity,
                waiting_list=waiting_list,
                approval=approval if number == 0 else "none",
                quota_per_authority=quota if number == 1 else None,
                reserved_seats=seats if number == 2 else [],
                enrolment_opens_at=OPENS,
                enrolment_closes_at=CLOSES,
                starts_at=STARTS,
                ends_at=STARTS + timedelta(hours=7),
            )
            for number, (capacity, waiting_list) in enumerate(zip(capacities, waiting_lists, strict=True))
        ]
        self.sessions = [session.session_id for session in sessions]
        self.models = {session.session_id: Model(session) for session in sessions}
        self.world = self.new_world(self.sessions)
        for session in sessions:
            self.take_in(self.world.apply_state(session, self.now))

    # ------------------------------------------------------------------------------------ what is asked

    @rule(data=st.data(), number=st.integers(1, 6))
    def ask(self, data: st.DataObject, number: int) -> None:
        """Some requests in one batch, about anybody, for any of the sessions."""
        self.answer([data.draw(self.a_request(), label="request") for _ in range(number)])

    @rule(several=st.lists(agents, min_size=2, max_size=6, unique_by=lambda agent: agent.key), number=numbers)
    def ask_for_seats(self, several: list[Agent], number: int) -> None:
        session_id = self.sessions[number]
        self.answer([SeatRequest(uuid.uuid4(), self.now, session_id, agent, True) for agent in several])

    @precondition(lambda self: self.seated())
    @rule(data=st.data(), to=st.integers(1, 2))
    def move(self, data: st.DataObject, to: int) -> None:
        """One moves: to a seat that is free for them and for nobody who waits, or nowhere."""
        here, agent = data.draw(st.sampled_from(self.seated()))
        there = self.sessions[(self.sessions.index(here) + to) % 3]
        model = self.models[there]
        gets_it = (
            not is_live(model.state.get(agent))
            and model.session.status != "cancelled"
            and self.now < CLOSES
            and model.session.approval == "none"
            and model.may_take_a_seat(agent, self.now)
        )
        self.answer([Swap(uuid.uuid4(), self.now, here, agent, there)])
        after = self.models[here].state[agent], model.state.get(agent) == "enrolled"
        if gets_it:
            assert after == ("withdrawn", True), "there was a seat"
        else:
            assert after[0] == "enrolled", "left without a seat elsewhere"

    @precondition(lambda self: len(self.seated()) > 1)
    @rule(data=st.data())
    def move_several(self, data: st.DataObject) -> None:
        moves = data.draw(
            st.lists(st.tuples(st.sampled_from(self.seated()), st.integers(1, 2)), min_size=2, max_size=6)
        )
        self.answer(
            [
                Swap(uuid.uuid4(), self.now, here, agent, self.sessions[(self.sessions.index(here) + to) % 3])
                for (here, agent), to in moves
            ]
        )

    @precondition(lambda self: self.offered())
    @rule(data=st.data(), accepted=st.booleans())
    def answer_an_offer(self, data: st.DataObject, accepted: bool) -> None:
        session_id, agent = data.draw(st.sampled_from(self.offered()))
        self.answer([OfferAnswer(uuid.uuid4(), self.now, session_id, agent, accepted)])

    @precondition(lambda self: self.requests_made)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        published = self.world.ask([data.draw(st.sampled_from(self.requests_made))], self.now)
        assert not [event for event in published if isinstance(event, Decision) and event.request_id]
        self.take_in(published)

    @rule(hours=st.sampled_from([1, 6, 30, 50, 120]))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.take_in(self.world.expire(self.now))

    @rule(number=numbers, capacity=st.sampled_from([0, 1, 2, 3, None]))
    def change_capacity(self, number: int, capacity: int | None) -> None:
        self.change(number, capacity=capacity)

    @precondition(lambda self: len(self.requests_made) > 15)
    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        """Nobody moves from a cancelled session, or to one."""
        self.change(number, status="cancelled")

    # ------------------------------------------------------------------------------------ how it is played

    def change(self, number: int, **changes: object) -> None:
        model = self.models[self.sessions[number]]
        before = model.session
        if before.status != "cancelled":
            model.session = a_session(**(before.model_dump() | changes | {"version": before.version + 1}))
            self.take_in(self.world.apply_state(model.session, self.now))

    def seated(self) -> list[tuple[uuid.UUID, AgentKey]]:
        return [
            (key, agent) for key in self.sessions for agent in sorted(self.models[key].having("enrolled"))
        ]

    def offered(self) -> list[tuple[uuid.UUID, AgentKey]]:
        return [(key, agent) for key in self.sessions for agent in sorted(self.models[key].having("offered"))]

    def a_request(self) -> st.SearchStrategy[Request]:
        members = [st.builds(uuid.uuid4), st.just(self.now), st.sampled_from(self.sessions)]
        keys = agents.map(lambda agent: agent.key)
        asking: st.SearchStrategy[Request] = st.builds(SeatRequest, *members, agents, st.booleans())
        leaving: st.SearchStrategy[Request] = st.builds(Withdrawal, *members, keys, st.none())
        moving: st.SearchStrategy[Request] = st.builds(
            Swap, *members, keys, st.sampled_from(self.sessions)
        ).filter(lambda swap: swap.session_id != swap.to_session_id)
        return st.one_of(asking, asking, leaving, moving, moving)

    def answer(self, requests: list[Request]) -> None:
        known = {(key, agent) for key, model in self.models.items() for agent in model.state}
        published = self.world.ask(requests, self.now)
        self.requests_made += requests
        decisions = [event for event in published if isinstance(event, Decision)]
        answers = Counter((event.request_id, event.agent.key) for event in decisions if event.request_id)
        gained = {event.request_id for event in decisions if isinstance(event, AgentEnrolled)}
        for request in requests:
            for agent in request.agent_keys:
                if isinstance(request, SeatRequest):
                    known.add((request.session_id, agent))
                number = answers.pop((request.request_id, agent), 0)
                is_known = (request.session_id, agent) in known
                assert number == is_known, "not exactly one answer"
                if isinstance(request, Swap) and request.request_id in gained:
                    known.add((request.to_session_id, agent))
        assert not answers, "an answer that nobody asked for"
        moved = Counter(
            (event.moved_from.enrolment_id, event.moved_from.version, event.session_id)
            for event in decisions
            if isinstance(event, AgentEnrolled) and event.moved_from is not None
        )
        left = Counter(
            (event.enrolment_id, event.version, event.moved_to)
            for event in decisions
            if isinstance(event, EnrolmentWithdrawn) and event.moved_to is not None
        )
        assert moved == left, "a seat for a seat"
        self.take_in(published)

    def take_in(self, published: list[EnrolmentEvent]) -> None:
        taken_before = {key: len(model.taken) for key, model in self.models.items()}
        received_at = {request.request_id: request.received_at for request in self.requests_made}
        for event in published:
            note(f"{self.now:%d %H:%M:%S} {self.sessions.index(event.session_id)} {event}")
            model = self.models[event.session_id]
            model.received_at = received_at
            if isinstance(event, AgentWaitlisted | EnrolmentPending) and event.version == 1:
                assert event.request_id is not None
                self.read += 1
                model.order[event.agent.key] = received_at[event.request_id], self.read
            model.take_in(event, self.now)
        for key, model in self.models.items():
            model.check(self.now, taken_before[key])
