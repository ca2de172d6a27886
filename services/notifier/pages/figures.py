"""Figures of the offer, for support and organisers: charts with a table each, and a sheet. They name nobody.

Who acts for a delegation sees what it organises alone.
"""

from zoneinfo import ZoneInfo

from starlette.responses import Response

from services.notifier.service import figures
from services.notifier.service.figures import FigureKind
from shared import clock
from shared.web import labels, spreadsheets
from shared.web.logins import StaffVisit
from shared.web.refusals import REFUSALS
from shared.web.responses import PRIVATE

PARIS = ZoneInfo("Europe/Paris")
COLUMNS = [
    spreadsheets.Column(heading, heading)
    for heading in ("mois", "offre", "organisateur", "compte", "motif", "nombre")
]


async def show(visit: StaffVisit) -> Response:
    """The last twelve months, of all or of an offer or an organiser."""
    found, offer_id, organiser = await _find(visit)
    return visit.page(
        "figures.html",
        figures=found,
        kinds=list(FigureKind),
        offer_id=offer_id or "",
        organiser=organiser or "",
        refusals=REFUSALS,
        headings=[("Mois", "", ""), *((labels.COUNTED[kind], "", "", "number") for kind in FigureKind)],
        offers_named={
            offer: labels.OFFERS.get(offer) or found.titles.get(offer, offer) for offer in found.offers
        },
        organisers_named={organiser: labels.delegation(organiser) for organiser in found.organisers},
    )


async def sheet(visit: StaffVisit) -> Response:
    """The same as a sheet, a line for each number."""
    found, _, _ = await _find(visit)
    rows = [
        (row.month.isoformat(), row.offer_id, row.organiser, row.kind, row.reason, str(row.number))
        for row in found.rows
    ]
    return Response(
        spreadsheets.write(COLUMNS, rows),
        media_type=spreadsheets.MEDIA_TYPE,
        headers={**PRIVATE, "Content-Disposition": 'attachment; filename="chiffres.csv"'},
    )


async def _find(visit: StaffVisit) -> tuple[figures.OfferFigures, str | None, str | None]:
    """Return the figures, and which offer and organiser were chosen; None: all they may see."""
    query, own = visit.request.query_params, visit.who.delegation
    offer_id = query.get("offre", "")[:100] or None
    organiser = None if own else query.get("delegation", "")[:100] or None
    today = clock.now().astimezone(PARIS).date()
    async with visit.database.quiet_transaction() as tx:
        return await figures.find(tx, today, offer_id, own or organiser), offer_id, organiser
