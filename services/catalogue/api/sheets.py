"""Sessions in and out as CSV."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from services.catalogue.api.access import Database, Organiser
from services.catalogue.api.public import SessionFilter, search_of
from services.catalogue.rules.searching import Position, SessionSearch
from services.catalogue.service import offers, sheets
from services.catalogue.service.access import viewer_of
from services.catalogue.service.sheets import Drafts
from shared.http import Problem
from shared.openapi import PROBLEM_JSON
from shared.web import spreadsheets

router = APIRouter(prefix="/api/v1", tags=["sheets"])

_CSV_BODY = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class FaultBody(BaseModel):
    """What is wrong with a line of the file; the first line of the file is 1."""

    line: int
    column: str | None = Field(description="Null: the whole line.")
    code: str
    message: str


class ImportReport(BaseModel):
    """What became of the file."""

    dry_run: bool
    rows: int = Field(description="Lines with something in them, the heading aside.")
    faults: list[FaultBody]
    created: list[UUID] = Field(description="The drafts, in the file's order. Empty when it was only tried.")


@router.post(
    "/sessions/import",
    status_code=201,
    summary="Draft sessions from a CSV file",
    openapi_extra=_CSV_BODY,
    responses={
        200: {"model": ImportReport, "description": "It was only tried: this is what would be wrong."},
        422: {
            "model": ImportReport,
            "description": "Nothing was created: these lines are wrong, or the request itself is.",
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        },
    },
)
async def import_sessions(
    request: Request,
    database: Database,
    organiser: Organiser,
    response: Response,
    dry_run: Annotated[bool, Query(description="Only say what is wrong.")] = False,
) -> ImportReport:
    """All lines become drafts, or none does. Every fault of every line is told at once.

    Separated by semicolons, commas or tabs; UTF-8 or Windows-1252; columns by the names that an export has.
    Times are those of the session's zone: `2027-03-30 09:30` or `30/03/2027 09:30`.
    """
    content = await _content(request)
    async with database.quiet_transaction() as tx:
        known = await offers.every(tx)
    drafts = await sheets.read(content, known, organiser)
    if not (dry_run or drafts.faults):
        async with database.transaction() as tx:
            await sheets.save(tx, organiser, drafts)
    response.status_code = 200 if dry_run else 422 if drafts.faults else 201
    return _body(drafts, dry_run=dry_run)


@router.get(
    "/sessions/export",
    summary="Sessions as a CSV file",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The file."}},
)
async def export_sessions(
    query: Annotated[SessionFilter, Query()], database: Database, organiser: Organiser
) -> StreamingResponse:
    """The sessions of the token's delegation, drafts too; of all for those who act everywhere."""
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
    """The body, refused as soon as it is longer than what a sheet may be."""
    most = spreadsheets.BOUNDS.bytes
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > most:
            raise Problem(413, "Too large", f"A file may have {most // 1024**2} MiB; split it.")
    return bytes(content)


def _body(drafts: Drafts, *, dry_run: bool) -> ImportReport:
    faults = [
        FaultBody(line=fault.line, column=fault.column, code=fault.code, message=fault.message)
        for fault in drafts.faults
    ]
    created = [] if dry_run else [session.session_id for session in drafts.sessions]
    return ImportReport(dry_run=dry_run, rows=drafts.rows, faults=faults, created=created)
