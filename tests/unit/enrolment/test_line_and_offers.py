"""The waiting list, seats that become free, and offers (rule 2)."""

from datetime import datetime, timedelta

import pytest

from services.enrolment.rules import Book, Cause, Policy, State, prioritise
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    EnrolmentRefused,
    LapseCause,
    SeatOffered,
    SeatOfferLapsed,
)
from shared.events.vocabulary import Agent, Reason
from tests.support.books import (
    a_book,
    agents,
    answer_to,
    answers,
    asks,
    changed,
    decided,
    enrol,
    state_of,
    states_of,
    told,
    withdraws,
)
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, an_agent

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
LAST_MOMENT = STARTS - Policy().last_offer

E, W, O, L = State.ENROLLED, State.WAITLISTED, State.OFFERED, State.LAPSED  # noqa: E741  # as in a table


def an_offer(waiting: int = 2) -> tuple[Book, list[Agent]]:
    """A session of one seat, which is offered to the first of those who wait."""
    book, (seated, *line) = a_book(capacity=1, waiting_list="offer"), agents(1 + waiting)
    enrol(book, seated, *line)
    decided(book, withdraws(book, seated))
    return book, line


def end_of_offer(book: Book, agent: Agent) -> datetime:
    until = book.latest[agent.agent_id].hold_until
    assert until is not None
    return until


# ------------------------------------------------------------ the line


def test_a_full_session_puts_the_agent_on_the_waiting_list() -> None:
    book, (seated, waiting) = a_book(capacity=1), agents(2)
    enrol(book, seated, waiting)
    assert states_of(book, (seated, waiting)) == [E, W]


def test_a_full_session_without_a_waiting_list_refuses() -> None:
    book, (seated, refused) = a_book(capacity=1, waiting_list="none"), agents(2)
    enrol(book, seated)
    assert answer_to(book, asks(book, refused)).reason is Reason.SESSION_FULL


def test_seats_go_in_order_of_receipt_and_positions_count_from_one() -> None:
    book, asking = a_book(capacity=2), agents(5)
    events = enrol(book, *asking)
    assert told(events) == [
        ("AgentEnrolled", asking[0].agent_id),
        ("AgentEnrolled", asking[1].agent_id),
        ("AgentWaitlisted", asking[2].agent_id),
        ("AgentWaitlisted", asking[3].agent_id),
        ("AgentWaitlisted", asking[4].agent_id),
    ]
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [1, 2, 3]


def test_leaving_the_line_frees_the_place_and_seats_nobody() -> None:
    book, (seated, first, second) = a_book(capacity=1), agents(3)
    enrol(book, seated, first, second)
    decided(book, withdraws(book, first), withdraws(book, seated))
    assert state_of(book, second) is E
    assert (book.seats.enrolled, len(book.line)) == (1, 0)


def test_the_place_of_who_leaves_is_free_for_the_position_of_the_next() -> None:
    book, (seated, first, second, third) = a_book(capacity=1), agents(4)
    enrol(book, seated, first, second)
    decided(book, withdraws(book, first))
    [event] = enrol(book, third)
    assert isinstance(event, AgentWaitlisted)
    assert event.position == 2


# ------------------------------------------------------------ a seat becomes free


def test_a_freed_seat_goes_to_the_first_in_line_in_the_same_decision() -> None:
    book, (seated, first, second) = a_book(capacity=1), agents(3)
    enrol(book, seated, first, second)
    events = decided(book, withdraws(book, seated))
    assert told(events) == [("EnrolmentWithdrawn", seated.agent_id), ("AgentEnrolled", first.agent_id)]
    promoted = events[1]
    assert isinstance(promoted, AgentEnrolled)
    assert promoted.from_waiting_list
    assert (promoted.request_id, promoted.version) == (None, 2)
    assert (book.seats.enrolled, len(book.line)) == (1, 1)


def test_whoever_asks_after_a_seat_became_free_comes_after_the_line() -> None:
    book, (seated, first, late) = a_book(capacity=1), agents(3)
    enrol(book, seated, first)
    decided(book, withdraws(book, seated), asks(book, late))
    assert states_of(book, (first, late)) == [E, W]


def test_no_seat_is_given_away_once_the_session_has_started_and_enrolment_is_closed() -> None:
    book, (seated, first) = a_book(capacity=1), agents(2)
    enrol(book, seated, first)
    decided(book, withdraws(book, seated, received_at=STARTS - TICK), at=STARTS)
    assert state_of(book, first) is W


