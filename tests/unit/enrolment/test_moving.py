"""Moving to another session of an offer (rule 18): a seat there frees the one here, or nothing changes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Position, RequestResult
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused, EnrolmentWithdrawn
from shared.events.outcomes import RequestRejected
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, Limits
from tests.support.builders import CLOSES, STARTS, a_question
from tests.support.rosters import (
    NANTES,
    a_roster,
    a_seat_request,
    a_swap,
    a_withdrawal,
    an_agent_of,
    decided,
    decided_together,
    enrol,
    since,
    state_of,
)
from tests.support.scenarios import play

LATER: dict[str, Any] = {
    "starts_at": STARTS + timedelta(days=7),
    "ends_at": STARTS + timedelta(days=7, hours=7),
}


def a_seated_agent() -> tuple[SessionRoster, Agent]:
    played = play("seats=2 | ask a > E")
    return played.roster, played.agents["a"]


def moved(here: SessionRoster, there: SessionRoster, agent: Agent, **request: Any) -> RequestResult:
    [result] = decided_together([here, there], a_swap(here, there, agent, **request))
    return result


def test_a_seat_there_frees_the_one_here_for_the_first_in_line() -> None:
    here, there = play("seats=1 | ask ab"), a_roster(capacity=3)
    result = moved(here.roster, there, here.agents["a"])
    assert (here.states, state_of(there, here.agents["a"])) == ("XE", "enrolled")
    assert (here.roster.seats.taken, there.seats.taken) == (1, 1)
    assert here.roster.changes[0].cause is Cause.MOVED
    assert (result.state, result.numbers["capacity"], result.numbers["enrolled"]) == ("enrolled", 3, 0)
    assert result.numbers["to_session_id"] == str(there.session.session_id)


def test_the_portal_hears_both_decisions_and_only_that_of_the_new_seat_has_its_request() -> None:
    here, agent = a_seated_agent()
    there, before = a_roster(), len(here.decisions)
    swap = a_swap(here, there, agent)
    decided_together([here, there], swap)
    [gained], [left] = since(there, 0), since(here, before)
    assert isinstance(gained, AgentEnrolled)
    assert isinstance(left, EnrolmentWithdrawn)
    assert (gained.request_id, left.request_id) == (swap.request_id, None)
    assert left.moved_to == gained.session_id == there.session.session_id
    assert gained.moved_from is not None
    assert (gained.moved_from.enrolment_id, gained.moved_from.version) == (left.enrolment_id, left.version)


def test_an_agent_may_move_back() -> None:
    here, agent = a_seated_agent()
    there = a_roster()
    moved(here, there, agent)
    assert moved(there, here, agent).state == "enrolled"
    assert (state_of(here, agent), state_of(there, agent)) == ("enrolled", "withdrawn")


def test_agents_who_cross_do_not_get_seats_that_only_the_other_would_free() -> None:
    here, there = play("seats=1 | ask a"), play("seats=1 | ask b")
    swap = a_swap(here.roster, there.roster, here.agents["a"])
    back = a_swap(there.roster, here.roster, there.agents["b"])
    results = decided_together([here.roster, there.roster], swap, back)
    assert [result.reason for result in results] == [Reason.SESSION_FULL] * 2


def test_moving_twice_at_once_moves_once() -> None:
    here, agent = a_seated_agent()
    there, elsewhere = a_roster(), a_roster()
    swaps = a_swap(here, there, agent), a_swap(here, elsewhere, agent)
    results = decided_together([here, there, elsewhere], *swaps)
    assert [result.reason for result in results] == [None, Reason.NOT_ENROLLED]
    assert (there.seats.taken, elsewhere.seats.taken) == (1, 0)


# ------------------------------------------------------------ anything but a seat: nothing changes

HERE, THERE = "seats=2 | ask a > E", "seats=2"


@pytest.mark.parametrize(
    ("reason", "here", "there"),
    [
        (Reason.SESSION_FULL, HERE, "seats=1 list=none | ask b"),
        (Reason.SESSION_FULL, HERE, "seats=1 list=automatic | ask b"),
        (Reason.SESSION_FULL, HERE, "seats=1 list=offer | ask b"),
        (Reason.SESSION_FULL, HERE, "seats=1 list=offer | ask bc | leave b > XO"),
        (Reason.SESSION_FULL, HERE, "seats=1 list=none reserved=corse:1@starts"),
        (Reason.SESSION_FULL, HERE, "seats=2 | ask b | wait cd > EWW"),
        (Reason.QUOTA_REACHED, HERE, "quota=1 | ask b"),
        (Reason.NOT_OPEN_YET, HERE, "opens=during+day"),
        (Reason.DEADLINE_PASSED, HERE, "closes=during"),
        (Reason.SESSION_CANCELLED, HERE, "status=cancelled"),
        (Reason.NOT_ELIGIBLE, HERE, "for=dirigeants"),
        (Reason.NOT_NOMINATED, HERE, "private"),
        (Reason.APPROVAL_DENIED, HERE, "approval=employer"),
        (Reason.APPROVAL_DENIED, HERE, "approval=employer_then_selection"),
        (Reason.NOT_SELECTED, HERE, "approval=selection"),
        (Reason.NOT_ENROLLED, "seats=0 | ask a > W", THERE),
        (Reason.NOT_ENROLLED, "seats=2 | ask a | leave a > X", THERE),
        (Reason.DEADLINE_PASSED, "closes=starts | ask a | at starts", "closes=starts+5day"),
    ],
)
def test_without_a_seat_there_nothing_changes(reason: Reason, here: str, there: str) -> None:
    leaves, wanted = play(here), play(there)
    before = leaves.states, wanted.states, len(leaves.roster.decisions), len(wanted.roster.decisions)
    result = moved(leaves.roster, wanted.roster, leaves.agents["a"])
    assert (result.state, result.reason) == ("refused", reason)
    [refusal] = since(leaves.roster, before[2])
    assert isinstance(refusal, EnrolmentRefused)
    assert (refusal.asked, refusal.reason) == ("swap", reason)
    assert (refusal.request_id, refusal.to_session_id) == (
        result.request.request_id,
        wanted.roster.session.session_id,
    )
    assert (leaves.states, wanted.states, len(wanted.roster.decisions)) == (before[0], before[1], before[3])


def test_an_agent_who_is_there_already_stays_in_both() -> None:
    here, agent = a_seated_agent()
    there = a_roster()
    enrol(there, agent)
    assert moved(here, there, agent).reason is Reason.ALREADY_ENROLLED
    assert (state_of(here, agent), state_of(there, agent)) == ("enrolled", "enrolled")


def test_an_agent_who_moves_is_behind_the_line_there() -> None:
    here, there = play(HERE), play("seats=1 | ask bc")
    leaving = a_withdrawal(there.roster, there.agents["b"])
    swap = a_swap(here.roster, there.roster, here.agents["a"])
    assert decided_together([here.roster, there.roster], leaving, swap)[1].reason is Reason.SESSION_FULL
    assert there.states == "XE"


# ------------------------------------------------------------ what portals alone hear of


def rejected(here: SessionRoster, there: SessionRoster, agent: Agent, **sender: Any) -> RequestRejected:
    """Return the only outcome of a portal's request: no decision answers it."""
    portal: dict[str, Any] = {
        "portal": "iel",
        "source": "/portals/iel",
        "position": Position("portal.enrolments", 0, 7),
    }
    before = len(here.decisions)
    decided_together([here, there], replace(a_swap(here, there, agent), **portal, **sender))
    assert since(here, before) == []
    [(outcome, _)] = here.outcomes
    assert isinstance(outcome, RequestRejected)
    return outcome


