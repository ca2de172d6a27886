"""The rules answer whatever is requested, of whatever session, whenever: with a value, never an exception.

Nothing here makes sense: dates in any order, clocks that go back, lists that name an agent twice, organisers
who act on nobody. What is always true (``tests.support.invariants``) is true all the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.enrolment.rules.policy import Policy
from shared.events.vocabulary import ApprovalPolicy, Delegation, Format, Status, WaitingList
from tests.support.builders import an_agent
from tests.support.rosters import a_roster, a_seat_request, changed, decided, state_of
from tests.support.scenarios import AUDIENCES, REQUESTS, Play

AGENTS = ["a", "b", "c/nantes", "d/nantes", "e/dirigeant", "f/corse"]
Tokens = st.SearchStrategy[str]


def often(tokens: Tokens, *rarely: Tokens) -> Tokens:
    """The first four times as often as each of the others. Hypothesis takes the same one twice for once."""
    return st.integers(0, 3 + len(rarely)).flatmap(lambda number: [*[tokens] * 4, *rarely][number])


def some_of(tokens: Sequence[str], most: int, *, least: int = 0) -> Tokens:
    return st.lists(st.sampled_from(tokens), min_size=least, max_size=most).map(" ".join)


moments = st.integers(-40, 40).map(lambda half_days: f"during{12 * half_days:+}hour")
any_moment = often(moments, st.sampled_from(["during-9000day", "during+27000day"]))
received = often(st.just(""), any_moment.map(" @{}".format))
agents = some_of(AGENTS, 5, least=1)
delegations = st.sampled_from(["bretagne", "corse"])
reserved = st.lists(st.builds("{}:{}@{}".format, delegations, st.integers(1, 3), moments), max_size=3)
SEATS: dict[str, st.SearchStrategy[Any]] = {
    "seats": st.sampled_from(["none", 0, 1, 2, 3, 1_000_000]),
    "list": st.sampled_from(WaitingList),
    "approval": st.sampled_from(ApprovalPolicy),
    "reserved": reserved.map(lambda several: ",".join(several) or "none"),
    "quota": st.sampled_from(["none", 1, 2]),
    "minimum": st.sampled_from(["none", 1, 3]),
}
ANYTHING: dict[str, st.SearchStrategy[Any]] = SEATS | {
    "format": st.sampled_from(Format),
    "status": st.sampled_from([Status.PUBLISHED] * 8 + [*Status]),
    "opens": any_moment,
    "closes": any_moment,
    "starts": any_moment,
    "ends": any_moment,
    "modules": st.integers(0, 3),
    "for": st.sampled_from([*AUDIENCES]),
    "timezone": st.sampled_from(["Europe/Paris", "Indian/Reunion", "America/Miquelon", "Pacific/Noumea"]),
    "organiser": st.sampled_from(Delegation),
    "hold": st.sampled_from([1, 48, 8_760]),
}


def fields(optional: dict[str, st.SearchStrategy[Any]]) -> Tokens:
    chosen = st.fixed_dictionaries({"venue": st.just("Rennes")}, optional=optional)
    return chosen.map(lambda values: " ".join(f"{name}={value}" for name, value in values.items()))


sessions = often(fields(SEATS), fields(ANYTHING))
ask = st.builds("ask {}{}".format, agents, received)
verbs = st.sampled_from(sorted(REQUESTS.keys() - {"join"}))  # `judge_join` comes before that
requests = often(ask, st.builds("{} {}{}".format, verbs, agents, received))
marks = some_of(["came", "missed", "excused", "-"], 4, least=1)
steps = often(
    st.lists(requests, min_size=1, max_size=4).map(" & ".join),
    sessions,
    st.sampled_from(["yes {O}", "no {O}", "agree {P}", "deny {P}", "rank {S}", "rank not {S}", "at ends"]),
    st.builds("rank {} not {}".format, some_of(AGENTS, 4), some_of(AGENTS, 2)),
    st.builds("prefer {} {}".format, st.sampled_from(AGENTS), st.sampled_from([-2, -1, 0, 1, 2, "first"])),
    st.builds("see {} {}".format, st.sampled_from(["{E}", *AGENTS]), marks),
    st.builds("{} {}".format, st.sampled_from(["at", "due"]), any_moment),
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(session=sessions, doing=st.lists(steps, min_size=12, max_size=30))
def test_whatever_happens_is_answered_and_leaves_seats_waiting_list_and_events_in_order(
    session: str, doing: list[str]
) -> None:
    played = Play(f"modules=2 {session}")
    for step in doing:
        in_state: dict[str, str] = dict.fromkeys("EOPS", "")
        for letter, state in zip(sorted(played.agents), played.states, strict=True):
            in_state[state] = in_state.get(state, "") + letter
        if "" not in [in_state[state] for state in "EOPS" if f"{{{state}}}" in step]:
            played.do(step.format_map(in_state))


def test_a_hold_is_found_for_every_session_there_can_be() -> None:
    for organiser in Delegation:
        roster = a_roster(
            policy=Policy(last_offer=timedelta(0)),
            capacity=0,
            waiting_list="offer",
            organiser=organiser,
            starts_at="2099-12-31T00:00:00Z",
            ends_at="2099-12-31T08:00:00Z",
            offer_hold_hours=8_760,
        )
        agent = an_agent()
        decided(roster, a_seat_request(roster, agent))
        changed(roster, capacity=1, at=datetime(2099, 12, 30, 23, tzinfo=UTC))
        assert state_of(roster, agent) == "offered"