def test_a_seat_that_becomes_free_while_the_session_runs_goes_to_the_line() -> None:
    book = a_book(capacity=1, starts_at=OPENS, ends_at=CLOSES)
    first, waiting, newcomer = agents(3)
    enrol(book, first, waiting)
    changed(book, capacity=2)
    enrol(book, newcomer)
    assert states_of(book, (waiting, newcomer)) == [E, W]


def test_nobody_overtakes_the_line_however_late_a_request_is_decided() -> None:
    book, (first, waiting, newcomer) = a_book(capacity=1), agents(3)
    enrol(book, first, waiting)
    changed(book, capacity=2, at=STARTS)
    decided(book, asks(book, newcomer, received_at=DURING))
    assert states_of(book, (waiting, newcomer)) == [W, W]


def test_once_no_offer_can_reach_the_line_a_free_seat_is_for_whoever_asks_while_one_may_enrol() -> None:
    book = a_book(capacity=1, waiting_list="offer", enrolment_closes_at=STARTS)
    first, waiting, newcomer = agents(3)
    enrol(book, first, waiting)
    decided(book, withdraws(book, first), asks(book, newcomer), at=LAST_MOMENT)
    assert states_of(book, (waiting, newcomer)) == [W, E]


def test_a_seat_beside_which_nobody_waits_is_taken_until_the_deadline() -> None:
    book = a_book(capacity=1, waiting_list="offer", enrolment_closes_at=STARTS)
    first, newcomer = agents(2)
    enrol(book, first)
    decided(book, withdraws(book, first), asks(book, newcomer), at=LAST_MOMENT)
    assert state_of(book, newcomer) is E


# ------------------------------------------------------------ offers


def test_a_freed_seat_is_offered_to_the_first_in_line_and_held_for_their_answer() -> None:
    book, (seated, first, second) = a_book(capacity=1, waiting_list="offer"), agents(3)
    enrol(book, seated, first, second)
    events = decided(book, withdraws(book, seated))
    assert told(events) == [("EnrolmentWithdrawn", seated.agent_id), ("SeatOffered", first.agent_id)]
    offer = events[1]
    assert isinstance(offer, SeatOffered)
    assert offer.hold_until == book.latest[first.agent_id].hold_until
    assert offer.request_id is None
    assert states_of(book, (first, second)) == [O, W]


def test_an_offer_counts_as_a_seat() -> None:
    book, _ = an_offer()
    assert (book.seats.enrolled, book.seats.offered, book.seats.taken) == (0, 1, 1)
    newcomer = an_agent()
    enrol(book, newcomer)
    assert state_of(book, newcomer) is W


def test_one_freed_seat_makes_one_offer() -> None:
    book, line = an_offer(waiting=5)
    assert states_of(book, line) == [O, W, W, W, W]
    decided(book)
    assert states_of(book, line) == [O, W, W, W, W]


def test_a_seat_nobody_waits_for_is_taken_without_an_offer() -> None:
    book, agent = a_book(capacity=1, waiting_list="offer"), an_agent()
    enrol(book, agent)
    assert state_of(book, agent) is E


def test_answered_yes_the_agent_is_enrolled() -> None:
    book, (first, _) = an_offer()
    request = answers(book, first)
    [event] = decided(book, request)
    assert isinstance(event, AgentEnrolled)
    assert event.from_waiting_list
    assert event.request_id == request.request_id
    assert state_of(book, first) is E
    assert (book.seats.enrolled, book.seats.offered) == (1, 0)


def test_answered_no_the_offer_lapses_and_the_next_in_line_has_it_in_the_same_decision() -> None:
    book, (first, second) = an_offer()
    request = answers(book, first, yes=False)
    events = decided(book, request)
    assert told(events) == [("SeatOfferLapsed", first.agent_id), ("SeatOffered", second.agent_id)]
    lapsed, offered = events
    assert isinstance(lapsed, SeatOfferLapsed)
    assert lapsed.cause is LapseCause.DECLINED
    assert (lapsed.request_id, offered.request_id) == (request.request_id, None)


def test_not_answered_the_offer_lapses_by_the_clock_and_the_next_in_line_has_it_in_the_same_decision() -> (
    None
):
    book, (first, second) = an_offer()
    events = decided(book, at=end_of_offer(book, first) + GRACE)
    assert told(events) == [("SeatOfferLapsed", first.agent_id), ("SeatOffered", second.agent_id)]
    lapsed = events[0]
    assert isinstance(lapsed, SeatOfferLapsed)
    assert (lapsed.cause, lapsed.request_id) == (LapseCause.EXPIRED, None)


