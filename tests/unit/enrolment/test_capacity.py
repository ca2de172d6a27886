"""Seats are never exceeded, and what happens when there come to be more or fewer (rule 1)."""

import itertools
import time

import pytest

from services.enrolment.rules import Book, Line, Request, Seats, State, decide
from shared.events.vocabulary import Reason
from tests.support.books import (
    a_book,
    agents,
    an_agent_of,
    answer_to,
    asks,
    changed,
    decided,
    enrol,
    next_version,
    state_of,
    states_of,
    told,
    withdraws,
)
from tests.support.builders import DURING, STARTS, a_session, an_agent

E, W, O = State.ENROLLED, State.WAITLISTED, State.OFFERED  # noqa: E741  # as in a table


def a_seat_is_free(book: Book) -> bool:
    return book.prospects(an_agent()).seat_is_free


# ------------------------------------------------------------ how many there are


def test_capacity_zero_means_no_seat() -> None:
    book = a_book(capacity=0, waiting_list="none")
    assert answer_to(book, asks(book)).reason is Reason.SESSION_FULL


def test_capacity_zero_with_a_line_lets_everybody_wait() -> None:
    book, agent = a_book(capacity=0), an_agent()
    enrol(book, agent)
    assert state_of(book, agent) is W


def test_a_capacity_of_null_means_no_limit() -> None:
    book = a_book(capacity=None)
    enrol(book, *agents(1_000))
    assert (book.seats.enrolled, len(book.line)) == (1_000, 0)


@pytest.mark.parametrize(("enrolled", "offered", "free"), [(0, 0, True), (1, 0, True), (2, 0, False)])
def test_seats_are_free_until_all_are_taken(enrolled: int, offered: int, free: bool) -> None:
    assert a_seat_is_free(Book(a_session(capacity=2), DURING, seats=Seats(enrolled, offered))) is free


def test_an_offered_seat_counts_as_taken() -> None:
    assert not a_seat_is_free(Book(a_session(capacity=1), DURING, seats=Seats(offered=1)))


def test_a_session_that_is_overfull_after_a_lowered_capacity_is_full() -> None:
    assert not a_seat_is_free(Book(a_session(capacity=1), DURING, seats=Seats(enrolled=3)))


def test_whatever_the_order_of_a_batch_no_more_than_the_seats_are_taken() -> None:
    some = agents(3)
    for order in itertools.permutations(range(5)):
        book = a_book(capacity=1)
        requests: list[Request] = [
            *(asks(book, agent) for agent in some),
            withdraws(book, some[0]),
            withdraws(book, some[1]),
        ]
        for number in order:
            decide(book, [requests[number]])
            assert book.seats.taken <= 1
            assert not (len(book.line) and a_seat_is_free(book))


# ------------------------------------------------------------ raised


def test_a_raised_capacity_seats_the_line_at_once_in_order() -> None:
    book, asking = a_book(capacity=1), agents(4)
    enrol(book, *asking)
    events = changed(book, capacity=3)
    assert told(events) == [("AgentEnrolled", agent.agent_id) for agent in asking[1:3]]
    assert (book.seats.enrolled, len(book.line)) == (3, 1)


def test_a_new_state_is_to_be_kept_and_serves_the_line_before_anything_is_asked() -> None:
    book, asking = a_book(capacity=1), agents(2)
    enrol(book, *asking)
    was_new = book.session_is_new
    book.change(next_version(book.session, capacity=2))
    assert (was_new, book.session_is_new) == (False, True)
    assert states_of(book, asking) == [E, E]


def test_a_raised_capacity_makes_as_many_offers_as_there_are_seats() -> None:
    book, asking = a_book(capacity=1, waiting_list="offer"), agents(4)
    enrol(book, *asking)
    changed(book, capacity=3)
    assert states_of(book, asking) == [E, O, O, W]
    assert (book.seats.enrolled, book.seats.offered) == (1, 2)


def test_lifting_the_limit_seats_everybody() -> None:
    book = a_book(capacity=0)
    enrol(book, *agents(5))
    changed(book, capacity=None)
    assert (book.seats.enrolled, len(book.line)) == (5, 0)


def test_a_line_of_thousands_is_seated_within_a_batch() -> None:
    """Ten thousand took 13 s while each who left was looked for from the front; a batch may take 10."""
    book = a_book(capacity=0)
    enrol(book, *agents(6_000))
    before = time.process_time()
    changed(book, capacity=None)
    assert len(book.line) == 0
    assert time.process_time() - before < 1.0


def test_opening_a_session_of_no_seats_seats_the_first_of_the_line() -> None:
    book, asking = a_book(capacity=0), agents(2)
    enrol(book, *asking)
    changed(book, capacity=1)
    assert states_of(book, asking) == [E, W]


def test_a_capacity_raised_after_the_start_seats_nobody_any_more() -> None:
    book, asking = a_book(capacity=1), agents(2)
    enrol(book, *asking)
    assert changed(book, capacity=5, at=STARTS) == []


