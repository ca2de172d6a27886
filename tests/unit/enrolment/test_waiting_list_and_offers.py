"""The waiting list, seats that become free, and offers (rule 2)."""

from datetime import datetime, timedelta

import pytest

from services.enrolment.rules.organising import prioritise
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    EnrolmentRefused,
    LapseCause,
    SeatOffered,
    SeatOfferLapsed,
)
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, an_agent
from tests.support.rosters import (
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_offer_answer,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

TICK, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
GRACE = Policy().grace
LAST_MOMENT = STARTS - Policy().last_offer

E, W, O, L = State.ENROLLED, State.WAITLISTED, State.OFFERED, State.LAPSED  # noqa: E741  # as in a table


def an_offer(waiting: int = 2) -> tuple[SessionRoster, list[Agent]]:
    """A session of one seat, which is offered to the first of those who wait."""
    roster, (seated, *line) = a_roster(capacity=1, waiting_list="offer"), agents(1 + waiting)
    enrol(roster, seated, *line)
    decided(roster, a_withdrawal(roster, seated))
    return roster, line


def end_of_offer(roster: SessionRoster, agent: Agent) -> datetime:
    until = roster.latest[agent.key].hold_until
    assert until is not None
    return until


# ------------------------------------------------------------ the line


def test_a_full_session_puts_the_agent_on_the_waiting_list() -> None:
    roster, (seated, waiting) = a_roster(capacity=1), agents(2)
    enrol(roster, seated, waiting)
    assert states_of(roster, (seated, waiting)) == [E, W]


def test_a_full_session_without_a_waiting_list_refuses() -> None:
    roster, (seated, refused) = a_roster(capacity=1, waiting_list="none"), agents(2)
    enrol(roster, seated)
    assert answer_to(roster, a_seat_request(roster, refused)).reason is Reason.SESSION_FULL


def test_seats_go_in_order_of_receipt_and_positions_count_from_one() -> None:
    roster, asking = a_roster(capacity=2), agents(5)
    events = enrol(roster, *asking)
    assert names_of(events) == [
        ("AgentEnrolled", asking[0].agent_id),
        ("AgentEnrolled", asking[1].agent_id),
        ("AgentWaitlisted", asking[2].agent_id),
        ("AgentWaitlisted", asking[3].agent_id),
        ("AgentWaitlisted", asking[4].agent_id),
    ]
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [1, 2, 3]


def test_the_line_is_by_time_of_receipt_whenever_a_request_is_decided() -> None:
    roster, (seated, first, late, last) = a_roster(capacity=1), agents(4)
    enrol(roster, seated)
    for agent, received_at in ((last, DURING + 2 * MINUTE), (first, DURING), (late, DURING + MINUTE)):
        [event] = decided(roster, a_seat_request(roster, agent, received_at=received_at))
        assert isinstance(event, AgentWaitlisted)
        assert event.position == {last: 1, first: 1, late: 2}[agent]
        assert roster.results[-1].numbers["place_in_line"] == event.position
    assert [waiting.agent for waiting in roster.waiting_list] == [first, late, last]


def test_of_one_moment_the_line_is_by_who_was_decided_first() -> None:
    roster, (seated, *line) = a_roster(capacity=1), agents(5)
    enrol(roster, seated)
    for number, agent in enumerate(line, 1):
        [event] = decided(roster, a_seat_request(roster, agent, received_at=DURING))
        assert isinstance(event, AgentWaitlisted)
        assert event.position == number
    assert [waiting.agent for waiting in roster.waiting_list] == line


def test_leaving_the_waiting_list_frees_the_place_and_seats_nobody() -> None:
    roster, (seated, first, second) = a_roster(capacity=1), agents(3)
    enrol(roster, seated, first, second)
    decided(roster, a_withdrawal(roster, first), a_withdrawal(roster, seated))
    assert state_of(roster, second) is E
    assert (roster.seats.enrolled, len(roster.waiting_list)) == (1, 0)


def test_the_place_of_who_leaves_is_free_for_the_position_of_the_next() -> None:
    roster, (seated, first, second, third) = a_roster(capacity=1), agents(4)
    enrol(roster, seated, first, second)
    decided(roster, a_withdrawal(roster, first))
    [event] = enrol(roster, third)
    assert isinstance(event, AgentWaitlisted)
    assert event.position == 2


# ------------------------------------------------------------ a seat becomes free


def test_a_freed_seat_goes_to_the_first_in_line_in_the_same_decision() -> None:
    roster, (seated, first, second) = a_roster(capacity=1), agents(3)
    enrol(roster, seated, first, second)
    events = decided(roster, a_withdrawal(roster, seated))
    assert names_of(events) == [("EnrolmentWithdrawn", seated.agent_id), ("AgentEnrolled", first.agent_id)]
    promoted = events[1]
    assert isinstance(promoted, AgentEnrolled)
    assert promoted.from_waiting_list
    assert (promoted.request_id, promoted.version) == (None, 2)
    assert (roster.seats.enrolled, len(roster.waiting_list)) == (1, 1)


def test_a_request_after_a_seat_became_free_comes_after_the_waiting_list() -> None:
    roster, (seated, first, late) = a_roster(capacity=1), agents(3)
    enrol(roster, seated, first)
    decided(roster, a_withdrawal(roster, seated), a_seat_request(roster, late))
    assert states_of(roster, (first, late)) == [E, W]


def test_no_seat_is_given_away_once_the_session_has_started_and_enrolment_is_closed() -> None:
    roster, (seated, first) = a_roster(capacity=1), agents(2)
    enrol(roster, seated, first)
    decided(roster, a_withdrawal(roster, seated, received_at=STARTS - TICK), at=STARTS)
    assert state_of(roster, first) is W


def test_a_seat_that_becomes_free_while_the_session_runs_goes_to_the_waiting_list() -> None:
    roster = a_roster(capacity=1, starts_at=OPENS, ends_at=CLOSES)
    first, waiting, newcomer = agents(3)
    enrol(roster, first, waiting)
    changed(roster, capacity=2)
    enrol(roster, newcomer)
    assert states_of(roster, (waiting, newcomer)) == [E, W]


def test_nobody_overtakes_the_waiting_list_however_late_a_request_is_decided() -> None:
    roster, (first, waiting, newcomer) = a_roster(capacity=1), agents(3)
    enrol(roster, first, waiting)
    changed(roster, capacity=2, at=STARTS)
    decided(roster, a_seat_request(roster, newcomer, received_at=DURING))
    assert states_of(roster, (waiting, newcomer)) == [W, W]


def test_once_no_offer_can_reach_the_waiting_list_a_free_seat_is_for_whoever_asks_while_one_may_enrol() -> (
    None
):
    roster = a_roster(capacity=1, waiting_list="offer", enrolment_closes_at=STARTS)
    first, waiting, newcomer = agents(3)
    enrol(roster, first, waiting)
    decided(roster, a_withdrawal(roster, first), a_seat_request(roster, newcomer), at=LAST_MOMENT)
    assert states_of(roster, (waiting, newcomer)) == [W, E]


def test_a_seat_beside_which_nobody_waits_is_taken_until_the_deadline() -> None:
    roster = a_roster(capacity=1, waiting_list="offer", enrolment_closes_at=STARTS)
    first, newcomer = agents(2)
    enrol(roster, first)
    decided(roster, a_withdrawal(roster, first), a_seat_request(roster, newcomer), at=LAST_MOMENT)
    assert state_of(roster, newcomer) is E


# ------------------------------------------------------------ offers


def test_a_freed_seat_is_offered_to_the_first_in_line_and_held_for_their_answer() -> None:
    roster, (seated, first, second) = a_roster(capacity=1, waiting_list="offer"), agents(3)
    enrol(roster, seated, first, second)
    events = decided(roster, a_withdrawal(roster, seated))
    assert names_of(events) == [("EnrolmentWithdrawn", seated.agent_id), ("SeatOffered", first.agent_id)]
    offer = events[1]
    assert isinstance(offer, SeatOffered)
    assert offer.hold_until == roster.latest[first.key].hold_until
    assert offer.request_id is None
    assert states_of(roster, (first, second)) == [O, W]


def test_an_offer_counts_as_a_seat() -> None:
    roster, _ = an_offer()
    assert (roster.seats.enrolled, roster.seats.offered, roster.seats.taken) == (0, 1, 1)
    newcomer = an_agent()
    enrol(roster, newcomer)
    assert state_of(roster, newcomer) is W


def test_one_freed_seat_makes_one_offer() -> None:
    roster, line = an_offer(waiting=5)
    assert states_of(roster, line) == [O, W, W, W, W]
    decided(roster)
    assert states_of(roster, line) == [O, W, W, W, W]


def test_a_seat_nobody_waits_for_is_taken_without_an_offer() -> None:
    roster, agent = a_roster(capacity=1, waiting_list="offer"), an_agent()
    enrol(roster, agent)
    assert state_of(roster, agent) is E


def test_answered_yes_the_agent_is_enrolled() -> None:
    roster, (first, _) = an_offer()
    request = an_offer_answer(roster, first)
    [event] = decided(roster, request)
    assert isinstance(event, AgentEnrolled)
    assert event.from_waiting_list
    assert event.request_id == request.request_id
    assert state_of(roster, first) is E
    assert (roster.seats.enrolled, roster.seats.offered) == (1, 0)


def test_answered_no_the_offer_lapses_and_the_next_in_line_has_it_in_the_same_decision() -> None:
    roster, (first, second) = an_offer()
    request = an_offer_answer(roster, first, yes=False)
    events = decided(roster, request)
    assert names_of(events) == [("SeatOfferLapsed", first.agent_id), ("SeatOffered", second.agent_id)]
    lapsed, offered = events
    assert isinstance(lapsed, SeatOfferLapsed)
    assert lapsed.cause is LapseCause.DECLINED
    assert (lapsed.request_id, offered.request_id) == (request.request_id, None)


def test_not_answered_the_offer_lapses_by_the_clock_and_the_next_in_line_has_it_in_the_same_decision() -> (
    None
):
    roster, (first, second) = an_offer()
    events = decided(roster, at=end_of_offer(roster, first) + GRACE)
    assert names_of(events) == [("SeatOfferLapsed", first.agent_id), ("SeatOffered", second.agent_id)]
    lapsed = events[0]
    assert isinstance(lapsed, SeatOfferLapsed)
    assert (lapsed.cause, lapsed.request_id) == (LapseCause.EXPIRED, None)


def test_an_offer_waits_a_grace_for_an_answer_that_is_on_its_way() -> None:
    roster, (first, _) = an_offer()
    until = end_of_offer(roster, first)
    assert decided(roster, at=until + GRACE - TICK) == []
    decided(roster, an_offer_answer(roster, first, received_at=until - TICK))
    assert state_of(roster, first) is E


def test_an_answer_at_the_end_of_the_hold_is_late_and_changes_nothing() -> None:
    roster, (first, _) = an_offer()
    request = an_offer_answer(roster, first, received_at=end_of_offer(roster, first))
    [event] = decided(roster, request, at=end_of_offer(roster, first))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.DEADLINE_PASSED, "offer")
    assert state_of(roster, first) is O


