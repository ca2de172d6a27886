"""Somebody who stands in a given state of the lifecycle, and what may happen to them then."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from services.enrolment.rules import Book, Seen, State, prioritise, rank, record_attendance
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent
from tests.support.books import (
    a_book,
    answers,
    asks,
    changed,
    decided,
    enrol,
    the_employer_decides,
    withdraws,
)
from tests.support.builders import ENDS, STARTS, an_agent

CAME, MISSED, EXCUSED = Attendance.ATTENDED, Attendance.ABSENT, Attendance.ABSENT_JUSTIFIED

Standing = tuple[Book, Agent]
Act = Callable[[Book, Agent], object]


# ------------------------------------------------------------ how somebody comes to stand somewhere


def a_pending(approval: str) -> Standing:
    book, agent = a_book(approval=approval), an_agent()
    decided(book, asks(book, agent))
    return book, agent


def a_waiting() -> Standing:
    book, agent = a_book(capacity=1), an_agent()
    enrol(book, an_agent(), agent)
    return book, agent


def an_offered() -> Standing:
    book, agent = a_book(capacity=0, waiting_list="offer"), an_agent()
    enrol(book, agent)
    changed(book, capacity=1)
    return book, agent


def an_enrolled() -> Standing:
    book, agent = a_book(modules=modules(2)), an_agent()
    enrol(book, agent)
    return book, agent


def one_seen(*marks: Attendance) -> Standing:
    book, agent = an_enrolled()
    seen(*marks)(book, agent)
    return book, agent


def one_ended(act: Act) -> Standing:
    book, agent = an_offered()
    act(book, agent)
    return book, agent


def a_refused() -> Standing:
    book, agent = a_book(capacity=0, waiting_list="none"), an_agent()
    enrol(book, agent)
    return book, agent


def modules(number: int) -> list[dict[str, Any]]:
    return [
        {"title": f"Séance {one + 1}", "starts_at": STARTS, "ends_at": STARTS + timedelta(hours=1)}
        for one in range(number)
    ]


# ------------------------------------------------------------ what may happen then


def seen(*marks: Attendance, first: int = 0, of: int = 2) -> Act:
    """These are recorded, module after module, in a session of so many."""

    def act(book: Book, agent: Agent) -> None:
        changed(book, modules=modules(of), at=ENDS)
        every = [Seen(agent.agent_id, module, mark) for module, mark in enumerate(marks, start=first)]
        assert record_attendance(book, every, "Anne Conseil") == {}

    return act


def withdraw(book: Book, agent: Agent) -> None:
    decided(book, withdraws(book, agent))


def cancel(book: Book, _agent: Agent) -> None:
    changed(book, status="cancelled")


def grant(book: Book, agent: Agent) -> None:
    decided(book, the_employer_decides(book, agent))


def deny(book: Book, agent: Agent) -> None:
    decided(book, the_employer_decides(book, agent, granted=False))


def select(book: Book, agent: Agent) -> None:
    assert rank(book, [agent.agent_id], []) is None


def turn_down(book: Book, agent: Agent) -> None:
    assert rank(book, [], [agent.agent_id]) is None


def when_full(act: Act) -> Act:
    def full(book: Book, agent: Agent) -> None:
        changed(book, capacity=0)
        act(book, agent)

    return full


def put_first(book: Book, agent: Agent) -> None:
    assert prioritise(book, agent.agent_id, 1, "Anne Conseil", "Reporté") is None


def raise_capacity(book: Book, _agent: Agent) -> None:
    changed(book, capacity=2)


def raise_capacity_with_offers(book: Book, _agent: Agent) -> None:
    changed(book, capacity=2, waiting_list="offer")


def say_yes(book: Book, agent: Agent) -> None:
    decided(book, answers(book, agent))


def say_no(book: Book, agent: Agent) -> None:
    decided(book, answers(book, agent, yes=False))


def bring_forward(book: Book, agent: Agent) -> None:
    until = book.latest[agent.agent_id].hold_until
    assert until is not None
    changed(book, starts_at=until + timedelta(hours=47))


_S = State
STANDING: dict[State, Callable[[], Standing]] = {
    _S.PENDING_APPROVAL: lambda: a_pending("employer"),
    _S.PENDING_SELECTION: lambda: a_pending("selection"),
    _S.WAITLISTED: a_waiting,
    _S.OFFERED: an_offered,
    _S.ENROLLED: an_enrolled,
    _S.ATTENDED: lambda: one_seen(CAME),
    _S.ABSENT: lambda: one_seen(MISSED, MISSED),
    _S.ABSENT_JUSTIFIED: lambda: one_seen(EXCUSED, EXCUSED),
    _S.CERTIFIED: lambda: one_seen(CAME, MISSED),
    _S.REFUSED: a_refused,
    _S.LAPSED: lambda: one_ended(say_no),
    _S.WITHDRAWN: lambda: one_ended(withdraw),
    _S.SESSION_CANCELLED: lambda: one_ended(cancel),
}
