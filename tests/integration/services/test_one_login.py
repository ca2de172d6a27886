"""One log-in by token opens all areas of the three services, and one log-out ends it in all (ADR 0074)."""

import base64
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from services.notifier.pages.staff_area import FIGURES_AREA
from shared import clock
from shared.guard import Guard
from shared.process import Process
from shared.rates import Rate
from shared.web.logins.staff_area import StaffArea
from shared.web.operations import area_of
from tests.conftest import SecurityLines
from tests.integration.catalogue.conftest import BRETAGNE, time_is
from tests.integration.services.composed import AREAS, SITE, gateway
from tests.integration.services.conftest import Compose
from tests.integration.services.test_logins import at_issuer, by_token, is_in, key_of, onward
from tests.integration.services.test_provider import settings_for
from tests.support.oidc import Claims, OidcIssuer
from tests.support.processes import SERVICES

Browser = httpx.AsyncClient
SESSIONS, ENROLMENTS, SUPPORT = (AREAS[service] for service in SERVICES)
OPERATIONS = [area_of(service) for service in SERVICES]
ALL_AREAS = [SESSIONS, ENROLMENTS, SUPPORT, FIGURES_AREA, *OPERATIONS]
KEY = "a key of thirty-two characters for tests only"


@pytest.fixture
def processes(compose_service: Compose, issuer: OidcIssuer) -> dict[str, Process]:
    settings = settings_for(issuer).model_dump() | {"link_signing_key": KEY}
    return {service: compose_service(service, **settings) for service in SERVICES}


@pytest.fixture
async def browser(processes: dict[str, Process]) -> AsyncIterator[Browser]:
    async with browser_at(processes) as browser:
        yield browser