def test_a_session_of_another_offer_is_a_mistake_of_the_portal() -> None:
    here, agent = a_seated_agent()
    outcome = rejected(here, a_roster(offer_id="les-fondamentaux-de-l-ia"), agent)
    assert (outcome.code, outcome.problems[0].pointer) == ("invalid", "/to_session_id")
    assert state_of(here, agent) == "enrolled"


def test_a_portal_moves_only_agents_whom_it_may_speak_for() -> None:
    here, agent = a_seated_agent()
    limits = Limits(sirets=frozenset({NANTES}))
    assert rejected(here, a_roster(), agent, limits=limits).code == "not_yours"
    assert state_of(here, agent) == "enrolled"
    assert rejected(a_roster(), a_roster(), an_agent_of()).problems[0].pointer == "/agent_id"


# ------------------------------------------------------------ other rules go on


def test_two_sessions_at_one_time_are_no_overlap_for_an_agent_who_leaves_the_first() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent_of()
    here, there = (a_roster(schedule=schedule, policy=policy) for _ in range(2))
    decided(here, a_seat_request(here, agent))
    assert moved(here, there, agent).reason is None
    assert moved(there, here, agent).reason is None, "the agent who has left is expected there no more"


def test_an_agent_who_is_expected_in_a_third_session_at_that_time_is_refused() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent_of()
    here, there, third = (a_roster(schedule=schedule, policy=policy, **dates) for dates in ({}, LATER, LATER))
    for roster in (here, third):
        decided(roster, a_seat_request(roster, agent))
    assert moved(here, there, agent).reason is Reason.OVERLAPPING_SESSION


def test_a_trainee_who_moves_after_the_close_can_be_replaced() -> None:
    here, there = (
        play("private | nominate a | at closes"),
        a_roster(enrolment_closes_at=CLOSES + timedelta(days=30), **LATER),
    )
    assert moved(here.roster, there, here.agents["a"]).state == "enrolled"
    here.step("nominate b > XE")


def test_the_questions_there_are_asked_if_there_is_a_seat() -> None:
    here, agent = a_seated_agent()
    there = a_roster(capacity=0, questions=[a_question(kind="text", required=True)])
    assert moved(here, there, agent).reason is Reason.SESSION_FULL
    there = a_roster(questions=[a_question(kind="text", required=True)])
    missing = moved(here, there, agent)
    assert (missing.reason, missing.numbers["question"]) == (Reason.ANSWER_MISSING, "repas")
    assert moved(here, there, agent, answers={"repas": "Rien"}).state == "enrolled"
    [[kept]] = there.question_answers.values()
    assert kept.value == "Rien"
