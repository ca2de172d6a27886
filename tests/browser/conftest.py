"""The pages in a real Chromium: one browser and one catalogue for all modules."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.portal.site import TEMPLATES
from shared.web.assets import ASSETS
from shared.web.links import Purpose
from shared.web.responses import HTML
from tests.pages.seen import NewDatabase
from tests.pages.served import Served, on_a_port
from tests.pages.served_catalogue import catalogue
from tests.pages.served_enrolment import KnownEnrolments, enrolment
from tests.pages.served_notifier import notifier
from tests.pages.served_portal import KnownPortal, portal
from tests.support.lacking import CHROMIUM, program

# What is waited for comes at once, unless the machine has much else to do.
expect.set_options(timeout=20_000)
# Each page gets it as a function that is not called yet: that costs less than to send it each time.
AXE = f"window.loadAxe = () => {{ {(Path(__file__).parent / 'axe' / 'axe.min.js').read_text()} }}"
Show = Callable[[Page, str], None]
INSPECTION = (Path(__file__).parent / "inspection.js").read_text()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """For this package alone: while Playwright runs, no other event loop does in this thread."""
    found = program(*CHROMIUM, package="chromium-headless-shell")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--renderer-process-limit=1"]  # not one more for each tab: it takes time
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


ServedCatalogue = Served[None]
ServedEnrolment = Served[KnownEnrolments]
ServedNotifier = Served[dict[Purpose, str]]
ServedPortal = Served[KnownPortal]


@pytest.fixture(scope="session")
def served(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCatalogue]:
    """The national offer, some sessions full."""
    with on_a_port(catalogue, new_database("catalogue"), tmp_path_factory.mktemp("catalogue")) as served:
        yield served


@pytest.fixture(scope="session")
def served_enrolment(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedEnrolment]:
    """Sessions of Bretagne in every situation."""
    with on_a_port(enrolment, new_database("enrolment"), tmp_path_factory.mktemp("enrolment")) as served:
        yield served


@pytest.fixture(scope="session")
def served_notifier(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedNotifier]:
    """Letters that wait and one that left, persons, a subscriber."""
    with on_a_port(notifier, new_database("notifier"), tmp_path_factory.mktemp("notifier")) as served:
        yield served


@pytest.fixture(scope="session")
def served_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPortal]:
    """The example portal, with something of everything."""
    with on_a_port(portal, "", tmp_path_factory.mktemp("portal")) as served:
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
def page(chromium: Browser, served: ServedCatalogue) -> Iterator[Page]:
    """Such a tab at the catalogue."""
    with new_phone(chromium, served.url) as tab:
        yield tab


FILES = {asset.name: (asset.content, asset.media_type) for asset in ASSETS.values()} | {
    "style.css": ((TEMPLATES / "style.css").read_bytes(), "text/css"),
    "script.js": ((TEMPLATES / "script.js").read_bytes(), "text/javascript"),
}
"""Style sheets, scripts and typefaces of the services and of the example portal, by name."""


@pytest.fixture(scope="package")
def show() -> Iterator[Show]:
    """Shows a page that no service serves here, with the files that its service would have."""
    shown = ""

    class Site(BaseHTTPRequestHandler):
        """A server, and no route of Playwright: where there are routes, Chromium keeps no file."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            file = FILES.get(urlsplit(self.path).path.rpartition("/")[2])
            content, media_type = file or (shown.encode(), HTML)
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "max-age=3600" if file else "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    def show(tab: Page, html: str) -> None:
        nonlocal shown
        shown = html
        tab.goto(f"http://127.0.0.1:{site.server_port}/page")

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        Thread(target=site.serve_forever).start()
        yield show
        site.shutdown()


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
          return axe.run({resultTypes: ['violations'], preload: false, ...rules});
        }""",
        only,
    )
    return [
        f"{fault['id']}: {fault['help']}: {', '.join(node['html'][:200] for node in fault['nodes'])}"
        for fault in found["violations"]
    ]