def test_a_line_that_is_abolished_is_still_served() -> None:
    book, asking = a_book(capacity=1), agents(2)
    enrol(book, *asking)
    changed(book, waiting_list="none")
    assert states_of(book, asking) == [E, W]
    decided(book, withdraws(book, asking[0]))
    assert state_of(book, asking[1]) is E


# ------------------------------------------------------------ lowered


def test_a_lowered_capacity_evicts_nobody_and_the_session_is_full_until_enough_leave() -> None:
    book, asking = a_book(capacity=3), agents(4)
    enrol(book, *asking)
    assert changed(book, capacity=1) == []
    assert book.seats.enrolled == 3
    decided(book, withdraws(book, asking[0]), withdraws(book, asking[1]))
    assert (book.seats.enrolled, state_of(book, asking[3])) == (1, W)
    decided(book, withdraws(book, asking[2]))
    assert (book.seats.enrolled, state_of(book, asking[3])) == (1, E)


def test_a_lowered_capacity_takes_no_offer_back_and_makes_no_other_instead() -> None:
    book, asking = a_book(capacity=2, waiting_list="offer"), agents(4)
    enrol(book, *asking)
    decided(book, withdraws(book, asking[0]))
    assert states_of(book, asking[1:]) == [E, O, W]
    changed(book, capacity=1)
    assert states_of(book, asking[1:]) == [E, O, W]
    decided(book, withdraws(book, asking[2]))
    assert state_of(book, asking[3]) is W


def test_a_session_lowered_to_no_seat_keeps_those_who_sit() -> None:
    book, asking = a_book(capacity=2), agents(2)
    enrol(book, *asking)
    changed(book, capacity=0)
    assert states_of(book, asking) == [E, E]
    late = an_agent()
    enrol(book, late)
    assert state_of(book, late) is W


def test_a_limit_below_those_who_sit_in_an_unlimited_session_evicts_nobody() -> None:
    book, asking = a_book(capacity=None), agents(5)
    enrol(book, *asking)
    changed(book, capacity=2)
    assert states_of(book, asking) == [E] * 5


# ------------------------------------------------------------ occupancy


def test_occupancy_is_told_once_per_batch_and_only_when_it_changed() -> None:
    book, agent = a_book(capacity=1), an_agent()
    decided(book, asks(book, agent), asks(book))
    event = book.occupancy()
    assert event is not None
    assert (event.enrolled, event.waiting, event.capacity, event.version) == (1, 1, 1, 1)
    decided(book, asks(book, agent))
    assert book.occupancy() is None


def test_a_new_session_tells_that_it_is_empty() -> None:
    event = a_book().occupancy()
    assert event is not None
    assert (event.enrolled, event.version) == (0, 1)


def test_an_offer_is_told_as_offered_not_as_enrolled() -> None:
    book, asking = a_book(capacity=1, waiting_list="offer"), agents(2)
    enrol(book, *asking)
    decided(book, withdraws(book, asking[0]))
    event = book.occupancy()
    assert event is not None
    assert (event.enrolled, event.offered, event.waiting) == (0, 1, 0)


def test_a_change_of_capacity_alone_is_told() -> None:
    session = a_session(capacity=1)
    book = Book(session, DURING, seats=Seats(1), line=Line(), occupancy_version=7)
    assert book.occupancy() is None
    book.change(next_version(session, capacity=0))
    event = book.occupancy()
    assert event is not None
    assert (event.capacity, event.enrolled, event.version) == (0, 1, 8)


# ------------------------------------------------------------ what a book knows of the line


def test_a_book_with_only_the_heads_of_a_line_counts_all_who_wait() -> None:
    full = a_book(capacity=1)
    seated, first, second, third = agents(4)
    enrol(full, seated, first, second, third)
    heads = [full.latest[first.agent_id]]
    book = Book(
        full.session,
        DURING,
        seats=Seats(1),
        line=Line(3, heads),
        next_ticket=full.next_ticket,
        latest={seated.agent_id: full.latest[seated.agent_id]},
    )
    decided(book, withdraws(book, seated))
    assert state_of(book, first) is E
    assert len(book.line) == 2


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_who_leaves_the_line_need_not_be_at_hand_and_takes_nobody_along(leaving: int) -> None:
    full, asking = a_book(capacity=0), agents(3)
    enrol(full, *asking)
    waiting = [full.latest[agent.agent_id] for agent in asking]
    for at_hand in ([], waiting[:1], waiting[1:2], waiting[:2], waiting[::2], waiting):
        line = Line(3, at_hand)
        line.leave(waiting[leaving])
        assert len(line) == 2
        assert list(line) == [one for one in at_hand if one is not waiting[leaving]]


def test_a_place_in_the_middle_is_never_guessed_from_the_heads_of_a_line() -> None:
    line = Line(3, ())
    some = a_book(capacity=0)
    agent = an_agent_of()
    enrol(some, agent)
    with pytest.raises(ValueError, match="whole line"):
        line.join(some.latest[agent.agent_id])
