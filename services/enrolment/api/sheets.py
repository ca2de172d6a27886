from collections.abc import Collection, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from services.enrolment.api.access import found
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import roster
from shared.auth import Principal
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.guard import Guard
from shared.http import Problem
from shared.read_log import Reading
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web import sheet_queue, spreadsheets
from shared.web.sheet_queue import SheetQueue, sender_of
from shared.web.spreadsheets import Column, Fault, SheetRow, UnreadableSheet

RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}

CSV_BODY = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "description": "UTF-8 or Windows-1252; semicolons, commas or tabs; the first line names the columns.",
    }
}
"""``openapi_extra`` of operations that take a sheet."""


def exported(
    request: Request,
    organiser: Principal,
    content: bytes,
    name: str,
    media_type: str = spreadsheets.MEDIA_TYPE,
) -> Response:
    """Return a file, and record the export in the security log."""
    guard: Guard = request.app.state.guard
    guard.record(request, SecurityEvent.EXPORT, SecurityOutcome.OK, organiser.in_security_log)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)


# ------------------------------------------------------------------------------------------- out


async def lines_in(
    database: Database, session_id: UUID, organiser: Principal, reading: Reading, states: Collection[State]
) -> tuple[SessionState, list[RosterLine]]:
    async with database.quiet_transaction() as tx:
        streamed = await roster.stream(tx, session_id, organiser, reading, states)
        session, lines = found(streamed, f"session {session_id}")
        return session, [line async for line in lines]


# ------------------------------------------------------------------------------------------- in


async def sheet(
    request: Request, organiser: Principal, columns: Sequence[Column]
) -> tuple[list[SheetRow], list[Fault]]:
    """Return the body's rows, and the faults of the other lines. Raises a 415, 422 or 429."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise Problem(415, "Not a sheet", "Send the sheet as the body, with Content-Type: text/csv.")
    queue: SheetQueue = request.app.state.sheets
    guard: Guard = request.app.state.guard
    content = await request.body()
    try:
        async with sheet_queue.turn(queue, guard, request, sender_of(organiser), content):
            read = await sheet_queue.in_thread(partial(spreadsheets.read, content, columns))
    except UnreadableSheet as error:
        raise wrong(error.faults) from error
    return list(read.rows), list(read.faults)


def wrong(faults: Sequence[Fault]) -> Problem:
    errors = [
        {"line": str(fault.line), "code": str(fault.code), "message": fault.message}
        | ({"column": fault.column} if fault.column else {})
        for fault in sorted(faults, key=lambda fault: fault.line)
    ]
    return Problem(
        422,
        "The sheet is not valid",
        f"Nothing was taken: {len(errors)} things are wrong, see 'errors' for each line.",
        errors=errors,
    )
