"""HTTP in: rosters, and what organisers do with one enrolment."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from services.enrolment.api import sheets
from services.enrolment.api.access import (
    Database,
    Organiser,
    OrganiserReading,
    PolicyInForce,
    found,
)
from services.enrolment.api.bodies import (
    KEY,
    AgentCorrection,
    ApprovalByOrganiser,
    EnrolmentByHand,
    JoinByOrganiser,
    MoveByOrganiser,
    OfferAnswerByOrganiser,
    PriorityChange,
    RosterEntry,
    WithdrawalByOrganiser,
    key_of,
    roster_entry,
)
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import corrections, enrolments, roster, sheet_lines
from services.enrolment.service.by_organiser import ByOrganiser
from shared import clock
from shared.auth import TokenFirst
from shared.http import PROBLEMS, Problem
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1", tags=["organisers"], route_class=TokenFirst, responses=PROBLEMS)

_CHUNK = 1000


class RosterQuery(BaseModel):
    """Which part of a roster."""

    model_config = ConfigDict(extra="forbid")

    state: list[State] = []
    limit: Limit = 100
    cursor: Cursor | None = None


@router.get("/sessions/{session_id}/roster", summary="Who is enrolled, waiting, refused and why")
async def show_roster(
    session_id: UUID,
    query: Annotated[RosterQuery, Query()],
    database: Database,
    organiser: Organiser,
    reading: OrganiserReading,
) -> Page[RosterEntry]:
    """Who has a seat, then who is offered one, who waits (in order), is pending, refused, gone."""
    after = position(query.cursor, KEY)
    async with database.quiet_transaction() as tx:
        page = await roster.page(
            tx,
            session_id,
            organiser,
            reading=reading,
            after=after,
            limit=query.limit + 1,
            states=query.state,
        )
    session, lines = found(page, f"session {session_id}")
    return page_of(
        lines,
        query.limit,
        show=lambda line: roster_entry(line, session),
        key=key_of,
    )


@router.get(
    "/sessions/{session_id}/roster.csv",
    summary="The whole roster as a sheet",
    response_class=Response,
    responses=sheets.RESPONSES,
)
async def export_roster(
    request: Request, session_id: UUID, database: Database, organiser: Organiser, reading: OrganiserReading
) -> Response:
    """In French, for a spreadsheet program; a column for the attendance at each module."""
    async with database.quiet_transaction() as tx:
        streamed = await roster.stream(tx, session_id, organiser, reading)
        session, lines = found(streamed, f"session {session_id}")
        asked_before = await roster.asked_before(tx, session)
        parts = [sheet_lines.roster_heading(session, asked_before)]
        chunk: list[RosterLine] = []
        async for line in lines:
            chunk.append(line)
            if len(chunk) == _CHUNK:
                parts.append(sheet_lines.roster_lines(chunk, session, asked_before))
                chunk.clear()
        parts.append(sheet_lines.roster_lines(chunk, session, asked_before))
    return sheets.exported(request, organiser, b"".join(parts), f"inscriptions-{session_id}.csv")


@router.post("/sessions/{session_id}/enrolments", status_code=201, summary="Enrol somebody by hand")
async def enrol_by_hand(
    session_id: UUID,
    wanted: EnrolmentByHand,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """By the rules of the session, until it is over: a seat, a place in line, or a decision to come.

    With ``above_capacity`` a seat, also where none is free. Who has this address and these names is one agent
    in all sessions. What is refused has no effect, and nobody is written to.
    """
    async with database.transaction() as tx:
        line, session = await enrolments.enrol_by_hand(
            tx,
            ByOrganiser(organiser, policy, clock.now()),
            session_id,
            wanted.agent(),
            approved=wanted.approved,
            above_capacity=wanted.above_capacity,
            answers=wanted.answers,
        )
    return roster_entry(line, session)


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
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await enrolments.change_priority(
            tx, by, enrolment_id, priority=change.priority, reason=change.reason
        )
    return roster_entry(line, session)


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
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await enrolments.withdraw(
            tx, by, enrolment_id, reason=withdrawal.reason, by_employer=withdrawal.by == "employer"
        )
    return roster_entry(line, session)


@router.post("/enrolments/{enrolment_id}/offer-answer", summary="Take or leave a seat for somebody")
async def answer_offer(
    enrolment_id: UUID,
    answered: OfferAnswerByOrganiser,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """As the agent told you, while the seat is held for them. Left, it goes to the next."""
    async with database.transaction() as tx:
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await enrolments.reply_to_offer(
            tx, by, enrolment_id, accepted=answered.accepted, reason=answered.reason
        )
    return roster_entry(line, session)


@router.post("/enrolments/{enrolment_id}/approval", summary="Note that the employer agrees, or does not")
async def decide_approval(
    enrolment_id: UUID,
    approval: ApprovalByOrganiser,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """As the employer told you, of who is `pending_approval`. Agreed, the rules of the session decide."""
    async with database.transaction() as tx:
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await enrolments.decide_approval(
            tx, by, enrolment_id, granted=approval.granted, reason=approval.reason
        )
    return roster_entry(line, session)


@router.post("/enrolments/{enrolment_id}/join", summary="Keep one of two enrolments of one person")
async def join(
    enrolment_id: UUID,
    other: JoinByOrganiser,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """Of somebody who is in the session under two issuers (`same_person` in the roster).

    The other one ends, and its seat, or its place in line, goes to the next. Returns the one that stays.
    """
    async with database.transaction() as tx:
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await enrolments.join(tx, by, enrolment_id, other_id=other.enrolment_id)
    return roster_entry(line, session)


@router.post("/enrolments/{enrolment_id}/move", summary="Move somebody to another session of the offer")
async def move(
    enrolment_id: UUID,
    wanted: MoveByOrganiser,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """A seat there, by the rules for a new request, frees the one here; anything else changes nothing.

    Returns the new enrolment. What is refused has no effect, and nobody is written to.
    """
    async with database.transaction() as tx:
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await enrolments.move(
            tx, by, enrolment_id, to_session_id=wanted.to_session_id, answers=wanted.answers
        )
    return roster_entry(line, session)


@router.patch("/enrolments/{enrolment_id}/agent", summary="Correct an agent's address or names")
async def correct_agent(
    enrolment_id: UUID,
    correction: AgentCorrection,
    database: Database,
    organiser: Organiser,
    policy: PolicyInForce,
) -> RosterEntry:
    """In all of the agent's enrolments, if all are in sessions of yours, with a history.

    Letters that have not left go to the new address.
    """
    if not correction.changes:
        raise Problem(422, "Nothing to correct", "Say what is wrong: email, given_name or family_name.")
    async with database.transaction() as tx:
        by = ByOrganiser(organiser, policy, clock.now())
        line, session = await corrections.correct_by_organiser(tx, by, enrolment_id, after=correction.changes)
    return roster_entry(line, session)
