"""What programs read: calendars, the feed of replays, the site map."""

import functools
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, Timezone
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.catalogue.pages import answers, filters, wording
from services.catalogue.pages.site import BUILT, Site, render, site_of
from services.catalogue.store import offers, resources, sessions
from services.catalogue.store.sessions import PUBLIC, Listed, Wanted
from shared import clock, french
from shared.events.vocabulary import Format, Status

CALENDAR = "text/calendar; charset=utf-8"
ATOM = "application/atom+xml; charset=utf-8"
XML = "application/xml; charset=utf-8"

MOST_IN_A_CALENDAR = 1_000
MOST_IN_A_FEED = 50
MOST_IN_A_MAP = 50_000
"""sitemaps.org's own limit."""
KEPT_IN_A_CALENDAR = timedelta(days=90)
"""How long a session that is over stays in the calendars."""


def routes() -> list[Route]:
    """The addresses of the feeds."""
    return [
        Route("/agenda.ics", calendar),
        Route("/sessions/{session_id:uuid}.ics", one_entry),
        Route("/replays.atom", replays),
        Route("/sitemap.xml", site_map),
        Route("/robots.txt", robots),
    ]


async def calendar(request: Request) -> Response:
    """The sessions of a delegation, a format, a theme, or all: to subscribe to."""
    asked = filters.read(request.query_params)
    if asked.errors:
        raise HTTPException(404)
    now = clock.now()
    wanted = Wanted(
        now=now,
        format=asked.format,
        organiser=asked.delegation,
        theme=asked.theme,
        ends_after=now - KEPT_IN_A_CALENDAR,
    )
    async with site_of(request).database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        found = await sessions.page(tx, wanted, None, MOST_IN_A_CALENDAR)
    names = (
        wording.FORMATS[asked.format] if asked.format else None,
        wording.delegation(asked.delegation) if asked.delegation else None,
        themes.get(asked.theme) if asked.theme else None,
    )
    body = _calendar(site_of(request), found, " – ".join(["Parcours", *(name for name in names if name)]))
    return answers.cacheable(request, body, media_type=CALENDAR)


async def one_entry(request: Request) -> Response:
    """One session, to put into one's own calendar."""
    session_id: UUID = request.path_params["session_id"]
    async with site_of(request).database.quiet_transaction() as tx:
        listed = await sessions.shown(tx, session_id, PUBLIC)
    if listed is None:
        raise HTTPException(404)
    body = _calendar(site_of(request), [listed], "Parcours")
    response = answers.cacheable(request, body, media_type=CALENDAR, modified=max(listed.changed_at, BUILT))
    response.headers["Content-Disposition"] = f'attachment; filename="session-{session_id}.ics"'
    return response


async def replays(request: Request) -> Response:
    """The newest replays, as Atom."""
    async with site_of(request).database.quiet_transaction() as tx:
        found = await resources.page(tx, None, MOST_IN_A_FEED, kind=resources.REPLAY, theme=None)
    modified = max((one.changed_at for one in found), default=BUILT)
    body = render(request, "replays.atom", replays=found, updated=modified)
    return answers.cacheable(request, body, media_type=ATOM, modified=max(modified, BUILT))


async def site_map(request: Request) -> Response:
    """Every public page that is worth finding."""
    site = site_of(request)
    async with site.database.quiet_transaction() as tx:
        every = await offers.page(tx, None, MOST_IN_A_MAP)
        found = await sessions.addresses(tx, PUBLIC, MOST_IN_A_MAP // 2)
    body = render(request, "sitemap.xml", offers=every, sessions=found)
    return answers.cacheable(request, body, media_type=XML)


async def robots(request: Request) -> Response:
    """Where the map is, and what is not worth visiting."""
    lines = ("User-agent: *", "Disallow: /gestion", f"Sitemap: {site_of(request).address}/sitemap.xml", "")
    return PlainTextResponse("\n".join(lines))


# ------------------------------------------------------------------------------------------- iCalendar


def _calendar(site: Site, found: Sequence[Listed], name: str) -> bytes:
    whole = Calendar()
    whole.add("prodid", "-//Parcours//Catalogue//FR")
    whole.add("version", "2.0")
    whole.add("calscale", "GREGORIAN")
    whole.add("method", "PUBLISH")
    whole.add("name", name)
    whole.add("x-wr-calname", name)
    whole.add("refresh-interval", timedelta(hours=4), parameters={"VALUE": "DURATION"})
    for zone in sorted({one.session.plan.timezone for one in found if not _in_days(one)}):
        whole.add_component(_zone(zone))
    for one in found:
        whole.add_component(_entry(site, one))
    return bytes(whole.to_ical())


@functools.cache
def _zone(name: str) -> Timezone:
    return Timezone.from_tzinfo(ZoneInfo(name), name, first_date=date(2024, 1, 1), last_date=date(2038, 1, 1))


def _entry(site: Site, one: Listed) -> Event:
    """The session as one entry; its stamps are its own, so that the same calendar is the same bytes."""
    session, plan = one.session, one.session.plan
    entry = Event()
    entry.add("uid", f"{session.session_id}@parcours")
    entry.add("sequence", session.version)
    entry.add("dtstamp", one.changed_at)
    entry.add("last-modified", one.changed_at)
    for name, moment in (("dtstart", plan.starts_at), ("dtend", plan.ends_at)):
        entry.add(
            name, _local(moment, plan.timezone).date() if _in_days(one) else _local(moment, plan.timezone)
        )
    entry.add("summary", plan.title)
    entry.add("location", wording.where(plan))
    entry.add("url", f"{site.address}/sessions/{session.session_id}")
    entry.add("description", _description(site, one))
    entry.add("categories", [wording.FORMATS[session.format]])
    entry.add("status", "CANCELLED" if session.status is Status.CANCELLED else "CONFIRMED")
    # Whoever subscribes has no seat, and a Mooc of four weeks takes nobody's days.
    entry.add("transp", "TRANSPARENT")
    return entry


def _description(site: Site, one: Listed) -> str:
    plan = one.session.plan
    organiser = french.organiser(one.session.organiser)
    lines: list[Any] = [
        one.presentation.summary,
        f"Organisation : {organiser}.",
        f"Inscription {wording.until(plan)}.",
        f"{site.address}/sessions/{one.session.session_id}",
    ]
    return "\n".join(line for line in lines if line)


def _in_days(one: Listed) -> bool:
    """Whether it is told in days: the Mooc, from midnight to midnight."""
    plan = one.session.plan
    midnight = {_local(moment, plan.timezone).time() for moment in (plan.starts_at, plan.ends_at)}
    return one.session.format is Format.MOOC and midnight == {datetime.min.time()}


def _local(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(ZoneInfo(timezone))