def test_an_answer_to_an_offer_that_lapsed_is_late_and_changes_nothing() -> None:
    roster, (first, second) = an_offer()
    until = end_of_offer(roster, first)
    decided(roster, at=until + GRACE)
    assert answer_to(roster, an_offer_answer(roster, first)).reason is Reason.DEADLINE_PASSED
    assert states_of(roster, (first, second)) == [L, O]


def test_an_answer_given_in_time_is_good_however_late_it_comes_to_us() -> None:
    roster, (first, second) = an_offer()
    until = end_of_offer(roster, first)
    decided(
        roster,
        a_seat_request(roster),
        an_offer_answer(roster, first, received_at=until - TICK),
        at=until + 10 * GRACE,
    )
    assert states_of(roster, (first, second)) == [E, W]


def test_an_offer_that_is_over_stands_until_all_that_may_answer_it_is_read() -> None:
    roster, (first, second) = an_offer()
    until = end_of_offer(roster, first)
    decided(roster, a_seat_request(roster), at=until + GRACE)
    assert states_of(roster, (first, second)) == [O, W]
    decided(roster, an_offer_answer(roster, first, received_at=until))
    assert states_of(roster, (first, second)) == [O, W]
    decided(roster)
    assert states_of(roster, (first, second)) == [L, O]


