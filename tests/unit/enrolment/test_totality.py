"""The rules answer whatever is requested, of whatever session, whenever: with a value, never an exception.

Nothing here makes sense: dates in any order, clocks that go back, lists that name somebody twice, organisers
who act on nobody. What must be true is true all the same.
"""

import itertools
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.enrolment.rules.organising import AttendanceMark, prioritise, record_attendance
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    SeatRequest,
    Withdrawal,
)
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import Attendance
from shared.events.vocabulary import (
    AgentKey,
    ApprovalPolicy,
    Delegation,
    Format,
    Function,
    Status,
    WaitingList,
)
from tests.support.builders import DURING
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_roster,
    an_agent_of,
    decide_in,
    next_version,
    ranks,
    reopened,
)

SOMEWHERE = {RENNES: "bretagne", NANTES: "pays-de-la-loire"}
AGENTS = [
    an_agent_of(SOMEWHERE[siret], siret, agent_id=f"T{number}", function=function)
    for number, (siret, function) in enumerate(itertools.product(SOMEWHERE, ["agent", "dirigeant"]))
]
KEYS = [*(agent.key for agent in AGENTS), AgentKey("", "NOBODY")]
ZONES = ["Europe/Paris", "Indian/Reunion", "America/Miquelon", "Pacific/Noumea"]


