from contextlib import suppress
from datetime import datetime, timedelta

from starlette.responses import Response

from services.catalogue.pages import filters
from services.catalogue.pages.filters import Filters
from services.catalogue.pages.paging import session_part
from services.catalogue.rules.searching import SessionOrder, SessionSearch
from services.catalogue.rules.series import MOST
from services.catalogue.service import offers, session_lists
from services.catalogue.service.access import viewer_of
from shared import clock
from shared.events.vocabulary import Status
from shared.web.form_errors import sentences
from shared.web.forms import number_in
from shared.web.logins import StaffVisit

PAGE = 30
SOON = timedelta(days=30)


async def own_sessions(visit: StaffVisit) -> Response:
    query, now = visit.request.query_params, clock.now()
    chosen = filters.read(query)
    search = search_in(visit, chosen, now)
    status, order = search.status, search.order
    late = SessionSearch(
        now=now,
        viewer=search.viewer,
        own=True,
        status=Status.DRAFT,
        starts_after=now,
        starts_before=now + SOON,
    )
    async with visit.database.quiet_transaction() as tx:
        late_drafts = await session_lists.count(tx, late)
        total = await session_lists.count(tx, search)
        found = await session_part(tx, search, query, PAGE)
        offer = None if search.offer_id is None else await offers.find(tx, search.offer_id)
    used = {
        "recherche": search.text,
        "etat": status,
        "format": search.format,
        "delegation": search.organiser,
        "offre": search.offer_id,
        "passees": "oui" if chosen.past_too else None,
        "tri": None if order is SessionOrder.FIRST else order,
    }
    return visit.page(
        "gestion.html",
        filters=chosen,
        errors=sentences(visit.rendering, chosen.errors),
        state=status,
        offer=offer,
        order=order,
        used=used,
        late_drafts=late_drafts,
        soon=SOON.days,
        total=total,
        part=found,
        done=visit.done,
        number=number_in(query.get("nombre", ""), MOST) or 0,
        choosing=status is Status.DRAFT,
        all_chosen="tous" in query,
        this_page={name: query[name] for name in ("apres", "avant") if name in query},
    )


def search_in(visit: StaffVisit, chosen: Filters, now: datetime) -> SessionSearch:
    query = visit.request.query_params
    offer_id = query.get("offre", "")
    return SessionSearch(
        now=now,
        viewer=viewer_of(visit.who),
        own=True,
        text=chosen.text or None,
        format=chosen.format,
        organiser=None if visit.who.delegation else chosen.delegation,
        offer_id=offer_id if filters.is_slug(offer_id) else None,
        status=_status(query.get("etat", "")),
        order=_order(query.get("tri", "")),
        ends_after=None if chosen.past_too else now,
    )


def _order(text: str) -> SessionOrder:
    with suppress(ValueError):
        return SessionOrder(text)
    return SessionOrder.FIRST


def _status(text: str) -> Status | None:
    with suppress(ValueError):
        return Status(text)
    return None
