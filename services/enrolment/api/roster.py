from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from services.enrolment.api import sheets
from services.enrolment.api.access import ActingOrganiser, Database, Organiser, OrganiserReading, found
from services.enrolment.api.bodies import KEY, RosterEntry, key_of, roster_entry
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import corrections, enrolments, roster, sheet_lines
from services.enrolment.service.commands import (
    AgentCorrection,
    ApprovalByOrganiser,
    EnrolmentByHand,
    JoinByOrganiser,
    MoveByOrganiser,
    OfferAnswerByOrganiser,
    PriorityChange,
    WithdrawalByOrganiser,
)
from shared.auth import TokenFirst
from shared.guard import Guard
from shared.http import PROBLEMS, Problem
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1", tags=["organisers"], route_class=TokenFirst, responses=PROBLEMS)

_CHUNK = 1000


class RosterQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: list[State] = []
    limit: Limit = 100
    cursor: Cursor | None = None


@router.get("/sessions/{session_id}/roster", summary="The roster of a session")
async def show_roster(
    session_id: UUID,
    query: Annotated[RosterQuery, Query()],
    database: Database,
    organiser: Organiser,
    reading: OrganiserReading,
) -> Page[RosterEntry]:
    """Sorted: agents with a seat, offers, the waiting list, pending, refused and ended enrolments."""
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
    """A sheet in French with one attendance column for each module."""
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


@router.post("/sessions/{session_id}/enrolments", status_code=201, summary="Enrol a person by hand")
async def enrol_by_hand(session_id: UUID, wanted: EnrolmentByHand, acting: ActingOrganiser) -> RosterEntry:
    """The rules decide until the session is over: a seat, a place in line, or a pending state.

    With `above_capacity` the person gets a seat even if none is free. Equal address and names mean one agent
    in all sessions. A refusal changes nothing, and no letter is sent.
    """
    return roster_entry(*await enrolments.enrol_by_hand(acting, session_id, wanted))


@router.put("/enrolments/{enrolment_id}/priority", summary="Change the priority of a waiting agent")
async def change_priority(enrolment_id: UUID, change: PriorityChange, acting: ActingOrganiser) -> RosterEntry:
    """The waiting list is sorted by priority, then by receipt. Author and reason are kept."""
    return roster_entry(*await enrolments.change_priority(acting, enrolment_id, change))


@router.post("/enrolments/{enrolment_id}/withdrawal", summary="Withdraw an agent")
async def withdraw(
    enrolment_id: UUID, withdrawal: WithdrawalByOrganiser, acting: ActingOrganiser
) -> RosterEntry:
    """The agent or the employer asked for it. The seat or place in line goes to the next agent."""
    return roster_entry(*await enrolments.withdraw(acting, enrolment_id, withdrawal))


@router.post(
    "/enrolments/{enrolment_id}/offer-answer", summary="Accept or decline an offered seat for an agent"
)
async def answer_offer(
    enrolment_id: UUID, answered: OfferAnswerByOrganiser, acting: ActingOrganiser
) -> RosterEntry:
    """Record the reply that the agent gave you. A declined seat goes to the next agent."""
    return roster_entry(*await enrolments.reply_to_offer(acting, enrolment_id, answered))


@router.post("/enrolments/{enrolment_id}/approval", summary="Record the employer's decision")
async def decide_approval(
    enrolment_id: UUID, approval: ApprovalByOrganiser, acting: ActingOrganiser
) -> RosterEntry:
    """The agent is `pending_approval`. If the employer agrees, the rules of the session decide."""
    return roster_entry(*await enrolments.decide_approval(acting, enrolment_id, approval))


@router.post("/enrolments/{enrolment_id}/join", summary="Keep one of two enrolments of one person")
async def join(enrolment_id: UUID, other: JoinByOrganiser, acting: ActingOrganiser) -> RosterEntry:
    """Join two enrolments of one person under two issuers (`same_person` in the roster).

    The other enrolment ends. Its seat or place in line goes to the next agent. Returns the enrolment that
    stays.
    """
    return roster_entry(*await enrolments.join(acting, enrolment_id, other))


@router.post("/enrolments/{enrolment_id}/move", summary="Move an agent to another session of the offer")
async def move(enrolment_id: UUID, wanted: MoveByOrganiser, acting: ActingOrganiser) -> RosterEntry:
    """Decided like a new request. A seat there frees the seat here; a refusal changes nothing.

    Returns the new enrolment. No letter about a refusal is sent.
    """
    return roster_entry(*await enrolments.move(acting, enrolment_id, wanted))


@router.patch("/enrolments/{enrolment_id}/agent", summary="Correct an agent's address or names")
async def correct_agent(
    request: Request, enrolment_id: UUID, correction: AgentCorrection, acting: ActingOrganiser
) -> RosterEntry:
    """Correct all enrolments of the agent, if all are in sessions of yours. The history is kept.

    Letters that have not left go to the new address.
    """
    if not correction.changes:
        raise Problem(422, "Nothing to correct", "Say what is wrong: email, given_name or family_name.")
    corrected = await corrections.correct_by_organiser(acting, enrolment_id, correction)
    guard: Guard = request.app.state.guard
    guard.record(request, SecurityEvent.CORRECTION, SecurityOutcome.OK, acting.who.in_security_log)
    return roster_entry(*corrected)
