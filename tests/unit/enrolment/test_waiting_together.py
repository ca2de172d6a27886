"""A group that may wait does so as one place, and is seated as one (rule 17)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.organising import prioritise
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, Decision, EnrolmentRefused
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, an_agent
from tests.support.rosters import (
    NANTES,
    a_group_request,
    a_roster,
    a_seat_request,
    a_swap,
    a_withdrawal,
    agents,
    an_agent_of,
    answer_to,
    changed,
    decided,
    decided_together,
    enrol,
    names_of,
    reopened,
    state_of,
    states_of,
)

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
WEEK = timedelta(days=7)
E, W, R = State.ENROLLED, State.WAITLISTED, State.REFUSED
LONG_BEFORE: dict[str, Any] = {
    "starts_at": STARTS + timedelta(days=60),
    "ends_at": STARTS + timedelta(days=61),
}


def waits(roster: SessionRoster, *group: Agent, **request: Any) -> list[Decision]:
    """What a group is answered that asks for all or nothing, and may wait."""
    return decided(roster, a_group_request(roster, group, all_or_nothing=True, may_wait=True, **request))


def a_full_session(capacity: int = 3, **session: Any) -> tuple[SessionRoster, list[Agent]]:
    """A session all of whose seats are taken, and by whom."""
    roster, seated = a_roster(capacity=capacity, **LONG_BEFORE, **session), agents_of(NANTES, capacity)
    enrol(roster, *seated)
    return roster, seated


def agents_of(siret: str, number: int) -> list[Agent]:
    return [an_agent_of(siret=siret) for _ in range(number)]


# ------------------------------------------------------------ as one place


def test_a_group_waits_as_one_place_and_who_comes_behind_is_second() -> None:
    roster, _ = a_full_session()
    group, behind = agents(3), an_agent()
    events = waits(roster, *group)
    assert names_of(events) == [("AgentWaitlisted", member.agent_id) for member in group]
    assert [(event.position, event.together) for event in events if isinstance(event, AgentWaitlisted)] == [
        (1, 3)
    ] * 3
    [next_in_line] = enrol(roster, behind)
    assert isinstance(next_in_line, AgentWaitlisted)
    assert (next_in_line.position, next_in_line.together) == (2, None)
    occupancy = roster.occupancy()
    assert occupancy is not None
    assert occupancy.waiting == 4, "the occupancy counts agents"


def test_a_group_behind_others_has_the_place_behind_them() -> None:
    roster, _ = a_full_session()
    enrol(roster, *agents(2))
    waits(roster, *agents(3))
    events = waits(roster, *agents(2))
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [4, 4]


def test_a_group_for_which_there_are_seats_has_them_at_once() -> None:
    roster, group = a_roster(capacity=3), agents(3)
    assert {type(event) for event in waits(roster, *group)} == {AgentEnrolled}


def test_the_answer_to_a_group_that_waits_says_so() -> None:
    roster, _ = a_full_session()
    request = a_group_request(roster, agents(2), all_or_nothing=True, may_wait=True)
    answer = answer_to(roster, request)
    assert (answer.state, answer.reason) == (W, None)
    assert answer.numbers["agents_waitlisted"] == 2


def test_a_group_that_may_not_wait_is_refused_as_before() -> None:
    roster, _ = a_full_session()
    events = decided(roster, a_group_request(roster, agents(2), all_or_nothing=True))
    assert [getattr(event, "reason", None) for event in events] == [Reason.GROUP_DOES_NOT_FIT] * 2


def test_may_wait_says_nothing_without_all_or_nothing() -> None:
    roster, group = a_roster(capacity=1), agents(2)
    events = decided(roster, a_group_request(roster, group, may_wait=True))
    assert [getattr(event, "together", None) for event in events] == [None, None]
    assert states_of(roster, group) == [E, W]


@pytest.mark.parametrize(
    ("session", "received_at", "reason"),
    [
        ({"waiting_list": "offer"}, DURING, Reason.GROUP_DOES_NOT_FIT),
        ({"waiting_list": "none"}, DURING, Reason.GROUP_DOES_NOT_FIT),
        ({"approval": "selection"}, DURING, Reason.GROUP_DOES_NOT_FIT),
        ({"approval": "employer_then_selection"}, DURING, Reason.GROUP_DOES_NOT_FIT),
        ({}, CLOSES, Reason.DEADLINE_PASSED),
        ({"status": "cancelled"}, DURING, Reason.SESSION_CANCELLED),
        ({"enrolment_opens_at": CLOSES, "enrolment_closes_at": STARTS}, DURING, Reason.NOT_OPEN_YET),
    ],
)
def test_where_a_group_cannot_wait_it_is_refused(session: Any, received_at: Any, reason: Reason) -> None:
    roster = a_roster(capacity=1, **session)
    events = waits(roster, *agents(2), received_at=received_at)
    assert [getattr(event, "reason", None) for event in events] == [reason] * 2


def test_the_employer_approves_by_asking_for_the_group() -> None:
    roster = a_roster(capacity=2, approval="employer")
    enrol(roster, an_agent())
    assert {type(event) for event in waits(roster, *agents(2))} == {AgentWaitlisted}


def test_who_could_not_be_enrolled_alone_gets_that_reason_and_nobody_waits() -> None:
    roster = a_roster(capacity=2, audience={"functions": ["agent"]})
    enrol(roster, an_agent())
    group = [an_agent(), an_agent(function="dirigeant")]
    events = waits(roster, *group)
    assert [getattr(event, "reason", None) for event in events] == [
        Reason.GROUP_DOES_NOT_FIT,
        Reason.NOT_ELIGIBLE,
    ]
    assert len(roster.waiting_list) == 0


def test_after_the_end_of_the_line_no_group_waits() -> None:
    roster = a_roster(capacity=2, now=STARTS, enrolment_closes_at=STARTS)
    events = waits(roster, *agents(3), received_at=STARTS - TICK)
    assert {event.reason for event in events if isinstance(event, EnrolmentRefused)} == {
        Reason.GROUP_DOES_NOT_FIT
    }


# ------------------------------------------------------------ one that could not sit in the empty session


def test_one_that_could_not_sit_in_the_empty_session_is_refused() -> None:
    roster, _ = a_full_session(3)
    assert {getattr(event, "reason", None) for event in waits(roster, *agents(4))} == {
        Reason.GROUP_DOES_NOT_FIT
    }
    assert {type(event) for event in waits(roster, *agents(3))} == {AgentWaitlisted}


def test_one_for_which_the_quota_is_too_small_is_refused_and_one_whose_colleagues_have_it_waits() -> None:
    roster = a_roster(quota_per_authority=2)
    colleague = an_agent_of()
    enrol(roster, colleague)
    assert {getattr(event, "reason", None) for event in waits(roster, *agents_of(NANTES, 3))} == {
        Reason.GROUP_DOES_NOT_FIT
    }
    group = [an_agent_of(), an_agent_of()]
    assert {type(event) for event in waits(roster, *group)} == {AgentWaitlisted}
    decided(roster, a_withdrawal(roster, colleague))
    assert states_of(roster, group) == [E, E]


@pytest.mark.parametrize(("release_at", "state"), [(CLOSES, W), (STARTS, R)])
def test_seats_that_are_reserved_for_others_count_if_they_are_released_in_time(
    release_at: Any, state: State
) -> None:
    reserved = [{"delegation": "corse", "seats": 2, "release_at": release_at}]
    roster, group = a_roster(capacity=3, reserved_seats=reserved), [an_agent_of(), an_agent_of()]
    waits(roster, *group)
    assert states_of(roster, group) == [state, state]


def test_a_group_waits_for_the_release_of_reserved_seats() -> None:
    reserved = [{"delegation": "corse", "seats": 2, "release_at": CLOSES}]
    roster, group = a_roster(capacity=2, reserved_seats=reserved), [an_agent_of(), an_agent_of()]
    waits(roster, *group)
    events = decided(roster, at=CLOSES)
    assert names_of(events) == [("AgentEnrolled", member.agent_id) for member in group]


# ------------------------------------------------------------ seated as one


def test_a_group_is_seated_when_there_is_a_seat_for_each() -> None:
    roster, seated = a_full_session()
    group = agents(2)
    waits(roster, *group)
    decided(roster, a_withdrawal(roster, seated[0]))
    assert states_of(roster, group) == [W, W]
    [_, *events] = decided(roster, a_withdrawal(roster, seated[1]))
    assert names_of(events) == [("AgentEnrolled", member.agent_id) for member in group]
    assert all(event.from_waiting_list for event in events if isinstance(event, AgentEnrolled))
    assert roster.waiting_list.groups == {}


def test_a_raised_capacity_seats_a_group_then_who_is_behind() -> None:
    roster, _ = a_full_session()
    group, behind = agents(2), agents(2)
    waits(roster, *group)
    enrol(roster, *behind)
    changed(roster, capacity=6)
    assert states_of(roster, [*group, *behind]) == [E, E, E, W]


def test_members_of_two_delegations_take_the_seats_reserved_for_each() -> None:
    reserved = [{"delegation": "corse", "seats": 1, "release_at": STARTS}]
    roster = a_roster(capacity=2, reserved_seats=reserved)
    seated = an_agent_of()
    enrol(roster, seated)
    group = [an_agent_of(), an_agent_of("corse", siret=NANTES)]
    waits(roster, *group)
    decided(roster, a_withdrawal(roster, seated))
    assert states_of(roster, group) == [E, E]


# ------------------------------------------------------------ kept seats


def test_seats_that_a_group_keeps_are_not_free_for_who_asks_nor_for_who_is_behind() -> None:
    roster, seated = a_full_session()
    group, behind, newcomer = agents(2), an_agent(), an_agent()
    waits(roster, *group)
    enrol(roster, behind)
    decided(roster, a_withdrawal(roster, seated[0]))
    [event] = enrol(roster, newcomer)
    assert isinstance(event, AgentWaitlisted)
    assert event.position == 3
    assert state_of(roster, behind) is W
    assert roster.numbers()["kept_for_groups"] == 1


def test_a_group_keeps_the_seats_that_are_free_when_it_asks() -> None:
    roster, group, newcomer = a_roster(capacity=3, **LONG_BEFORE), agents(3), an_agent()
    enrol(roster, an_agent())
    waits(roster, *group)
    enrol(roster, newcomer)
    assert state_of(roster, newcomer) is W


def test_a_group_does_not_keep_seats_that_are_reserved_for_others() -> None:
    reserved = [{"delegation": "corse", "seats": 1, "release_at": CLOSES}]
    roster = a_roster(capacity=3, reserved_seats=reserved)
    enrol(roster, an_agent_of())
    group = [an_agent_of(), an_agent_of()]
    waits(roster, *group)
    breton, corsican = an_agent_of(siret=NANTES), an_agent_of("corse")
    enrol(roster, breton, corsican)
    assert states_of(roster, [*group, breton, corsican]) == [W, W, W, E]


def test_a_group_whose_authority_has_all_its_seats_keeps_none() -> None:
    roster = a_roster(capacity=5, quota_per_authority=2)
    colleague, other = an_agent_of(), an_agent_of(siret=NANTES)
    enrol(roster, colleague)
    group = [an_agent_of(), an_agent_of()]
    waits(roster, *group)
    enrol(roster, other)
    assert states_of(roster, [*group, other]) == [W, W, E]


def test_a_group_for_which_the_session_became_too_small_keeps_none() -> None:
    roster, seated = a_full_session(3)
    group, behind = agents(3), an_agent()
    waits(roster, *group)
    enrol(roster, behind)
    changed(roster, capacity=2)
    decided(roster, *(a_withdrawal(roster, agent) for agent in seated[:2]))
    assert states_of(roster, [*group, behind]) == [W, W, W, E]


def test_nobody_moves_to_a_seat_that_a_group_keeps() -> None:
    here, there = a_roster(), a_roster(capacity=2)
    mover, group = an_agent(), agents(2)
    enrol(here, mover)
    enrol(there, an_agent())
    waits(there, *group)
    [answer] = decided_together([here, there], a_swap(here, there, mover))
    assert (answer.state, answer.reason) == (R, Reason.SESSION_FULL)


def test_another_group_that_asks_does_not_sit_on_kept_seats() -> None:
    roster = a_roster(capacity=3, **LONG_BEFORE)
    enrol(roster, an_agent())
    waits(roster, *agents(3))
    pair = agents(2)
    events = waits(roster, *pair)
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [2, 2]


# ------------------------------------------------------------ passed after seven days


def a_group_that_keeps() -> tuple[SessionRoster, list[Agent], list[Agent], list[Agent]]:
    """A session of three, who still sit there, a group of two that keeps one seat, and who is behind it."""
    roster, seated = a_full_session()
    group, behind = agents(2), agents(3)
    waits(roster, *group)
    enrol(roster, *behind)
    decided(roster, at=DURING + timedelta(days=2))
    decided(roster, a_withdrawal(roster, seated[0]))
    return roster, seated[1:], group, behind


def test_a_group_keeps_seats_for_seven_days_from_the_first_then_it_is_passed() -> None:
    roster, _, group, behind = a_group_that_keeps()
    end = DURING + timedelta(days=2) + WEEK
    assert roster.groups_kept_until() == end
    assert decided(roster, at=end + GRACE - TICK) == []
    events = decided(roster, at=end + GRACE)
    assert names_of(events) == [("AgentEnrolled", behind[0].agent_id)]
    assert states_of(roster, group) == [W, W]
    assert roster.groups_kept_until() is None, "the clock has nothing more to do"


def test_what_is_answered_after_the_seven_days_does_not_pass_a_group_before_all_is_read() -> None:
    roster, seated, group, behind = a_group_that_keeps()
    late = DURING + timedelta(days=9) + TICK
    decided(roster, a_withdrawal(roster, seated[0], received_at=late - 2 * TICK), at=late)
    assert states_of(roster, [*group, behind[0]]) == [E, E, W]


def test_a_group_that_was_passed_is_passed_by_each_freed_seat_until_enough_are_free_at_once() -> None:
    roster, seated, group, behind = a_group_that_keeps()
    decided(roster, at=DURING + timedelta(days=10))
    decided(roster, a_withdrawal(roster, seated[0]))
    assert states_of(roster, [*group, *behind]) == [W, W, E, E, W]
    changed(roster, capacity=5)
    assert states_of(roster, [*group, behind[2]]) == [E, E, W]


def test_who_asks_passes_a_group_that_was_passed() -> None:
    roster, seated = a_full_session()
    group, newcomer = agents(2), an_agent()
    waits(roster, *group)
    decided(roster, a_withdrawal(roster, seated[0]))
    decided(roster, at=DURING + WEEK + GRACE)
    enrol(roster, newcomer)
    assert states_of(roster, [*group, newcomer]) == [W, W, E]


def test_when_a_group_is_passed_the_next_keeps_for_seven_days_of_its_own() -> None:
    roster, seated = a_full_session()
    first, second = agents(3), agents(2)
    waits(roster, *first)
    waits(roster, *second)
    decided(roster, a_withdrawal(roster, seated[0]))
    passed_at = DURING + WEEK + GRACE
    decided(roster, at=passed_at)
    assert roster.groups_kept_until() == passed_at + WEEK
    decided(roster, a_withdrawal(roster, seated[1]))
    assert states_of(roster, [*first, *second]) == [W, W, W, E, E]


def test_that_a_group_was_passed_is_known_in_the_next_transaction() -> None:
    roster, seated, group, behind = a_group_that_keeps()
    decided(roster, at=DURING + timedelta(days=10))
    anew = reopened(roster)
    decided(anew, a_withdrawal(anew, seated[0]))
    assert states_of(anew, [*group, behind[1]]) == [W, W, E]


def test_how_long_a_group_keeps_seats_can_be_chosen() -> None:
    roster = a_roster(capacity=2, policy=Policy(group_keeps=timedelta(days=1)), **LONG_BEFORE)
    enrol(roster, an_agent())
    waits(roster, *agents(2))
    assert roster.groups_kept_until() == DURING + timedelta(days=1)


# ------------------------------------------------------------ members


def test_members_who_are_live_already_do_not_count() -> None:
    roster, seated = a_full_session()
    waiting, new = an_agent(), agents(2)
    enrol(roster, waiting)
    events = waits(roster, seated[0], waiting, *new)
    assert [getattr(event, "reason", None) for event in events] == [
        Reason.ALREADY_ENROLLED,
        Reason.ALREADY_ENROLLED,
        None,
        None,
    ]
    assert [event.together for event in events if isinstance(event, AgentWaitlisted)] == [2, 2]
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [2, 2]


def test_the_only_one_of_a_group_who_is_new_waits_as_anybody_does() -> None:
    roster, seated = a_full_session()
    new = an_agent()
    waits(roster, seated[0], new)
    assert roster.waiting_list.groups == {}
    assert state_of(roster, new) is W


def test_who_waits_alone_does_not_keep_the_others_of_a_group_from_their_seats() -> None:
    reserved = [{"delegation": "corse", "seats": 2, "release_at": CLOSES}]
    roster = a_roster(capacity=2, reserved_seats=reserved)
    waiting, corsicans = an_agent_of(), [an_agent_of("corse"), an_agent_of("corse")]
    enrol(roster, waiting)
    waits(roster, waiting, *corsicans)
    assert states_of(roster, [waiting, *corsicans]) == [W, E, E]


def test_a_group_sent_again_while_it_waits_changes_nothing() -> None:
    roster, _ = a_full_session()
    group = agents(2)
    waits(roster, *group)
    assert {getattr(event, "reason", None) for event in waits(roster, *group)} == {Reason.ALREADY_ENROLLED}
    assert len(roster.waiting_list) == 2


def test_each_may_leave_and_the_others_may_fit_then() -> None:
    roster, seated = a_full_session()
    group = agents(3)
    waits(roster, *group)
    decided(roster, *(a_withdrawal(roster, agent) for agent in seated[:2]))
    [_, *events] = decided(roster, a_withdrawal(roster, group[1]))
    assert names_of(events) == [("AgentEnrolled", group[0].agent_id), ("AgentEnrolled", group[2].agent_id)]


def test_when_the_last_of_a_group_leaves_the_seats_it_kept_go_on() -> None:
    roster, _, group, behind = a_group_that_keeps()
    decided(roster, *(a_withdrawal(roster, member) for member in group))
    assert states_of(roster, [*group, behind[0]]) == [State.WITHDRAWN, State.WITHDRAWN, E]


def test_a_priority_is_the_whole_groups() -> None:
    roster, seated = a_full_session()
    before, group = an_agent(), agents(2)
    enrol(roster, before)
    waits(roster, *group)
    assert prioritise(roster, group[1].key, 1, "Anne Conseil", "Reporté") is None
    assert roster.changes[-1].numbers["place_in_line"] == 1
    decided(roster, *(a_withdrawal(roster, agent) for agent in seated[:2]))
    assert states_of(roster, [before, *group]) == [W, E, E]


def test_a_line_that_is_changed_to_offers_still_seats_a_group_as_one() -> None:
    roster, seated = a_full_session()
    group, behind = agents(2), an_agent()
    waits(roster, *group)
    enrol(roster, behind)
    changed(roster, waiting_list="offer")
    decided(roster, *(a_withdrawal(roster, agent) for agent in seated))
    assert states_of(roster, [*group, behind]) == [E, E, State.OFFERED]


def test_each_of_a_group_is_told_that_the_session_is_cancelled_and_that_the_line_has_ended() -> None:
    for end in ("cancelled", "over"):
        roster = a_roster(capacity=2)
        enrol(roster, *agents(2))
        group = agents(2)
        waits(roster, *group)
        if end == "cancelled":
            events = changed(roster, status="cancelled")
        else:
            events = decided(roster, at=STARTS + GRACE)
        assert {member.agent_id for member in group} <= {event.agent.agent_id for event in events}
        assert roster.waiting_list.groups == {}


def test_who_was_received_before_a_group_and_is_read_later_takes_the_seat_it_keeps() -> None:
    roster, seated = a_full_session()
    group, earlier = agents(2), agents(2)
    waits(roster, *group, received_at=DURING)
    decided(roster, a_withdrawal(roster, seated[0]))
    decided(roster, *(a_seat_request(roster, agent, received_at=OPENS) for agent in earlier))
    assert states_of(roster, [*group, *earlier]) == [W, W, E, W]


def test_a_group_received_earlier_and_read_later_is_before_who_was_received_after_it() -> None:
    roster, seated = a_full_session()
    behind, group = an_agent(), agents(2)
    decided(roster, a_seat_request(roster, behind))
    events = waits(roster, *group, received_at=OPENS)
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [1, 1]
    decided(roster, *(a_withdrawal(roster, agent) for agent in seated[:2]))
    assert states_of(roster, [*group, behind]) == [E, E, W]