@pytest.mark.parametrize("yes", [True, False])
def test_who_declined_has_no_offer_to_answer_any_more(yes: bool) -> None:
    roster, (first, second) = an_offer()
    decided(roster, an_offer_answer(roster, first, yes=False))
    assert answer_to(roster, an_offer_answer(roster, first, yes=yes)).reason is Reason.NO_OFFER
    assert states_of(roster, (first, second)) == [L, O]


def test_a_second_yes_finds_the_agent_enrolled() -> None:
    roster, (first, _) = an_offer()
    decided(roster, an_offer_answer(roster, first))
    assert answer_to(roster, an_offer_answer(roster, first)).reason is Reason.ALREADY_ENROLLED
    assert state_of(roster, first) is E


def test_a_no_after_the_yes_gives_no_seat_back_a_withdrawal_does() -> None:
    roster, (first, second) = an_offer()
    decided(roster, an_offer_answer(roster, first))
    assert answer_to(roster, an_offer_answer(roster, first, yes=False)).reason is Reason.NO_OFFER
    assert states_of(roster, (first, second)) == [E, W]


def test_an_answer_to_another_offer_than_this_one_changes_nothing() -> None:
    roster, (first, _) = an_offer()
    version = roster.latest[first.key].version
    assert answer_to(roster, an_offer_answer(roster, first, version=version - 1)).reason is Reason.NO_OFFER
    assert answer_to(roster, an_offer_answer(roster, first, version=version + 1)).reason is Reason.NO_OFFER
    assert state_of(roster, first) is O
    decided(roster, an_offer_answer(roster, first, version=version))
    assert state_of(roster, first) is E


