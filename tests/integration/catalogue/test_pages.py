"""The public pages: what a visitor finds, and where it leads."""

import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from services.catalogue import api, pages
from services.catalogue.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.retention_settings import kept_days
from tests.conftest import opened, settings_of
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import (
    MOOC,
    NEWS_URL,
    PUBLIC_URL,
    RENNES,
    visiting,
)
from tests.integration.catalogue.public_pages import PAGES, LinkedPage, read
from tests.support.guards import a_guard


async def test_the_home_shows_the_six_formats_and_leads_to_each(visitor: HttpBrowser) -> None:
    home = await read(visitor, "/")
    for heading in (
        "Mooc", "Webinaires", "Rendez-vous locaux", "Formations sur mesure", "Offre de l’Inet", "Ressources",
    ):  # fmt: skip
        assert heading in home.text
    offers = {link for link in home.links if link.startswith("/offres/")}
    assert len(offers) == 7
    assert NEWS_URL in home.links, "where anybody subscribes to news by mail"
    assert {"/sessions?format=webinar", "/sessions?format=inet", "/ressources?type=replay"} <= set(home.links)


@pytest.mark.parametrize("path", PAGES)
async def test_every_link_within_the_site_leads_somewhere(visitor: HttpBrowser, path: str) -> None:
    page = await read(visitor, path)
    inside = {link.split("#")[0] for link in page.links if link.startswith("/") and link not in ELSEWHERE}
    assert inside
    for link in inside:
        assert (await visitor.get(link)).status_code == 200, link


ELSEWHERE = {"/docs", "/gestion"}


@pytest.mark.parametrize("path", [*PAGES, "/rien", "/sessions/abc"])
async def test_every_page_forbids_what_is_written_into_it_and_what_comes_from_elsewhere(
    visitor: HttpBrowser, path: str
) -> None:
    answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'self';" in policy
    written_in = re.findall(r"<script(?![^>]* src=)[^>]*>", answer.text)
    assert set(written_in) <= {'<script type="application/ld+json">'}
    assert "<style" not in answer.text
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert " style=" not in answer.text
    assert re.search(r"\son[a-z]+=", answer.text) is None


async def test_the_notice_says_how_long_this_installation_keeps_what_it_keeps(
    database: Database, tokens_file: Path
) -> None:
    environment = settings_of("catalogue", "postgresql://a:b@localhost/c", "localhost:1")
    chosen = {
        "notifier_mails_kept_days": 1,
        "enrolment_attendance_kept_days": 700,
        "read_log_kept_days": 200,
    }
    given = {name.lower(): value for name, value in environment.items()}
    settings = Settings.model_validate(given | chosen)
    async with visiting(database, tokens_file, kept_days=kept_days(settings)) as browser:
        notice = await read(browser, "/donnees-personnelles")
    assert "1 jour après l’envoi du courriel" in notice.text
    assert "700 jours après la fin de la session" in notice.text
    assert "200 jours après la consultation" in notice.text
    assert "1 jour après la demande" in notice.text
    assert "90 jours après l’envoi du courriel" not in notice.text
    assert "Les durées sont celles de cette installation." in notice.text


async def test_the_link_to_a_meeting_is_for_those_who_enrolled(visitor: HttpBrowser) -> None:
    page = await visitor.get(f"/sessions/{MOOC}")
    assert "mooc.example.org" not in page.text
    assert "est envoyé aux personnes inscrites" in LinkedPage(page.text).text


async def test_enrolling_leads_to_the_portal_of_that_session(visitor: HttpBrowser) -> None:
    page = await read(visitor, f"/sessions/{RENNES}")
    assert f"https://portail.example.org/inscription?session={RENNES}" in page.links


async def test_a_page_that_is_not_there_is_a_page_in_french_and_the_api_answers_as_before(
    visitor: HttpBrowser,
) -> None:
    for path in ("/rien", f"/sessions/{uuid4()}", "/sessions/abc", "/offres/rien", "/offres/É", "/static/x"):
        page = await read(visitor, path, 404)
        assert "Page introuvable" in page.text
    assert (await visitor.post("/sessions")).status_code == 405
    answer = await visitor.get("/api/v1/rien")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (await visitor.get("/openapi.json")).status_code == 200


async def test_a_slash_too_many_leads_to_the_page_and_never_to_another_host(visitor: HttpBrowser) -> None:
    for path in ("/sessions/", "/offres/mooc-fondamentaux-ia/"):
        answer = await visitor.get(path, headers={"host": "catalogue:8001"})
        assert (answer.status_code, answer.headers["location"]) == (308, path.rstrip("/"))
    for path in ("//ailleurs.example/", "/%5Cailleurs.example/", "/@ailleurs/", "/x//y/"):
        assert (await visitor.get(f"{PUBLIC_URL}{path}")).status_code == 404


async def test_a_network_reads_pages_and_api_up_to_a_limit_that_asks_no_database(
    loaded_url: str, tokens_file: Path
) -> None:
    guard, tokens = a_guard(read="3/minute"), Tokens(tokens_file)
    async with opened(loaded_url) as database:
        web = api.build(database, tokens, guard)
        site = pages.Site(database=database, tokens=tokens, guard=guard, address=PUBLIC_URL)
        pages.mount(web, pages.build(site))

        def of(visitor: str) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=web, client=(visitor, 1))
            return httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL)

        async with of("192.0.2.1") as first, of("192.0.2.99") as same_network, of("198.51.100.1") as other:
            for path in ("/", "/api/v1/offers", "/sessions"):
                assert (await first.get(path)).status_code == 200
            page, problem = await same_network.get("/"), await first.get("/api/v1/offers")
            assert (page.status_code, problem.status_code) == (429, 429)
            assert 0 < int(page.headers["retry-after"]) <= 60
            assert "Trop de demandes" in page.text
            assert problem.headers["content-type"] == "application/problem+json"
            assert (await other.get("/")).status_code == 200
            assert (await first.get("/static/parcours.css")).status_code == 200
