import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.catalogue.pages import calendars, filters
from services.catalogue.pages.lheo import LheoWriter
from services.catalogue.pages.site import BUILT, Site, render, rendering_in, site_of
from services.catalogue.rules.resources import Kind
from services.catalogue.rules.searching import PUBLIC, Position, SessionSearch
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import offers, resources, session_lists
from shared import clock
from shared.events.vocabulary import Status
from shared.web import labels, responses

CALENDAR = "text/calendar; charset=utf-8"
ATOM = "application/atom+xml; charset=utf-8"
XML = "application/xml; charset=utf-8"

MAX_IN_A_CALENDAR = 1_000
MAX_IN_A_FEED = 50
MAX_IN_A_PART = 500
MAX_IN_A_MAP = 50_000
"""sitemaps.org's own limit."""
KEPT_IN_A_CALENDAR = timedelta(days=90)
COSTS = dict.fromkeys(("/agenda.ics", "/offre.lheo.xml", "/sitemap.xml"), 20)
"""A feed of thousands of sessions costs as much as this many pages, and counts as many."""


def routes() -> list[Route]:
    return [
        Route("/agenda.ics", calendar),
        Route("/sessions/{session_id:uuid}.ics", session_calendar),
        Route("/replays.atom", replays),
        Route("/offre.lheo.xml", lheo_offer),
        Route("/sitemap.xml", site_map),
        Route("/robots.txt", robots),
    ]


async def calendar(request: Request) -> Response:
    now = clock.now()
    chosen = filters.read(request.query_params)
    if chosen.errors:
        raise HTTPException(404)
    search = SessionSearch(
        now=now,
        format=chosen.format,
        organiser=chosen.delegation,
        theme=chosen.theme,
        ends_after=now - KEPT_IN_A_CALENDAR,
    )
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        found = await session_lists.page(tx, search, None, MAX_IN_A_CALENDAR + 1)
        if len(found) > MAX_IN_A_CALENDAR:  # keep future sessions rather than past ones
            found = await session_lists.page(tx, replace(search, ends_after=now), None, MAX_IN_A_CALENDAR)
    names = (
        labels.FORMATS[chosen.format] if chosen.format else None,
        labels.delegation(chosen.delegation) if chosen.delegation else None,
        themes.get(chosen.theme) if chosen.theme else None,
    )
    name = " – ".join(["Parcours", *(name for name in names if name)])
    # In a thread, because a thousand events take a third of a second.
    body = await asyncio.to_thread(
        calendars.write, rendering_in(request), site_of(request).address, found, name
    )
    return responses.cacheable(request, body, media_type=CALENDAR)


async def session_calendar(request: Request) -> Response:
    session_id: UUID = request.path_params["session_id"]
    async with site_of(request).database.quiet_transaction() as tx:
        listed = await session_lists.show(tx, session_id, PUBLIC)
    body = calendars.write(rendering_in(request), site_of(request).address, [listed], "Parcours")
    response = responses.cacheable(request, body, media_type=CALENDAR, modified=max(listed.changed_at, BUILT))
    response.headers["Content-Disposition"] = f'attachment; filename="session-{session_id}.ics"'
    return response


async def replays(request: Request) -> Response:
    async with site_of(request).database.quiet_transaction() as tx:
        found = await resources.page(tx, None, MAX_IN_A_FEED, kind=Kind.REPLAY)
    modified = max((replay.changed_at for replay in found), default=BUILT)
    body = render(request, "replays.atom", replays=found, updated=modified)
    return responses.cacheable(request, body, media_type=ATOM, modified=max(modified, BUILT))


async def lheo_offer(request: Request) -> Response:
    site, now = site_of(request), clock.now()
    if site.organisation is None:
        raise HTTPException(404)
    search = SessionSearch(now=now, status=Status.PUBLISHED, ends_after=now)
    async with site.database.quiet_transaction() as tx:
        every = await offers.every(tx)
        changes = await session_lists.version(tx, search)
    writer = LheoWriter(site, site.organisation, rendering_in(request), now)
    version = repr((every, changes, site.organisation, site.publisher, site.contact, BUILT))
    sessions = (_sessions_of(site, replace(search, offer_id=offer.offer_id)) for offer in every)
    parts = writer.write(zip(every, sessions, strict=True))
    return responses.streamed(request, parts, version=version, media_type=XML)


async def _sessions_of(site: Site, search: SessionSearch) -> AsyncIterator[list[ListedSession]]:
    """A transaction for each page, because a slow reader would keep one open."""
    after: Position | None = None
    while True:
        async with site.database.quiet_transaction() as tx:
            found = await session_lists.page(tx, search, after, MAX_IN_A_PART)
        if not found:
            return
        yield found
        if len(found) < MAX_IN_A_PART:
            return
        after = found[-1].session.plan.starts_at, found[-1].session.session_id


async def site_map(request: Request) -> Response:
    site = site_of(request)
    async with site.database.quiet_transaction() as tx:
        every = await offers.every(tx)
        found = await session_lists.last_changes(tx, PUBLIC, MAX_IN_A_MAP // 2)
    body = render(request, "sitemap.xml", offers=every, sessions=found)
    return responses.cacheable(request, body, media_type=XML)


async def robots(request: Request) -> Response:
    lines = ("User-agent: *", "Disallow: /gestion", f"Sitemap: {site_of(request).address}/sitemap.xml", "")
    return PlainTextResponse("\n".join(lines))
