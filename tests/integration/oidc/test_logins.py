"""Staff log in at their issuer, in the pages of the catalogue and of the notifier."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from typer.testing import CliRunner, Result

from services.catalogue import api as catalogue_api
from services.catalogue import pages as catalogue_pages
from services.enrolment.pages import manage
from services.logins import app as logins_command
from services.notifier import api as notifier_api
from services.notifier import pages as notifier_pages
from services.notifier.render import Renderer
from shared import clock, security_log
from shared.auth import Tokens
from shared.database import Database
from shared.limits import Rate
from shared.oidc.provider import Provider, provider_of
from shared.oidc.settings import OidcSettings
from shared.process.jobs import end_old_rows
from shared.web import logins
from shared.web.links import Links, Purpose
from shared.web.logins import by_issuer
from shared.web.logins.store import LoginTable
from shared.web.rendering import Sites
from shared.web.responses import PRIVATE
from tests.conftest import settings_of
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import BRETAGNE, tokens_file
from tests.integration.catalogue.test_bespoke import a_bespoke_request, hear
from tests.integration.oidc.test_provider import settings_for
from tests.support.guards import a_guard
from tests.support.oidc import OidcIssuer
from tests.support.searching import MARK, columns_with, registered
from tests.unit.notifier.builders import SENDER

__all__ = ["tokens_file"]

SITE = "https://parcours.example"


@pytest.fixture
def provider(issuer: OidcIssuer) -> Provider:
    provider = provider_of(settings_for(issuer))
    assert provider is not None
    return provider


@pytest.fixture
def tokens(tokens_file: Any) -> Tokens:
    return Tokens(tokens_file)


@pytest.fixture
def catalogue(catalogue_database: Database, tokens: Tokens, provider: Provider) -> FastAPI:
    guard = a_guard(catalogue_database)
    web = catalogue_api.build(catalogue_database, tokens, guard)
    site = catalogue_pages.Site(
        database=catalogue_database, tokens=tokens, guard=guard, address=SITE, provider=provider
    )
    catalogue_pages.mount(web, catalogue_pages.build(site))
    return web


@pytest.fixture
def notifier(notifier_database: Database, tokens: Tokens, provider: Provider) -> FastAPI:
    guard = a_guard(notifier_database)
    renderer = Renderer(SENDER, Links(["a key for tests only"], dict.fromkeys(Purpose, SITE)))
    web = notifier_api.build(notifier_database, tokens, guard, renderer)
    notifier_pages.staff.add_to(
        web,
        notifier_database,
        notifier_pages.rendering(Sites(catalogue="http://catalogue"), PRIVATE),
        tokens=tokens,
        guard=guard,
        renderer=renderer,
        public_url=SITE,
        provider=provider,
    )
    return web


@pytest.fixture
def enrolment(enrolment_database: Database, tokens: Tokens, provider: Provider) -> FastAPI:
    web = FastAPI()
    manage.add_to(
        web,
        enrolment_database,
        a_guard(enrolment_database),
        tokens=tokens,
        address=SITE,
        provider=provider,
        sites=Sites(catalogue="http://catalogue"),
    )
    return web


def browser_on(web: FastAPI, address: str = "127.0.0.1") -> HttpBrowser:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=web, client=(address, 1)), base_url=SITE)


@pytest.fixture
def operator(
    *,
    issuer: OidcIssuer,
    catalogue_url: str,
    enrolment_url: str,
    notifier_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Awaitable[Result]]:
    """``parcours logins …`` inside this process."""
    urls = {"catalogue": catalogue_url, "enrolment": enrolment_url, "notifier": notifier_url}
    for service, url in urls.items():
        for name, value in settings_of(service, url, "localhost:1").items():
            monkeypatch.setenv(name, value)
    for name, value in settings_for(issuer).model_dump(mode="json").items():
        monkeypatch.setenv(name.upper(), value if isinstance(value, str) else json.dumps(value))
    # In a thread: the command line runs an event loop of its own.
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, logins_command, arguments)


@pytest.fixture
async def browser(catalogue: FastAPI) -> AsyncIterator[HttpBrowser]:
    """On the pages of delegations."""
    async with browser_on(catalogue) as browser:
        yield browser


@pytest.fixture
async def zoe(issuer: OidcIssuer) -> str:
    """An organiser of Bretagne."""
    await issuer.know("zoe", email="zoe@cnfpt.example", realm_access={"roles": ["organisateur-bretagne"]})
    return "zoe"


async def begun(
    browser: HttpBrowser, issuer: OidcIssuer, subject: str, begin: str = "/gestion/connexion/compte"
) -> str:
    """Log in at the issuer; the address that it leads back to."""
    led = await browser.get(begin)
    assert led.status_code == 303, led.text
    return await issuer.log_in(led.headers["location"], subject)


def onward(page: httpx.Response) -> str:
    """Where a page leads by itself, and by its link."""
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', page.text)
    assert found, page.text
    assert f'href="{found[1]}"' in page.text
    return unescape(found[1])


async def logged_in(
    browser: HttpBrowser, issuer: OidcIssuer, subject: str, begin: str = "/gestion/connexion/compte"
) -> str:
    """Log in; where one is led then."""
    page = await browser.get(await begun(browser, issuer, subject, begin))
    assert page.status_code == 200, page.text
    return onward(page)


def key_of(page: httpx.Response) -> str:
    found = re.search('name="cle" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def test_a_log_in_at_the_issuer_opens_the_page_that_was_asked_for(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str
) -> None:
    asked = "/gestion/ressources?etat=x"
    door = await browser.get((await browser.get(asked)).headers["location"])
    way = re.search(r'<a class="button" href="([^"]+)">Se connecter avec mon compte', door.text)
    assert way
    assert await logged_in(browser, issuer, zoe, unescape(way[1])) == asked
    page = await browser.get("/gestion")
    assert "Sessions · Bretagne" in page.text
    assert "</span>zoe@cnfpt.example</span>" in page.text


async def test_what_was_typed_is_taken_up_after_a_log_in_in_another_tab(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str
) -> None:
    path = "/gestion/sessions/nouvelle"
    late = await browser.post(path, data={"cle": "x", "title": "Un titre"}, headers={"origin": SITE})
    assert late.status_code == 403
    assert f'compte?vers={quote(path, safe="")}" target="_blank">' in late.text
    assert "(nouvel onglet)" in late.text
    brought = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', late.text))
    await logged_in(browser, issuer, zoe)
    taken_up = await browser.post("/gestion/connexion", data=brought, headers={"origin": SITE})
    assert "Titre\u00a0: Un titre</textarea>" in taken_up.text
    assert key_of(taken_up) == key_of(await browser.get(path))


async def test_the_request_to_the_issuer_is_as_its_protocol_asks(
    browser: HttpBrowser, issuer: OidcIssuer
) -> None:
    led = await browser.get("/gestion/connexion/compte")
    address = urlsplit(led.headers["location"])
    query = dict(parse_qsl(address.query))
    assert f"{address.scheme}://{address.netloc}" == issuer.address
    fixed = ("response_type", "client_id", "redirect_uri", "scope", "code_challenge_method")
    assert [query[name] for name in fixed] == [
        "code", "parcours", f"{SITE}/gestion/connexion/retour", "openid profile email", "S256",
    ]  # fmt: skip
    assert all(len(query[name]) >= 32 for name in ("state", "nonce", "code_challenge"))
    cookie = led.headers["set-cookie"]
    assert cookie.startswith("__Host-gestion-avant=")
    assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    again = await browser.get("/gestion/connexion/compte?autre=oui")
    assert "prompt=login" in again.headers["location"]


async def test_who_has_no_role_here_reads_so_and_is_not_logged_in(
    browser: HttpBrowser, issuer: OidcIssuer
) -> None:
    await issuer.know("support", email="<i>@cnfpt.example", groups=["assistance", "autre"])
    page = await browser.get(await begun(browser, issuer, "support"))
    assert page.status_code == 403
    assert "Votre compte n’ouvre pas cet espace" in page.text
    assert "&lt;i&gt;@cnfpt.example" in page.text
    assert "/gestion/connexion/compte?autre=oui" in page.text
    assert "__Host-gestion" not in browser.cookies
    assert (await browser.get("/gestion")).status_code == 303


async def test_a_log_in_counts_once_and_in_the_browser_that_began_it(
    browser: HttpBrowser, catalogue: FastAPI, issuer: OidcIssuer, zoe: str
) -> None:
    back = await begun(browser, issuer, zoe)
    async with browser_on(catalogue) as another:
        await another.get("/gestion/connexion/compte")
        assert (await another.get(back)).status_code == 400
    state = dict(parse_qsl(urlsplit(back).query))["state"]
    assert (await browser.get(back.replace(state, "forged"))).status_code == 400
    assert (await browser.get(back)).status_code == 200
    replayed = await browser.get(back)
    assert replayed.status_code == 400
    assert "Cette connexion n’est plus valable" in replayed.text


async def test_a_log_in_that_took_too_long_does_not_count(
    browser: HttpBrowser,
    issuer: OidcIssuer,
    zoe: str,
    catalogue_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back = await begun(browser, issuer, zoe)
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert (await browser.get(back)).status_code == 400
    await end_old_rows(catalogue_database, logins.REGISTER, settings=None)
    async with catalogue_database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM login_attempt")) == 0


async def test_a_wrong_token_logs_nobody_in_and_the_log_names_nobody(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str, caplog: pytest.LogCaptureFixture
) -> None:
    def for_another(header: dict[str, Any], claims: dict[str, Any]) -> None:
        claims["aud"] = "another"

    issuer.tampers = for_another
    page = await browser.get(await begun(browser, issuer, zoe))
    assert page.status_code == 403
    assert "La connexion n’a pas abouti" in page.text
    assert "__Host-gestion" not in browser.cookies
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("shared.")]
    assert "InvalidClaimError aud" in line
    assert "zoe" not in line
    declined = await browser.get("/gestion/connexion/compte")
    state = dict(parse_qsl(urlsplit(declined.headers["location"]).query))["state"]
    refused = await browser.get(f"/gestion/connexion/retour?error=access_denied&state={quote(state)}")
    assert refused.status_code == 403


async def test_a_log_in_leads_to_no_other_site(browser: HttpBrowser, issuer: OidcIssuer, zoe: str) -> None:
    too_long = f"/gestion/{'x' * 2000}"
    for elsewhere in ("https://a.example/", "//a.example", "/gestion//a.example", "/x", too_long):
        begin = f"/gestion/connexion/compte?vers={quote(elsewhere, safe='')}"
        assert await logged_in(browser, issuer, zoe, begin) == "/gestion"


async def test_another_site_logs_nobody_in(browser: HttpBrowser) -> None:
    way = await browser.get("/gestion/connexion/compte", headers={"Sec-Fetch-Site": "cross-site"})
    assert way.headers["location"] == "/gestion/connexion"
    assert not browser.cookies


async def test_an_issuer_that_is_away_stops_neither_the_pages_nor_tokens(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str
) -> None:
    back = await begun(browser, issuer, zoe)
    issuer.failing = True
    page = await browser.get(back)
    assert page.status_code == 503
    assert "Avec un jeton d’accès" in page.text
    assert (await browser.post("/gestion/connexion", data={"jeton": BRETAGNE})).status_code == 303
    assert (await browser.get("/gestion")).status_code == 200


async def test_an_issuer_that_was_never_there_is_said_to_be_away(
    browser: HttpBrowser, issuer: OidcIssuer
) -> None:
    issuer.failing = True
    assert (await browser.get("/gestion/connexion")).status_code == 200
    assert (await browser.get("/gestion/connexion/compte")).status_code == 503


async def test_who_begins_log_ins_without_end_keeps_no_neighbour_from_logging_in(
    catalogue: FastAPI, issuer: OidcIssuer, zoe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_issuer, "_BEGINNINGS", Rate(2, 60))
    begin = "/gestion/connexion/compte"
    async with (
        browser_on(catalogue, "192.0.2.1") as flooding,
        browser_on(catalogue, "192.0.2.2") as neighbour,
    ):
        statuses = [(await flooding.get(begin)).status_code for _ in range(4)]
        assert statuses == [303, 303, 429, 429]
        assert await logged_in(neighbour, issuer, zoe) == "/gestion"


async def test_who_begins_log_ins_from_many_addresses_of_ipv6_is_one_visitor(
    catalogue: FastAPI, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_issuer, "_BEGINNINGS", Rate(2, 60))
    statuses = []
    for address in ("2001:db8:7:7::1", "2001:db8:7:7::2", "2001:db8:7:7::3", "2001:db8:7:8::1"):
        async with browser_on(catalogue, address) as browser:
            statuses.append((await browser.get("/gestion/connexion/compte")).status_code)
    assert statuses == [303, 303, 429, 303]


async def test_two_log_ins_begun_in_two_tabs_both_work(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str
) -> None:
    first, second = (await begun(browser, issuer, zoe), await begun(browser, issuer, zoe))
    assert (await browser.get(first)).status_code == 200
    of_the_first = dict(browser.cookies)["__Host-gestion"]
    form = key_of(await browser.get("/gestion"))
    assert (await browser.get(second)).status_code == 200
    assert browser.cookies["__Host-gestion"] != of_the_first
    # A form that the first tab still shows is taken.
    assert (await browser.post("/gestion/deconnexion", data={"cle": form})).status_code == 200


async def test_a_log_in_has_an_id_that_nobody_knew_before(
    browser: HttpBrowser, catalogue: FastAPI, issuer: OidcIssuer, zoe: str
) -> None:
    await browser.post("/gestion/connexion", data={"jeton": BRETAGNE})
    known = browser.cookies["__Host-gestion"]
    form = key_of(await browser.get("/gestion"))
    await logged_in(browser, issuer, zoe)
    assert key_of(await browser.get("/gestion")) != form
    async with browser_on(catalogue) as attacker:
        attacker.cookies.set("__Host-gestion", known)
        assert (await attacker.get("/gestion")).status_code == 303


async def test_leaving_ends_the_log_in_here_and_leads_to_where_the_issuer_ends_its_own(
    browser: HttpBrowser, catalogue: FastAPI, issuer: OidcIssuer, zoe: str
) -> None:
    await logged_in(browser, issuer, zoe)
    kept = browser.cookies["__Host-gestion"]
    left = await browser.post("/gestion/deconnexion", data={"cle": key_of(await browser.get("/gestion"))})
    address = urlsplit(onward(left))
    query = dict(parse_qsl(address.query))
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{issuer.address}/oauth2/end_session"
    assert query["post_logout_redirect_uri"] == f"{SITE}/gestion/connexion"
    assert query["id_token_hint"].count(".") == 2
    async with browser_on(catalogue) as another:
        another.cookies.set("__Host-gestion", kept)
        assert (await another.get("/gestion")).status_code == 303


async def test_a_log_in_has_ended_here_before_the_issuer_is_asked(
    browser: HttpBrowser,
    issuer: OidcIssuer,
    zoe: str,
    catalogue_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await logged_in(browser, issuer, zoe)
    form = key_of(await browser.get("/gestion"))
    left: list[int] = []

    async def asked(*_what: Any, **_more: Any) -> None:
        async with catalogue_database.quiet_transaction() as tx:
            left.append(await tx.scalar(text("SELECT count(*) FROM login")) or 0)

    monkeypatch.setattr(Provider, "log_out_address", asked)
    await browser.post("/gestion/deconnexion", data={"cle": form})
    assert left == [0]


async def test_a_log_in_ends_with_the_rule_that_gave_its_role(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str, catalogue_database: Database, tokens: Tokens
) -> None:
    await logged_in(browser, issuer, zoe)
    settings = settings_for(issuer)
    for changed in (settings.model_copy(update={"oidc_roles": settings.oidc_roles[:1]}), OidcSettings()):
        guard = a_guard(catalogue_database)
        web = catalogue_api.build(catalogue_database, tokens, guard)
        site = catalogue_pages.Site(
            database=catalogue_database,
            tokens=tokens,
            guard=guard,
            address=SITE,
            provider=provider_of(changed),
        )
        catalogue_pages.mount(web, catalogue_pages.build(site))
        async with browser_on(web) as same:
            same.cookies.update(browser.cookies)
            assert (await same.get("/gestion")).status_code == 303


async def test_the_mail_log_is_opened_by_who_has_the_role_of_support(
    notifier: FastAPI, issuer: OidcIssuer, zoe: str
) -> None:
    await issuer.know("ali", preferred_username="ali", groups=["x", "assistance"])
    begin = "/courriels/suivi/connexion/compte"
    async with browser_on(notifier) as browser:
        assert (await browser.get(await begun(browser, issuer, zoe, begin))).status_code == 403
        page = await browser.get(await begun(browser, issuer, "ali", begin))
        assert "SameSite=strict" in page.headers["set-cookie"]
        assert onward(page) == "/courriels/suivi"
        assert "</span>ali</span>" in (await browser.get("/courriels/suivi")).text


@pytest.mark.parametrize("claims", [{"email": "zoe@cnfpt.example", "email_verified": False}, {"name": "Zoé"}])
async def test_a_name_that_anybody_may_choose_is_told_apart_from_that_of_another(
    notifier: FastAPI, issuer: OidcIssuer, claims: dict[str, object]
) -> None:
    await issuer.know("ali", groups=["assistance"], **claims)
    async with browser_on(notifier) as browser:
        await browser.get(await begun(browser, issuer, "ali", "/courriels/suivi/connexion/compte"))
        page = (await browser.get("/courriels/suivi")).text
        assert f"{claims.get('email', claims.get('name'))} (ali)" in page


@pytest.mark.parametrize(
    ("is_verified", "filled_in"), [(True, "ali@cnfpt.example"), (False, "")], ids=["verified", "not verified"]
)
async def test_who_answers_a_bespoke_request_finds_the_address_of_their_log_in_there(
    browser: HttpBrowser,
    issuer: OidcIssuer,
    catalogue_database: Database,
    *,
    is_verified: bool,
    filled_in: str,
) -> None:
    roles = {"roles": ["organisateur-bretagne"]}
    await issuer.know("ali", email="ali@cnfpt.example", email_verified=is_verified, realm_access=roles)
    await logged_in(browser, issuer, "ali")
    page = await browser.get(f"/gestion/demandes/{await hear(catalogue_database, a_bespoke_request())}")
    assert f'name="advisor_email" type="email" value="{filled_in}"' in page.text


async def test_what_is_kept_of_a_log_in_stands_in_the_register(
    browser: HttpBrowser, issuer: OidcIssuer, catalogue_database: Database
) -> None:
    await issuer.know(MARK, email=f"{MARK}@cnfpt.example", groups=["parcours-admin"])
    await logged_in(browser, issuer, MARK)
    await browser.get("/gestion/connexion/compte")
    found = await columns_with(catalogue_database, LoginTable.metadata)
    assert found
    assert found - registered(logins.REGISTER) == set()


async def test_the_security_log_tells_of_log_ins_and_log_outs_and_names_nobody(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    await browser.get("/gestion/connexion/retour?state=x&code=x")
    await logged_in(browser, issuer, zoe)
    lines = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    assert [(line["event"], line["outcome"]) for line in lines] == [("log_in", "refused"), ("log_in", "ok")]
    assert lines[1]["who"].startswith("organiser:")
    assert {line["where"] for line in lines} == {"/gestion/connexion/retour"}
    for line in lines:
        assert not any(named in str(line).lower() for named in ("zoe", "zoé", "durand", "@"))


def listed(page: httpx.Response) -> list[tuple[str, str]]:
    """The browser of each log-in in the list, and what ends it."""
    assert page.status_code == 200, page.text
    return re.findall(r'data-label="Navigateur">([^<]*)<.*?name="fin" value="([0-9a-f]{64})"', page.text)


LOGINS = "/gestion/connexions"


async def test_somebody_sees_their_own_log_ins_and_ends_one_or_all(
    browser: HttpBrowser, catalogue: FastAPI, issuer: OidcIssuer, zoe: str
) -> None:
    await issuer.know("eve", email="eve@cnfpt.example", groups=["parcours-admin"])
    async with (
        browser_on(catalogue) as phone,
        browser_on(catalogue) as management,
        browser_on(catalogue) as eve,
    ):
        phone.headers["user-agent"] = "Mozilla/5.0 (iPhone) Safari/604.1"
        management.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
        for tab, person in ((browser, zoe), (phone, zoe), (management, zoe), (eve, "eve")):
            await logged_in(tab, issuer, person)
        page = await browser.get(LOGINS)
        found = dict(listed(page))
        assert list(found) == ["Firefox, Linux", "Safari, iPhone", "inconnu (cette connexion)"]
        key = key_of(page)
        ((_, of_eve),) = listed(await eve.get(LOGINS))
        for digest in (of_eve, "", "x", "é"):
            ended = await browser.post(LOGINS, data={"cle": key, "fin": digest})
            assert ended.headers["location"] == f"{LOGINS}?fait=terminee"
        assert (await eve.get("/gestion")).status_code == 200
        await browser.post(LOGINS, data={"cle": key, "fin": found["Safari, iPhone"]})
        assert [(await tab.get("/gestion")).status_code for tab in (phone, management)] == [303, 200]
        assert "La connexion est terminée" in (await browser.get(f"{LOGINS}?fait=terminee")).text
        await browser.post(LOGINS, data={"cle": key, "fin": "toutes"})
        assert [(await tab.get("/gestion")).status_code for tab in (browser, management, eve)] == [
            303,
            303,
            200,
        ]


@pytest.mark.parametrize("called", ["ZOE@cnfpt.example", "zoe"], ids=["by name", "by subject"])
async def test_an_operator_ends_the_log_ins_of_one_person_everywhere(
    *,
    catalogue: FastAPI,
    enrolment: FastAPI,
    notifier: FastAPI,
    issuer: OidcIssuer,
    operator: Callable[..., Awaitable[Result]],
    caplog: pytest.LogCaptureFixture,
    called: str,
) -> None:
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    await issuer.know("zoe", email="zoe@cnfpt.example", groups=["parcours-admin", "assistance"])
    await issuer.know("eve", email="eve@cnfpt.example", groups=["parcours-admin"])
    async with (
        browser_on(catalogue) as management,
        browser_on(enrolment) as enrolment_tab,
        browser_on(notifier) as mails,
        browser_on(catalogue) as eve,
    ):
        await logged_in(management, issuer, "zoe")
        await logged_in(enrolment_tab, issuer, "zoe", "/inscriptions/gestion/connexion/compte")
        await logged_in(mails, issuer, "zoe", "/courriels/suivi/connexion/compte")
        await logged_in(eve, issuer, "eve")

        done = await operator("end", called)

        ended = "Ended: 1 in the catalogue, 1 in the enrolment, 1 in the notifier\n"
        assert (done.exit_code, done.output) == (0, ended)
        assert (await enrolment_tab.get("/inscriptions/gestion")).status_code == 303
        assert (await management.get("/gestion")).status_code == 303
        assert (await mails.get("/courriels/suivi")).status_code == 303
        assert (await eve.get("/gestion")).status_code == 200
    line = caplog.records[-1]
    assert line.message == "log_out ok who=operator where=parcours logins end times=3"
    again = await operator("end", called)
    assert (again.exit_code, again.output) == (1, f"parcours: {called} is not logged in anywhere.\n")


async def test_ending_ones_own_log_in_is_logging_out(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str
) -> None:
    await logged_in(browser, issuer, zoe)
    page = await browser.get(LOGINS)
    ((_, own),) = listed(page)
    left = await browser.post(LOGINS, data={"cle": key_of(page), "fin": own})
    assert onward(left).startswith(f"{issuer.address}/oauth2/end_session")
    assert (await browser.get("/gestion")).status_code == 303


async def test_a_list_of_log_ins_ends_nothing_without_its_key(
    browser: HttpBrowser, issuer: OidcIssuer, zoe: str
) -> None:
    await logged_in(browser, issuer, zoe)
    assert (await browser.post(LOGINS, data={"fin": "toutes"})).status_code == 403
    assert (await browser.get("/gestion")).status_code == 200


async def test_who_has_a_token_sees_the_log_ins_with_that_token(
    browser: HttpBrowser, issuer: OidcIssuer
) -> None:
    for _ in range(2):
        browser.cookies.clear()
        await browser.post("/gestion/connexion", data={"jeton": BRETAGNE})
    page = await browser.get(LOGINS)
    assert len(listed(page)) == 2
    assert "un jeton" in page.text
    assert (await browser.post(LOGINS, data={"cle": key_of(page), "fin": "toutes"})).headers[
        "location"
    ] == "/gestion/connexion"
