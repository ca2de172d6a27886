from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.catalogue.pages import filters, structured_data
from services.catalogue.pages.filters import Filters, View
from services.catalogue.pages.month import month_of
from services.catalogue.pages.paging import near_part, resource_position, session_part
from services.catalogue.pages.site import render, rendering_in, site_of
from services.catalogue.rules import spelling
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.rules.searching import PUBLIC, SessionSearch
from services.catalogue.service import offers, overviews, resources, session_lists
from shared import clock
from shared.database import Transaction
from shared.events.vocabulary import Format
from shared.events.zones import PARIS
from shared.web import responses
from shared.web.form_errors import sentences
from shared.web.paging import edges, part_around

PAGE = 20
SOON = 6
OTHERS = 4
MAX_IN_A_MONTH = 2_000
_MAX_OFFERS = 100


@dataclass(frozen=True, slots=True)
class MoreResults:
    offers: Sequence[Offer] = ()
    resources: Sequence[Resource] = ()


class KnownWords:
    """For five minutes, keeps the words that sessions contain."""

    _KEPT = timedelta(minutes=5)

    def __init__(self) -> None:
        self._words: frozenset[str] = frozenset()
        self._until: datetime | None = None

    async def now(self, tx: Transaction, now: datetime) -> frozenset[str]:
        if self._until is None or not now < self._until <= now + self._KEPT:
            self._words, self._until = await session_lists.vocabulary(tx), now + self._KEPT
        return self._words


def routes() -> list[Route]:
    return [
        Route("/", home),
        Route("/sessions", session_list),
        Route("/sessions/{session_id:uuid}", show_session),
        Route("/sessions/{session_id:uuid}/places", show_seats),
        Route("/offres/{offer_id}", show_offer),
        Route("/ressources", resource_list),
        Route("/accessibilite", accessibility),
        Route("/mentions-legales", legal_notice),
        Route("/donnees-personnelles", personal_data),
    ]


async def home(request: Request) -> Response:
    now = clock.now()
    delegation = filters.read(request.query_params).delegation
    async with site_of(request).database.quiet_transaction() as tx:
        shown = await overviews.home(tx, now, delegation, SOON)
    by_format: dict[Format, list[Offer]] = {}
    for offer in shown.offers:
        by_format.setdefault(offer.format, []).append(offer)
    body = render(
        request, "accueil.html", shown=shown, offers=by_format, delegation=delegation, reader=delegation
    )
    return responses.cacheable(request, body)


async def session_list(request: Request) -> Response:
    now = clock.now()
    chosen = filters.read(request.query_params, now)
    typed = chosen.text
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        total, over = await _counted(tx, chosen, now)
        if typed and not total and not over and chosen.near is None:
            about, near = filters.place_named(chosen.text, at_end=True)
            chosen = replace(chosen, about=about, near=near)
            total, over = await _counted(tx, chosen, now)
        if typed and not total and not over:
            chosen = await _as_meant(tx, request, chosen, now)
            total, over = await _counted(tx, chosen, now)
        view = await _view(tx, request, chosen, now)
    body = render(
        request,
        "sessions.html",
        filters=chosen,
        reader=(chosen.near and chosen.near.delegation) or filters.reader_of(request.query_params),
        near=chosen.near or filters.place_of_reader(request.query_params),
        months=filters.months(now, chosen.month),
        errors=sentences(rendering_in(request), chosen.errors),
        themes=themes,
        instead_of="" if chosen.text == typed else typed,
        total=total,
        over=over,
        **view,
    )
    return responses.cacheable(request, body)


async def _counted(tx: Transaction, chosen: Filters, now: datetime) -> tuple[int, int]:
    total = await session_lists.count(tx, chosen.search(now))
    if total:
        return total, 0
    return 0, await session_lists.count(tx, replace(chosen, past_too=True).search(now))


async def _as_meant(tx: Transaction, request: Request, chosen: Filters, now: datetime) -> Filters:
    more = await _more_results(tx, chosen.search(now))
    if more.offers or more.resources:
        return chosen
    known: KnownWords = request.app.state.known_words
    meant = spelling.corrected(chosen.text, await known.now(tx, now))
    return chosen if meant is None else replace(chosen, text=meant, about=meant, near=None)


