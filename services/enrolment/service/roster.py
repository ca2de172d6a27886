from collections.abc import AsyncIterator, Collection, Mapping
from uuid import UUID

from services.enrolment.rules.roster_lines import LineKey, RosterLine, RosterOrder, SortedKey
from services.enrolment.rules.states import State
from services.enrolment.service import sessions
from services.enrolment.store import addresses, question_answers, roster_lines
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.read_log import Reading, ReadKind


async def page(
    tx: Transaction,
    session_id: UUID,
    organiser: Principal,
    *,
    reading: Reading,
    after: LineKey | None,
    limit: int,
    states: Collection[State],
    before: LineKey | None = None,
    sought: Collection[str] = (),
) -> tuple[SessionState, list[RosterLine]] | None:
    """Each of the words ``sought`` must occur in names, address or employer."""
    session = await sessions.read_own(tx, session_id, organiser, reading)
    if session is None:
        return None
    return session, await roster_lines.page(
        tx, session_id, after, limit, before=before, states=states, sought=sought
    )


async def sorted_page(
    tx: Transaction,
    session_id: UUID,
    organiser: Principal,
    order: RosterOrder,
    *,
    reading: Reading,
    after: SortedKey | None,
    before: SortedKey | None = None,
    limit: int,
    states: Collection[State],
    descending: bool,
) -> tuple[SessionState, list[RosterLine]] | None:
    session = await sessions.read_own(tx, session_id, organiser, reading)
    if session is None:
        return None
    return session, await roster_lines.sorted_page(
        tx, session_id, order, after, limit, before=before, states=states, descending=descending
    )


async def with_bad_address(
    tx: Transaction, session_id: UUID, organiser: Principal, *, reading: Reading, limit: int
) -> tuple[SessionState, list[RosterLine]] | None:
    session = await sessions.read_own(tx, session_id, organiser, reading)
    if session is None:
        return None
    bad = await addresses.bad_in_session(tx, session_id, limit)
    return session, await roster_lines.lines_of(tx, session_id, bad)


async def chosen(
    tx: Transaction,
    session_id: UUID,
    organiser: Principal,
    enrolment_ids: Collection[UUID],
    *,
    reading: Reading,
) -> list[RosterLine] | None:
    if await sessions.read_own(tx, session_id, organiser, reading) is None:
        return None
    return await roster_lines.lines_of(tx, session_id, enrolment_ids)


async def stream(
    tx: Transaction, session_id: UUID, organiser: Principal, reading: Reading, states: Collection[State] = ()
) -> tuple[SessionState, AsyncIterator[RosterLine]] | None:
    session = await sessions.read_own(tx, session_id, organiser, reading, ReadKind.SHEET)
    if session is None:
        return None
    return session, roster_lines.stream(tx, session_id, states=states)


async def asked_before(tx: Transaction, session: SessionState) -> Mapping[str, str]:
    return await question_answers.asked_before(tx, session)
