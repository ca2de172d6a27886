"""What everyone may see: the formats, the sessions, the offers, the resources."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.catalogue import rules
from services.catalogue.pages import answers, filters, structured
from services.catalogue.pages.filters import Filters
from services.catalogue.pages.parts import part
from services.catalogue.pages.site import BUILT, render, site_of
from services.catalogue.store import offers, resources, sessions
from services.catalogue.store.offers import Offer
from services.catalogue.store.resources import Resource
from services.catalogue.store.sessions import PUBLIC, Wanted
from shared import clock
from shared.database import Transaction
from shared.events.vocabulary import EnrolmentWindow, Format, Status
from shared.web import labels

PAGE = 20
"""Sessions or resources on a page."""
SOON = 5
"""Sessions and replays that the first page shows."""
_MOST_OFFERS = 100


@dataclass(frozen=True, slots=True)
class Beside:
    """What answers a search besides sessions: offers of which none is listed, and resources."""

    offers: Sequence[Offer] = ()
    resources: Sequence[Resource] = ()


def routes() -> list[Route]:
    """The addresses of these pages."""
    return [
        Route("/", home),
        Route("/sessions", session_list),
        Route("/sessions/{session_id:uuid}", one_session),
        Route("/offres/{offer_id}", one_offer),
        Route("/ressources", resource_list),
        Route("/accessibilite", accessibility),
    ]


async def home(request: Request) -> Response:
    """The six formats, what comes next, and the last replays."""
    now = clock.now()
    soon = Wanted(now=now, enrolment=EnrolmentWindow.OPEN, status=Status.PUBLISHED, ends_after=now)
    async with site_of(request).database.quiet_transaction() as tx:
        every = await offers.page(tx, None, _MOST_OFFERS)
        upcoming = await sessions.page(tx, soon, None, SOON)
        replays = await resources.page(tx, None, SOON, kind=resources.REPLAY, theme=None)
    by_format: dict[Format, list[Offer]] = {}
    for offer in every:
        by_format.setdefault(offer.format, []).append(offer)
    body = render(request, "accueil.html", offers=by_format, sessions=upcoming, replays=replays)
    return answers.cacheable(request, body)


async def session_list(request: Request) -> Response:
    """Sessions by start, as the address filters them."""
    asked = filters.read(request.query_params)
    wanted = asked.wanted(clock.now())
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        total = await sessions.count(tx, wanted)
        found = await part(tx, wanted, request.query_params, PAGE)
        beside = Beside() if found.following else await _beside(tx, asked, wanted)
        over = 0 if total else await sessions.count(tx, replace(asked, past_too=True).wanted(wanted.now))
    body = render(
        request,
        "sessions.html",
        filters=asked,
        themes=themes,
        total=total,
        part=found,
        beside=beside,
        over=over,
    )
    return answers.cacheable(request, body)


async def one_session(request: Request) -> Response:
    """A session: when, where, for whom, and whether there is a seat."""
    now = clock.now()
    session_id: UUID = request.path_params["session_id"]
    async with site_of(request).database.quiet_transaction() as tx:
        listed = await sessions.shown(tx, session_id, PUBLIC)
        if listed is None:
            raise HTTPException(404)
        offer = await offers.by_id(tx, listed.session.offer_id)
        recorded = await resources.of_session(tx, session_id)
        themes = await offers.themes(tx)
    if offer is None:
        raise HTTPException(404)
    moments = (
        BUILT,
        listed.changed_at,
        listed.filled_at or listed.changed_at,
        offer.changed_at,
        rules.last_turn(listed.session.plan, now),
        *(one.changed_at for one in recorded),
    )
    body = render(
        request,
        "session.html",
        listed=listed,
        offer=offer,
        replays=recorded,
        themes=_named(offer.themes, themes),
        data=structured.event(site_of(request), listed, offer, now),
    )
    modified = max(moment for moment in moments if moment is not None)
    return answers.cacheable(request, body, modified=modified)


async def one_offer(request: Request) -> Response:
    """An offer and its sessions that are not over."""
    now = clock.now()
    async with site_of(request).database.quiet_transaction() as tx:
        offer = await offers.by_id(tx, _slug(request.path_params["offer_id"]))
        if offer is None:
            raise HTTPException(404)
        wanted = Wanted(now=now, offer_id=offer.offer_id, ends_after=now)
        found = await sessions.page(tx, wanted, None, PAGE + 1)
        themes = await offers.themes(tx)
    body = render(
        request,
        "offre.html",
        offer=offer,
        sessions=found[:PAGE],
        more=len(found) > PAGE,
        themes=_named(offer.themes, themes),
        data=structured.course(site_of(request), offer, found[:PAGE]),
    )
    return answers.cacheable(request, body)


async def resource_list(request: Request) -> Response:
    """Replays, dossiers and communities, the newest first."""
    kind, theme = request.query_params.get("type") or None, request.query_params.get("theme") or None
    kind = kind if kind in labels.RESOURCES else None
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        theme = theme if theme in themes else None
        after = filters.place(request.query_params.get("apres"))
        found = await resources.page(tx, after, PAGE + 1, kind=kind, theme=theme)
        recorded = await _recorded(tx, found)
    shown = found[:PAGE]
    following = None
    if len(found) > PAGE:
        place = filters.place_of(shown[-1].published_at, shown[-1].resource_id)
        following = {"type": kind, "theme": theme, "apres": place}
    body = render(
        request,
        "ressources.html",
        resources=shown,
        recorded=recorded,
        kind=kind,
        theme=theme,
        themes=themes,
        following=following,
        first=after is None,
    )
    return answers.cacheable(request, body)


async def accessibility(request: Request) -> Response:
    """The statement that the law asks for."""
    return answers.cacheable(request, render(request, "accessibilite.html"))


async def _beside(tx: Transaction, asked: Filters, wanted: Wanted) -> Beside:
    """What a list ends with: the offers and resources with its words; of bespoke training, the offers."""
    text, bespoke = asked.text or None, asked.format is Format.BESPOKE
    if text is None and not bespoke:
        return Beside()
    listed = await sessions.offer_ids(tx, wanted)
    found = await offers.found(tx, _MOST_OFFERS, text=text, kind=asked.format, theme=asked.theme)
    return Beside(
        [offer for offer in found if offer.offer_id not in listed],
        await resources.page(tx, None, SOON, kind=None, theme=asked.theme, text=text) if text else [],
    )


async def _recorded(tx: Transaction, found: Sequence[resources.Resource]) -> dict[UUID, str]:
    """The titles of the sessions that replays recorded and that everyone may see."""
    ids = [one.session_id for one in found if one.session_id is not None]
    return await sessions.titles(tx, ids, PUBLIC) if ids else {}


def _named(codes: Sequence[str], themes: dict[str, str]) -> dict[str, str]:
    return {code: themes[code] for code in codes if code in themes}


def _slug(text: str) -> str:
    """The id in an address; a 404 for what can be nobody's."""
    if not filters.is_slug(text):
        raise HTTPException(404)
    return text
