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
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
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
    """A tab that shares nothing with others, with these options of ``new_context``."""
    context = chromium.new_context(locale="fr-FR", **options)
    context.set_default_timeout(20_000)
    context.add_init_script(INSPECTION)
    yield context.new_page()
    context.close()


def console_errors(tab: Page) -> list[str]:
    """A list to which each error is added that the tab's console shows from now on."""
    errors: list[str] = []

    def add(error: str) -> None:
        if "Failed to load resource" not in error:
            errors.append(error)

    tab.on("console", lambda message: add(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: add(str(error)))
    return errors


@contextmanager
def new_phone(chromium: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A tab as wide as a phone; what a page writes to its console fails the test."""
    with new_tab(chromium, base_url=url, viewport={"width": 375, "height": 740}, **options) as tab:
        errors = console_errors(tab)
        yield tab
    assert errors == []


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
SHOWN_AGAIN = {
    name: (b"{%b}" % content if media_type.startswith("text/javascript") else content, media_type)
    for name, (content, media_type) in FILES.items()
}
"""The same files, each script in a block: it can run again in the same window."""


@pytest.fixture(scope="package")
def show() -> Iterator[Show]:
    """Shows a page that no service serves here, with the files that its service would have."""

    class Site(BaseHTTPRequestHandler):
        """A server, and no route of Playwright: where there are routes, Chromium keeps no file."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content, media_type = SHOWN_AGAIN.get(urlsplit(self.path).path.rpartition("/")[2], (b"", HTML))
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "max-age=3600")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    def show(tab: Page, html: str) -> None:
        """Replace the content and keep the window: to load axe-core again takes as long as to ask it."""
        if not tab.url.startswith(address):
            tab.goto(address)
        tab.set_content(html)

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        address = f"http://127.0.0.1:{site.server_port}/page"
        Thread(target=site.serve_forever).start()
        yield show
        site.shutdown()


OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules of axe-core that depend on the theme."""
WITHOUT_CONTRAST = {"color-contrast": {"enabled": False}}
"""For pages whose colours typical pages show too. Contrast takes half of axe-core's time."""


def violations(tab: Page, within: str = "html", **options: Any) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA, and against its own best practices.

    ``options`` are those of ``axe.run``. Only the whole page (``html``) is checked for its frame too.
    """
    tab.wait_for_load_state("load")  # a click may have led here a moment ago
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(AXE)  # a script element would not do: the pages' policy forbids it
    found: list[str] = tab.evaluate(
        """async ([within, options]) => {
          // While what changed fades in, its contrast is not yet that of the page.
          const begun = document.getAnimations().filter((animation) => !animation.effect.getTiming().delay);
          await Promise.allSettled(begun.map((animation) => animation.finished));
          const {violations} = await axe.run(within, {reporter: 'no-passes', preload: false, ...options});
          const html = (fault) => fault.nodes.map((node) => node.html.slice(0, 200)).join(', ');
          return violations.map((fault) => `${fault.id}: ${fault.help}: ${html(fault)}`);
        }""",
        [within, options],
    )
    return found
