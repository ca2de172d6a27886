"""Sessions in and out as CSV, by forms: tried first, every fault by its line, then drafted."""

from collections.abc import AsyncIterator, Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from services.catalogue.pages.form_errors import of_sheet, sentence
from services.catalogue.rules.searching import Position, SessionSearch
from services.catalogue.service import offers, sheets
from services.catalogue.service.access import viewer_of
from shared import clock
from shared.web import responses, spreadsheets
from shared.web.logins import Visit

SHOWN = 200
"""Faults that a page lists; more of them are the same few."""

TITLES: Mapping[str, str] = {column.name: column.title for column in sheets.COLUMNS}


async def export(visit: Visit) -> Response:
    """The delegation's sessions, as a file."""
    search = SessionSearch(now=clock.now(), viewer=viewer_of(visit.who), own=True)
    headers = {
        **responses.PRIVATE,
        "Content-Disposition": 'attachment; filename="sessions.csv"',
    }
    return StreamingResponse(_parts(visit, search), media_type=spreadsheets.MEDIA_TYPE, headers=headers)


async def _parts(visit: Visit, search: SessionSearch) -> AsyncIterator[bytes]:
    after: Position | None = None
    while True:
        async with visit.database.quiet_transaction() as tx:
            part, after = await sheets.write(tx, search, after)
        yield part
        if after is None:
            return


async def import_sheet(visit: Visit) -> Response:
    """The form, and what became of a file: nothing, as long as it is only tried or has a fault."""
    if visit.request.method != "POST":
        return visit.page("gestion-importer.html", drafts=None, tried=True, faults=[], more=0)
    if visit.form.file is None:
        raise HTTPException(400)
    tried = visit.form.get("essai") == "oui"
    async with visit.database.quiet_transaction() as tx:
        known = await offers.every(tx)
    drafts = await sheets.read(visit.form.file, known, visit.who)
    if not (tried or drafts.faults):
        async with visit.database.transaction() as tx:
            await sheets.save(tx, visit.who, drafts)
    return visit.page(
        "gestion-importer.html",
        status=422 if drafts.faults and not tried else 200,
        drafts=drafts,
        tried=tried,
        faults=[
            (fault.line, TITLES.get(fault.column or ""), sentence(visit.rendering, of_sheet(fault)))
            for fault in drafts.faults[:SHOWN]
        ],
        more=max(0, len(drafts.faults) - SHOWN),
    )