def test_an_answer_to_an_offer_never_made_is_refused_to_who_waits() -> None:
    roster, (_, second) = an_offer()
    [event] = decided(roster, an_offer_answer(roster, second))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.NO_OFFER, "offer")
    assert state_of(roster, second) is W


def test_an_answer_by_somebody_unknown_is_kept_without_an_event() -> None:
    roster, _ = an_offer()
    before = len(roster.decisions)
    assert answer_to(roster, an_offer_answer(roster, an_agent())).reason is Reason.NO_OFFER
    assert len(roster.decisions) == before


def test_an_answer_in_a_session_that_was_cancelled_says_so() -> None:
    roster, (first, _) = an_offer()
    changed(roster, status="cancelled")
    assert answer_to(roster, an_offer_answer(roster, first)).reason is Reason.SESSION_CANCELLED


def test_whose_offer_lapsed_may_ask_again_and_queues_behind_everybody() -> None:
    roster, (first, second) = an_offer()
    decided(roster, an_offer_answer(roster, first, yes=False), a_seat_request(roster, first))
    assert states_of(roster, (first, second)) == [W, O]
    assert answer_to(roster, an_offer_answer(roster, first)).reason is Reason.NO_OFFER


def test_an_offer_that_is_withdrawn_passes_the_seat_on() -> None:
    roster, (first, second) = an_offer()
    events = decided(roster, a_withdrawal(roster, first))
    assert names_of(events) == [("EnrolmentWithdrawn", first.agent_id), ("SeatOffered", second.agent_id)]
    assert roster.seats.taken == 1