def test_an_offer_waits_a_grace_for_an_answer_that_is_on_its_way() -> None:
    book, (first, _) = an_offer()
    until = end_of_offer(book, first)
    assert decided(book, at=until + GRACE - TICK) == []
    decided(book, answers(book, first, received_at=until - TICK))
    assert state_of(book, first) is E


def test_an_answer_at_the_end_of_the_hold_is_late_and_changes_nothing() -> None:
    book, (first, _) = an_offer()
    request = answers(book, first, received_at=end_of_offer(book, first))
    [event] = decided(book, request, at=end_of_offer(book, first))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.DEADLINE_PASSED, "offer")
    assert state_of(book, first) is O


def test_an_answer_to_an_offer_that_lapsed_is_late_and_changes_nothing() -> None:
    book, (first, second) = an_offer()
    until = end_of_offer(book, first)
    decided(book, at=until + GRACE)
    assert answer_to(book, answers(book, first)).reason is Reason.DEADLINE_PASSED
    assert states_of(book, (first, second)) == [L, O]


def test_an_answer_given_in_time_is_good_however_late_it_comes_to_us() -> None:
    book, (first, second) = an_offer()
    until = end_of_offer(book, first)
    decided(book, asks(book), answers(book, first, received_at=until - TICK), at=until + 10 * GRACE)
    assert states_of(book, (first, second)) == [E, W]


def test_an_offer_that_is_over_stands_until_all_that_may_answer_it_is_read() -> None:
    book, (first, second) = an_offer()
    until = end_of_offer(book, first)
    decided(book, asks(book), at=until + GRACE)
    assert states_of(book, (first, second)) == [O, W]
    decided(book, answers(book, first, received_at=until))
    assert states_of(book, (first, second)) == [O, W]
    decided(book)
    assert states_of(book, (first, second)) == [L, O]


@pytest.mark.parametrize("yes", [True, False])
def test_who_declined_has_no_offer_to_answer_any_more(yes: bool) -> None:
    book, (first, second) = an_offer()
    decided(book, answers(book, first, yes=False))
    assert answer_to(book, answers(book, first, yes=yes)).reason is Reason.NO_OFFER
    assert states_of(book, (first, second)) == [L, O]


def test_a_second_yes_finds_the_agent_enrolled() -> None:
    book, (first, _) = an_offer()
    decided(book, answers(book, first))
    assert answer_to(book, answers(book, first)).reason is Reason.ALREADY_ENROLLED
    assert state_of(book, first) is E


def test_a_no_after_the_yes_gives_no_seat_back_a_withdrawal_does() -> None:
    book, (first, second) = an_offer()
    decided(book, answers(book, first))
    assert answer_to(book, answers(book, first, yes=False)).reason is Reason.NO_OFFER
    assert states_of(book, (first, second)) == [E, W]


def test_an_answer_to_another_offer_than_this_one_changes_nothing() -> None:
    book, (first, _) = an_offer()
    version = book.latest[first.agent_id].version
    assert answer_to(book, answers(book, first, version=version - 1)).reason is Reason.NO_OFFER
    assert answer_to(book, answers(book, first, version=version + 1)).reason is Reason.NO_OFFER
    assert state_of(book, first) is O
    decided(book, answers(book, first, version=version))
    assert state_of(book, first) is E


def test_an_answer_to_an_offer_never_made_is_told_to_who_waits() -> None:
    book, (_, second) = an_offer()
    [event] = decided(book, answers(book, second))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.NO_OFFER, "offer")
    assert state_of(book, second) is W


def test_an_answer_by_nobody_who_is_known_is_kept_and_told_to_nobody() -> None:
    book, _ = an_offer()
    before = len(book.decisions)
    assert answer_to(book, answers(book, an_agent())).reason is Reason.NO_OFFER
    assert len(book.decisions) == before


def test_an_answer_in_a_session_that_was_cancelled_says_so() -> None:
    book, (first, _) = an_offer()
    changed(book, status="cancelled")
    assert answer_to(book, answers(book, first)).reason is Reason.SESSION_CANCELLED


def test_whose_offer_lapsed_may_ask_again_and_queues_behind_everybody() -> None:
    book, (first, second) = an_offer()
    decided(book, answers(book, first, yes=False), asks(book, first))
    assert states_of(book, (first, second)) == [W, O]
    assert answer_to(book, answers(book, first)).reason is Reason.NO_OFFER


