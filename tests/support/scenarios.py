"""Plays scenarios of one session, written in a small notation, through the public rules.

    seats=1 list=offer | ask abc > EWW | no b > EWW no_offer | leave a > XOW | due hold+grace > XLO

The first part is the session, every other part a step: a verb, its agents, and after ``>`` the state of each
agent in alphabetical order, then the faults, the reasons of refusals (each once) and the notices of the step.
Without ``>`` nobody is refused, and the states are not compared.

States: E enrolled, O offered, W waits, P awaits the employer, S awaits the selection, R refused, L offer
lapsed, N obtained no seat, X withdrawn, Z session cancelled, C certified, A attended, M missed, J excused.

Agents are letters, of Rennes or of the kind that is first named with them (``b/nantes``: ``KINDS``). Verbs
are in ``REQUESTS`` and ``ACTS``; ``seats=2`` is a newer state of the session (``FIELDS``). The broker
received ``ask a @closes-tick`` at that moment (``MOMENTS``, ``AMOUNTS``); ``ask a & leave b`` is one batch.
``at closes`` moves the clock, ``due closes+grace`` also does what is due. Each step is a transaction.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.expiry import expire
from services.enrolment.rules.organising import (
    AttendanceMark,
    OrganisingFault,
    RankingFault,
    prioritise,
    record_attendance,
)
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import ByHand, GroupRequest, Request, SeatRequest
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.states import State
from shared.events.enrolment import (
    Attendance,
    Decision,
    EnrolmentRefused,
    MinimumMissed,
    SelectionDue,
)
from shared.events.vocabulary import Agent
from tests.support.builders import CLOSES, DURING, ENDS, OPENS, STARTS
from tests.support.invariants import Invariants
from tests.support.rosters import (
    AJACCIO,
    BREST,
    NANTES,
    RENNES,
    a_group_request,
    a_nomination,
    a_roster,
    a_seat_request,
    a_withdrawal,
    an_agent_of,
    an_approval,
    an_offer_answer,
    decide_in,
    next_version,
    ranks,
    reopened,
)

LETTERS = dict(zip(State, "PSWOEAMJCRLNXZ", strict=True))
KINDS: dict[str, dict[str, Any]] = {
    "rennes": {},
    "nantes": {"siret": NANTES},
    "brest": {"siret": BREST},
    "corse": {"delegation": "corse", "siret": AJACCIO},
    "occitanie": {"delegation": "occitanie", "siret": "21310555400017"},
    "dirigeant": {"function": "dirigeant"},
    "sirh": {"issuer": "sirh"},
}

# ------------------------------------------------------------ moments

MOMENTS = {
    "during": DURING,
    "opens": OPENS,
    "closes": CLOSES,
    "starts": STARTS,
    "ends": ENDS,
    "last": STARTS - Policy().last_offer,
}
"""``last``: the last moment to offer. ``hold``: the end of the first offer. ``kept``: that of kept seats."""
AMOUNTS = {
    "tick": timedelta(microseconds=1),
    "grace": Policy().grace,
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


def moment(text: str, named: Mapping[str, datetime | None] = MOMENTS) -> datetime:
    """Return the moment that ``closes``, ``closes-tick`` or ``hold+2day`` names."""
    name, *shifts = re.split(r"(?=[+-])", text)
    found = named[name]
    assert found is not None, f"there is no {name} now"
    for shift in shifts:
        [(sign, number, unit)] = re.findall(r"([+-])(\d*)(\w+)", shift)
        found += int(f"{sign}{number or 1}") * AMOUNTS[unit]
    return found


# ------------------------------------------------------------ the session

PRESETS: dict[str, dict[str, Any]] = {
    "private": {"format": "bespoke", "audience": {"sirets": [RENNES]}, "waiting_list": "none", "capacity": 4},
    "running": {"enrolment_closes_at": STARTS + timedelta(days=3), "ends_at": STARTS + timedelta(days=9)},
    "later": {"starts_at": STARTS + timedelta(days=60), "ends_at": STARTS + timedelta(days=61)},
}
AUDIENCES: dict[str, dict[str, Any]] = {
    "all": {},
    "agents": {"functions": ["agent"]},
    "dirigeants": {"functions": ["dirigeant"]},
    "rennes+nantes": {"sirets": [RENNES, NANTES]},
}


def _number(text: str) -> int | None:
    return None if text == "none" else int(text)


def _reserved(text: str) -> list[dict[str, Any]]:
    """Read ``corse:2@closes,bretagne:1@starts``."""
    found = re.findall(r"([\w-]+):(\d+)@([^,]+)", text)
    return [
        {"delegation": delegation, "seats": int(seats), "release_at": moment(release)}
        for delegation, seats, release in found
    ]


def _modules(text: str) -> list[dict[str, Any]]:
    """Return so many modules, an hour each, from the start on."""
    starts = [STARTS + timedelta(hours=number) for number in range(int(text))]
    return [
        {"title": f"Séance {number}", "starts_at": at, "ends_at": at + timedelta(hours=1)}
        for number, at in enumerate(starts, 1)
    ]


FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "seats": ("capacity", _number),
    "list": ("waiting_list", str),
    "approval": ("approval", str),
    "quota": ("quota_per_authority", _number),
    "reserved": ("reserved_seats", _reserved),
    "minimum": ("minimum", _number),
    "modules": ("modules", _modules),
    "status": ("status", str),
    "format": ("format", str),
    "for": ("audience", AUDIENCES.__getitem__),
    "venue": ("venue", str),
    "timezone": ("timezone", str),
    "organiser": ("organiser", str),
    "hold": ("offer_hold_hours", int),
    "opens": ("enrolment_opens_at", moment),
    "closes": ("enrolment_closes_at", moment),
    "starts": ("starts_at", moment),
    "ends": ("ends_at", moment),
}


def session_fields(tokens: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a session that ``private seats=2`` names."""
    fields: dict[str, Any] = {}
    for word in tokens:
        name, is_field, value = word.partition("=")
        if is_field:
            field, read = FIELDS[name]
            fields[field] = read(value)
        else:
            fields |= PRESETS[name]
    return fields