def test_several_offers_that_end_together_pass_on_in_order() -> None:
    roster, everybody = a_roster(capacity=2, waiting_list="offer"), agents(7)
    enrol(roster, *everybody)
    decided(roster, *(a_withdrawal(roster, agent) for agent in everybody[:2]))
    assert states_of(roster, everybody[2:]) == [O, O, W, W, W]
    decided(roster, at=end_of_offer(roster, everybody[2]) + GRACE)
    assert states_of(roster, everybody[2:]) == [L, L, O, O, W]


def test_of_several_offers_that_are_over_the_one_that_ended_first_passes_on_first() -> None:
    roster, (seated, other, first, second) = a_roster(capacity=2, waiting_list="offer"), agents(4)
    enrol(roster, seated, other, first, second)
    prioritise(roster, second.key, 1, "Anne Conseil", "Reporté")
    decided(roster, a_withdrawal(roster, seated))
    decided(roster, a_withdrawal(roster, other), at=DURING + timedelta(days=4))
    assert end_of_offer(roster, second) < end_of_offer(roster, first)
    events = decided(roster, at=end_of_offer(roster, first) + GRACE)
    assert names_of(events) == [("SeatOfferLapsed", second.agent_id), ("SeatOfferLapsed", first.agent_id)]


# ------------------------------------------------------------ the last moment to offer


def test_no_seat_is_offered_from_the_last_moment_on() -> None:
    for moment, state in ((LAST_MOMENT - TICK, O), (LAST_MOMENT, W)):
        roster, (seated, first) = a_roster(capacity=1, waiting_list="offer"), agents(2)
        enrol(roster, seated, first)
        decided(roster, a_withdrawal(roster, seated), at=moment)
        assert state_of(roster, first) is state


def test_an_offer_never_outlives_the_last_moment() -> None:
    roster, (seated, first) = a_roster(capacity=1, waiting_list="offer"), agents(2)
    enrol(roster, seated, first)
    decided(roster, a_withdrawal(roster, seated), at=LAST_MOMENT - timedelta(hours=5))
    assert end_of_offer(roster, first) == LAST_MOMENT


def test_an_offer_is_shortened_and_published_anew_when_the_session_is_brought_forward() -> None:
    roster, (first, second) = an_offer()
    starts_at = end_of_offer(roster, first) + timedelta(hours=47)
    events = changed(roster, starts_at=starts_at)
    assert names_of(events) == [("SeatOffered", first.agent_id)]
    assert end_of_offer(roster, first) == starts_at - Policy().last_offer
    assert roster.changes[-1].cause is Cause.OFFER_SHORTENED
    decided(roster, an_offer_answer(roster, first))
    assert states_of(roster, (first, second)) == [E, W]


def test_an_offer_lapses_when_the_session_is_brought_so_far_forward_that_it_is_too_late() -> None:
    roster, (first, second) = an_offer()
    events = changed(roster, starts_at=DURING + timedelta(hours=48))
    assert names_of(events) == [("SeatOfferLapsed", first.agent_id)]
    assert states_of(roster, (first, second)) == [L, W]


def test_an_offer_that_ends_at_the_last_moment_is_not_published_again_at_any_other_change() -> None:
    roster, (seated, first) = a_roster(capacity=1, waiting_list="offer"), agents(2)
    enrol(roster, seated, first)
    decided(roster, a_withdrawal(roster, seated), at=LAST_MOMENT - timedelta(hours=5))
    assert changed(roster, venue="Rennes, salle 2") == []
    assert end_of_offer(roster, first) == LAST_MOMENT


def test_an_offer_keeps_its_end_when_the_session_is_put_off() -> None:
    roster, (first, _) = an_offer()
    until = end_of_offer(roster, first)
    assert changed(roster, starts_at=STARTS + timedelta(days=7), ends_at=STARTS + timedelta(days=8)) == []
    assert end_of_offer(roster, first) == until


def test_an_offer_stands_when_the_waiting_list_becomes_automatic_and_the_rest_is_served_at_once() -> None:
    roster, (first, second) = an_offer()
    changed(roster, waiting_list="automatic", capacity=2)
    assert states_of(roster, (first, second)) == [O, E]