def test_an_offer_that_is_withdrawn_passes_the_seat_on() -> None:
    book, (first, second) = an_offer()
    events = decided(book, withdraws(book, first))
    assert told(events) == [("EnrolmentWithdrawn", first.agent_id), ("SeatOffered", second.agent_id)]
    assert book.seats.taken == 1


def test_several_offers_that_end_together_pass_on_in_order() -> None:
    book, everybody = a_book(capacity=2, waiting_list="offer"), agents(7)
    enrol(book, *everybody)
    decided(book, *(withdraws(book, one) for one in everybody[:2]))
    assert states_of(book, everybody[2:]) == [O, O, W, W, W]
    decided(book, at=end_of_offer(book, everybody[2]) + GRACE)
    assert states_of(book, everybody[2:]) == [L, L, O, O, W]


def test_of_several_offers_that_are_over_the_one_that_ended_first_passes_on_first() -> None:
    book, (seated, other, first, second) = a_book(capacity=2, waiting_list="offer"), agents(4)
    enrol(book, seated, other, first, second)
    prioritise(book, second.agent_id, 1, "Anne Conseil", "Reporté")
    decided(book, withdraws(book, seated))
    decided(book, withdraws(book, other), at=DURING + timedelta(days=4))
    assert end_of_offer(book, second) < end_of_offer(book, first)
    events = decided(book, at=end_of_offer(book, first) + GRACE)
    assert told(events) == [("SeatOfferLapsed", second.agent_id), ("SeatOfferLapsed", first.agent_id)]


# ------------------------------------------------------------ the last moment to offer


def test_no_seat_is_offered_from_the_last_moment_on() -> None:
    for moment, state in ((LAST_MOMENT - TICK, O), (LAST_MOMENT, W)):
        book, (seated, first) = a_book(capacity=1, waiting_list="offer"), agents(2)
        enrol(book, seated, first)
        decided(book, withdraws(book, seated), at=moment)
        assert state_of(book, first) is state


def test_an_offer_never_outlives_the_last_moment() -> None:
    book, (seated, first) = a_book(capacity=1, waiting_list="offer"), agents(2)
    enrol(book, seated, first)
    decided(book, withdraws(book, seated), at=LAST_MOMENT - timedelta(hours=5))
    assert end_of_offer(book, first) == LAST_MOMENT


def test_an_offer_is_shortened_and_told_anew_when_the_session_is_brought_forward() -> None:
    book, (first, second) = an_offer()
    starts_at = end_of_offer(book, first) + timedelta(hours=47)
    events = changed(book, starts_at=starts_at)
    assert told(events) == [("SeatOffered", first.agent_id)]
    assert end_of_offer(book, first) == starts_at - Policy().last_offer
    assert book.changes[-1].cause is Cause.OFFER_SHORTENED
    decided(book, answers(book, first))
    assert states_of(book, (first, second)) == [E, W]


def test_an_offer_lapses_when_the_session_is_brought_so_far_forward_that_it_is_too_late() -> None:
    book, (first, second) = an_offer()
    events = changed(book, starts_at=DURING + timedelta(hours=48))
    assert told(events) == [("SeatOfferLapsed", first.agent_id)]
    assert states_of(book, (first, second)) == [L, W]


def test_an_offer_that_ends_at_the_last_moment_is_not_told_again_at_any_other_change() -> None:
    book, (seated, first) = a_book(capacity=1, waiting_list="offer"), agents(2)
    enrol(book, seated, first)
    decided(book, withdraws(book, seated), at=LAST_MOMENT - timedelta(hours=5))
    assert changed(book, venue="Rennes, salle 2") == []
    assert end_of_offer(book, first) == LAST_MOMENT


def test_an_offer_keeps_its_end_when_the_session_is_put_off() -> None:
    book, (first, _) = an_offer()
    until = end_of_offer(book, first)
    assert changed(book, starts_at=STARTS + timedelta(days=7), ends_at=STARTS + timedelta(days=8)) == []
    assert end_of_offer(book, first) == until


def test_an_offer_stands_when_the_line_becomes_automatic_and_the_rest_is_served_at_once() -> None:
    book, (first, second) = an_offer()
    changed(book, waiting_list="automatic", capacity=2)
    assert states_of(book, (first, second)) == [O, E]
