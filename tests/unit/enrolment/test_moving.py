"""Moving to another session of an offer (rule 18): a seat there frees the one here, or nothing changes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Position, RequestResult
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused, EnrolmentWithdrawn
from shared.events.outcomes import RequestRejected
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, Limits
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, a_question, an_agent
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_nomination,
    a_roster,
    a_seat_request,
    a_swap,
    a_withdrawal,
    agents,
    an_agent_of,
    decided,
    decided_together,
    enrol,
    names_of,
    since,
    state_of,
)

EARLIER: dict[str, Any] = {}
LATER: dict[str, Any] = {
    "starts_at": STARTS + timedelta(days=7),
    "ends_at": STARTS + timedelta(days=7, hours=7),
}


def who_has_a_seat(**here: Any) -> tuple[SessionRoster, Agent]:
    roster, agent = a_roster(**here), an_agent()
    enrol(roster, agent)
    return roster, agent


def moved(here: SessionRoster, there: SessionRoster, agent: Agent, **request: Any) -> RequestResult:
    [answer] = decided_together([here, there], a_swap(here, there, agent, **request))
    return answer


# ------------------------------------------------------------ a seat there frees the one here


def test_a_seat_there_frees_the_one_here() -> None:
    here, agent = who_has_a_seat()
    there = a_roster()
    answer = moved(here, there, agent)
    assert (answer.state, answer.reason) == (State.ENROLLED, None)
    assert (state_of(here, agent), state_of(there, agent)) == (State.WITHDRAWN, State.ENROLLED)
    assert (here.seats.taken, there.seats.taken) == (0, 1)


def test_the_freed_seat_goes_to_the_first_who_waits_here() -> None:
    here, (agent, waiting) = a_roster(capacity=1), agents(2)
    enrol(here, agent, waiting)
    moved(here, a_roster(), agent)
    assert state_of(here, waiting) is State.ENROLLED


def test_the_portal_hears_both_decisions_and_only_that_of_the_new_seat_has_its_request() -> None:
    here, agent = who_has_a_seat()
    there = a_roster()
    before = len(here.decisions)
    swap = a_swap(here, there, agent)
    decided_together([here, there], swap)
    [gained], [left] = since(there, 0), since(here, before)
    assert isinstance(gained, AgentEnrolled)
    assert isinstance(left, EnrolmentWithdrawn)
    assert (gained.request_id, left.request_id) == (swap.request_id, None)
    assert left.moved_to == gained.session_id == there.session.session_id
    assert gained.moved_from is not None
    assert (gained.moved_from.enrolment_id, gained.moved_from.version) == (left.enrolment_id, left.version)


def test_one_may_move_back() -> None:
    here, agent = who_has_a_seat()
    there = a_roster()
    moved(here, there, agent)
    assert moved(there, here, agent).state == State.ENROLLED
    assert (state_of(here, agent), state_of(there, agent)) == (State.ENROLLED, State.WITHDRAWN)


def test_two_who_cross_do_not_get_seats_that_only_the_other_would_free() -> None:
    here, there = a_roster(capacity=1), a_roster(capacity=1)
    one_agent, other_agent = agents(2)
    enrol(here, one_agent)
    enrol(there, other_agent)
    answers = decided_together(
        [here, there], a_swap(here, there, one_agent), a_swap(there, here, other_agent)
    )
    assert [answer.reason for answer in answers] == [Reason.SESSION_FULL] * 2


def test_the_answer_says_the_seats_of_the_session_where_one_was_wanted() -> None:
    here, agent = who_has_a_seat()
    there = a_roster(capacity=3)
    numbers = moved(here, there, agent).numbers
    assert (numbers["capacity"], numbers["enrolled"]) == (3, 0)
    assert numbers["to_session_id"] == str(there.session.session_id)


# ------------------------------------------------------------ anything but a seat: nothing changes


def nothing_changes(
    here: SessionRoster, there: SessionRoster, agent: Agent, reason: Reason, **request: Any
) -> None:
    before, seats, waiting = len(here.decisions), here.seats.taken, len(there.waiting_list)
    state = state_of(here, agent)
    answer = moved(here, there, agent, **request)
    assert (answer.state, answer.reason) == (State.REFUSED, reason)
    [refusal] = since(here, before)
    assert isinstance(refusal, EnrolmentRefused)
    assert (refusal.asked, refusal.reason) == ("swap", reason)
    assert refusal.to_session_id == there.session.session_id
    assert refusal.request_id == answer.request.request_id
    assert state_of(here, agent) is state
    assert (here.seats.taken, len(there.waiting_list)) == (seats, waiting)
    assert not [event for event in since(there, 0) if event.request_id == answer.request.request_id]


@pytest.mark.parametrize("waiting_list", ["none", "automatic", "offer"])
def test_a_full_session_refuses_and_gives_no_place_in_line(waiting_list: str) -> None:
    here, agent = who_has_a_seat()
    there = a_roster(capacity=1, waiting_list=waiting_list)
    enrol(there, an_agent())
    nothing_changes(here, there, agent, Reason.SESSION_FULL)


def test_who_moves_is_behind_the_line_there() -> None:
    here, agent = who_has_a_seat()
    there, (seated, waiting) = a_roster(capacity=1), agents(2)
    enrol(there, seated, waiting)
    answers = decided_together([here, there], a_withdrawal(there, seated), a_swap(here, there, agent))
    assert answers[1].reason is Reason.SESSION_FULL
    assert state_of(there, waiting) is State.ENROLLED


@pytest.mark.parametrize(
    ("reason", "there", "received_at"),
    [
        (Reason.DEADLINE_PASSED, {}, CLOSES),
        (Reason.NOT_OPEN_YET, {"enrolment_opens_at": OPENS + timedelta(days=30)}, DURING),
        (Reason.SESSION_CANCELLED, {"status": "cancelled"}, DURING),
        (Reason.NOT_ELIGIBLE, {"audience": {"functions": ["dirigeant"]}}, DURING),
        (Reason.NOT_ELIGIBLE, {"format": "bespoke", "audience": {"sirets": [NANTES]}}, DURING),
        (Reason.NOT_NOMINATED, {"format": "bespoke", "audience": {"sirets": [RENNES]}}, DURING),
        (Reason.APPROVAL_DENIED, {"approval": "employer"}, DURING),
        (Reason.NOT_SELECTED, {"approval": "selection"}, DURING),
        (Reason.ANSWER_MISSING, {"questions": [a_question(required=True)]}, DURING),
        (Reason.APPROVAL_DENIED, {"approval": "employer_then_selection"}, DURING),
    ],
)
def test_what_refuses_a_new_request_there_or_has_it_wait_refuses_the_move(
    reason: Reason, there: dict[str, Any], received_at: Any
) -> None:
    here, agent = who_has_a_seat()
    nothing_changes(here, a_roster(**there), agent, reason, received_at=received_at)


def test_who_is_there_already_stays_in_both() -> None:
    here, agent = who_has_a_seat()
    there = a_roster()
    enrol(there, agent)
    before = len(there.decisions)
    answer = moved(here, there, agent)
    assert answer.reason is Reason.ALREADY_ENROLLED
    assert (state_of(here, agent), state_of(there, agent)) == (State.ENROLLED, State.ENROLLED)
    assert since(there, before) == []


def test_an_authority_that_has_its_quota_there_gets_no_seat_by_a_move() -> None:
    here, agent = a_roster(), an_agent_of()
    enrol(here, agent)
    there = a_roster(quota_per_authority=1)
    enrol(there, an_agent_of())
    nothing_changes(here, there, agent, Reason.QUOTA_REACHED)


def test_reserved_seats_are_kept_from_who_moves() -> None:
    here, agent = a_roster(), an_agent_of("corse", "21200004600012")
    enrol(here, agent)
    reserved = [{"delegation": "bretagne", "seats": 1, "release_at": STARTS}]
    there = a_roster(capacity=1, reserved_seats=reserved, waiting_list="none")
    nothing_changes(here, there, agent, Reason.SESSION_FULL)


def test_once_the_session_has_begun_one_leaves_it_no_more() -> None:
    here, agent = who_has_a_seat(enrolment_closes_at=STARTS)
    there = a_roster(enrolment_closes_at=STARTS + timedelta(days=5), **LATER)
    nothing_changes(here, there, agent, Reason.DEADLINE_PASSED, received_at=STARTS)


def test_who_waits_here_has_nothing_to_give_up() -> None:
    here, (seated, agent) = a_roster(capacity=1), agents(2)
    enrol(here, seated, agent)
    nothing_changes(here, a_roster(), agent, Reason.NOT_ENROLLED)


def test_who_has_left_has_nothing_to_give_up() -> None:
    here, agent = who_has_a_seat()
    decided(here, a_withdrawal(here, agent))
    nothing_changes(here, a_roster(), agent, Reason.NOT_ENROLLED)


def test_moving_twice_at_once_moves_once() -> None:
    here, agent = who_has_a_seat()
    there, elsewhere = a_roster(), a_roster()
    answers = decided_together(
        [here, there, elsewhere], a_swap(here, there, agent), a_swap(here, elsewhere, agent)
    )
    assert [answer.reason for answer in answers] == [None, Reason.NOT_ENROLLED]
    assert (there.seats.taken, elsewhere.seats.taken) == (1, 0)


# ------------------------------------------------------------ what portals alone hear of


def asked_by_a_portal(here: SessionRoster, there: SessionRoster, agent: Agent, **sender: Any) -> list[Any]:
    swap = replace(
        a_swap(here, there, agent),
        portal="iel",
        source="/portals/iel",
        position=Position("portal.enrolments", 0, 7),
        **sender,
    )
    before = len(here.decisions)
    decided_together([here, there], swap)
    assert since(here, before) == []
    return [outcome for outcome, _ in here.outcomes]


def test_a_session_of_another_offer_is_a_mistake_of_the_portal() -> None:
    here, agent = who_has_a_seat()
    [rejected] = asked_by_a_portal(here, a_roster(offer_id="les-fondamentaux-de-l-ia"), agent)
    assert isinstance(rejected, RequestRejected)
    assert (rejected.code, rejected.problems[0].pointer) == ("invalid", "/to_session_id")
    assert state_of(here, agent) is State.ENROLLED


def test_who_was_never_here_is_nobodys() -> None:
    [rejected] = asked_by_a_portal(a_roster(), a_roster(), an_agent())
    assert (rejected.code, rejected.problems[0].pointer) == ("not_yours", "/agent_id")


def test_a_portal_moves_nobody_whom_it_may_not_speak_for() -> None:
    here, agent = who_has_a_seat()
    limits = Limits(sirets=frozenset({NANTES}))
    [rejected] = asked_by_a_portal(here, a_roster(), agent, limits=limits)
    assert rejected.code == "not_yours"
    assert state_of(here, agent) is State.ENROLLED


# ------------------------------------------------------------ other rules go on


def test_two_sessions_at_one_time_are_no_overlap_for_who_leaves_the_one() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent()
    here, there, third = (a_roster(schedule=schedule, policy=policy) for _ in range(3))
    decided(here, a_seat_request(here, agent))
    assert moved(here, there, agent).reason is None
    assert moved(there, third, agent).reason is None
    assert moved(third, here, agent).reason is None, "who has left is expected there no more"


def test_who_is_expected_in_a_third_session_at_that_time_is_refused() -> None:
    schedule, policy, agent = AgentSchedule(), Policy(overlap_check=True), an_agent()
    here, there = (a_roster(schedule=schedule, policy=policy, **dates) for dates in (EARLIER, LATER))
    third = a_roster(schedule=schedule, policy=policy, **LATER)
    for roster in (here, third):
        decided(roster, a_seat_request(roster, agent))
    assert moved(here, there, agent).reason is Reason.OVERLAPPING_SESSION


def test_a_trainee_who_moves_after_the_list_closed_can_be_replaced() -> None:
    private: dict[str, Any] = {"format": "bespoke", "audience": {"sirets": [RENNES]}}
    here, agent, newcomer = a_roster(**private), an_agent(), an_agent()
    decided(here, a_nomination(here, [agent]))
    there = a_roster(enrolment_closes_at=CLOSES + timedelta(days=30), **LATER)
    assert moved(here, there, agent, received_at=CLOSES).state == State.ENROLLED
    decided(here, a_nomination(here, [newcomer], received_at=CLOSES))
    assert names_of(since(here, 0))[-1] == ("AgentEnrolled", newcomer.agent_id)


# ------------------------------------------------------------ the questions there


def test_who_moves_answers_the_questions_there() -> None:
    here, agent = who_has_a_seat()
    there = a_roster(questions=[a_question(kind="text", required=True)])
    missing = moved(here, there, agent)
    assert (missing.reason, missing.numbers["question"]) == (Reason.ANSWER_MISSING, "repas")
    assert here.latest[agent.key].state is State.ENROLLED
    answer = moved(here, there, agent, answers={"repas": "Rien"})
    assert answer.state == State.ENROLLED
    [[kept]] = there.question_answers.values()
    assert kept.value == "Rien"


def test_what_there_is_no_seat_for_is_not_asked_about() -> None:
    here, agent = who_has_a_seat()
    there = a_roster(capacity=0, questions=[a_question(required=True)])
    assert moved(here, there, agent).reason is Reason.SESSION_FULL
