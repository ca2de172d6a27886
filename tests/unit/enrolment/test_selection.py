"""Application, then selection: the organiser ranks who applied (rule 5)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules import Book, Cause, Fault, Granted, Prospects, RankingFault, State, judge, rank
from shared.events.enrolment import AgentWaitlisted, Awaiting, EnrolmentPending, EnrolmentRefused
from shared.events.vocabulary import Agent, Reason
from tests.support.books import (
    NANTES,
    a_book,
    agents,
    an_agent_of,
    answer_to,
    asks,
    asks_for_a_group,
    changed,
    decided,
    enrol,
    since,
    state_of,
    states_of,
    the_employer_decides,
    told,
    withdraws,
)
from tests.support.builders import CLOSES, DURING, ENDS, STARTS, a_session, an_agent

E, W, P, R = State.ENROLLED, State.WAITLISTED, State.PENDING_SELECTION, State.REFUSED


def applied(number: int, *, capacity: int | None = 2, **session: Any) -> tuple[Book, list[Agent]]:
    book, candidates = a_book(approval="selection", capacity=capacity, **session), agents(number)
    decided(book, *(asks(book, agent) for agent in candidates))
    return book, candidates


def ids(*some: Agent) -> list[str]:
    return [agent.agent_id for agent in some]


def test_everybody_waits_for_the_selection_approved_or_not_and_however_many_seats_there_are() -> None:
    session, nothing = a_session(approval="selection"), Prospects(seat_is_free=False)
    for approved in (True, False):
        for prospects in (Prospects(seat_is_free=True), nothing):
            verdict = judge(session, an_agent(), DURING, approved=approved, prospects=prospects)
            assert verdict is Granted.AWAITS_SELECTION


def test_an_application_is_answered_pending_and_holds_no_seat() -> None:
    book, agent = a_book(approval="selection"), an_agent()
    [event] = decided(book, asks(book, agent))
    assert isinstance(event, EnrolmentPending)
    assert event.awaiting is Awaiting.SELECTION
    assert (book.seats.taken, len(book.line)) == (0, 0)


def test_the_ranked_fill_the_seats_in_their_order_then_the_line() -> None:
    book, (a, b, c, d) = applied(4)
    before = len(book.decisions)
    assert rank(book, ids(c, a, d, b), []) is None
    events = since(book, before)
    assert told(events) == [
        ("AgentEnrolled", c.agent_id),
        ("AgentEnrolled", a.agent_id),
        ("AgentWaitlisted", d.agent_id),
        ("AgentWaitlisted", b.agent_id),
    ]
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [1, 2]
    assert {event.request_id for event in events} == {None}, "no request caused it"


def test_the_rank_is_the_place_in_line_not_the_order_of_receipt() -> None:
    book, (a, b, c) = applied(3, capacity=1)
    rank(book, ids(c, b, a), [])
    decided(book, withdraws(book, c))
    assert states_of(book, (a, b)) == [W, E]


def test_those_who_are_not_selected_are_refused() -> None:
    book, (a, b, c) = applied(3)
    before = len(book.decisions)
    rank(book, ids(a), ids(b, c))
    refusals = [event for event in since(book, before) if isinstance(event, EnrolmentRefused)]
    assert [(event.agent.agent_id, event.reason) for event in refusals] == [
        (b.agent_id, Reason.NOT_SELECTED),
        (c.agent_id, Reason.NOT_SELECTED),
    ]
    assert states_of(book, (a, b, c)) == [E, R, R]
    assert {change.cause for change in book.changes} == {Cause.SELECTION}


def test_all_may_be_turned_down() -> None:
    book, candidates = applied(2)
    assert rank(book, [], ids(*candidates)) is None
    assert states_of(book, candidates) == [R, R]


def test_without_a_line_the_ranked_beyond_the_seats_are_told_that_it_is_full() -> None:
    book, (a, b, c) = applied(3, waiting_list="none")
    rank(book, ids(a, b, c), [])
    assert states_of(book, (a, b, c)) == [E, E, R]
    assert book.latest[c.agent_id].reason is Reason.SESSION_FULL


def test_a_ranked_candidate_whose_authority_has_its_quota_makes_room_for_the_next() -> None:
    book = a_book(approval="selection", capacity=2, quota_per_authority=1)
    a, b, c = an_agent_of(), an_agent_of(), an_agent_of(siret=NANTES)
    decided(book, *(asks(book, agent) for agent in (a, b, c)))
    rank(book, ids(a, b, c), [])
    assert states_of(book, (a, b, c)) == [E, R, E]
    assert book.latest[b.agent_id].reason is Reason.QUOTA_REACHED


@pytest.mark.parametrize(
    ("ranked", "not_selected", "fault"),
    [
        (["A", "B", "X"], [], RankingFault(unknown=("X",))),
        (["A", "B"], ["X", "Y"], RankingFault(unknown=("X", "Y"))),
        (["A"], [], RankingFault(missing=("B",))),
        ([], [], RankingFault(missing=("A", "B"))),
        (["A", "B", "A"], [], RankingFault(twice=("A",))),
        (["A", "B"], ["B"], RankingFault(twice=("B",))),
        (["A", "X", "X"], [], RankingFault(unknown=("X",), missing=("B",), twice=("X",))),
    ],
)
def test_a_ranking_with_unknown_missing_or_repeated_candidates_names_them_and_changes_nothing(
    ranked: list[str], not_selected: list[str], fault: RankingFault
) -> None:
    book = a_book(approval="selection")
    decided(book, asks(book, an_agent("A")), asks(book, an_agent("B")))
    told_before, latest_before = len(book.decisions), dict(book.latest)
    assert rank(book, ranked, not_selected) == fault
    assert (len(book.decisions), book.latest, book.changes) == (told_before, latest_before, [])


def test_who_withdrew_an_application_is_no_candidate_any_more() -> None:
    book, (a, b) = applied(2)
    decided(book, withdraws(book, b))
    assert rank(book, ids(a, b), []) == RankingFault(unknown=(b.agent_id,))
    assert rank(book, ids(a), []) is None


def test_who_is_decided_upon_is_no_candidate_any_more() -> None:
    book, (a, b) = applied(2)
    rank(book, ids(a, b), [])
    assert rank(book, ids(b, a), []) == RankingFault(unknown=(b.agent_id, a.agent_id))


def test_who_applies_after_a_ranking_waits_for_the_next_and_comes_behind_the_first() -> None:
    book, (a, b) = applied(2, capacity=1)
    rank(book, ids(a, b), [])
    late = an_agent()
    decided(book, asks(book, late))
    assert state_of(book, late) is P
    assert rank(book, ids(late), []) is None
    changed(book, capacity=2)
    assert states_of(book, (b, late)) == [E, W]


def test_a_ranking_may_come_after_enrolment_closed_but_not_after_the_session() -> None:
    for moment, outcome in (
        (CLOSES, None),
        (STARTS - timedelta(hours=1), None),
        (ENDS, Fault.SESSION_IS_OVER),
    ):
        book, (a,) = applied(1)
        book.now = moment
        assert rank(book, ids(a), []) is outcome
        assert state_of(book, a) is (E if outcome is None else P)


def test_a_ranking_lets_no_offer_lapse_whose_answer_may_still_be_unread() -> None:
    book, (seated, offered, waiting) = applied(3, capacity=1, waiting_list="offer")
    rank(book, ids(seated, offered, waiting), [])
    decided(book, withdraws(book, seated))
    late = an_agent()
    decided(book, asks(book, late))
    until = book.latest[offered.agent_id].hold_until
    assert until is not None
    book.now = until + timedelta(days=1)
    rank(book, ids(late), [])
    assert states_of(book, (offered, waiting, late)) == [State.OFFERED, W, W]


def test_who_was_never_ranked_is_not_selected_once_the_session_is_over() -> None:
    book, (a,) = applied(1)
    assert decided(book, at=book.session.ends_at) == []
    decided(book, at=book.session.ends_at + book.policy.grace)
    assert (state_of(book, a), book.latest[a.agent_id].reason) == (State.REFUSED, Reason.NOT_SELECTED)


def test_a_selection_that_is_dropped_gives_the_candidates_what_there_is_in_order_of_receipt() -> None:
    book, (first, second) = applied(2, capacity=1)
    changed(book, approval="none")
    assert states_of(book, (first, second)) == [State.ENROLLED, W]


def test_a_cancelled_session_ranks_nobody() -> None:
    book, (a,) = applied(1)
    changed(book, status="cancelled")
    assert rank(book, ids(a), []) is Fault.SESSION_IS_CANCELLED


def test_nobody_is_left_pending_when_enrolment_closes_without_a_word_of_the_organiser() -> None:
    """Only the employer's silence means no: the organiser ranks when enrolment is closed."""
    book, (a,) = applied(1)
    assert decided(book, at=CLOSES + timedelta(days=1)) == []
    assert state_of(book, a) is P


def test_an_employers_approval_does_not_select() -> None:
    book, (a,) = applied(1)
    assert answer_to(book, the_employer_decides(book, a)).reason is Reason.ALREADY_ENROLLED
    assert state_of(book, a) is P


def test_the_line_of_the_ranked_is_served_as_any_other() -> None:
    book, (a, b, c) = applied(3, capacity=1, waiting_list="offer")
    rank(book, ids(b, c, a), [])
    decided(book, withdraws(book, b))
    assert states_of(book, (a, b, c)) == [W, State.WITHDRAWN, State.OFFERED]


def test_a_group_applies_each_for_itself() -> None:
    book, group = a_book(approval="selection"), agents(2)
    decided(book, asks_for_a_group(book, group))
    assert states_of(book, group) == [P, P]


def test_enrolled_before_selection_was_asked_for_an_agent_keeps_the_seat() -> None:
    book, early, late = a_book(), an_agent(), an_agent()
    enrol(book, early)
    changed(book, approval="selection")
    enrol(book, late)
    assert states_of(book, (early, late)) == [E, P]