# ------------------------------------------------------------ requests


def _each(request: Callable[..., Request], **options: Any) -> Callable[..., list[Request]]:
    """A request about each of the agents."""
    return lambda roster, agents, at=None: [
        replace(request(roster, agent, received_at=at), **options) for agent in agents
    ]


def _together(request: Callable[..., Request], **options: Any) -> Callable[..., list[Request]]:
    """One request about all of the agents."""
    return lambda roster, agents, at=None: [request(roster, agents, received_at=at, **options)]


REQUESTS: dict[str, Callable[..., list[Request]]] = {
    "ask": _each(a_seat_request),
    "ask-approved": _each(a_seat_request, approved=True),
    "by-hand": _each(a_seat_request, by_hand=ByHand("Anne Conseil")),
    "by-hand-above": _each(a_seat_request, by_hand=ByHand("Anne Conseil", "Une chaise de plus")),
    "leave": _each(a_withdrawal),
    "dismiss": _each(a_withdrawal, by_employer=True),
    "join": _each(a_withdrawal, joined_to=UUID(int=1)),
    "yes": _each(an_offer_answer),
    "no": _each(an_offer_answer, accepted=False),
    "agree": _each(an_approval),
    "deny": _each(an_approval, granted=False),
    "group": _together(a_group_request),
    "all": _together(a_group_request, all_or_nothing=True),
    "group-wait": _together(a_group_request, may_wait=True),
    "wait": _together(a_group_request, all_or_nothing=True, may_wait=True),
    "nominate": _together(a_nomination),
    "nominate-nantes": _together(a_nomination, siret=NANTES),
}

# ------------------------------------------------------------ the play


