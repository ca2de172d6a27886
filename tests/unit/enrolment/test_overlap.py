"""Nobody is enrolled in two places at once, where an installation asks for that (off by default)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
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
)

HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)
LONG: dict[str, Any] = {"starts_at": STARTS - 72 * HOUR, "ends_at": ENDS + 2 * HOUR}
WEEKS: dict[str, Any] = {
    "modules": [
        {"title": "Matin", "starts_at": STARTS - 72 * HOUR, "ends_at": STARTS - 70 * HOUR},
        {"title": "Soir", "starts_at": ENDS, "ends_at": ENDS + 2 * HOUR},
    ]
}


def test_by_default_nobody_looks() -> None:
    assert not Policy().overlap_check


@pytest.mark.parametrize(
    ("elsewhere", "here", "overlaps"),
    [
        ({}, {}, True),
        ({"starts_at": STARTS - 2 * HOUR, "ends_at": STARTS}, {}, False),
        ({"starts_at": STARTS - 2 * HOUR, "ends_at": STARTS + TICK}, {}, True),
        ({"starts_at": ENDS, "ends_at": ENDS + HOUR}, {}, False),
        ({"starts_at": ENDS - TICK, "ends_at": ENDS + HOUR}, {}, True),
        ({"starts_at": STARTS + HOUR, "ends_at": STARTS + 2 * HOUR}, {}, True),
        ({"starts_at": STARTS - HOUR, "ends_at": ENDS + HOUR}, {}, True),
        (LONG, {}, True),
        (LONG | WEEKS, {}, False),
        ({}, LONG | WEEKS, False),
        ({"format": "mooc"}, {}, False),
        ({}, {"format": "mooc"}, False),
    ],
)
def test_sessions_overlap_where_their_modules_do_and_ends_are_exclusive(
    elsewhere: dict[str, Any], here: dict[str, Any], overlaps: bool
) -> None:
    schedule, agent = AgentSchedule(), an_agent()
    schedule.add(agent.key, a_session(**elsewhere))
    roster = a_roster(schedule=schedule, **here)
    expected = Reason.OVERLAPPING_SESSION if overlaps else None
    assert answer_to(roster, a_seat_request(roster, agent)).reason is expected


def test_the_sessions_of_other_agents_do_not_count() -> None:
    schedule, agent = AgentSchedule(), an_agent("1001", issuer="iel")
    for other in (an_agent("1001", issuer="sirh"), an_agent("1002", issuer="iel")):
        schedule.add(other.key, a_session())
    roster = a_roster(schedule=schedule)
    assert answer_to(roster, a_seat_request(roster, agent)).reason is None


def _withdraw(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, a_withdrawal(roster, agent))


def _cancel(roster: SessionRoster, _agent: Agent) -> None:
    changed(roster, status="cancelled")


@pytest.mark.parametrize(
    ("there", "state", "end"),
    [
        ({"capacity": 0}, "waitlisted", _withdraw),
        ({"approval": "employer"}, "pending_approval", _withdraw),
        ({"capacity": 1}, "enrolled", _cancel),
    ],
)
def test_an_agent_is_expected_elsewhere_until_the_enrolment_there_ends(
    there: dict[str, Any], state: str, end: Callable[[SessionRoster, Agent], None]
) -> None:
    schedule, agent = AgentSchedule(), an_agent()
    other, here = a_roster(schedule=schedule, **there), a_roster(schedule=schedule)
    assert answer_to(other, a_seat_request(other, agent)).state == state
    assert answer_to(here, a_seat_request(here, agent)).reason is Reason.OVERLAPPING_SESSION
    end(other, agent)
    assert answer_to(here, a_seat_request(here, agent)).state == "enrolled"


def test_a_refused_request_expects_nobody() -> None:
    schedule, agent = AgentSchedule(), an_agent()
    full, here = a_roster(schedule=schedule, capacity=0, waiting_list="none"), a_roster(schedule=schedule)
    assert answer_to(full, a_seat_request(full, agent)).reason is Reason.SESSION_FULL
    assert answer_to(here, a_seat_request(here, agent)).state == "enrolled"


def test_a_session_does_not_overlap_itself() -> None:
    roster, agent = a_roster(schedule=AgentSchedule(), approval="employer"), an_agent()
    decided(roster, a_seat_request(roster, agent), an_approval(roster, agent))
    assert state_of(roster, agent) == "enrolled"
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.ALREADY_ENROLLED


def test_in_a_group_all_or_nothing_an_agent_who_is_expected_elsewhere_is_refused_for_that() -> None:
    schedule, (busy, free) = AgentSchedule(), agents(2)
    schedule.add(busy.key, a_session())
    roster = a_roster(schedule=schedule)
    decided(roster, a_group_request(roster, (busy, free), all_or_nothing=True))
    reasons = [roster.latest[agent.key].reason for agent in (busy, free)]
    assert reasons == [Reason.OVERLAPPING_SESSION, Reason.GROUP_DOES_NOT_FIT]
