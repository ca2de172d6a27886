from collections.abc import Iterator, Mapping
from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.enrolment.api import sheets
from services.enrolment.api.access import (
    ActingOrganiser,
    Database,
    Organiser,
    OrganiserReading,
    PolicyInForce,
    acting,
    found,
)
from services.enrolment.api.bodies import AMBIGUOUS, Ranking, Selected, named_agent
from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.organising import RankingFault
from services.enrolment.rules.states import State
from services.enrolment.service import selection, sessions, sheet_lines
from services.enrolment.service.failures import InvalidRanking
from services.enrolment.service.selection import Selection
from shared.auth import TokenFirst
from shared.events.vocabulary import AgentKey
from shared.http import PROBLEMS, Problem
from shared.web.spreadsheets import Fault

router = APIRouter(prefix="/api/v1", tags=["organisers"], route_class=TokenFirst, responses=PROBLEMS)


@router.put("/sessions/{session_id}/selection", summary="Decide the selection")
async def select(session_id: UUID, ranking: Ranking, by: ActingOrganiser) -> Selected:
    """Final, for all candidates at once: ranked candidates fill the seats in order, then the waiting list."""
    ranked = [named_agent(candidate) for candidate in ranking.ranked]
    not_selected = [named_agent(candidate) for candidate in ranking.not_selected]
    try:
        selected = await selection.select(by, session_id, ranked, not_selected)
    except InvalidRanking as failure:
        errors = [
            {"field": "body", "code": code, **agent._asdict(), "message": message}
            for code, agent, message in _ranking_errors(failure.fault)
        ]
        raise Problem(
            422,
            "The ranking is not valid",
            "Nothing was decided: see 'errors' for each agent.",
            errors=errors,
        ) from None
    return _counts(selected)


@router.get(
    "/sessions/{session_id}/selection.csv",
    summary="The candidates as a sheet, to be ranked",
    response_class=Response,
    responses=sheets.RESPONSES,
)
async def export_candidates(
    request: Request, session_id: UUID, database: Database, organiser: Organiser, reading: OrganiserReading
) -> Response:
    """Write a rank or `non retenu` in each line, and send the sheet back by PUT."""
    session, candidates = await sheets.lines_in(
        database, session_id, organiser, reading, [State.PENDING_SELECTION]
    )
    return sheets.exported(
        request, organiser, sheet_lines.ranking_form(candidates, session), f"candidatures-{session_id}.csv"
    )


@router.put(
    "/sessions/{session_id}/selection.csv",
    summary="Decide the selection by a sheet",
    openapi_extra=sheets.CSV_BODY,
)
async def select_by_sheet(
    session_id: UUID, request: Request, database: Database, organiser: Organiser, policy: PolicyInForce
) -> Selected:
    """Columns `Identifiant` and `Rang`; other columns are ignored. All or nothing; errors by line.

    `Émetteur` is only needed if two agents have the same `Identifiant`.
    """
    rows, unreadable = await sheets.sheet(
        request, organiser, (sheet_lines.AGENT, sheet_lines.ISSUER, sheet_lines.RANK)
    )
    ranked, not_selected, lines = sheet_lines.ranking_of(rows, unreadable)
    try:
        async with acting(database, organiser, policy) as by:
            if unreadable:
                found(await sessions.find_own(by.tx, session_id, organiser), f"session {session_id}")
                raise sheets.wrong(unreadable)
            selected = await selection.select(by, session_id, ranked, not_selected)
    except InvalidRanking as failure:
        raise sheets.wrong(
            [
                Fault(_line(lines, agent), code, f"{agent.agent_id} {message}", sheet_lines.AGENT.name)
                for code, agent, message in _ranking_errors(failure.fault)
            ]
        ) from None
    return _counts(selected)


def _counts(selected: Selection) -> Selected:
    return Selected(enrolled=selected.enrolled, waitlisted=selected.waitlisted, refused=selected.refused)


def _line(lines: Mapping[NamedAgent, int], agent: AgentKey) -> int:
    return lines.get(NamedAgent(agent.agent_id, agent.issuer)) or lines.get(NamedAgent(agent.agent_id), 1)


def _ranking_errors(fault: RankingFault) -> Iterator[tuple[str, AgentKey, str]]:
    for agent in fault.unknown:
        yield "unknown", agent, "has not applied, or was decided about already"
    for agent in fault.missing:
        yield "missing", agent, "applied and is neither ranked nor marked as not selected"
    for agent in fault.twice:
        yield "twice", agent, "stands more than once in the ranking"
    for agent_id in fault.ambiguous:
        yield "ambiguous", AgentKey("", agent_id), AMBIGUOUS
