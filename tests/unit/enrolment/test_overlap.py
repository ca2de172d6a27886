"""Nobody is enrolled in two places at once, where that is asked for (off by default)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.catalogue import SessionState
from shared.events.reasons import Reason
from shared.events.vocabulary import AgentKey
from tests.support.builders import ENDS, STARTS, a_session, an_agent
from tests.support.rosters import (
    a_group_request,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_approval,
    answer_to,
    changed,
    decided,
    state_of,
    states_of,
)

HOUR = timedelta(hours=1)


def elsewhere(**changes: Any) -> SessionState:
    """Another session, by default at the same time."""
    return a_session(**changes)


def a_roster_with_a_schedule(*sessions: SessionState, of: AgentKey, **session: Any) -> SessionRoster:
    schedule = AgentSchedule()
    for other in sessions:
        schedule.add(of, other)
    return a_roster(schedule=schedule, policy=Policy(overlap_check=True), **session)


def outcome(*others: SessionState, **session: Any) -> Reason | None:
    """The answer to somebody who takes part in these other sessions."""
    agent = an_agent()
    roster = a_roster_with_a_schedule(*others, of=agent.key, **session)
    return answer_to(roster, a_seat_request(roster, agent)).reason


def test_by_default_nobody_looks() -> None:
    roster, other, agent = a_roster(), a_roster(), an_agent()
    decided(roster, a_seat_request(roster, agent))
    decided(other, a_seat_request(other, agent))
    assert (state_of(roster, agent), state_of(other, agent)) == (State.ENROLLED, State.ENROLLED)
    assert not Policy().overlap_check


def test_who_is_expected_elsewhere_at_that_time_is_refused() -> None:
    assert outcome(elsewhere()) is Reason.OVERLAPPING_SESSION


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "refused"),
    [
        (STARTS - 2 * HOUR, STARTS, False),
        (STARTS - 2 * HOUR, STARTS + timedelta(microseconds=1), True),
        (ENDS, ENDS + HOUR, False),
        (ENDS - timedelta(microseconds=1), ENDS + HOUR, True),
        (STARTS + HOUR, STARTS + 2 * HOUR, True),
        (STARTS - HOUR, ENDS + HOUR, True),
    ],
)
def test_sessions_that_touch_do_not_overlap_because_ends_are_exclusive(
    starts_at: Any, ends_at: Any, refused: bool
) -> None:
    expected = Reason.OVERLAPPING_SESSION if refused else None
    assert outcome(elsewhere(starts_at=starts_at, ends_at=ends_at)) is expected


def test_of_a_session_with_modules_only_the_modules_count() -> None:
    weeks = [
        {"title": "Matin", "starts_at": STARTS - 72 * HOUR, "ends_at": STARTS - 70 * HOUR},
        {"title": "Soir", "starts_at": ENDS, "ends_at": ENDS + 2 * HOUR},
    ]
    long = {"starts_at": STARTS - 72 * HOUR, "ends_at": ENDS + 2 * HOUR}
    assert outcome(elsewhere(modules=weeks, **long)) is None
    assert outcome(elsewhere(**long)) is Reason.OVERLAPPING_SESSION
    assert outcome(elsewhere(), modules=weeks, **long) is None


def test_a_mooc_is_followed_when_one_likes() -> None:
    assert outcome(elsewhere(format="mooc")) is None
    assert outcome(elsewhere(), format="mooc") is None


def test_it_is_no_matter_where_others_are_expected() -> None:
    for other in (an_agent("1001", issuer="sirh"), an_agent("1002", issuer="iel")):
        roster = a_roster_with_a_schedule(elsewhere(), of=other.key)
        assert answer_to(roster, a_seat_request(roster, an_agent("1001", issuer="iel"))).reason is None


def test_who_waits_elsewhere_is_expected_there_until_they_leave() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent()
    there, here = (a_roster(schedule=schedule, policy=policy, capacity=number) for number in (0, 5))
    decided(there, a_seat_request(there, agent))
    assert state_of(there, agent) is State.WAITLISTED
    assert answer_to(here, a_seat_request(here, agent)).reason is Reason.OVERLAPPING_SESSION
    decided(there, a_withdrawal(there, agent))
    decided(here, a_seat_request(here, agent))
    assert state_of(here, agent) is State.ENROLLED


def test_a_cancelled_session_expects_nobody() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent()
    there, here = (a_roster(schedule=schedule, policy=policy) for _ in range(2))
    decided(there, a_seat_request(there, agent))
    changed(there, status="cancelled")
    decided(here, a_seat_request(here, agent))
    assert state_of(here, agent) is State.ENROLLED


def test_a_refused_request_expects_nobody() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent()
    there, here = (
        a_roster(schedule=schedule, policy=policy, capacity=seats, waiting_list="none") for seats in (0, 5)
    )
    decided(there, a_seat_request(there, agent))
    decided(here, a_seat_request(here, agent))
    assert state_of(here, agent) is State.ENROLLED


def test_one_is_not_in_ones_own_way() -> None:
    roster = a_roster(schedule=AgentSchedule(), policy=Policy(overlap_check=True), approval="employer")
    agent = an_agent()
    decided(roster, a_seat_request(roster, agent))
    decided(roster, an_approval(roster, agent))
    assert state_of(roster, agent) is State.ENROLLED
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.ALREADY_ENROLLED


def test_in_a_group_all_or_nothing_who_is_expected_elsewhere_is_refused_for_that() -> None:
    busy, free = agents(2)
    roster = a_roster_with_a_schedule(elsewhere(), of=busy.key)
    decided(roster, a_group_request(roster, (busy, free), all_or_nothing=True))
    assert states_of(roster, (busy, free)) == [State.REFUSED, State.REFUSED]
    assert roster.latest[busy.key].reason is Reason.OVERLAPPING_SESSION
    assert roster.latest[free.key].reason is Reason.GROUP_DOES_NOT_FIT
