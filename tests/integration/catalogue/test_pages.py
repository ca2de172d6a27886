"""The public pages: where they lead, what they forbid, and how much of them a network reads."""

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
from tests.integration.catalogue.conftest import PUBLIC_URL, visiting
from tests.integration.catalogue.public_pages import PAGES, read
from tests.support.guards import a_guard

ELSEWHERE = {"/docs", "/gestion"}


async def test_every_link_within_the_site_leads_somewhere(visitor: HttpBrowser) -> None:
    links = {link.partition("#")[0] for path in PAGES for link in (await read(visitor, path)).links}
    inside = {link for link in links if link.startswith("/")} - ELSEWHERE
    assert len(inside) > len(PAGES)
    assert [link for link in inside if (await visitor.get(link)).status_code != 200] == []


@pytest.mark.parametrize("path", [*PAGES, "/rien", "/sessions/abc"])
async def test_every_page_forbids_written_in_scripts_and_content_from_elsewhere(
    visitor: HttpBrowser, path: str
) -> None:
    answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert ("script-src 'self';" in policy, "frame-ancestors 'none'" in policy) == (True, True)
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    written_in = re.findall(r"<script(?![^>]* src=)[^>]*>|<style| style=|\son[a-z]+=", answer.text)
    assert set(written_in) <= {'<script type="application/ld+json">'}


async def test_the_notice_has_the_durations_of_this_installation(
    database: Database, tokens_file: Path
) -> None:
    environment = settings_of("catalogue", "postgresql://a:b@localhost/c", "localhost:1")
    given = {name.lower(): value for name, value in environment.items()}
    chosen = {"notifier_mails_kept_days": 1, "enrolment_attendance_kept_days": 700, "read_log_kept_days": 200}
    days = kept_days(Settings.model_validate(given | chosen))
    async with visiting(database, tokens_file, kept_days=days) as browser:
        notice = (await read(browser, "/donnees-personnelles")).text
    for duration in (
        "1 jour après l’envoi du courriel",
        "700 jours après la fin",
        "200 jours après la consul",
    ):
        assert duration in notice


async def test_a_page_that_is_not_there_is_a_page_and_the_api_answers_with_a_problem(
    visitor: HttpBrowser,
) -> None:
    for path in ("/rien", f"/sessions/{uuid4()}", "/sessions/abc", "/offres/É", "/static/x"):
        assert "Page introuvable" in (await read(visitor, path, 404)).text
    assert (await visitor.post("/sessions")).status_code == 405
    answer = await visitor.get("/api/v1/rien")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_slash_too_many_leads_to_the_page_and_never_to_another_host(visitor: HttpBrowser) -> None:
    answer = await visitor.get("/sessions/", headers={"host": "catalogue:8001"})
    assert (answer.status_code, answer.headers["location"]) == (308, "/sessions")
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

        async def get(address: str, path: str) -> httpx.Response:
            transport = httpx.ASGITransport(app=web, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as browser:
                return await browser.get(path)

        for path in ("/", "/api/v1/offers", "/sessions"):
            assert (await get("192.0.2.1", path)).status_code == 200
        page, problem = await get("192.0.2.99", "/"), await get("192.0.2.1", "/api/v1/offers")
        assert (page.status_code, problem.status_code) == (429, 429)
        assert 0 < int(page.headers["retry-after"]) <= 60
        assert problem.headers["content-type"] == "application/problem+json"
        assert (await get("198.51.100.1", "/")).status_code == 200
        assert (await get("192.0.2.1", "/static/parcours.css")).status_code == 200
