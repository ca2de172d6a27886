"""A place in line that an organiser changes, with author and reason (rule 2)."""

from services.enrolment.rules import Cause, Fault, State, prioritise
from tests.support.books import a_book, agents, changed, decided, enrol, states_of, withdraws

E, W = State.ENROLLED, State.WAITLISTED


def test_a_higher_priority_goes_first_and_keeps_its_author_and_reason() -> None:
    book, (seated, first, second) = a_book(capacity=1), agents(3)
    enrol(book, seated, first, second)
    before = len(book.decisions)
    assert prioritise(book, second.agent_id, 1, "Anne Conseil", "Reporté de la session de mars") is None
    change = book.changes[-1]
    assert change.cause is Cause.PRIORITY
    assert change.facts["author"] == "Anne Conseil"
    assert change.facts["reason"] == "Reporté de la session de mars"
    assert change.facts["place_in_line"] == 1
    assert len(book.decisions) == before, "the agent is told nothing: their turn comes in time"
    decided(book, withdraws(book, seated))
    assert states_of(book, (first, second)) == [W, E]


def test_among_equal_priorities_order_of_receipt_decides() -> None:
    book, (seated, first, second, third) = a_book(capacity=1), agents(4)
    enrol(book, seated, first, second, third)
    for agent in (third, second):
        prioritise(book, agent.agent_id, 2, "Anne Conseil", "Agents prioritaires")
    changed(book, capacity=2)
    assert states_of(book, (first, second, third)) == [W, E, W]


def test_a_priority_taken_back_gives_the_old_place_back() -> None:
    book, (seated, first, second) = a_book(capacity=1), agents(3)
    enrol(book, seated, first, second)
    prioritise(book, second.agent_id, 5, "Anne Conseil", "Erreur")
    prioritise(book, second.agent_id, 0, "Anne Conseil", "Erreur corrigée")
    decided(book, withdraws(book, seated))
    assert states_of(book, (first, second)) == [E, W]


def test_only_who_waits_has_a_place_to_change() -> None:
    book, (seated, waiting) = a_book(capacity=1), agents(2)
    enrol(book, seated, waiting)
    for agent_id in (seated.agent_id, "IEL-INCONNU"):
        assert prioritise(book, agent_id, 1, "Anne Conseil", "Sans objet") is Fault.NOT_IN_LINE
    assert book.changes == []


def test_nobody_is_put_behind_those_who_have_not_come_yet() -> None:
    book, (seated, waiting) = a_book(capacity=1), agents(2)
    enrol(book, seated, waiting)
    assert prioritise(book, waiting.agent_id, -1, "Anne Conseil", "À sa demande") is Fault.PRIORITY_BELOW_0
    assert book.changes == []