async def _view(tx: Transaction, request: Request, chosen: Filters, now: datetime) -> dict[str, Any]:
    search = chosen.search(now)
    shown: dict[str, Any] = {
        "part": None,
        "more": MoreResults(),
        "month": None,
        "cut_at": None,
        "delegations": None,
        "listed": [],
    }
    match chosen.view:
        case View.MAP:
            shown["delegations"] = await session_lists.groups(
                tx, replace(search, organiser=None), "organiser"
            )
        case View.CALENDAR:
            first = chosen.month or await _first_month(tx, search, now)
            in_month = replace(chosen, month=first).search(now)
            found = await session_lists.in_calendar(tx, in_month, MAX_IN_A_MONTH + 1)
            shown["month"] = month_of(first, found[:MAX_IN_A_MONTH], now)
            shown["cut_at"] = MAX_IN_A_MONTH if len(found) > MAX_IN_A_MONTH else None
        case View.LIST:
            if chosen.near is None:
                part = await session_part(tx, search, request.query_params, PAGE)
            else:
                part = await near_part(tx, search, chosen.near, request.query_params, PAGE)
            shown |= {"part": part, "listed": part.shown}
            if not part.following:
                shown["more"] = await _more_results(tx, search)
    return shown


async def _first_month(tx: Transaction, search: SessionSearch, now: datetime) -> date:
    found = await session_lists.page(tx, replace(search, starts_after=now), None, 1)
    moment = found[0].session.plan.starts_at if found else now
    return moment.astimezone(ZoneInfo(PARIS)).date().replace(day=1)


async def show_session(request: Request) -> Response:
    now = clock.now()
    near = filters.place_of_reader(request.query_params)
    reader = filters.reader_of(request.query_params)
    async with site_of(request).database.quiet_transaction() as tx:
        shown = await overviews.session(
            tx, request.path_params["session_id"], now, OTHERS, near=near, reader=reader
        )
    body = render(
        request,
        "session.html",
        listed=shown.listed,
        others=shown.others,
        offer=shown.offer,
        replays=shown.replays,
        themes=shown.themes,
        data=structured_data.event(site_of(request), shown.listed, shown.offer, now),
    )
    return responses.cacheable(request, body)


async def show_seats(request: Request) -> Response:
    async with site_of(request).database.quiet_transaction() as tx:
        listed = await session_lists.show(tx, request.path_params["session_id"], PUBLIC)
    return responses.cacheable(request, render(request, "places.html", listed=listed))


async def show_offer(request: Request) -> Response:
    offer_id = _slug(request.path_params["offer_id"])
    async with site_of(request).database.quiet_transaction() as tx:
        shown = await overviews.offer(tx, offer_id, clock.now(), PAGE + 1)
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
    theme = request.query_params.get("theme") or None
    kind = next((kind for kind in Kind if kind == request.query_params.get("type")), None)
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        theme = theme if theme in themes else None
        load = partial(resources.page, tx, kind=kind, theme=theme)
        part = await part_around(*edges(request.query_params), PAGE, load=load, position=resource_position)
        recorded = await _recorded(tx, part.shown)
    body = render(
        request,
        "ressources.html",
        part=part,
        recorded=recorded,
        kind=kind,
        theme=theme,
        themes=themes,
    )
    return responses.cacheable(request, body)


async def accessibility(request: Request) -> Response:
    return responses.cacheable(request, render(request, "accessibilite.html"))


async def legal_notice(request: Request) -> Response:
    return responses.cacheable(request, render(request, "mentions-legales.html"))


async def personal_data(request: Request) -> Response:
    return responses.cacheable(request, render(request, "donnees-personnelles.html"))


async def _more_results(tx: Transaction, search: SessionSearch) -> MoreResults:
    return MoreResults(
        await offers.without_sessions(tx, search, _MAX_OFFERS),
        await resources.page(tx, None, SOON, theme=search.theme, text=search.text) if search.text else [],
    )


async def _recorded(tx: Transaction, found: Sequence[Resource]) -> dict[UUID, str]:
    ids = [replay.session_id for replay in found if replay.session_id is not None]
    return await session_lists.titles(tx, ids, PUBLIC)


def _slug(text: str) -> str:
    if not filters.is_slug(text):
        raise HTTPException(404)
    return text
