"""The pages in a real Chromium: one browser and one catalogue for all modules."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from sqlalchemy import text

from services.catalogue import api, pages
from services.catalogue.rules.bespoke import BespokeRequest
from services.catalogue.service import bespoke
from shared.auth import Tokens
from shared.database import Database
from shared.events.vocabulary import Contact
from shared.web.assets import ASSETS
from shared.web.rendering import Sites
from shared.web.responses import HTML
from tests.browser.served_enrolment import ServedEnrolment, serve_enrolment
from tests.browser.served_notifier import ServedNotifier, serve_notifier
from tests.browser.served_portal import ServedPortal, serve_portal
from tests.support.catalogue import load
from tests.support.guards import a_guard
from tests.support.lacking import CHROMIUM, program
from tests.support.serving import serving

# What is waited for comes at once, unless the machine has much else to do.
expect.set_options(timeout=20_000)
# Each page gets it as a function that is not called yet: that costs less than to send it each time.
AXE = f"window.loadAxe = () => {{ {(Path(__file__).parent / 'axe' / 'axe.min.js').read_text()} }}"
INSPECTION = (Path(__file__).parent / "inspection.js").read_text()
PORTAL = "https://portail.example.org/inscription?session={session_id}"
NEWS = "https://courriels.example.org/abonnement"
TOKEN = "advisor-bretagne"
"""The token of somebody of Bretagne; its hash is in the tokens' file."""
EVERYWHERE = "siege"
"""The token of somebody who acts for all delegations."""


DEMAND = BespokeRequest(
    bespoke_id=UUID("7d2f4c1e-3f0a-4d5a-8a52-1d2a4c1e9b01"),
    source="/portals/essai",
    portal="essai",
    request_id=UUID("7d2f4c1e-3f0a-4d5a-8a52-1d2a4c1e9b01"),
    siret="21350238800019",
    authority="Ville de Rennes",
    delegation="bretagne",
    theme="enjeux-ia",
    trainees=15,
    received_at=datetime(2025, 3, 18, 9, tzinfo=UTC),
    requester=Contact(name="Léa Martin", email="lea.martin@ville-exemple.fr"),
    message="Plutôt au printemps.",
)
"""What an authority asked of Bretagne."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """For this package alone: while Playwright runs, no other event loop does in this thread."""
    found = program(*CHROMIUM, package="chromium-headless-shell")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--renderer-process-limit=1"]  # not one more for each tab: it takes time
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Served:
    """A catalogue that answers on a port of its own."""

    url: str
    database_url: str


@pytest.fixture(scope="session")
def served(new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The national offer, some sessions full, served by uvicorn in a thread of its own."""
    tokens_file = tmp_path_factory.mktemp("browser") / "tokens.json"
    entries = [
        {"name": name, "role": "organiser", "delegation": delegation, "sha256": _sha256(name)}
        for name, delegation in ((TOKEN, "bretagne"), (EVERYWHERE, None))
    ]
    tokens_file.write_text(json.dumps(entries))
    url, tokens = new_database("catalogue"), Tokens(tokens_file)

    @asynccontextmanager
    async def catalogue(address: str) -> AsyncIterator[object]:
        database = Database(url, application_name="browser-test")
        await load(database, as_of=date(2025, 3, 20))
        async with database.transaction() as tx:
            await tx.execute(text(_OCCUPANCY))
            await bespoke.receive(tx, [DEMAND])
        guard = a_guard(database)
        web = api.build(database, tokens, guard)
        site = pages.Site(
            database=database,
            tokens=tokens,
            guard=guard,
            address=address,
            portal=PORTAL,
            sites=Sites(news=NEWS),
        )
        pages.mount(web, pages.build(site))
        yield web
        await database.close()

    with serving(catalogue) as address:
        yield Served(address, url)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_OCCUPANCY = """
INSERT INTO occupancy (session_id, version, capacity, enrolled, waiting, offered)
SELECT session_id, 1, capacity, capacity - number % 3 * 10, CASE WHEN number % 3 = 0 THEN 7 ELSE 0 END, 0
FROM (SELECT *, row_number() OVER (ORDER BY starts_at, session_id) AS number FROM session) AS numbered
WHERE capacity IS NOT NULL AND number % 4 > 0
"""


@pytest.fixture(scope="session")
def served_enrolment(
    new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedEnrolment]:
    """Sessions of Bretagne in every situation."""
    with serve_enrolment(new_database("enrolment"), tmp_path_factory.mktemp("enrolment")) as served:
        yield served


@pytest.fixture(scope="session")
def served_notifier(
    new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedNotifier]:
    """Letters that wait and one that left, persons, a subscriber."""
    with serve_notifier(new_database("notifier"), tmp_path_factory.mktemp("notifier")) as served:
        yield served


@pytest.fixture(scope="session")
def served_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPortal]:
    """The example portal, with something of everything."""
    with serve_portal(tmp_path_factory.mktemp("portal")) as served:
        yield served


@contextmanager
def new_tab(chromium: Browser, **options: Any) -> Iterator[Page]:
    """A tab that shares nothing with others, with these options of ``new_context``; axe-core is at hand,
    and what inspection.py asks."""
    context = chromium.new_context(locale="fr-FR", **options)
    context.set_default_timeout(20_000)
    context.add_init_script(AXE)  # a script element would not do: the pages' policy forbids it
    context.add_init_script(INSPECTION)
    yield context.new_page()
    context.close()


@contextmanager
def new_phone(chromium: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A tab as wide as a phone; what a page writes to its console fails the test."""
    written: list[str] = []
    with new_tab(chromium, base_url=url, viewport={"width": 375, "height": 740}, **options) as tab:
        tab.on("console", lambda message: written.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: written.append(str(error)))
        yield tab
    unexpected = [line for line in written if "Failed to load resource" not in line]
    assert unexpected == []


@pytest.fixture
def page(chromium: Browser, served: Served) -> Iterator[Page]:
    """Such a tab at the catalogue."""
    with new_phone(chromium, served.url) as tab:
        yield tab


def show(tab: Page, html: str) -> None:
    """Show a page that no service serves here, with the files that its service would have."""

    def answer(route: Route) -> None:
        asset = ASSETS.get(urlsplit(route.request.url).path.rpartition("/")[2])
        if asset is None:
            route.fulfill(body=html, content_type=HTML)
        else:
            route.fulfill(body=asset.content, content_type=asset.media_type)

    tab.unroute_all()
    tab.route("https://pages.example/**", answer)
    tab.goto("https://pages.example/page")


def violations(tab: Page, only: str = "") -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA, and against its own best practices; or of one rule."""
    tab.wait_for_load_state("load")  # a click may have led here a moment ago
    found = tab.evaluate(
        """async (only) => {
          if (!window.axe) loadAxe();  // it stays where only the content is replaced
          // While what changed fades in, its contrast is not yet that of the page.
          const begun = document.getAnimations().filter((animation) => !animation.effect.getTiming().delay);
          await Promise.allSettled(begun.map((animation) => animation.finished));
          const rules = only ? {runOnly: {type: 'rule', values: [only]}} : {};
          return axe.run({resultTypes: ['violations'], ...rules});
        }""",
        only,
    )
    return [
        f"{fault['id']}: {fault['help']}: {', '.join(node['html'][:200] for node in fault['nodes'])}"
        for fault in found["violations"]
    ]
