"""Sessions in and out as CSV, by forms: tried first, every fault by its line, then drafted."""

from collections.abc import AsyncIterator, Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from services.catalogue.pages import complaints
from services.catalogue.rules.searching import Place, SessionSearch
from services.catalogue.service import offers, sheets
from services.catalogue.service.access import viewer_of
from shared import clock
from shared.web import responses, spreadsheets
from shared.web.logins import Logins, Visit
from shared.web.spreadsheets import Code, Fault

SHOWN = 200
"""Faults that a page lists; more of them are the same few."""

TITLES: Mapping[str, str] = {column.name: column.title for column in sheets.COLUMNS}

FAULTS: Mapping[str, str] = {
    Code.TOO_LARGE: "Le fichier est trop volumineux\u00a0: divisez-le.",
    Code.NOT_CSV: "Ce fichier est un classeur\u00a0: enregistrez-le au format CSV.",
    Code.NOT_TEXT: "Ce fichier n’est pas du texte\u00a0: enregistrez-le au format CSV (UTF-8).",
    Code.EMPTY: "La première ligne est vide\u00a0: elle doit nommer les colonnes.",
    Code.TOO_MANY_COLUMNS: "Le fichier a trop de colonnes.",
    Code.TOO_MANY_ROWS: "Le fichier a trop de lignes\u00a0: divisez-le.",
    Code.COLUMN_MISSING: "Cette colonne manque.",
    Code.COLUMN_TWICE: "Cette colonne est présente deux fois.",
    Code.COLUMN_UNKNOWN: "Cette colonne est inconnue.",
    Code.BAD_QUOTES: "Les guillemets de cette ligne ne se referment pas.",
    Code.CELLS_MISSING: "Cette ligne a moins de cellules que l’en-tête.",
    Code.TOO_MANY_CELLS: "Cette ligne a plus de cellules que l’en-tête.",
    "unknown_offer": "Cette offre n’existe pas.",
    "not_yours": "Cette délégation n’est pas la vôtre.",
    **{refusal.value: said for refusal, said in complaints.REFUSALS.items()},
}
"""What is wrong with a line, by code; what is ``invalid`` is told by its column."""


def routes(logins: Logins) -> list[Route]:
    """The addresses of these pages."""
    return [
        Route("/gestion/sessions.csv", logins.guarded(export)),
        Route(
            "/gestion/sessions/importer",
            logins.guarded(import_sheet, with_file=True),
            methods=["GET", "POST"],
        ),
    ]


async def export(visit: Visit) -> Response:
    """The delegation's sessions, as a file."""
    wanted = SessionSearch(now=clock.now(), viewer=viewer_of(visit.who), own=True)
    headers = {
        **responses.PRIVATE,
        "Content-Disposition": 'attachment; filename="sessions.csv"',
    }
    return StreamingResponse(_parts(visit, wanted), media_type=spreadsheets.MEDIA_TYPE, headers=headers)


async def _parts(visit: Visit, search: SessionSearch) -> AsyncIterator[bytes]:
    after: Place | None = None
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
            (fault.line, TITLES.get(fault.column or ""), message(fault)) for fault in drafts.faults[:SHOWN]
        ],
        more=max(0, len(drafts.faults) - SHOWN),
    )


def message(fault: Fault) -> str:
    """A fault in French."""
    known = FAULTS.get(fault.code)
    return known if known is not None else complaints.of_field(fault.column or "")
