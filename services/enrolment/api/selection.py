"""HTTP in: who is selected, as the organiser ranks them."""

from collections.abc import Iterator
from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.enrolment import desk, rules
from services.enrolment.api import sheets
from services.enrolment.api.access import Database, Organiser, PolicyInForce
from services.enrolment.api.bodies import Ranking, Selected
from services.enrolment.api.scope import A_SHEET, act_on, entries_of, not_now, own_session, sign
from services.enrolment.rules import Book, Cause, Policy, RankingFault, State
from shared.auth import Principal
from shared.database import Transaction
from shared.http import Problem
from shared.web.spreadsheets import Fault

router = APIRouter(prefix="/api/v1", tags=["organisers"])


@router.put("/sessions/{session_id}/selection", summary="Decide who is selected")
async def select(
    session_id: UUID, ranking: Ranking, database: Database, organiser: Organiser, policy: PolicyInForce
) -> Selected:
    """Final, and at once for all: the ranked fill the seats in their order, then the line."""
    async with database.transaction() as tx:
        selected = await _rank(tx, session_id, organiser, policy, ranking)
    if isinstance(selected, RankingFault):
        errors = [
            {"field": "body", "code": code, "agent_id": agent_id, "message": message}
            for code, agent_id, message in _ranking_errors(selected)
        ]
        raise Problem(
            422,
            "The ranking is not valid",
            "Nothing was decided: see 'errors' for each agent.",
            errors=errors,
        )
    return selected


@router.get(
    "/sessions/{session_id}/selection.csv",
    summary="The candidates as a sheet, to be ranked",
    response_class=Response,
    responses=A_SHEET,
)
async def export_candidates(session_id: UUID, database: Database, organiser: Organiser) -> Response:
    """Write a rank or `non retenu` in each line, and send it back by PUT."""
    session, entries = await entries_of(database, session_id, organiser, [State.PENDING_SELECTION])
    return sheets.attachment(sheets.ranking_form(entries, session), f"candidatures-{session_id}.csv")


@router.put(
    "/sessions/{session_id}/selection.csv",
    summary="Decide who is selected, by a sheet",
    openapi_extra=sheets.CSV_BODY,
)
async def select_by_sheet(
    session_id: UUID, request: Request, database: Database, organiser: Organiser, policy: PolicyInForce
) -> Selected:
    """Columns `Identifiant` and `Rang`; other columns are ignored. All or nothing; errors by line."""
    rows, faults = await sheets.sheet(request, (sheets.AGENT, sheets.RANK))
    ranking, lines = sheets.ranking_of(rows, faults)
    async with database.transaction() as tx:
        await own_session(tx, session_id, organiser)
        if faults:
            raise sheets.wrong(faults)
        selected = await _rank(tx, session_id, organiser, policy, ranking)
    if isinstance(selected, RankingFault):
        raise sheets.wrong(
            [
                Fault(lines.get(agent_id, 1), code, f"{agent_id} {message}", sheets.AGENT.name)
                for code, agent_id, message in _ranking_errors(selected)
            ]
        )
    return selected


async def _rank(
    tx: Transaction, session_id: UUID, organiser: Principal, policy: Policy, ranking: Ranking
) -> Selected | RankingFault:
    await own_session(tx, session_id, organiser)

    def act(book: Book) -> Selected | RankingFault:
        fault = rules.rank(book, ranking.ranked, ranking.not_selected)
        if isinstance(fault, RankingFault):
            return fault
        if fault is not None:
            raise not_now(fault)
        sign(book, Cause.SELECTION, organiser)
        states = [change.enrolment.state for change in book.changes if change.cause is Cause.SELECTION]
        return Selected(
            enrolled=states.count(State.ENROLLED),
            waitlisted=states.count(State.WAITLISTED),
            refused=states.count(State.REFUSED),
        )

    return await act_on(tx, session_id, policy, act, needs=desk.EVERYBODY)


def _ranking_errors(fault: RankingFault) -> Iterator[tuple[str, str, str]]:
    for agent_id in fault.unknown:
        yield "unknown", agent_id, "has not applied, or was decided about already"
    for agent_id in fault.missing:
        yield "missing", agent_id, "applied and is neither ranked nor among those who are not selected"
    for agent_id in fault.twice:
        yield "twice", agent_id, "stands more than once in the ranking"
