"""What everyone may see: the formats, the sessions, the offers, the resources."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.catalogue.pages import filters, form_errors, structured_data
from services.catalogue.pages.paging import resource_position, session_part
from services.catalogue.pages.site import BUILT, render, rendering_in, site_of
from services.catalogue.rules.availability import last_change_by_clock
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.rules.searching import PUBLIC, SessionSearch
from services.catalogue.service import offers, pages, resources, sessions
from shared import clock
from shared.database import Transaction
from shared.events.vocabulary import Format
from shared.web import responses
from shared.web.paging import part_after, read_position

PAGE = 20
"""Sessions or resources on a page."""
SOON = 5
"""Sessions and replays that the first page shows."""
_MAX_OFFERS = 100


@dataclass(frozen=True, slots=True)
class MoreResults:
    """What a search finds besides sessions: offers none of whose sessions it finds, and resources."""

    offers: Sequence[Offer] = ()
    resources: Sequence[Resource] = ()


def routes() -> list[Route]:
    """The addresses of these pages."""
    return [
        Route("/", home),
        Route("/sessions", session_list),
        Route("/sessions/{session_id:uuid}", show_session),
        Route("/offres/{offer_id}", show_offer),
        Route("/ressources", resource_list),
        Route("/accessibilite", accessibility),
        Route("/mentions-legales", legal_notice),
        Route("/donnees-personnelles", personal_data),
    ]


async def home(request: Request) -> Response:
    """The six formats, what comes next, and the last replays."""
    async with site_of(request).database.quiet_transaction() as tx:
        shown = await pages.home(tx, clock.now(), SOON)
    by_format: dict[Format, list[Offer]] = {}
    for offer in shown.offers:
        by_format.setdefault(offer.format, []).append(offer)
    body = render(request, "accueil.html", offers=by_format, sessions=shown.sessions, replays=shown.replays)
    return responses.cacheable(request, body)


async def session_list(request: Request) -> Response:
    """Sessions by start, as the address filters them."""
    chosen = filters.read(request.query_params)
    search = chosen.search(clock.now())
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        total = await sessions.count(tx, search)
        found = await session_part(tx, search, request.query_params, PAGE)
        more = MoreResults() if found.following else await _more_results(tx, search)
        over = 0 if total else await sessions.count(tx, replace(chosen, past_too=True).search(search.now))
    body = render(
        request,
        "sessions.html",
        filters=chosen,
        errors=form_errors.sentences(rendering_in(request), chosen.errors),
        themes=themes,
        total=total,
        part=found,
        more=more,
        over=over,
    )
    return responses.cacheable(request, body)


async def show_session(request: Request) -> Response:
    """A session: when, where, for whom, and whether there is a seat."""
    now = clock.now()
    async with site_of(request).database.quiet_transaction() as tx:
        shown = await pages.session(tx, request.path_params["session_id"])
    listed = shown.listed
    moments = (
        BUILT,
        listed.changed_at,
        listed.filled_at or listed.changed_at,
        shown.offer.changed_at,
        last_change_by_clock(listed.session.plan, now) or BUILT,
        *(replay.changed_at for replay in shown.replays),
    )
    body = render(
        request,
        "session.html",
        listed=listed,
        offer=shown.offer,
        replays=shown.replays,
        themes=shown.themes,
        data=structured_data.event(site_of(request), listed, shown.offer, now),
    )
    return responses.cacheable(request, body, modified=max(moments))


async def show_offer(request: Request) -> Response:
    """An offer and its sessions that are not over."""
    offer_id = _slug(request.path_params["offer_id"])
    async with site_of(request).database.quiet_transaction() as tx:
        shown = await pages.offer(tx, offer_id, clock.now(), PAGE + 1)
    listed = shown.sessions[:PAGE]
    body = render(
        request,
        "offre.html",
        offer=shown.offer,
        sessions=listed,
        more=len(shown.sessions) > PAGE,
        themes=shown.themes,
        data=structured_data.course(site_of(request), shown.offer, listed),
    )
    return responses.cacheable(request, body)


async def resource_list(request: Request) -> Response:
    """Replays, dossiers and communities, the newest first."""
    theme = request.query_params.get("theme") or None
    kind = next((kind for kind in Kind if kind == request.query_params.get("type")), None)
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        theme = theme if theme in themes else None
        after = read_position(request.query_params.get("apres"))
        found = await resources.page(tx, after, PAGE + 1, kind=kind, theme=theme)
        recorded = await _recorded(tx, found)
    body = render(
        request,
        "ressources.html",
        part=part_after(after, found, PAGE, position=resource_position),
        recorded=recorded,
        kind=kind,
        theme=theme,
        themes=themes,
    )
    return responses.cacheable(request, body)


async def accessibility(request: Request) -> Response:
    """The statement of accessibility that the law requires."""
    return responses.cacheable(request, render(request, "accessibilite.html"))


async def legal_notice(request: Request) -> Response:
    """Who publishes the pages and who hosts them."""
    return responses.cacheable(request, render(request, "mentions-legales.html"))


async def personal_data(request: Request) -> Response:
    """What is kept of whom, why and for how long, and which rights people have (RGPD, articles 13 and 14)."""
    return responses.cacheable(request, render(request, "donnees-personnelles.html"))


async def _more_results(tx: Transaction, search: SessionSearch) -> MoreResults:
    """The offers and resources with the words of a search; of bespoke training, the offers."""
    return MoreResults(
        await offers.without_sessions(tx, search, _MAX_OFFERS),
        await resources.page(tx, None, SOON, theme=search.theme, text=search.text) if search.text else [],
    )


async def _recorded(tx: Transaction, found: Sequence[Resource]) -> dict[UUID, str]:
    """The titles of the sessions that replays recorded and that everyone may see."""
    ids = [replay.session_id for replay in found if replay.session_id is not None]
    return await sessions.titles(tx, ids, PUBLIC)


def _slug(text: str) -> str:
    """The id in an address. Raises a 404 for what cannot be one."""
    if not filters.is_slug(text):
        raise HTTPException(404)
    return text
