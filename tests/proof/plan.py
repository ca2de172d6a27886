"""What clients do in a run, drawn by a seed. It does not depend on what they are told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

ISSUERS = ("nord", "sud")
WAITING_LISTS = ("automatic", "offer", "automatic", "none")
APPROVED = 8
"""In one session of so many an employer must agree to each seat, and in one the organiser selects."""
REQUESTS_PER_SESSION = 100
WISHES = 3
"""One subscription of so many ends."""
BULK = 100
"""Agents for whom a portal sends a request each, without waiting for answers."""
LATE_STEPS = 40
"""Requests for a late session come up to so many steps before it is published."""


class Act(StrEnum):
    SEAT = "seat"
    BULK = "seats in bulk"
    GROUP = "group"
    WITHDRAW = "withdraw"
    MOVE = "move"
    INVALID = "invalid"
    REPEAT = "repeat"
    SUBSCRIBE = "subscribe"
    BESPOKE = "ask for training"
    ERASE = "erase"
    PUBLISH = "publish"
    CAPACITY = "capacity"
    CANCEL = "cancel"
    MESSAGE = "write to participants"
    SELECT = "select"
    ATTENDANCE = "record attendance"
    NOMINATE = "agree on training and nominate"


BY_ORGANISER = (Act.PUBLISH, Act.CAPACITY, Act.CANCEL, Act.MESSAGE, Act.SELECT, Act.ATTENDANCE)
_WEIGHTS = {
    Act.SEAT: 64,
    Act.GROUP: 3,
    Act.WITHDRAW: 18,
    Act.MOVE: 6,
    Act.INVALID: 1,
    Act.REPEAT: 4,
    Act.SUBSCRIBE: 4,
    Act.BESPOKE: 1,
    Act.ERASE: 1,
    Act.CAPACITY: 4,
    Act.MESSAGE: 1,
    Act.ATTENDANCE: 2,
    Act.NOMINATE: 1,
}


@dataclass(frozen=True)
class SessionInPlan:
    """``published_at``: before that step, or from the start. ``has_begun``: attendance can be recorded."""

    capacity: int
    waiting_list: str
    published_at: int | None = None
    approval: str = "none"
    has_begun: bool = False


@dataclass(frozen=True)
class Step:
    """``number``: a capacity, a message, the session to move to, or how a portal sends and what it wishes."""

    act: Act
    session: int
    agents: tuple[int, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class RunPlan:
    """``issuers`` has that of each agent."""

    sessions: Sequence[SessionInPlan]
    issuers: Sequence[str]
    steps: Sequence[Step]


def draw_plan(seed: int, requests: int, in_bulk: int = 0) -> RunPlan:
    """Return a plan with this many steps, and a few more for sessions that are late or cancelled.

    ``in_bulk``: seats that portals ask for in bulk beside them.
    """
    return _Draft(Random(seed), requests, in_bulk).plan()


class _Draft:
    def __init__(self, choices: Random, requests: int, in_bulk: int) -> None:
        self._choices = choices
        self._requests = requests
        self._bulks = in_bulk // BULK
        self._issuers: list[str] = []
        self._asked: list[tuple[int, int]] = []
        self._follow: list[int] = []
        self._present: list[int] = []
        """Agents who are not erased: an erased agent asks for nothing more."""
        number = max(8, requests // REQUESTS_PER_SESSION)
        self._sessions = [self._session(place) for place in range(number)]
        self._cancelled = {
            requests * 7 // 10 + at * requests // (4 * number): session
            for at, session in enumerate(choices.sample(range(number), number // 12))
        }

    def plan(self) -> RunPlan:
        steps = [step for at in range(self._requests) for step in self._steps_at(at)]
        return RunPlan(self._sessions, self._issuers, steps)

    def _session(self, place: int) -> SessionInPlan:
        choices, requests = self._choices, self._requests
        late = choices.randrange(requests // 10, requests // 2 + 1) if place % 6 == 5 else None
        waiting_list = WAITING_LISTS[place % len(WAITING_LISTS)]
        approval = {3: "employer", 4: "selection"}.get(place % APPROVED, "none")
        return SessionInPlan(
            choices.randint(2, 60) if place % 5 else choices.randint(100, 1_000),
            waiting_list,
            late,
            approval,
            has_begun=waiting_list == approval == "none" and late is None,
        )

    def _steps_at(self, at: int) -> Iterator[Step]:
        for place, session in enumerate(self._sessions):
            if session.published_at == at:
                yield Step(Act.PUBLISH, place)
        if at == self._requests * 8 // 10:
            for place, session in enumerate(self._sessions):
                if session.approval == "selection":
                    yield Step(Act.SELECT, place)
        if at in self._cancelled:
            yield Step(Act.CANCEL, self._cancelled[at])
        for _ in range(self._bulks * at // self._requests, self._bulks * (at + 1) // self._requests):
            yield self._bulk(at)
        yield self._draw(at)

    def _draw(self, at: int) -> Step:
        choices = self._choices
        act = choices.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0] if self._asked else Act.SEAT
        session, way = choices.choice(self._open_at(at)), choices.randrange(2)
        match act:
            case Act.CAPACITY:
                return Step(act, session, number=choices.randint(1, 70))
            case Act.MESSAGE:
                return Step(act, session, number=at)
            case Act.ATTENDANCE:
                begun = [place for place, session in enumerate(self._sessions) if session.has_begun]
                return Step(act, choices.choice(begun), number=at)
            case Act.GROUP | Act.NOMINATE:
                issuer = choices.choice(ISSUERS)
                return Step(
                    act, session, tuple(self._new_agent(issuer) for _ in range(choices.randint(2, 5))), way
                )
            case Act.WITHDRAW | Act.REPEAT:
                session, agent = choices.choice(self._asked)
                return Step(act, session, (agent,), way)
            case Act.SUBSCRIBE:
                wish = choices.randrange(2 * WISHES)
                agent = choices.choice(self._present if wish > 1 or not self._follow else self._follow)
                self._follow.append(agent)
                return Step(act, session, (agent,), wish)
            case Act.BESPOKE:
                return Step(act, session, (choices.choice(self._present),), way)
            case Act.ERASE:
                session, agent = choices.choice(self._asked)
                self._present.remove(agent)
                self._follow = [follower for follower in self._follow if follower != agent]
                self._asked = [asked for asked in self._asked if asked[1] != agent]
                return Step(act, session, (agent,), way)
            case Act.MOVE:
                here, agent = choices.choice(self._asked)
                return Step(act, here, (agent,), session)
        is_known = bool(self._present) and choices.random() < 0.2
        agent = choices.choice(self._present) if is_known else self._new_agent(choices.choice(ISSUERS))
        self._asked.append((session, agent))
        return Step(act, session, (agent,), way)

    def _bulk(self, at: int) -> Step:
        issuer, session = self._choices.choice(ISSUERS), self._choices.choice(self._open_at(at))
        agents = tuple(self._new_agent(issuer) for _ in range(BULK))
        self._asked += [(session, agent) for agent in agents]
        return Step(Act.BULK, session, agents)

    def _open_at(self, at: int) -> list[int]:
        return [
            place
            for place, session in enumerate(self._sessions)
            if session.published_at is None or session.published_at - LATE_STEPS <= at
        ]

    def _new_agent(self, issuer: str) -> int:
        self._issuers.append(issuer)
        self._present.append(len(self._issuers) - 1)
        return self._present[-1]
