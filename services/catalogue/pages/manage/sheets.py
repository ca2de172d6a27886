import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from services.catalogue.pages import filters
from services.catalogue.pages.form_errors import of_sheet
from services.catalogue.pages.manage.listing import search_in
from services.catalogue.pages.site import site_of
from services.catalogue.rules.history import session_changes
from services.catalogue.rules.searching import Position, SessionOrder
from services.catalogue.service import imports, sheets
from services.catalogue.service.sheet_lines import Outcome
from shared import clock
from shared.guard import LimitMet
from shared.web import responses, sheet_queue, spreadsheets, workbooks
from shared.web.form_errors import sentence
from shared.web.forms import Form
from shared.web.logins import StaffVisit
from shared.web.sheet_queue import Busy, SheetQueue, sender_of

SHOWN = 200
_LARGEST_KEPT = 65_536
"""Bytes of a file that the page of a dry run keeps. A larger one is chosen again."""

TITLES: Mapping[str, str] = {column.name: column.title for column in sheets.COLUMNS}


async def export(visit: StaffVisit) -> Response:
    return StreamingResponse(
        _parts(visit), media_type=spreadsheets.MEDIA_TYPE, headers=_download("sessions.csv")
    )


async def export_workbook(visit: StaffVisit) -> Response:
    parts = [part async for part in _parts(visit)]
    content = await asyncio.to_thread(workbooks.of_csv, b"".join(parts), sheets.labels_by_title())
    return Response(content, media_type=workbooks.MEDIA_TYPE, headers=_download("sessions.xlsx"))


def _download(name: str) -> dict[str, str]:
    return {**responses.PRIVATE, "Content-Disposition": f'attachment; filename="{name}"'}


async def _parts(visit: StaffVisit) -> AsyncIterator[bytes]:
    now, query = clock.now(), visit.request.query_params
    search = replace(
        search_in(visit, filters.read(query), now),
        order=SessionOrder.FIRST,
        ends_after=now if query.get("passees") == "non" else None,
    )
    after: Position | None = None
    while True:
        async with visit.database.quiet_transaction() as tx:
            part, after = await sheets.write(tx, search, after)
        yield part
        if after is None:
            return


async def import_sheet(visit: StaffVisit) -> Response:
    """A dry run, or a file with a fault, changes nothing."""
    if visit.request.method != "POST":
        return _page(visit)
    queue: SheetQueue = visit.request.app.state.imports
    guard = site_of(visit.request).guard
    content = _kept(visit.form) if visit.form.file is None else visit.form.file
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    is_other = visit.form.get("empreinte", digest) != digest  # another file than the tried one
    tried = visit.form.get("essai") == "oui" or is_other
    try:
        async with sheet_queue.turn(queue, guard, visit.request, sender_of(visit.who), content):
            sheet = await sheet_queue.in_thread(partial(imports.read, content, may_be_workbook=True))
            async with visit.database.transaction() as tx:
                imported = await imports.apply(tx, visit.who, sheet, sheet_queue.in_thread, dry_run=tried)
    except LimitMet as error:
        response = _page(visit, status=429, not_now="busy" if isinstance(error, Busy) else "too_much")
        response.headers["Retry-After"] = str(error.seconds)
        return response
    cells = {row.line: row.cells for row in sheet.lines}
    return _page(
        visit,
        status=422 if imported.faults and not tried else 200,
        imported=imported,
        counts={outcome.value: imported.count(outcome) for outcome in Outcome},
        tried=tried,
        is_other=is_other,
        digest=digest,
        kept=base64.b64encode(content).decode() if tried and len(content) <= _LARGEST_KEPT else None,
        faults=[
            (
                fault.line,
                cells.get(fault.line, {}).get("title", "")[: spreadsheets.LONGEST_SHOWN],
                TITLES.get(fault.column or ""),
                cells.get(fault.line, {}).get(fault.column or "", "")[: spreadsheets.LONGEST_SHOWN],
                sentence(visit.rendering, of_sheet(fault)),
            )
            for fault in imported.faults[:SHOWN]
        ],
        lines=[
            (line, session_changes(line.before, line.session, line.fields) if line.before else [])
            for line in imported.lines[:SHOWN]
        ],
        announced=sum(line.is_announced for line in imported.lines),
        more=max(0, max(len(imported.faults), len(imported.lines)) - SHOWN),
    )


def _kept(form: Form) -> bytes:
    """Return the file that was tried. The page has kept it."""
    try:
        return base64.b64decode(form["contenu"], validate=True)
    except (KeyError, ValueError):
        raise HTTPException(400) from None


def _page(visit: StaffVisit, *, status: int = 200, **values: Any) -> Response:
    known: dict[str, Any] = {
        "imported": None,
        "faults": [],
        "tried": True,
        "is_other": False,
        "kept": None,
        "not_now": None,
        "columns": sheets.COLUMNS,
    }
    return visit.page("gestion-importer.html", status=status, **(known | values))
