"""HTTP in: rosters, and what organisers do with one enrolment."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.enrolment import desk, rules
from services.enrolment.api import sheets
from services.enrolment.api.access import Database, Organiser, PolicyInForce
from services.enrolment.api.bodies import (
    PriorityChange,
    RosterEntry,
    WithdrawalByOrganiser,
    roster_entry,
)
from services.enrolment.api.scope import (
    A_SHEET,
    act_on,
    not_now,
    own_enrolment,
    own_session,
    shown_entry,
)
from services.enrolment.rules import Book, Fault, State, Withdrawal
from services.enrolment.store import moves, roster
from shared import clock
from shared.http import Problem
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1", tags=["organisers"])

_KEY = TypeAdapter(roster.Key)
_CHUNK = 1000


class RosterQuery(BaseModel):
    """Which part of a roster."""

    model_config = ConfigDict(extra="forbid")

    state: list[State] = []
    limit: Limit = 100
    cursor: Cursor | None = None


@router.get("/sessions/{session_id}/roster", summary="Who is enrolled, waiting, refused and why")
async def show_roster(
    session_id: UUID, query: Annotated[RosterQuery, Query()], database: Database, organiser: Organiser
) -> Page[RosterEntry]:
    """Who has a seat, then who is offered one, who waits (in order), is pending, refused, gone."""
    after = position(query.cursor, _KEY)
    async with database.quiet_transaction() as tx:
        session = await own_session(tx, session_id, organiser)
        entries = await roster.page(tx, session_id, after, query.limit + 1, states=query.state)
    return page_of(
        entries,
        query.limit,
        show=lambda entry: roster_entry(entry, session),
        key=lambda entry: _KEY.dump_python(entry.key, mode="json"),
    )


@router.get(
    "/sessions/{session_id}/roster.csv",
    summary="The whole roster as a sheet",
    response_class=Response,
    responses=A_SHEET,
)
async def export_roster(session_id: UUID, database: Database, organiser: Organiser) -> Response:
    """In French, for a spreadsheet program; a column for the attendance at each module."""
    async with database.quiet_transaction() as tx:
        session = await own_session(tx, session_id, organiser)
        parts = [sheets.roster_heading(session)]
        some: list[roster.Entry] = []
        async for entry in roster.whole(tx, session_id):
            some.append(entry)
            if len(some) == _CHUNK:
                parts.append(sheets.roster_lines(some, session))
                some.clear()
        parts.append(sheets.roster_lines(some, session))
    return sheets.attachment(b"".join(parts), f"inscriptions-{session_id}.csv")


@router.put("/enrolments/{enrolment_id}/priority", summary="Serve somebody who waits sooner or later")
async def change_priority(
    enrolment_id: UUID,
    change: PriorityChange,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """The place in line follows from priority, then order of receipt. Author and reason are kept."""
    async with database.transaction() as tx:
        one = await own_enrolment(tx, enrolment_id, organiser)
        agent_id = one.enrolment.agent.agent_id

        def act(book: Book) -> Fault | None:
            waiting = book.latest.get(agent_id)
            if waiting is None or waiting.enrolment_id != enrolment_id:
                return Fault.NOT_IN_LINE
            return rules.prioritise(book, agent_id, change.priority, organiser.name, change.reason)

        session_id = one.session.session_id
        fault = await act_on(tx, session_id, policy, act, needs=desk.THE_LINE, agent_ids=[agent_id])
        if fault is not None:
            raise not_now(fault)
        return await shown_entry(tx, one)


@router.post("/enrolments/{enrolment_id}/withdrawal", summary="Withdraw somebody")
async def withdraw(
    enrolment_id: UUID,
    withdrawal: WithdrawalByOrganiser,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """As the agent or the employer asked. The seat, or the place in line, goes to the next."""
    async with database.transaction() as tx:
        now = clock.now()
        one = await own_enrolment(tx, enrolment_id, organiser)
        enrolment = one.enrolment
        if not enrolment.state.is_live:
            raise Problem(409, "Not possible now", f"This enrolment has ended: {enrolment.state}.")
        if rules.judge_withdrawal(one.session, enrolment, now) is not None:
            raise Problem(
                409, "Not possible now", "The session has started: record the absence as attendance instead."
            )
        asked = Withdrawal(
            uuid4(),
            now,
            enrolment.session_id,
            enrolment.agent.agent_id,
            withdrawal.reason,
            by_employer=withdrawal.by == "employer",
        )

        # As anybody's withdrawal: it needs the head of the line, not the whole book.
        await desk.answer(tx, [asked], policy, now)
        await moves.sign(tx, asked.request_id, asked.session_id, now, organiser.name)
        return await shown_entry(tx, one)
