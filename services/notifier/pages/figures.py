"""Figures of the offer, for support and organisers: charts with a table each, and a sheet. They name nobody.

Who acts for a delegation sees what it organises alone.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Route

from services.notifier.service import figures
from services.notifier.service.figures import FigureKind
from shared import clock
from shared.auth import Role, Tokens
from shared.database import Database
from shared.guard import Guard
from shared.oidc.provider import Provider
from shared.web import labels, spreadsheets
from shared.web.links import DELEGATION_FIGURES
from shared.web.logins import Logins, StaffArea, StaffVisit
from shared.web.logins.staff_area import ORGANISER_PAGES
from shared.web.refusals import REFUSALS
from shared.web.rendering import Rendering
from shared.web.responses import PRIVATE

PARIS = ZoneInfo("Europe/Paris")
COLUMNS = [
    spreadsheets.Column(heading, heading)
    for heading in ("mois", "offre", "organisateur", "compte", "motif", "nombre")
]
FIGURES_AREA = StaffArea(
    home=DELEGATION_FIGURES,
    cookie="chiffres",
    roles=frozenset((Role.ORGANISER, Role.ADMIN)),
    title="Espace des délégations",
    lead=labels.LOG_IN_LEADS["chiffres"],
    label=lambda _: None,
    pages=ORGANISER_PAGES,
)


def add_to(
    api: FastAPI,
    database: Database,
    rendering: Rendering,
    *,
    tokens: Tokens,
    guard: Guard,
    public_url: str,
    provider: Provider | None = None,
) -> None:
    """Serve organisers their figures beside the API; ``public_url`` is where the public finds them."""
    logins = Logins(
        FIGURES_AREA,
        database,
        tokens,
        guard,
        address=public_url,
        rendering=rendering,
        provider=provider,
    )
    pages = FigurePages(database, DELEGATION_FIGURES)
    for route in (
        *logins.routes(),
        Route(DELEGATION_FIGURES, logins.guarded(pages.show)),
        Route(f"{DELEGATION_FIGURES}.csv", logins.guarded(pages.sheet)),
    ):
        api.router.routes.append(route)


@dataclass(frozen=True, slots=True)
class FigurePages:
    """``path`` is that of the page."""

    database: Database
    path: str

    async def show(self, visit: StaffVisit) -> Response:
        """The last twelve months, of all or of an offer or an organiser."""
        found, offer_id, organiser = await self._find(visit)
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
            organisers_named={each: labels.delegation(each) for each in found.organisers},
            figures_path=self.path,
        )

    async def sheet(self, visit: StaffVisit) -> Response:
        """The same as a sheet, a line for each number."""
        found, _, _ = await self._find(visit)
        rows = [
            (row.month.isoformat(), row.offer_id, row.organiser, row.kind, row.reason, str(row.number))
            for row in found.rows
        ]
        return Response(
            spreadsheets.write(COLUMNS, rows),
            media_type=spreadsheets.MEDIA_TYPE,
            headers={**PRIVATE, "Content-Disposition": 'attachment; filename="chiffres.csv"'},
        )

    async def _find(self, visit: StaffVisit) -> tuple[figures.OfferFigures, str | None, str | None]:
        """Return the figures, and which offer and organiser were chosen; None: all they may see."""
        query, own = visit.request.query_params, visit.who.delegation
        offer_id = query.get("offre", "")[:100] or None
        organiser = None if own else query.get("delegation", "")[:100] or None
        today = clock.now().astimezone(PARIS).date()
        async with self.database.quiet_transaction() as tx:
            return await figures.find(tx, today, offer_id, own or organiser), offer_id, organiser