class Play:
    """A scenario as far as it is played."""

    def __init__(self, session: str) -> None:
        self.roster = a_roster(**session_fields(session.split()))
        self.agents: dict[str, Agent] = {}
        self._played = [session.strip()]

    def step(self, text: str) -> None:
        """Play a step and check it. Fails with the scenario up to this step."""
        doing, _, expected = text.partition(">")
        states, *reasons = expected.split() or [""]
        try:
            found = self.do(doing)
            is_expected = found == reasons and states in ("", self.states)
            assert is_expected, f"found {' '.join([self.states, *found])}"
        except Exception as error:
            so_far = "\n    | ".join([*self._played, text.strip()])
            raise AssertionError(f"{error!r}\n    {so_far}") from error
        self._played.append(text.strip())

    def do(self, doing: str) -> Sequence[str]:
        """Do a step and check what is always true. Return its reasons, faults and notices."""
        self.roster = reopened(self.roster)
        invariants, notices = Invariants(self.roster), len(self.roster.notices)
        faults = self._do(doing)
        invariants.check()
        return [*faults, *self._reasons(), *(_NOTICES[type(n)] for n in self.roster.notices[notices:])]

    def enrolment(self, letter: str) -> Enrolment:
        return self.roster.latest[self.agents[letter].key]

    @property
    def events(self) -> list[Decision]:
        """Return what the last step published."""
        return [event for event, _ in self.roster.decisions]

    @property
    def states(self) -> str:
        latest = self.roster.latest
        return "".join(
            LETTERS[latest[agent.key].state] if agent.key in latest else "-"
            for _, agent in sorted(self.agents.items())
        )

    def named(self, tokens: Iterable[str]) -> list[Agent]:
        """Return the agents that ``ab c/nantes`` names. A new letter is a new agent."""
        found = []
        for word in tokens:
            letters, _, kind = word.partition("/")
            for letter in letters:
                if letter not in self.agents:
                    self.agents[letter] = an_agent_of(agent_id=letter, **KINDS[kind or "rennes"])
                found.append(self.agents[letter])
        return found

    def moment(self, text: str) -> datetime:
        holds = [latest.hold_until for latest in self.roster.latest.values() if latest.state is State.OFFERED]
        ends = {"hold": min(filter(None, holds), default=None), "kept": self.roster.groups_kept_until()}
        return moment(text, MOMENTS | {"now": self.roster.now} | ends)

    def _do(self, doing: str) -> Sequence[str]:
        verb, *tokens = doing.split()
        if verb in ACTS:
            return ACTS[verb](self, tokens)
        if verb in REQUESTS:
            requests = [request for part in doing.split("&") for request in self._requests(part)]
            decide_in(self.roster, requests)
            self._check_replies(requests)
        else:
            apply_state(self.roster, next_version(self.roster.session, **session_fields([verb, *tokens])))
        return []

    def _check_replies(self, requests: Sequence[Request]) -> None:
        """Each request has one result, and each agent for whom a seat is requested one decision."""
        assert [result.request for result in self.roster.results] == requests
        replies = Counter((event.request_id, event.agent.key) for event in self.events if event.request_id)
        named = {(request.request_id, agent): request for request in requests for agent in request.agent_keys}
        assert replies.keys() <= named.keys(), "a reply that nobody asked for"
        for key, request in named.items():
            least = isinstance(request, SeatRequest | GroupRequest)
            assert least <= replies[key] <= 1, f"{replies[key]} replies to {request}"
        if len(requests) == 1 and (agent := requests[0].agent_key) in self.roster.latest:
            [result] = self.roster.results
            assert result.state == (State.REFUSED if result.reason else self.roster.latest[agent].state)

    def _requests(self, part: str) -> list[Request]:
        verb, *tokens = part.split()
        received_at = [self.moment(word[1:]) for word in tokens if word.startswith("@")]
        agents = self.named(word for word in tokens if not word.startswith("@"))
        return REQUESTS[verb](self.roster, agents, *received_at)

    def _reasons(self) -> list[str]:
        events = [event.reason for event, _ in self.roster.decisions if isinstance(event, EnrolmentRefused)]
        results = [result.reason for result in self.roster.results]
        return list(dict.fromkeys(reason for reason in [*events, *results] if reason))


def play(scenario: str) -> Play:
    """Play a whole scenario."""
    session, *steps = scenario.split("|")
    played = Play(session)
    for step in steps:
        played.step(step)
    return played


_NOTICES = {MinimumMissed: "minimum_missed", SelectionDue: "selection_due"}

# ------------------------------------------------------------ acts of organisers and of time


def _rank(played: Play, tokens: Sequence[str]) -> Sequence[str]:
    """``rank ab not c``."""
    ranked, _, not_selected = " ".join(tokens).partition("not")
    keys = [[agent.key for agent in played.named(part.split())] for part in (ranked, not_selected)]
    return _fault(ranks(played.roster, *keys))


def _prefer(played: Play, tokens: Sequence[str]) -> Sequence[str]:
    """``prefer a 2``; ``first`` instead of a number puts the agent before all."""
    [agent] = played.named(tokens[:1])
    priority = None if tokens[1] == "first" else int(tokens[1])
    return _fault(prioritise(played.roster, agent.key, priority, "Anne Conseil", "Reporté"))


def _see(played: Play, tokens: Sequence[str]) -> Sequence[str]:
    """``see ab came - missed``: the attendance at one module after the other; ``-`` leaves one out."""
    marks = [
        AttendanceMark(agent.key, module, _SEEN[word])
        for agent in played.named(tokens[:1])
        for module, word in enumerate(tokens[1:])
        if word != "-"
    ]
    return list(dict.fromkeys(record_attendance(played.roster, marks, "Anne Conseil").values()))


_SEEN = {
    "came": Attendance.ATTENDED,
    "missed": Attendance.ABSENT,
    "excused": Attendance.ABSENT_JUSTIFIED,
}


def _at(played: Play, tokens: Sequence[str]) -> Sequence[str]:
    played.roster.now = played.moment(tokens[0])
    return []


def _due(played: Play, tokens: Sequence[str]) -> Sequence[str]:
    played.roster.now = played.moment(tokens[0])
    expire(played.roster, played.roster.now)
    return []


def _line(played: Play, tokens: Sequence[str]) -> Sequence[str]:
    """``line bca``: they wait in this order."""
    assert [waiting.agent for waiting in played.roster.waiting_list] == played.named(tokens)
    return []


ACTS: dict[str, Callable[[Play, Sequence[str]], Sequence[str]]] = {
    "rank": _rank,
    "prefer": _prefer,
    "see": _see,
    "at": _at,
    "due": _due,
    "line": _line,
}


def _fault(fault: RankingFault | OrganisingFault | None) -> Sequence[str]:
    if isinstance(fault, RankingFault):
        return [name for name, agents in asdict(fault).items() if agents]
    return [fault] if fault is not None else []
