"""Books to play the rules on, and what is asked of them: only what matters to a test.

A book of these has everybody at hand, as the store would have it for an organiser. Requests are received at
the book's moment unless a test says otherwise.
"""

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.enrolment.rules import (
    Answer,
    ApprovalDecision,
    Book,
    Diary,
    GroupRequest,
    Line,
    Nomination,
    OfferAnswer,
    Policy,
    Request,
    SeatRequest,
    Seats,
    State,
    Withdrawal,
    decide,
)
from shared.events.catalogue import SessionState
from shared.events.enrolment import Decision
from shared.events.vocabulary import Agent
from tests.support.builders import DURING, a_session, an_agent

RENNES, NANTES, AJACCIO = "21350238800019", "21440109300015", "21200004600012"


def agents(number: int, **changes: Any) -> list[Agent]:
    """As many new agents, of Rennes unless told otherwise."""
    return [an_agent(**changes) for _ in range(number)]


def an_agent_of(delegation: str = "bretagne", siret: str = RENNES, **changes: Any) -> Agent:
    """A new agent of this delegation and authority."""
    return an_agent(employer={"siret": siret, "name": "Ville", "delegation": delegation}, **changes)


def a_book(
    *, now: datetime = DURING, policy: Policy | None = None, diary: Diary | None = None, **session: Any
) -> Book:
    """The empty book of a local event with 20 seats; ``session`` says what else it is."""
    line = Line(whole=True)
    return Book(a_session(**session), now, policy or Policy(), line=line, diary=diary)


# ------------------------------------------------------------ what is asked


def asks(
    book: Book, agent: Agent | None = None, *, received_at: datetime | None = None, approved: bool = False
) -> SeatRequest:
    return SeatRequest(*_about(book, received_at), agent or an_agent(), approved)


def asks_for_a_group(
    book: Book, group: Iterable[Agent], *, all_or_nothing: bool = False, received_at: datetime | None = None
) -> GroupRequest:
    return GroupRequest(*_about(book, received_at), tuple(group), all_or_nothing)


def nominates(
    book: Book, named: Iterable[Agent], *, siret: str = RENNES, received_at: datetime | None = None
) -> Nomination:
    return Nomination(*_about(book, received_at), siret, tuple(named))


def withdraws(book: Book, agent: Agent, *, received_at: datetime | None = None) -> Withdrawal:
    return Withdrawal(*_about(book, received_at), agent.agent_id, None)


def the_employer_decides(
    book: Book, agent: Agent, *, granted: bool = True, received_at: datetime | None = None
) -> ApprovalDecision:
    return ApprovalDecision(*_about(book, received_at), agent.agent_id, granted)


def answers(
    book: Book,
    agent: Agent,
    *,
    yes: bool = True,
    version: int | None = None,
    received_at: datetime | None = None,
) -> OfferAnswer:
    return OfferAnswer(*_about(book, received_at), agent.agent_id, yes, version)


def _about(book: Book, received_at: datetime | None) -> tuple[uuid.UUID, datetime, uuid.UUID]:
    return uuid.uuid4(), received_at or book.now, book.session.session_id


# ------------------------------------------------------------ what happens


def decided(book: Book, *requests: Request, at: datetime | None = None) -> list[Decision]:
    """Answer these requests, at this moment from now on; without any, the clock comes round.

    Returns what is told of it.
    """
    book.now = at or book.now
    before = len(book.decisions)
    if not requests:
        book.expire(book.now)
    decide(book, requests)
    return since(book, before)


def answer_to(book: Book, request: Request, *, at: datetime | None = None) -> Answer:
    """Answer this request; returns what became of it."""
    decided(book, request, at=at)
    return book.answers[-1]


def enrol(book: Book, *asking: Agent) -> list[Decision]:
    """Each of these asks for a seat, with the employer's approval."""
    return decided(book, *(asks(book, agent, approved=True) for agent in asking))


def changed(book: Book, *, at: datetime | None = None, **changes: Any) -> list[Decision]:
    """The catalogue tells of a change of the session, and all that follows is done."""
    book.now = at or book.now
    before = len(book.decisions)
    _count_by_employer_anew(book)
    book.change(next_version(book.session, **changes))
    decide(book, ())
    return since(book, before)


def next_version(session: SessionState, **changes: Any) -> SessionState:
    """The session as it is after these changes."""
    return a_session(**(session.model_dump() | {"version": session.version + 1} | changes))


def reopened(book: Book) -> Book:
    """The book as the store would open it anew, in another transaction."""
    waiting = [one for one in book.latest.values() if one.state is State.WAITLISTED]
    anew = replace(
        book,
        line=Line(len(waiting), waiting, whole=True),
        decisions=[],
        answers=[],
        changed={},
        changes=[],
        marked={},
        session_is_new=False,
    )
    _count_by_employer_anew(anew)
    return anew


def since(book: Book, before: int) -> list[Decision]:
    """What was told after the first ``before`` events."""
    return [event for event, _ in book.decisions[before:]]


def _count_by_employer_anew(book: Book) -> None:
    # As the store does for each transaction: the session may not have reserved seats when they were taken.
    seats = Seats(book.seats.enrolled, book.seats.offered)
    for one in book.latest.values():
        if one.state.holds_seat:
            seats.take(one.agent.employer)
    book.seats = seats


# ------------------------------------------------------------ what is so


def told(events: Iterable[Decision]) -> list[tuple[str, str]]:
    """The names of events, and about whom, in order."""
    return [(type(event).__name__, event.agent.agent_id) for event in events]


def state_of(book: Book, agent: Agent) -> State:
    return book.latest[agent.agent_id].state


def states_of(book: Book, some: Iterable[Agent]) -> list[State]:
    return [state_of(book, agent) for agent in some]
