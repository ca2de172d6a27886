from collections.abc import Iterator
from datetime import date
from itertools import groupby

from starlette.responses import Response, StreamingResponse

from services.notifier.service import figures
from services.notifier.service.figures import FigureKind
from shared import clock
from shared.web import french, labels, spreadsheets
from shared.web.logins import StaffVisit
from shared.web.responses import PRIVATE

COLUMNS = [
    spreadsheets.Column(heading, heading)
    for heading in ("mois", "offre", "organisateur", "compte", "motif", "nombre")
] + [
    spreadsheets.Column(heading, heading)
    for heading in ("code_offre", "code_organisateur", "code_compte", "code_motif")
]


async def show(visit: StaffVisit) -> Response:
    found, offer_id, organiser = await _find(visit)
    return visit.page(
        "figures.html",
        figures=found,
        kinds=list(FigureKind),
        offer_id=offer_id or "",
        organiser=organiser or "",
        headings=[("Mois", "", ""), *((labels.COUNTED[kind], "", "", "number") for kind in FigureKind)],
        offers_named=_offers(found),
        organisers_named=_organisers(found),
        periods_named={period: _period(period) for period in found.periods},
    )


def _offers(found: figures.OfferFigures) -> dict[str, str]:
    known = {**labels.OFFERS, **labels.BESPOKE_OFFERS}
    return {offer: known.get(offer) or found.titles.get(offer, offer) for offer in found.offers}


def _organisers(found: figures.OfferFigures) -> dict[str, str]:
    return {organiser: labels.delegation(organiser) for organiser in found.organisers}


def _reason(code: str) -> str:
    """A reason known only to a newer version is shown as its code."""
    return labels.REFUSALS.get(code, code)


def _period(period: str) -> str:
    year, _, month = period.partition("-")
    return french.month(date(int(year), int(month), 1)) if month else f"année {year}"


async def sheet(visit: StaffVisit) -> Response:
    found, _, _ = await _find(visit)
    return StreamingResponse(
        _parts(found),
        media_type=spreadsheets.MEDIA_TYPE,
        headers={**PRIVATE, "Content-Disposition": 'attachment; filename="chiffres.csv"'},
    )


def _parts(found: figures.OfferFigures) -> Iterator[bytes]:
    offers, organisers = _offers(found), _organisers(found)
    reasons = {code: _reason(code) for code in {row.reason for row in found.rows}}
    yield spreadsheets.heading(COLUMNS)
    for month, rows in groupby(found.rows, lambda row: row.month):
        yield spreadsheets.lines(
            (
                month.isoformat(),
                offers.get(row.offer_id, ""),
                organisers.get(row.organiser, ""),
                labels.COUNTED[row.kind],
                reasons[row.reason],
                row.number,
                row.offer_id,
                row.organiser,
                row.kind,
                row.reason,
            )
            for row in rows
        )


async def _find(visit: StaffVisit) -> tuple[figures.OfferFigures, str | None, str | None]:
    query, own = visit.request.query_params, visit.who.delegation
    offer_id = query.get("offre", "")[:100] or None
    organiser = None if own else query.get("delegation", "")[:100] or None
    async with visit.database.quiet_transaction() as tx:
        found = await figures.find(
            tx, clock.now(), period=query.get("periode", ""), offer_id=offer_id, organiser=organiser, own=own
        )
    return found, offer_id, organiser
