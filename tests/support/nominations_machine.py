"""A private session whose trainees two authorities name at random (rule 14), compared with a naive model.

As in ``enrolment_machine``, a world is what is tested: the rules alone, or the store on a real Postgres.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.enrolment.rules.requests import Nomination, Request, SeatRequest, Withdrawal
from shared.events.enrolment import (
    AgentEnrolled,
    Decision,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SessionOccupancyChanged,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import a_session, an_agent
from tests.support.enrolment_machine import World
from tests.support.enrolment_model import CLOSES, EMPLOYERS, ISSUERS, OPENS, STARTS, EnrolmentEvent

AUTHORITIES = [siret for siret, _ in EMPLOYERS]
AGENTS = [
    an_agent(
        f"T{number}",
        issuer=ISSUERS[number in (4, 7)],
        employer={"siret": AUTHORITIES[authority], "name": f"Ville {authority}", "delegation": "bretagne"},
    )
    for number, authority in enumerate([0, 0, 0, 0, 0, 1, 1, 1, 2])
]
"""Most are of the first authority and issuer, so that one often replaces another."""
SIRET = {agent.key: agent.employer.siret for agent in AGENTS}
SEATED = "seated"

agents = st.sampled_from(AGENTS)


def _lists_of(*authorities: int) -> st.SearchStrategy[tuple[Agent, ...]]:
    """Lists of agents of these authorities, all of one issuer: a portal speaks for one."""
    sirets = {AUTHORITIES[authority] for authority in authorities}

    def of(issuer: str) -> st.SearchStrategy[tuple[Agent, ...]]:
        theirs = [agent for agent in AGENTS if agent.issuer == issuer and agent.employer.siret in sirets]
        named = st.lists(st.sampled_from(theirs), min_size=1, unique_by=lambda agent: agent.key)
        return named.map(tuple)

    issuers = sorted({agent.issuer for agent in AGENTS if agent.employer.siret in sirets})
    return st.sampled_from(issuers).flatmap(of)


class NominationsMachine(RuleBasedStateMachine):
    """Lists of trainees, withdrawals, agents who ask for themselves, and time, in any order."""

    world: World

    def new_world(self) -> World:
        raise NotImplementedError

    @initialize(capacity=st.sampled_from([3, 2, 5, None]), authorities=st.integers(1, 2))
    def publish(self, *, capacity: int | None, authorities: int) -> None:
        self.now = OPENS + timedelta(hours=2)
        self.session = a_session(
            format="bespoke",
            audience={"sirets": AUTHORITIES[:authorities]},
            capacity=capacity,
            waiting_list="none",
            enrolment_opens_at=OPENS,
            enrolment_closes_at=CLOSES,
            starts_at=STARTS,
            ends_at=STARTS + timedelta(hours=7),
        )
        self.seated: set[AgentKey] = set()
        self.known: set[AgentKey] = set()
        self.vacancies: Counter[str] = Counter()
        """Of each authority, how many have left since the close and are not replaced."""
        self.requests_made: list[Request] = []
        self.world = self.new_world()
        self.check(self.world.apply_state(self.session, self.now), [])
        self.nominate_for(AUTHORITIES[0], tuple(AGENTS[:2]))

    @property
    def session_id(self) -> uuid.UUID:
        return self.session.session_id

    # ------------------------------------------------------------------------------------ what is asked

    @rule(named=_lists_of(0) | _lists_of(0) | _lists_of(1))
    def nominate(self, named: tuple[Agent, ...]) -> None:
        """A list of the authority's own agents."""
        self.nominate_for(named[0].employer.siret, named)

    @rule(siret=st.sampled_from(AUTHORITIES), named=_lists_of(0, 1, 2))
    def nominate_others_too(self, siret: str, named: tuple[Agent, ...]) -> None:
        self.nominate_for(siret, named)

    @precondition(lambda self: self.seated)
    @rule(data=st.data(), leaves_alone=st.booleans())
    def replace(self, data: st.DataObject, leaves_alone: bool) -> None:
        """Somebody leaves, alone just before or by the list, which names whoever else there is."""
        leaver = data.draw(st.sampled_from(sorted(self.seated)))
        siret, issuer = SIRET[leaver], leaver.issuer
        theirs = [a for a in AGENTS if (a.issuer, a.employer.siret) == (issuer, siret) and a.key != leaver]
        if leaves_alone:
            self.ask_to_leave(leaver)
        if theirs:
            self.nominate_for(siret, tuple(data.draw(st.permutations(theirs))))

    @precondition(lambda self: self.seated and self.now >= CLOSES)
    @rule(data=st.data(), leaves_alone=st.booleans())
    def replace_after_the_close(self, data: st.DataObject, leaves_alone: bool) -> None:
        self.replace(data, leaves_alone)

    @precondition(lambda self: self.seated)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        self.ask_to_leave(data.draw(st.sampled_from(sorted(self.seated))))

    @rule(agent=agents)
    def ask_to_leave_anyhow(self, agent: Agent) -> None:
        self.ask_to_leave(agent.key)

    @rule(agent=agents)
    def ask_alone(self, agent: Agent) -> None:
        """Who is not named gets no seat, of the authority or not."""
        self.known.add(agent.key)
        request = SeatRequest(uuid.uuid4(), self.now, self.session_id, agent, approved=True)
        self.answer(request, [(agent.key, self.refusal_of_who_asks(agent))])

    @precondition(lambda self: self.requests_made)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.requests_made))
        self.check(self.world.ask([request], self.now), [])

    @precondition(lambda self: len(self.requests_made) > 15)
    @rule()
    def cancel(self) -> None:
        ends = [(agent, WithdrawnBy.SESSION_CANCELLED.value) for agent in self.seated]
        self.seated.clear()
        self.change(ends, status="cancelled")

    @rule(capacity=st.sampled_from([0, 2, 4, None]))
    def change_capacity(self, capacity: int | None) -> None:
        """Nobody who is seated loses the seat."""
        self.change([], capacity=capacity)

    @rule(hours=st.sampled_from([1, 30]))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.check(self.world.expire(self.now), [])

    @precondition(lambda self: self.now < CLOSES and len(self.requests_made) > 2)
    @rule()
    def close(self) -> None:
        self.now = CLOSES
        self.check(self.world.expire(self.now), [])

    @precondition(lambda self: self.now < STARTS and len(self.requests_made) > 12)
    @rule()
    def start(self) -> None:
        self.now = STARTS
        self.check(self.world.expire(self.now), [])

    # ------------------------------------------------------------------------------------ what is expected

    @property
    def is_cancelled(self) -> bool:
        return self.session.status == "cancelled"

    @property
    def is_full(self) -> bool:
        return self.session.capacity is not None and len(self.seated) >= self.session.capacity

    def expected_of_list(self, request: Nomination) -> list[tuple[AgentKey, str]]:
        """Say what each hears, and keep who is seated then."""
        siret, named = request.siret, [agent.key for agent in request.agents]
        self.known.update(named)
        if siret not in self.session.audience.sirets:
            return [(agent, "not_eligible") for agent in named]
        issuer = named[0].issuer
        leave = [
            agent
            for agent in sorted(self.seated)
            if (agent.issuer, SIRET[agent]) == (issuer, siret) and agent not in named and self.now < STARTS
        ]
        expected = [(agent, self.end(agent, WithdrawnBy.EMPLOYER)) for agent in leave]
        for agent in named:
            if SIRET[agent] != siret:
                expected.append((agent, "not_eligible"))
            elif agent not in self.seated:
                expected.append((agent, self.seat(agent)))
        return expected

    def seat(self, agent: AgentKey) -> str:
        replaces = CLOSES <= self.now < STARTS and self.vacancies[SIRET[agent]] > 0
        if self.is_cancelled:
            return "session_cancelled"
        if self.now >= CLOSES and not replaces:
            return "deadline_passed"
        if self.is_full:
            return "session_full"
        if replaces:
            self.vacancies[SIRET[agent]] -= 1
        self.seated.add(agent)
        return SEATED

    def end(self, agent: AgentKey, by: WithdrawnBy) -> str:
        self.seated.remove(agent)
        if self.now >= CLOSES:
            self.vacancies[SIRET[agent]] += 1
        return by.value

    def expected_of_withdrawal(self, request: Withdrawal) -> list[tuple[AgentKey, str]]:
        agent = request.agent_key
        if agent not in self.known:
            return []
        if agent not in self.seated:
            return [(agent, "not_enrolled")]
        if self.now >= STARTS:
            return [(agent, "deadline_passed")]
        return [(agent, self.end(agent, WithdrawnBy.AGENT))]

    def refusal_of_who_asks(self, agent: Agent) -> str:
        if self.is_cancelled:
            return "session_cancelled"
        if agent.key in self.seated:
            return "already_enrolled"
        if self.now >= CLOSES:
            return "deadline_passed"
        if agent.employer.siret not in self.session.audience.sirets:
            return "not_eligible"
        return "not_nominated"

    # ------------------------------------------------------------------------------------ how it is played

    def nominate_for(self, siret: str, named: tuple[Agent, ...]) -> None:
        request = Nomination(uuid.uuid4(), self.now, self.session_id, named, siret)
        self.answer(request, self.expected_of_list(request))

    def ask_to_leave(self, agent: AgentKey) -> None:
        request = Withdrawal(uuid.uuid4(), self.now, self.session_id, agent, None)
        self.answer(request, self.expected_of_withdrawal(request))

    def answer(self, request: Request, expected: Sequence[tuple[AgentKey, str]]) -> None:
        self.requests_made.append(request)
        self.check(self.world.ask([request], self.now), expected)

    def change(self, expected: Sequence[tuple[AgentKey, str]], **changes: object) -> None:
        status = {"status": "cancelled"} if self.is_cancelled else {}
        version = {"version": self.session.version + 1}
        self.session = a_session(**(self.session.model_dump() | changes | version | status))
        self.check(self.world.apply_state(self.session, self.now), expected)

    def check(self, published: Sequence[EnrolmentEvent], expected: Sequence[tuple[AgentKey, str]]) -> None:
        heard = [(event.agent.key, _outcome(event)) for event in published if isinstance(event, Decision)]
        for each in heard:
            note(f"{self.now:%d %H:%M} {each}")
        assert Counter(heard) == Counter(expected)
        for event in published:
            if isinstance(event, SessionOccupancyChanged):
                assert event.enrolled == len(self.seated)


def _outcome(event: Decision) -> str:
    match event:
        case AgentEnrolled():
            return SEATED
        case EnrolmentWithdrawn():
            return event.by.value
        case EnrolmentRefused():
            return event.reason.value
        case _:
            raise AssertionError(f"nobody expected {event}")
