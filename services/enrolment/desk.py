"""Where requests are answered: the books are opened, the rules decide, the books are written back.

The same way for portals' events, for pages behind links, for organisers and for the clock; in one transaction
each, which the caller commits.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from services.enrolment import rules, store
from services.enrolment.rules import Answer, Book, Policy, Request
from services.enrolment.store import Needs
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.vocabulary import Reason

T = TypeVar("T")

NOTHING_TOLD: Mapping[UUID, SessionOccupancyChanged] = MappingProxyType({})


async def answer(
    tx: Transaction, requests: Sequence[Request], policy: Policy, now: datetime
) -> Mapping[UUID, Answer | None]:
    """Answer requests in order of receipt, those that are new; if their session is unknown, they wait for it.

    Returns the answers by request id, None for one that waits.
    """
    desk = await store.open_books(tx, requests, policy, now)
    await _decide(tx, desk)
    await store.keep_for_later(tx, desk.without_session)
    answers: dict[UUID, Answer | None] = {one.request_id: None for one in desk.without_session}
    return answers | {one.request.request_id: one for book in desk.books.values() for one in book.answers}


async def take_over(
    tx: Transaction,
    newest: Mapping[UUID, SessionState],
    policy: Policy,
    now: datetime,
    told: Mapping[UUID, SessionOccupancyChanged] = NOTHING_TOLD,
) -> None:
    """Take over newer states of sessions, with all that follows for those enrolled, waiting or asking.

    ``told``: the occupancy that others heard of last, where it may not be known here any more.
    """
    desk = await store.open_books_for_sessions(tx, newest, policy, now, told)
    for session_id, book in desk.books.items():
        if book.is_begun or book.session.version < newest[session_id].version:
            book.change(newest[session_id])
    await _decide(tx, desk)


async def expire(
    tx: Transaction, session_id: UUID, policy: Policy, now: datetime, read_until: datetime
) -> bool:
    """Do in one session what the clock has made due. Returns whether anything changed.

    ``read_until``: the moment by which every request that had come has been answered.
    """
    book = await store.open_due_book(tx, session_id, read_until - policy.grace, policy, now)
    if book is None:
        return False
    book.expire(read_until)
    await store.save(tx, [book])
    return bool(book.changes)


async def answer_waiting(tx: Transaction, policy: Policy, now: datetime) -> None:
    """Answer requests that were stored while their session's own event was being committed."""
    await _decide(tx, await store.open_books_of_undecided(tx, policy, now))


async def refuse_unknown(tx: Transaction, waited_since: datetime, now: datetime) -> None:
    """Refuse what has waited since then for a session that nobody has told us of."""
    waited = await store.undecided_since(tx, waited_since)
    await store.save_refusals(tx, waited, Reason.UNKNOWN_SESSION, now)


EVERYBODY = Needs(everybody=True, whole_line=True)
THE_LINE = Needs(whole_line=True)
THE_NAMED = Needs()


async def organise(
    tx: Transaction,
    session_id: UUID,
    policy: Policy,
    now: datetime,
    *,
    act: Callable[[Book], T],
    needs: Needs,
    agent_ids: Collection[str] = (),
) -> T | None:
    """Let an organiser act on the book of a session: ``rules.rank``, ``prioritise``, ``record_attendance``.

    ``needs``: what of the session the act looks at, beside ``agent_ids``. Returns what ``act`` returns, or
    None when there is no such session.
    """
    # A copy: what is found out while the book is opened is noted in it.
    book = await store.open_book(tx, session_id, policy, now, needs=replace(needs), agent_ids=agent_ids)
    if book is None:
        return None
    result = act(book)
    await store.save(tx, [book])
    return result


async def _decide(tx: Transaction, desk: store.Desk) -> None:
    for book, requests in desk.by_book():
        rules.decide(book, requests)
    await store.save(tx, desk.books.values())
