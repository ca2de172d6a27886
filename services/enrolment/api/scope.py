"""What organisers may act on, and how: a delegation's own sessions, whose book is opened.

What belongs to another delegation does not exist for it (404).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from services.enrolment import desk
from services.enrolment.api.access import found
from services.enrolment.api.bodies import RosterEntry, roster_entry
from services.enrolment.rules import Book, Cause, Fault, Policy, State
from services.enrolment.store import Needs, roster
from services.enrolment.store.standing import Standing, standing_for_update
from shared import clock
from shared.auth import Principal
from shared.database import Database, Transaction
from shared.events.catalogue import SessionState
from shared.http import Problem

T = TypeVar("T")

A_SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""``responses=`` of what answers with a sheet."""


async def own_session(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionState:
    """The session, if it is the organiser's. Raises a 404."""
    session = await roster.session(tx, session_id)
    if session is not None and not organiser.may_act_for(session.organiser):
        session = None
    return found(session, f"session {session_id}")


async def own_enrolment(tx: Transaction, enrolment_id: UUID, organiser: Principal) -> Standing:
    """The enrolment and its session, locked, if it is the organiser's. Raises a 404."""
    one = await standing_for_update(tx, enrolment_id)
    if one is not None and not organiser.may_act_for(one.session.organiser):
        one = None
    return found(one, f"enrolment {enrolment_id}")


async def entries_of(
    database: Database, session_id: UUID, organiser: Principal, states: Sequence[State]
) -> tuple[SessionState, list[roster.Entry]]:
    """The session, and the entries of its roster in these states. Raises a 404."""
    async with database.quiet_transaction() as tx:
        session = await own_session(tx, session_id, organiser)
        return session, [entry async for entry in roster.whole(tx, session_id, states=states)]


async def act_on(
    tx: Transaction,
    session_id: UUID,
    policy: Policy,
    act: Callable[[Book], T],
    *,
    needs: Needs,
    agent_ids: Sequence[str] = (),
) -> T:
    """What ``act`` returns on the book of a session that exists, of which it ``needs`` so much."""
    done: list[T] = []
    await desk.organise(
        tx,
        session_id,
        policy,
        clock.now(),
        act=lambda book: done.append(act(book)),
        needs=needs,
        agent_ids=agent_ids,
    )
    return done[0]


def sign(book: Book, cause: Cause, author: Principal) -> None:
    """Keep who did it, beside the numbers of each move that it made."""
    book.changes = [
        replace(change, facts={**change.facts, "author": author.name}) if change.cause is cause else change
        for change in book.changes
    ]


async def shown_entry(tx: Transaction, one: Standing) -> RosterEntry:
    """The entry of the roster, as it stands by now."""
    entry = await roster.entry(tx, one.session.session_id, one.enrolment.enrolment_id)
    return roster_entry(entry, one.session)


def not_now(fault: Fault) -> Problem:
    """What is said when the session, or the enrolment, is not in the state for it."""
    details = {
        Fault.SESSION_IS_CANCELLED: "The session is cancelled.",
        Fault.SESSION_IS_OVER: "The session is over.",
        Fault.NOT_IN_LINE: "This agent does not wait in line: only who waits has a priority.",
    }
    return Problem(409, "Not possible now", details.get(fault, fault.value))
