"""How many seats one authority may have in a session (rule 4)."""

from services.enrolment.rules import State
from shared.events.vocabulary import Reason
from tests.support.books import (
    NANTES,
    RENNES,
    a_book,
    an_agent_of,
    answer_to,
    answers,
    asks,
    changed,
    decided,
    enrol,
    state_of,
    states_of,
    the_employer_decides,
    told,
    withdraws,
)

E, W, O = State.ENROLLED, State.WAITLISTED, State.OFFERED  # noqa: E741  # as in a table


def test_an_authority_has_no_more_seats_than_its_quota() -> None:
    book = a_book(quota_per_authority=2)
    enrol(book, an_agent_of(), an_agent_of())
    assert answer_to(book, asks(book, an_agent_of())).reason is Reason.QUOTA_REACHED


def test_the_quota_of_one_authority_is_not_that_of_another() -> None:
    book, of_nantes = a_book(quota_per_authority=1), an_agent_of(siret=NANTES)
    enrol(book, an_agent_of(), of_nantes)
    assert state_of(book, of_nantes) is E


def test_without_a_quota_one_authority_may_have_all_seats() -> None:
    book, some = a_book(capacity=3), [an_agent_of() for _ in range(3)]
    enrol(book, *some)
    assert states_of(book, some) == [E, E, E]


def test_a_quota_holds_in_an_unlimited_session_too() -> None:
    book = a_book(capacity=None, quota_per_authority=1)
    enrol(book, an_agent_of())
    assert answer_to(book, asks(book, an_agent_of())).reason is Reason.QUOTA_REACHED


def test_after_a_withdrawal_the_authority_may_have_another_seat() -> None:
    book, first, second = a_book(quota_per_authority=1), an_agent_of(), an_agent_of()
    enrol(book, first)
    decided(book, withdraws(book, first), asks(book, second))
    assert state_of(book, second) is E


def test_an_offer_counts_for_the_quota() -> None:
    book = a_book(capacity=1, waiting_list="offer", quota_per_authority=1)
    of_nantes, of_rennes, another = an_agent_of(siret=NANTES), an_agent_of(), an_agent_of()
    enrol(book, of_nantes, of_rennes)
    decided(book, withdraws(book, of_nantes))
    assert state_of(book, of_rennes) is O
    assert answer_to(book, asks(book, another)).reason is Reason.QUOTA_REACHED
    decided(book, answers(book, of_rennes))
    assert state_of(book, of_rennes) is E


def test_who_waits_holds_no_seat_so_an_authority_may_wait_for_more_than_its_quota() -> None:
    book = a_book(capacity=1, quota_per_authority=1)
    waiting = [an_agent_of() for _ in range(3)]
    enrol(book, an_agent_of(siret=NANTES), *waiting)
    assert states_of(book, waiting) == [W, W, W]


def test_a_freed_seat_passes_over_whose_authority_has_its_quota_and_they_keep_their_place() -> None:
    book = a_book(capacity=2, quota_per_authority=1)
    rennes, nantes = an_agent_of(), an_agent_of(siret=NANTES)
    first, second, third = an_agent_of(siret=NANTES), an_agent_of(), an_agent_of(siret="21290019300010")
    changed(book, quota_per_authority=2)
    enrol(book, rennes, nantes, first, second, third)
    changed(book, quota_per_authority=1)
    events = decided(book, withdraws(book, rennes))
    assert told(events)[1:] == [("AgentEnrolled", second.agent_id)]
    assert states_of(book, (first, third)) == [W, W]
    events = decided(book, withdraws(book, nantes))
    assert told(events)[1:] == [("AgentEnrolled", first.agent_id)]


def test_a_withdrawal_that_frees_the_quota_gives_the_seat_that_was_free_already() -> None:
    book = a_book(capacity=1, quota_per_authority=1)
    seated, waiting = an_agent_of(), an_agent_of()
    changed(book, quota_per_authority=None)
    enrol(book, seated, waiting)
    changed(book, quota_per_authority=1, capacity=2)
    assert state_of(book, waiting) is W
    decided(book, withdraws(book, seated))
    assert state_of(book, waiting) is E


def test_a_lowered_quota_evicts_nobody_and_a_raised_one_serves_the_line() -> None:
    book, some = a_book(capacity=3, quota_per_authority=3), [an_agent_of() for _ in range(2)]
    of_nantes, waiting = an_agent_of(siret=NANTES), an_agent_of()
    enrol(book, *some, of_nantes, waiting)
    changed(book, quota_per_authority=1, capacity=4)
    assert states_of(book, (*some, waiting)) == [E, E, W]
    changed(book, quota_per_authority=3)
    assert state_of(book, waiting) is E


def test_an_approval_granted_after_the_quota_is_reached_comes_too_late() -> None:
    book = a_book(approval="employer", quota_per_authority=1)
    pending = an_agent_of()
    decided(book, asks(book, pending))
    enrol(book, an_agent_of())
    assert answer_to(book, the_employer_decides(book, pending)).reason is Reason.QUOTA_REACHED
    assert state_of(book, pending) is State.REFUSED


def test_an_answer_keeps_the_quota_and_what_the_authority_had_taken() -> None:
    book = a_book(quota_per_authority=1)
    enrol(book, an_agent_of(siret=RENNES))
    facts = answer_to(book, asks(book, an_agent_of(siret=RENNES))).facts
    assert (facts["quota"], facts["taken_by_authority"], facts["kept_for_others"]) == (1, 1, 0)