def often(strategy: st.SearchStrategy[Any], *rarely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The one four times as often as each of the others. Hypothesis takes the same one twice for once."""
    return st.integers(0, 3 + len(rarely)).flatmap(lambda number: [*[strategy] * 4, *rarely][number])


agents = st.sampled_from(AGENTS)
ids = st.sampled_from(KEYS)
moments = st.integers(-40, 40).map(lambda half_days: DURING + timedelta(hours=12 * half_days))
any_moment = often(
    moments, st.sampled_from([datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC)])
)


def _module(starts_at: datetime) -> dict[str, Any]:
    return {"title": "Séance", "starts_at": starts_at, "ends_at": starts_at + timedelta(hours=1)}


def _reserved(delegation: Delegation, seats: int, release_at: datetime) -> dict[str, Any]:
    return {"delegation": delegation, "seats": seats, "release_at": release_at}


delegations = st.sampled_from([Delegation.BRETAGNE, Delegation.PAYS_DE_LA_LOIRE, Delegation.CORSE])
audiences = st.fixed_dictionaries(
    {},
    optional={"functions": st.lists(st.sampled_from([*Function]), max_size=2), "sirets": st.just([RENNES])},
)
seats: dict[str, st.SearchStrategy[Any]] = {
    "capacity": st.sampled_from([None, 0, 1, 2, 3, 1_000_000]),
    "waiting_list": st.sampled_from([*WaitingList]),
    "approval": st.sampled_from([*ApprovalPolicy]),
    "reserved_seats": st.lists(st.builds(_reserved, delegations, st.integers(1, 3), moments), max_size=3),
    "quota_per_authority": st.sampled_from([None, 1, 2]),
    "minimum": st.sampled_from([None, 1, 3]),
}
anything: dict[str, st.SearchStrategy[Any]] = seats | {
    "format": st.sampled_from([*Format]),
    "status": st.sampled_from([Status.PUBLISHED] * 8 + [*Status]),
    "enrolment_opens_at": any_moment,
    "enrolment_closes_at": any_moment,
    "starts_at": any_moment,
    "ends_at": any_moment,
    "timezone": st.sampled_from(ZONES),
    "modules": st.lists(st.builds(_module, moments), max_size=3),
    "offer_hold_hours": st.sampled_from([1, 48, 8_760]),
    "audience": audiences,
    "organiser": st.sampled_from([*Delegation]),
}
sensible = st.fixed_dictionaries({}, optional=seats)
changes = often(sensible, st.fixed_dictionaries({}, optional=anything))
members = [
    st.uuids(version=4),
    st.one_of(st.just(DURING), st.just(DURING), any_moment),
    st.just(uuid.UUID(int=0)),
]
several = st.lists(agents, max_size=5).map(tuple)
asking: st.SearchStrategy[Request] = st.builds(SeatRequest, *members, agents, st.booleans())
requests: st.SearchStrategy[Request] = often(
    asking,
    st.builds(GroupRequest, *members, several, st.booleans()),
    st.builds(Nomination, *members, several, st.sampled_from([*SOMEWHERE, "0" * 14])),
    st.builds(Withdrawal, *members, ids, st.none(), st.booleans()),
    st.builds(ApprovalDecision, *members, ids, st.booleans()),
    st.builds(OfferAnswer, *members, ids, st.booleans(), st.sampled_from([None, None, 1, 2, 3])),
)
marks = st.builds(AttendanceMark, ids, st.integers(-1, 3), st.sampled_from([*Attendance]))
ask = st.tuples(st.just("ask"), st.lists(requests, min_size=1, max_size=6))
steps = often(
    ask,
    st.tuples(st.just("answer all"), st.booleans()),
    st.tuples(st.just("change"), changes),
    st.tuples(st.just("rank"), st.tuples(st.lists(ids, max_size=4), st.lists(ids, max_size=2))),
    st.tuples(st.just("rank all"), st.integers(0, 3)),
    st.tuples(st.just("prioritise"), st.tuples(ids, st.integers(-2, 2))),
    st.tuples(st.just("see"), st.lists(marks, max_size=4)),
    st.tuples(st.just("see all"), st.tuples(st.integers(0, 2), st.sampled_from([*Attendance]))),
    st.tuples(st.just("wait"), any_moment),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(first=changes, played=st.lists(steps, min_size=12, max_size=30))
def test_every_request_is_answered_and_the_seats_the_waiting_list_and_the_versions_agree(
    first: dict[str, Any], played: list[tuple[str, Any]]
) -> None:
    roster = a_roster(**({"modules": [_module(DURING)] * 2} | first))
    versions: Counter[uuid.UUID] = Counter()
    for what, value in played:
        roster = reopened(roster)
        before = roster.seats.taken
        _play(roster, what, value)
        _seats_and_line_agree(roster, before)
        _versions_follow(roster, versions)


def _play(roster: SessionRoster, what: str, value: Any) -> None:
    match what:
        case "ask":
            decide_in(roster, value)
            _each_is_answered_once(roster, value)
        case "answer all":
            requested = [*_answers_of_all(roster, value)]
            decide_in(roster, requested)
            _each_is_answered_once(roster, requested)
        case "change":
            apply_state(roster, next_version(roster.session, **value))
            decide_in(roster, ())
        case "rank":
            ranks(roster, *value)
        case "rank all":
            candidates = [
                key for key, enrolment in roster.latest.items() if enrolment.state is State.PENDING_SELECTION
            ]
            if ranks(roster, candidates[value:], candidates[:value]) is None:
                assert all(roster.latest[agent].state is not State.PENDING_SELECTION for agent in candidates)
        case "prioritise":
            agent, priority = value
            prioritise(roster, agent, priority, "Anne Conseil", "Sans raison")
        case "see":
            record_attendance(roster, value, "Anne Conseil")
        case "see all":
            module, mark = value
            roster.now = max(roster.now, roster.session.ends_at)
            seated = [key for key, enrolment in roster.latest.items() if enrolment.state.has_seat]
            record_attendance(
                roster, [AttendanceMark(agent, module, mark) for agent in seated], "Anne Conseil"
            )
        case "wait":
            roster.now = value
            decide_in(roster, ())


def _answers_of_all(roster: SessionRoster, yes: bool) -> Iterator[Request]:
    """Everybody whose word is awaited, and every employer whose word is, says this at once."""
    for agent, enrolment in roster.latest.items():
        members = (
            uuid.uuid5(enrolment.enrolment_id, str(enrolment.version)),
            DURING,
            enrolment.session_id,
            agent,
        )
        if enrolment.state is State.OFFERED:
            yield OfferAnswer(*members, yes)
        elif enrolment.state is State.PENDING_APPROVAL:
            yield ApprovalDecision(*members, yes)


def _each_is_answered_once(roster: SessionRoster, requested: list[Request]) -> None:
    assert [answer.request for answer in roster.results] == requested
    published = Counter(
        (event.request_id, event.agent.key) for event, _ in roster.decisions if event.request_id is not None
    )
    for request in requested:
        for agent in set(request.agent_keys):
            number = published.pop((request.request_id, agent), 0)
            if isinstance(request, SeatRequest | GroupRequest):
                assert number == 1
            assert number <= 1
    assert not published, "an answer that nobody asked for"


def _seats_and_line_agree(roster: SessionRoster, taken_before: int) -> None:
    states = Counter(enrolment.state for enrolment in roster.latest.values())
    assert roster.seats.enrolled == sum(number for state, number in states.items() if state.has_seat)
    assert roster.seats.offered == states[State.OFFERED]
    assert len(roster.waiting_list) == states[State.WAITLISTED] == len(list(roster.waiting_list))
    places = [enrolment.place for enrolment in roster.waiting_list]
    assert places == sorted(places)
    capacity = roster.session.capacity
    assert capacity is None or roster.seats.taken <= max(capacity, taken_before)


def _versions_follow(roster: SessionRoster, versions: Counter[uuid.UUID]) -> None:
    moves = Counter(change.enrolment.enrolment_id for change in roster.changes)
    for enrolment_id, enrolment in roster.changed.items():
        begun = enrolment_id not in versions
        versions[enrolment_id] += moves[enrolment_id] + begun
        assert enrolment.version == versions[enrolment_id]


def test_a_hold_is_found_for_every_session_there_can_be() -> None:
    policy = Policy(last_offer=timedelta(0))
    for organiser in Delegation:
        roster = a_roster(
            policy=policy,
            capacity=0,
            waiting_list="offer",
            organiser=organiser,
            starts_at="2099-12-31T00:00:00Z",
            ends_at="2099-12-31T08:00:00Z",
            offer_hold_hours=8_760,
        )
        request = SeatRequest(uuid.uuid4(), DURING, roster.session.session_id, AGENTS[0], approved=True)
        decide_in(roster, [request])
        roster.now = datetime(2099, 12, 30, 23, tzinfo=UTC)
        apply_state(roster, next_version(roster.session, capacity=1))
        assert roster.latest[AGENTS[0].key].state is State.OFFERED
