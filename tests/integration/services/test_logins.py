"""Staff log in to the pages of each service, by token or at their issuer; their forms alone are taken."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from services.logins import app as logins_command
from shared import clock
from shared.oidc.provider import Provider
from shared.process import Process
from shared.process.jobs import end_old_rows
from shared.rates import Rate
from shared.web import logins
from shared.web.logins import by_issuer
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import LoginTable
from tests.conftest import SecurityLines, settings_of
from tests.integration.catalogue.conftest import ADMIN, time_is
from tests.integration.services.composed import AREAS, SITE, browser_on
from tests.integration.services.conftest import Compose
from tests.integration.services.test_provider import settings_for
from tests.support.oidc import Claims, Header, OidcIssuer
from tests.support.processes import SERVICES
from tests.support.searching import MARK, columns_with, registered

Browser = httpx.AsyncClient


@pytest.fixture
def process(request: pytest.FixtureRequest, compose_service: Compose, issuer: OidcIssuer) -> Process:
    """The catalogue, or the service of ``every_service``, whose staff may log in at the issuer."""
    return compose_service(getattr(request, "param", "catalogue"), **settings_for(issuer).model_dump())


every_service = pytest.mark.parametrize("process", SERVICES, indirect=True)


@pytest.fixture
def area(process: Process) -> StaffArea:
    return AREAS[process.name]


@pytest.fixture
async def browser(process: Process) -> AsyncIterator[Browser]:
    async with browser_on(process) as browser:
        yield browser


@pytest.fixture
async def zoe(issuer: OidcIssuer) -> str:
    """An admin, whom all pages are open to."""
    await issuer.know("zoe", email="zoe@cnfpt.example", groups=["parcours-admin"], amr=["pwd", "mfa"])
    return "zoe"


async def by_token(browser: Browser, area: StaffArea, token: str = ADMIN, **more: str) -> httpx.Response:
    return await browser.post(area.log_in, data={"jeton": token} | more)


async def begun(browser: Browser, issuer: OidcIssuer, begin: str, subject: str = "zoe") -> str:
    """Log in at the issuer; return the address that it leads back to."""
    led = await browser.get(begin)
    assert led.status_code == 303, led.text
    return await issuer.log_in(led.headers["location"], subject)


def onward(page: httpx.Response) -> str:
    """Where a page leads by itself."""
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', page.text)
    assert found, page.text
    return unescape(found[1])


async def at_issuer(browser: Browser, issuer: OidcIssuer, begin: str, subject: str = "zoe") -> str:
    """Log in; return where one is led then."""
    return onward(await browser.get(await begun(browser, issuer, begin, subject)))


async def is_in(browser: Browser, area: StaffArea) -> bool:
    return (await browser.get(area.stay)).status_code == 204


async def key_of(browser: Browser, area: StaffArea) -> str:
    """The key of this log-in, which each of its forms has."""
    found = re.search('name="cle" value="([^"]+)"', (await browser.get(area.own_logins)).text)
    assert found
    return found[1]


# --------------------------------------------------------------------------------------------- by token


@every_service
async def test_a_token_opens_the_pages_and_the_cookie_says_nothing_of_it(
    browser: Browser, area: StaffArea
) -> None:
    assert (await browser.get(area.home)).headers["location"] == area.log_in
    answer = await by_token(browser, area)
    assert answer.headers["location"] == area.home
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/", f"SameSite={area.same_site}"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert ADMIN not in cookie
    page = await browser.get(area.home)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")


@every_service
async def test_no_other_token_opens_them(browser: Browser, area: StaffArea) -> None:
    of_another_role = {"courriels": "advisor-bretagne"}.get(area.cookie, "portail")
    for token in ("", "nobody", of_another_role, "é" * 1000):
        answer = await by_token(browser, area, token)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), token


ELSEWHERE = [
    "https://a.example/",
    "//a.example",
    "/gestion//a.example",
    "/gestion@a.example",
    "/sessions",
    "",
    "/gestion/../sessions",
    "/gestion/\\a",
    "/gestion\r\nx: y",
    "/gestion.a.example",
    f"/gestion/{'x' * 2000}",
]


async def test_a_log_in_leads_to_no_other_site(
    browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str
) -> None:
    led = {to: (await by_token(browser, area, vers=to)).headers["location"] for to in ELSEWHERE}
    assert led == dict.fromkeys(ELSEWHERE, area.home)
    begin = f"{area.begin}?vers="
    led = {to: await at_issuer(browser, issuer, begin + quote(to, safe="")) for to in ELSEWHERE[:2]}
    assert led == dict.fromkeys(ELSEWHERE[:2], area.home)


@pytest.mark.parametrize(
    "minutes",
    [(29, 58, 89), (*range(29, 480, 29), 481)],
    ids=["half an hour after its last request", "after a day of work"],
)
async def test_a_log_in_ends(
    process: Process,
    browser: Browser,
    area: StaffArea,
    monkeypatch: pytest.MonkeyPatch,
    minutes: tuple[int, ...],
) -> None:
    await by_token(browser, area)
    opened_at = clock.now()
    for minute in minutes:
        async with time_is(monkeypatch, opened_at + timedelta(minutes=minute)):
            assert await is_in(browser, area) is (minute != minutes[-1]), f"after {minute} minutes"
    async with time_is(monkeypatch, opened_at + timedelta(hours=9)):
        await end_old_rows(process.database, logins.REGISTER, settings=None)
    async with process.database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM login")) == 0


async def test_the_use_of_a_log_in_is_written_once_a_minute_at_most(
    process: Process, browser: Browser, area: StaffArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    await by_token(browser, area)
    opened_at, noted = clock.now(), []
    for seconds in (30, 70, 100, 140):
        async with time_is(monkeypatch, opened_at + timedelta(seconds=seconds)):
            await browser.get(area.stay)
        async with process.database.quiet_transaction() as tx:
            used_at = await tx.scalar(text("SELECT used_at FROM login"))
        noted.append(round((used_at - opened_at).total_seconds()))
    assert noted == [0, 70, 70, 140]


def change_role(tokens_file: Path, role: str | None) -> None:
    """Give the token of ADMIN another role; with None there is no token at all."""
    delegation = "bretagne" if role == "organiser" else None
    [ours] = [entry for entry in json.loads(tokens_file.read_text()) if entry["name"] == ADMIN]
    changed = ours | {"role": role, "delegation": delegation}
    tokens_file.write_text(json.dumps([] if role is None else [changed]))


@pytest.mark.parametrize(
    ("process", "role"),
    [("catalogue", "support"), ("enrolment", "support"), ("notifier", "organiser"), ("catalogue", None)],
    indirect=["process"],
)
async def test_a_log_in_ends_with_its_token_or_the_tokens_role(
    *,
    process: Process,
    browser: Browser,
    area: StaffArea,
    compose_service: Compose,
    tokens_file: Path,
    role: str | None,
) -> None:
    await by_token(browser, area)
    change_role(tokens_file, role)
    async with browser_on(compose_service(process.name)) as same:
        same.cookies.update(browser.cookies)
        assert not await is_in(same, area)


@every_service
async def test_leaving_ends_the_log_in_here_and_not_only_in_the_browser(
    browser: Browser, area: StaffArea
) -> None:
    await by_token(browser, area)
    cookies = dict(browser.cookies)
    await browser.post(area.log_out, data={"cle": await key_of(browser, area)})
    browser.cookies.clear()
    browser.cookies.update(cookies)
    assert not await is_in(browser, area)


# ---------------------------------------------------------------------------------------------- forms


@every_service
async def test_a_form_without_the_key_of_the_log_in_is_refused(browser: Browser, area: StaffArea) -> None:
    await by_token(browser, area)
    key = await key_of(browser, area)
    for fields in ({}, {"cle": ""}, {"cle": "é"}, {"cle": key[:-1]}, {"cle": f"{key} "}, {"cle": "9" * 5000}):
        for path in (area.log_out, area.own_logins):
            refused = await browser.post(path, data={"fin": "toutes"} | fields)
            assert refused.status_code == 403, (path, fields)
    assert await is_in(browser, area)


FROM_ELSEWHERE = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://ailleurs.example"},
    {"origin": "http://[bad"},
    {"origin": "null"},
]


@every_service
async def test_a_form_from_elsewhere_is_refused_even_with_the_key(browser: Browser, area: StaffArea) -> None:
    for headers in FROM_ELSEWHERE:
        refused = await browser.post(area.log_in, data={"jeton": ADMIN}, headers=headers)
        assert refused.status_code == 403, headers
    await by_token(browser, area)
    form = {"cle": await key_of(browser, area)}
    for headers in FROM_ELSEWHERE:
        assert (await browser.post(area.log_out, data=form, headers=headers)).status_code == 403, headers


async def test_a_proxy_may_call_the_service_by_another_name(browser: Browser, area: StaffArea) -> None:
    for origin, status in ((SITE, 303), ("http://catalogue:8001", 303), ("https://ailleurs.example", 403)):
        headers = {"host": "catalogue:8001", "origin": origin}
        answer = await browser.post(area.log_in, data={"jeton": ADMIN}, headers=headers)
        assert answer.status_code == status, origin


# ------------------------------------------------------------------------------------------ at the issuer


@every_service
async def test_a_log_in_at_the_issuer_opens_the_page_that_was_asked_for(
    browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str
) -> None:
    door = await browser.get((await browser.get(area.own_logins)).headers["location"])
    way = re.search(r'<a class="button" href="([^"]+)">', door.text)
    assert way
    assert await at_issuer(browser, issuer, unescape(way[1])) == area.own_logins
    assert "zoe@cnfpt.example" in (await browser.get(area.own_logins)).text


@every_service
async def test_a_person_without_a_role_here_is_not_logged_in(
    browser: Browser, area: StaffArea, issuer: OidcIssuer
) -> None:
    other = {"realm_access": {"roles": ["organisateur-bretagne"]}}
    claims = other if area.cookie == "courriels" else {"groups": ["assistance", "autre"]}
    await issuer.know("eve", email="<i>@cnfpt.example", **claims)
    page = await browser.get(await begun(browser, issuer, area.begin, "eve"))
    assert page.status_code == 403
    assert "<i>" not in page.text
    assert not await is_in(browser, area)


async def test_the_request_to_the_issuer_is_as_its_protocol_asks(
    browser: Browser, area: StaffArea, issuer: OidcIssuer
) -> None:
    led = await browser.get(area.begin)
    address = urlsplit(led.headers["location"])
    query = dict(parse_qsl(address.query))
    assert f"{address.scheme}://{address.netloc}" == issuer.address
    assert all(len(query.pop(name)) >= 32 for name in ("state", "nonce", "code_challenge"))
    assert query == {
        "response_type": "code",
        "client_id": "parcours",
        "redirect_uri": f"{SITE}{area.come_back}",
        "scope": "openid profile email",
        "code_challenge_method": "S256",
    }
    cookie = led.headers["set-cookie"]
    assert cookie.startswith("__Host-gestion-avant=")
    assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    again = await browser.get(f"{area.begin}?autre=oui")
    assert "prompt=login" in again.headers["location"]


async def test_a_log_in_counts_once_and_in_the_browser_that_began_it(
    process: Process, browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str
) -> None:
    back = await begun(browser, issuer, area.begin)
    async with browser_on(process) as another:
        await another.get(area.begin)
        assert (await another.get(back)).status_code == 400
    state = dict(parse_qsl(urlsplit(back).query))["state"]
    tries = [back.replace(state, "forged"), back, back]
    assert [(await browser.get(address)).status_code for address in tries] == [400, 200, 400]


async def test_a_log_in_that_took_too_long_does_not_count(
    *,
    process: Process,
    browser: Browser,
    area: StaffArea,
    issuer: OidcIssuer,
    zoe: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back = await begun(browser, issuer, area.begin)
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=11)):
        assert (await browser.get(back)).status_code == 400
        await end_old_rows(process.database, logins.REGISTER, settings=None)
    async with process.database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM login_attempt")) == 0


async def test_a_wrong_token_logs_nobody_in_and_the_log_names_nobody(
    browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str, caplog: pytest.LogCaptureFixture
) -> None:
    def for_another(_header: Header, claims: Claims) -> None:
        claims["aud"] = "another"

    issuer.tampers = for_another
    assert (await browser.get(await begun(browser, issuer, area.begin))).status_code == 403
    assert not await is_in(browser, area)
    [line] = [record.getMessage() for record in caplog.records if record.name.startswith("shared.")]
    assert "InvalidClaimError aud" in line
    assert "zoe" not in line


async def test_another_site_logs_nobody_in(browser: Browser, area: StaffArea) -> None:
    way = await browser.get(area.begin, headers={"Sec-Fetch-Site": "cross-site"})
    assert way.headers["location"] == area.log_in
    assert not browser.cookies


async def test_an_issuer_that_is_away_stops_neither_the_pages_nor_tokens(
    *, browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str, compose_service: Compose
) -> None:
    new_process = compose_service("catalogue", **settings_for(issuer).model_dump())
    back = await begun(browser, issuer, area.begin)
    issuer.failing = True
    assert (await browser.get(back)).status_code == 503
    async with browser_on(new_process) as other:  # which has never read what the issuer publishes
        assert (await other.get(area.begin)).status_code == 503
    assert (await browser.get(area.log_in)).status_code == 200
    await by_token(browser, area)
    assert await is_in(browser, area)


async def test_a_visitor_that_begins_log_ins_without_end_keeps_no_neighbour_from_it(
    process: Process, area: StaffArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_issuer, "_BEGINNINGS", Rate(2, 60))
    found = []
    for end in ("7::1", "7::2", "7::3", "8::1"):
        async with browser_on(process, f"2001:db8:7:{end}") as browser:
            found.append((await browser.get(area.begin)).status_code)
    assert found == [303, 303, 429, 303]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("path", "found_first"), [(None, 303), ("/docs", 200), ("/openapi.json", 200)])
async def test_a_network_that_asks_without_end_for_pages_keeps_no_neighbour_from_them(
    service: str, path: str | None, found_first: int, compose_service: Compose
) -> None:
    process = compose_service(service, read_rate="2/minute")
    found = []
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1"):
        async with browser_on(process, address) as browser:
            found.append((await browser.get(path or AREAS[service].home)).status_code)
    assert found == [found_first, found_first, 429, found_first]


async def test_two_log_ins_begun_in_two_tabs_both_work(
    browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str
) -> None:
    first, second = [await begun(browser, issuer, area.begin) for _ in range(2)]
    assert (await browser.get(first)).status_code == 200
    cookie, form = browser.cookies["__Host-gestion"], await key_of(browser, area)
    assert (await browser.get(second)).status_code == 200
    assert browser.cookies["__Host-gestion"] != cookie
    # A form that the first tab still shows is taken.
    assert (await browser.post(area.log_out, data={"cle": form})).status_code == 200


async def test_a_log_in_has_an_id_that_nobody_knew_before(
    process: Process, browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str
) -> None:
    await by_token(browser, area)
    known, form = browser.cookies["__Host-gestion"], await key_of(browser, area)
    await at_issuer(browser, issuer, area.begin)
    assert await key_of(browser, area) != form
    async with browser_on(process) as attacker:
        attacker.cookies.set("__Host-gestion", known)
        assert not await is_in(attacker, area)


async def test_leaving_ends_the_log_in_here_first_and_leads_to_where_the_issuer_ends_its_own(
    *,
    process: Process,
    browser: Browser,
    area: StaffArea,
    issuer: OidcIssuer,
    zoe: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await at_issuer(browser, issuer, area.begin)
    form = {"cle": await key_of(browser, area)}
    left_open: list[int] = []
    log_out_address = Provider.log_out_address

    async def asked(provider: Provider, *sealed: Any, **more: Any) -> str | None:
        async with process.database.quiet_transaction() as tx:
            left_open.append(await tx.scalar(text("SELECT count(*) FROM login")) or 0)
        return await log_out_address(provider, *sealed, **more)

    monkeypatch.setattr(Provider, "log_out_address", asked)
    address = urlsplit(onward(await browser.post(area.log_out, data=form)))

    assert left_open == [0]
    query = dict(parse_qsl(address.query))
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{issuer.address}/oauth2/end_session"
    assert query["post_logout_redirect_uri"] == f"{SITE}{area.log_in}"
    assert query["id_token_hint"].count(".") == 2


OURS = "18001404500009"


def beside(issuer: OidcIssuer) -> dict[str, Any]:
    """Return settings with the issuer, and with itself under another address as a second issuer."""
    settings = settings_for(issuer).model_dump()
    other = {
        "name": "proconnect",
        "label": "ProConnect",
        "issuer": issuer.address.replace("localhost", "127.0.0.1"),
        "client_id": "parcours",
        "client_secret": "a secret",
        "roles": settings["oidc_roles"],
        "sirets": OURS,
    }
    return settings | {"oidc_others": [other]}


@every_service
async def test_issuers_stand_side_by_side_and_none_answers_for_another(
    process: Process, area: StaffArea, issuer: OidcIssuer, zoe: str, compose_service: Compose
) -> None:
    issuer.userinfo = {"siret": OURS}
    async with browser_on(compose_service(process.name, **beside(issuer))) as browser:
        page = await browser.get(area.log_in)
        assert f'href="{area.begin}"' in page.text
        assert f'href="{area.begin}/proconnect"' in page.text
        came = await begun(browser, issuer, f"{area.begin}/proconnect")
        assert urlsplit(came).path == f"{area.come_back}/proconnect"
        elsewhere = came.replace("/retour/proconnect", "/retour")
        assert (await browser.get(elsewhere)).status_code == 400
        assert onward(await browser.get(came)) == area.home
        assert await is_in(browser, area)
        left = onward(await browser.post(area.log_out, data={"cle": await key_of(browser, area)}))
        assert urlsplit(left).hostname == "127.0.0.1"
        assert not await is_in(browser, area)


@pytest.mark.parametrize(("siret", "why"), [("", "numéro SIRET"), ("21350238800019", "autre organisation")])
async def test_a_person_of_another_organisation_reads_what_to_do(
    *, area: StaffArea, issuer: OidcIssuer, zoe: str, compose_service: Compose, siret: str, why: str
) -> None:
    issuer.userinfo = {"siret": siret}
    async with browser_on(compose_service("catalogue", **beside(issuer))) as browser:
        page = await browser.get(await begun(browser, issuer, f"{area.begin}/proconnect"))
        assert page.status_code == 403
        assert why in page.text
        assert f'href="{area.begin}/proconnect?autre=oui"' in page.text
        assert not await is_in(browser, area)
        await at_issuer(browser, issuer, area.begin)  # the first issuer asks for no SIRET
        assert await is_in(browser, area)


async def test_a_log_in_ends_with_the_rule_that_gave_its_role(
    *,
    process: Process,
    browser: Browser,
    area: StaffArea,
    issuer: OidcIssuer,
    zoe: str,
    compose_service: Compose,
) -> None:
    await at_issuer(browser, issuer, area.begin)
    settings = settings_for(issuer)
    for changed in (settings.model_copy(update={"oidc_roles": settings.oidc_roles[1:]}).model_dump(), {}):
        async with browser_on(compose_service(process.name, **changed)) as same:
            same.cookies.update(browser.cookies)
            assert not await is_in(same, area)


# ---------------------------------------------------------------------------------- what is kept and shown


@every_service
async def test_what_is_kept_of_a_log_in_stands_in_the_register(
    process: Process, browser: Browser, area: StaffArea, issuer: OidcIssuer
) -> None:
    await issuer.know(MARK, email=f"{MARK}@cnfpt.example", groups=["parcours-admin"])
    await at_issuer(browser, issuer, area.begin, MARK)
    await browser.get(area.begin)
    found = await columns_with(process.database, LoginTable.metadata)
    assert found
    assert found <= registered(process.register)


async def test_log_ins_log_outs_and_forms_of_others_stand_once_each_in_the_security_log(
    browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str, security_lines: SecurityLines
) -> None:
    await by_token(browser, area, "nobody")
    await browser.get(f"{area.come_back}?state=x&code=x")
    await at_issuer(browser, issuer, area.begin)
    await browser.post(area.own_logins, data={"cle": "another's"})
    await browser.post(area.log_out, data={"cle": await key_of(browser, area)})
    lines = security_lines()
    assert [(line["event"], line["outcome"], line["where"]) for line in lines] == [
        ("log_in", "refused", area.log_in),
        ("log_in", "refused", area.come_back),
        ("log_in", "ok", area.come_back),
        ("right", "refused", area.own_logins),
        ("log_out", "ok", area.log_out),
    ]
    assert [line["who"].partition(":")[0] for line in lines] == ["", "", "admin", "admin", "admin"]
    assert not any(named in str(lines).lower() for named in ("zoe", "durand", "@"))


def listed(page: httpx.Response) -> dict[str, str]:
    """The browser of each log-in in the list, and what ends it."""
    found = re.findall(r'data-label="Navigateur">([^<]*)<.*?name="fin" value="([0-9a-f]{64})"', page.text)
    return dict(found)


async def test_somebody_sees_their_own_log_ins_and_ends_one_or_all(
    process: Process, browser: Browser, area: StaffArea, issuer: OidcIssuer, zoe: str
) -> None:
    await issuer.know("eve", email="eve@cnfpt.example", groups=["parcours-admin"])
    async with browser_on(process) as phone, browser_on(process) as other, browser_on(process) as eve:
        phone.headers["user-agent"] = "Mozilla/5.0 (iPhone) Safari/604.1"
        other.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
        tabs = (browser, phone, other, eve)
        for tab in tabs:
            await at_issuer(tab, issuer, area.begin, "eve" if tab is eve else "zoe")
        found = listed(await browser.get(area.own_logins))
        assert list(found) == ["Firefox, Linux", "Safari, iPhone", "inconnu (cette connexion)"]
        key = await key_of(browser, area)
        [of_eve] = listed(await eve.get(area.own_logins)).values()
        for digest in (of_eve, "", "x", "é", found["Safari, iPhone"]):
            await browser.post(area.own_logins, data={"cle": key, "fin": digest})
        assert [await is_in(tab, area) for tab in tabs] == [True, False, True, True]
        left = await browser.post(area.own_logins, data={"cle": key, "fin": "toutes"})
        assert "/connexion/passage?fin=" in onward(left), "the other services are next"
        assert [await is_in(tab, area) for tab in tabs] == [False, False, False, True]


async def test_the_owner_of_a_token_sees_the_log_ins_with_that_token(
    browser: Browser, area: StaffArea
) -> None:
    for agent in ("Firefox", "Chrome"):
        browser.cookies.clear()
        browser.headers["user-agent"] = agent
        await by_token(browser, area)
    assert len(listed(await browser.get(area.own_logins))) == 2


@pytest.fixture
def operator(
    issuer: OidcIssuer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Awaitable[Result]]:
    """``parcours logins …`` inside this process."""
    for service in SERVICES:
        url = request.getfixturevalue(f"{service}_url")
        for name, value in settings_of(service, url, "localhost:1").items():
            monkeypatch.setenv(name, value)
    for name, value in settings_for(issuer).model_dump(mode="json").items():
        monkeypatch.setenv(name.upper(), value if isinstance(value, str) else json.dumps(value))
    # In a thread: the command line runs an event loop of its own.
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, logins_command, arguments)


async def test_an_operator_ends_the_log_ins_of_one_person_everywhere(
    *,
    compose_service: Compose,
    issuer: OidcIssuer,
    zoe: str,
    operator: Callable[..., Awaitable[Result]],
    security_lines: SecurityLines,
) -> None:
    await issuer.know("eve", email="eve@cnfpt.example", groups=["parcours-admin"])
    browsers = [
        (browser_on(compose_service(service, **settings_for(issuer).model_dump())), AREAS[service], subject)
        for service, subject in (*((service, "zoe") for service in SERVICES), ("catalogue", "eve"))
    ]
    for browser, area, subject in browsers:
        await at_issuer(browser, issuer, area.begin, subject)

    done = await operator("end", "ZOE@cnfpt.example")

    ended = "Ended: 1 in the catalogue, 1 in the enrolment, 1 in the notifier\n"
    assert (done.exit_code, done.output) == (0, ended)
    assert [await is_in(browser, area) for browser, area, _ in browsers] == [False, False, False, True]
    assert security_lines()[-1]["message"] == "log_out ok who=operator where=parcours logins end times=3"
    by_subject = await operator("end", "zoe")
    assert (by_subject.exit_code, by_subject.output) == (1, "parcours: zoe is not logged in anywhere.\n")
    assert "1 in the catalogue" in (await operator("end", "eve")).output
    for browser, _, _ in browsers:
        await browser.aclose()
