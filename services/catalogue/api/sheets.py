from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from services.catalogue.api.access import Database, Organiser
from services.catalogue.api.public import SessionFilter, search_of
from services.catalogue.rules.searching import Position, SessionSearch
from services.catalogue.service import imports, sheets
from services.catalogue.service.access import viewer_of
from services.catalogue.service.imports import Imported
from services.catalogue.service.sheet_lines import Outcome, SheetLine
from shared.guard import Guard
from shared.http import PROBLEMS, Problem
from shared.openapi import PROBLEM_JSON, problem_response
from shared.web import sheet_queue, spreadsheets
from shared.web.sheet_queue import SheetQueue, sender_of

router = APIRouter(prefix="/api/v1", tags=["sheets"], responses=PROBLEMS)

_CSV_BODY = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class FaultBody(BaseModel):
    """A fault in a line of the file; the first line is 1."""

    line: int
    column: str | None = Field(description="Null: the whole line.")
    code: str
    message: str


class LineBody(BaseModel):
    """The result of a line, or its result if the file were imported."""

    line: int
    outcome: Outcome
    session_id: UUID | None = Field(description="Null if the line would create a session.")
    reference: str | None
    changed: list[str] = Field(description="The fields that differ, if the outcome is `changed`.")


class ImportReport(BaseModel):
    """The result of the file."""

    dry_run: bool
    rows: int = Field(description="Lines that are not empty, without the heading.")
    faults: list[FaultBody]
    created: list[UUID] = Field(description="The drafts, in the file's order. Empty after a dry run.")
    lines: list[LineBody] = Field(description="Each line, in the file's order. Empty if there is a fault.")


@router.post(
    "/sessions/import",
    status_code=201,
    summary="Draft and change sessions from a CSV file",
    openapi_extra=_CSV_BODY,
    responses={
        200: {
            "model": ImportReport,
            "description": "No session is new: it was only tried, changes sessions, or says nothing new.",
        },
        422: {
            "model": ImportReport,
            "description": "Nothing was stored: these lines are wrong, or the request itself is.",
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        },
        **problem_response(
            429,
            "too_many_requests",
            meaning=(
                "Another file of the organiser waits, too many files wait, or too many bytes came "
                "within an hour."
            ),
            title="Too many requests",
            detail="Other files come first, and nothing of yours is stored. Send it in 10 seconds.",
            headers={"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
        ),
    },
)
async def import_sessions(
    request: Request,
    database: Database,
    organiser: Organiser,
    response: Response,
    dry_run: Annotated[bool, Query(description="Only report the faults, and store nothing.")] = False,
) -> ImportReport:
    """All lines count, or none does. Every fault of every line is reported at once.

    A line changes the session named by `session_id`, or by the organiser's own `reference`, where it
    differs; an empty cell changes nothing. A line with the `tag` of an export is refused if the session has
    changed since. Any other line becomes a draft. A second import of a file does nothing.

    Separated by semicolons, commas or tabs; UTF-8 or Windows-1252; columns named as in an export. Times are
    in the session's zone: `2027-03-30 09:30` or `30/03/2027 09:30`.

    Files are imported one after the other. One file of each organiser may wait, and 64 MiB an hour are read.
    """
    content = await _content(request)
    queue: SheetQueue = request.app.state.imports
    guard: Guard = request.app.state.guard
    async with sheet_queue.turn(queue, guard, request, sender_of(organiser), content):
        sheet = await sheet_queue.in_thread(partial(imports.read, content))
        async with database.transaction() as tx:
            imported = await imports.apply(tx, organiser, sheet, sheet_queue.in_thread, dry_run=dry_run)
    body = _body(imported, dry_run=dry_run)
    response.status_code = 201 if body.created else 422 if body.faults and not dry_run else 200
    return body


@router.get(
    "/sessions/export",
    summary="Sessions as a CSV file",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The file."}},
)
async def export_sessions(
    query: Annotated[SessionFilter, Query()], database: Database, organiser: Organiser
) -> StreamingResponse:
    """The sessions and drafts of the token's delegation; all sessions for a token that acts everywhere."""
    search = search_of(query, viewer_of(organiser), own=True)
    return StreamingResponse(
        _parts(database, search),
        media_type=spreadsheets.MEDIA_TYPE,
        headers={"Content-Disposition": 'attachment; filename="sessions.csv"'},
    )


async def _parts(database: Database, search: SessionSearch) -> AsyncIterator[bytes]:
    after: Position | None = None
    while True:
        async with database.quiet_transaction() as tx:
            part, after = await sheets.write(tx, search, after)
        yield part
        if after is None:
            return


async def _content(request: Request) -> bytes:
    most = spreadsheets.BOUNDS.bytes
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > most:
            raise Problem(413, "Too large", f"A file may have {most // 1024**2} MiB; split it.")
    return bytes(content)


def _body(imported: Imported, *, dry_run: bool) -> ImportReport:
    faults = [
        FaultBody(line=fault.line, column=fault.column, code=fault.code, message=fault.message)
        for fault in imported.faults
    ]
    lines = [_line(line, dry_run=dry_run) for line in imported.lines]
    created = [line.session_id for line in lines if line.outcome is Outcome.CREATED and line.session_id]
    return ImportReport(dry_run=dry_run, rows=imported.rows, faults=faults, created=created, lines=lines)


def _line(line: SheetLine, *, dry_run: bool) -> LineBody:
    is_not_there = dry_run and line.outcome is Outcome.CREATED
    return LineBody(
        line=line.line,
        outcome=line.outcome,
        session_id=None if is_not_there else line.session.session_id,
        reference=line.session.reference,
        changed=list(line.fields),
    )