def browser_at(processes: dict[str, Process]) -> Browser:
    transport = httpx.ASGITransport(app=gateway(processes), client=("127.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url=SITE)


async def follow(browser: Browser, address: str) -> httpx.Response:
    """Go where an address leads, also by a page that leads on by itself."""
    page = await browser.get(address, follow_redirects=True)
    while 'http-equiv="refresh"' in page.text and onward(page).startswith(SITE):
        page = await browser.get(onward(page), follow_redirects=True)
    return page


async def leave(browser: Browser, area: StaffArea, end: str = "", **form: str) -> str:
    """Send a form that ends log-ins. Return the path of the last page."""
    key = await key_of(browser, area)
    led = await browser.post(end or area.log_out, data={"cle": key} | form)
    page = await follow(browser, led.headers.get("location") or onward(led))
    return page.url.path


async def handed(browser: Browser, area: StaffArea) -> str:
    """The address with the ticket, to which the way to an area leads."""
    address = (await browser.get(area.own_logins)).headers["location"]
    while "billet=" not in address and "/passage" in address:
        address = (await browser.get(address)).headers["location"]
    return address


@pytest.mark.parametrize("first", ALL_AREAS, ids=lambda area: area.cookie)
async def test_one_log_in_opens_all_areas_and_one_log_out_ends_it_in_all(
    browser: Browser, processes: dict[str, Process], first: StaffArea
) -> None:
    await by_token(browser, first)
    for area in ALL_AREAS:
        page = await follow(browser, f"{area.own_logins}?fait=x")
        assert (page.status_code, page.url.path) == (200, area.own_logins)
        assert page.text.count('data-label="Navigateur"') == 1, "the log-in counts once"
        assert "(cette connexion)" in page.text
    cookies = dict(browser.cookies)
    assert len(cookies) == len(ALL_AREAS)
    assert await leave(browser, SUPPORT) == SUPPORT.log_in
    assert not browser.cookies
    for process in processes.values():
        async with process.database.quiet_transaction() as tx:
            assert await tx.scalar(text("SELECT count(*) FROM login")) == 0
    browser.cookies.update(cookies)
    for area in ALL_AREAS:
        assert (await follow(browser, area.home)).url.path == area.log_in


async def test_a_ticket_opens_nothing_without_the_cookie_of_the_area_that_signed_it(browser: Browser) -> None:
    await by_token(browser, SESSIONS)
    ticket = await handed(browser, SUPPORT)
    browser.cookies.clear()
    assert (await browser.get(ticket)).status_code == 200
    browser.cookies.set("__Host-gestion", "another")
    assert (await browser.get(ticket)).status_code == 200
    assert "__Host-courriels" not in browser.cookies


@pytest.mark.parametrize(("seconds", "opens"), [(59, True), (60, False)])
async def test_a_ticket_ends_after_a_minute(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, seconds: int, opens: bool
) -> None:
    now = clock.now().replace(microsecond=0)
    async with time_is(monkeypatch, now):
        await by_token(browser, SESSIONS)
        ticket = await handed(browser, SUPPORT)
    async with time_is(monkeypatch, now + timedelta(seconds=seconds)):
        await browser.get(ticket)
        assert await is_in(browser, SUPPORT) is opens


async def test_tickets_keep_nobody_from_logging_in_again(
    browser: Browser, processes: dict[str, Process]
) -> None:
    guard: Guard = processes["notifier"].api.state.guard
    guard.rates = replace(guard.rates, log_in=Rate(2, 60))
    await by_token(browser, SESSIONS)
    ticket = await handed(browser, SUPPORT)
    statuses = [(await browser.get(ticket)).status_code for _ in range(3)]
    assert statuses == [303, 303, 429]
    browser.cookies.clear()
    await by_token(browser, SUPPORT)
    assert await is_in(browser, SUPPORT)


async def test_a_ticket_opens_one_area_and_a_forged_one_none(browser: Browser) -> None:
    await by_token(browser, SESSIONS)
    ticket = await handed(browser, SUPPORT)
    cookies = dict(browser.cookies)
    for area in (ENROLMENTS, FIGURES_AREA, *OPERATIONS):
        await browser.get(ticket.replace(SUPPORT.home, area.home))
    for forged in (ticket[:-1], f"{ticket}a", re.sub("billet=.*", "billet=%5B1%5D.x", ticket)):
        assert (await browser.get(forged)).status_code == 200
    assert dict(browser.cookies) == cookies


async def test_a_log_in_that_ended_opens_no_other_area(browser: Browser) -> None:
    await by_token(browser, SESSIONS)
    cookies = dict(browser.cookies)
    await leave(browser, SESSIONS)
    browser.cookies.update(cookies)
    assert (await follow(browser, SUPPORT.home)).url.path == SUPPORT.log_in


@pytest.mark.parametrize("end", ["", "toutes"], ids=["log-out", "all"])
async def test_a_ticket_from_before_the_log_out_opens_nothing_after_it(browser: Browser, end: str) -> None:
    await by_token(browser, SESSIONS)
    tickets = [await handed(browser, area) for area in (ENROLMENTS, SUPPORT, FIGURES_AREA)]
    stolen = dict(browser.cookies)
    await leave(browser, SESSIONS, SESSIONS.own_logins if end else "", fin=end)
    browser.cookies.update(stolen)
    for ticket in tickets:
        assert (await browser.get(ticket)).status_code == 200
    assert dict(browser.cookies) == stolen
    browser.cookies.clear()
    await by_token(browser, SESSIONS)
    assert (await follow(browser, SUPPORT.own_logins)).url.path == SUPPORT.own_logins


async def test_a_log_in_lasts_no_longer_where_it_is_handed_to(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await by_token(browser, SESSIONS)
    opened_at = clock.now()
    for minute in range(29, 480, 29):
        async with time_is(monkeypatch, opened_at + timedelta(minutes=minute)):
            await browser.get(SESSIONS.stay)
    async with time_is(monkeypatch, opened_at + timedelta(minutes=479)):
        await follow(browser, SUPPORT.home)
        assert await is_in(browser, SUPPORT)
    async with time_is(monkeypatch, opened_at + timedelta(minutes=481)):
        assert not await is_in(browser, SUPPORT)


async def test_each_area_judges_the_role_itself(browser: Browser) -> None:
    await by_token(browser, SESSIONS, BRETAGNE)
    assert (await follow(browser, ENROLMENTS.own_logins)).url.path == ENROLMENTS.own_logins
    assert (await follow(browser, FIGURES_AREA.own_logins)).url.path == FIGURES_AREA.own_logins
    for area in (SUPPORT, *OPERATIONS):
        assert (await follow(browser, area.home)).url.path == area.log_in


async def test_the_area_that_knows_the_browser_is_found_behind_one_that_does_not(browser: Browser) -> None:
    browser.cookies.set("__Host-gestion", "ended")
    await by_token(browser, SUPPORT)
    assert (await follow(browser, ENROLMENTS.own_logins)).url.path == ENROLMENTS.own_logins


async def test_a_visitor_from_another_site_is_asked_to_log_in(browser: Browser) -> None:
    await by_token(browser, SESSIONS)
    browser.headers["sec-fetch-site"] = "cross-site"
    page = await follow(browser, f"{ENROLMENTS.home}/semaine")
    assert (page.url.path, dict(page.url.params)) == (
        ENROLMENTS.log_in,
        {"vers": f"{ENROLMENTS.home}/semaine"},
    )


async def test_the_way_leads_to_no_other_site(browser: Browser) -> None:
    await by_token(browser, SESSIONS)
    for area in ("https://a.example", "", "inconnu"):
        assert (await browser.get(SESSIONS.passage, params={"pour": area})).status_code == 404
    led = await browser.get(SESSIONS.passage, params={"pour": "courriels", "vers": "https://a.example"})
    assert urlsplit(led.headers["location"]).netloc == urlsplit(SITE).netloc
    assert (await browser.get(led.headers["location"])).headers["location"] == SUPPORT.home
    forged = await browser.get(SESSIONS.passage, params={"fin": "https://a.example"})
    assert forged.headers["location"] == SESSIONS.log_in


async def test_a_log_in_at_the_issuer_goes_on_to_the_issuer(browser: Browser, issuer: OidcIssuer) -> None:
    await issuer.know("zoe", email="zoe@cnfpt.example", groups=["parcours-admin"], amr=["pwd", "mfa"])
    await at_issuer(browser, issuer, SESSIONS.begin)
    way = (await browser.get(ENROLMENTS.own_logins)).headers["location"]
    begin = (await browser.get(way)).headers["location"]
    assert begin.startswith(f"{SITE}{ENROLMENTS.begin}?")
    assert await at_issuer(browser, issuer, begin) == ENROLMENTS.own_logins
    assert await leave(browser, SESSIONS) == "/oauth2/end_session"
    assert not browser.cookies.keys() & {"__Host-gestion", "__Host-inscriptions"}
    for area in (SESSIONS, ENROLMENTS):
        assert not await is_in(browser, area)


async def test_no_address_of_ours_shows_the_token_of_the_issuer(browser: Browser, issuer: OidcIssuer) -> None:
    await issuer.know("zoe", email="zoe@cnfpt.example", groups=["parcours-admin"], amr=["pwd", "mfa"])
    for area in (SESSIONS, SUPPORT):
        await at_issuer(browser, issuer, area.begin)
    led = onward(await browser.post(SESSIONS.log_out, data={"cle": await key_of(browser, SESSIONS)}))
    assert led.startswith(SITE)
    ticket = urlsplit(led).query.removeprefix("fin=")
    parts = [base64.urlsafe_b64decode(f"{part}===") for part in ticket.split(".")]
    shown = b"".join(parts) + b"".join(zlib.decompress(part) for part in parts if part[:1] == b"x")
    assert b"id_token_hint" not in shown
    assert b"id_token_hint" in (await follow(browser, led)).url.query


@pytest.mark.parametrize("claims", [{}, {"sid": "session 0"}], ids=["no session", "session"])
async def test_one_ends_another_browser_at_the_issuer_in_every_area(
    browser: Browser, processes: dict[str, Process], issuer: OidcIssuer, claims: Claims
) -> None:
    areas = (SESSIONS, ENROLMENTS, SUPPORT)
    known = {"email": "zoe@cnfpt.example", "groups": ["parcours-admin"], "amr": ["pwd", "mfa"]}
    async with browser_at(processes) as phone:
        phone.headers["user-agent"] = "Firefox/1 Android"
        await issuer.know("zoe", **known, **claims)
        for area in areas:
            await at_issuer(phone, issuer, area.begin)
        await issuer.know("zoe", **known, **dict.fromkeys(claims, "session 1"))
        for area in areas:
            await at_issuer(browser, issuer, area.begin)
        page = await browser.get(SUPPORT.own_logins)
        [_, other] = re.findall(r'name="fin" value="([0-9a-f]{64})"', page.text)
        await leave(browser, SUPPORT, SUPPORT.own_logins, fin=other)
        for area in areas:
            assert [await is_in(tab, area) for tab in (browser, phone)] == [True, False], area.home


async def test_one_ends_another_browser_or_all_in_every_area(
    browser: Browser, processes: dict[str, Process], security_lines: SecurityLines
) -> None:
    async with browser_at(processes) as phone:
        for tab in (phone, browser):
            await by_token(tab, ENROLMENTS)
            for area in (SESSIONS, SUPPORT):
                await follow(tab, area.home)
        page = await browser.get(SUPPORT.own_logins)
        [_, other] = re.findall(r'name="fin" value="([0-9a-f]{64})"', page.text)
        done = await leave(browser, SUPPORT, SUPPORT.own_logins, fin=other)
        assert done == SUPPORT.own_logins
        for area in (SESSIONS, ENROLMENTS, SUPPORT):
            assert [await is_in(tab, area) for tab in (browser, phone)] == [True, False], area.home
        await by_token(phone, SESSIONS)
        await leave(browser, SUPPORT, SUPPORT.own_logins, fin="toutes")
        assert not await is_in(phone, SESSIONS)
    ended = [line["who"].partition(":")[0] for line in security_lines() if line["event"] == "log_out"]
    assert ended == ["admin"] * 7
