"""Every page of every service in each of its states: against the golden files, and as a browser shows it.

Each state on a phone by day; typical pages in every width, by day and by night, and with large text.
inspection.py says what is looked at, docs/accessibility.md why.
"""

import asyncio
import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, Page

from shared.web.assets import ASSETS
from tests.browser.conftest import FILES, Show, console_errors, new_phone
from tests.browser.inspection import faults_in_every_width, faults_of_main
from tests.pages.golden import differences
from tests.pages.seen import MOST_BYTES, SERVICES, NewDatabase, visit
from tests.pages.states import SeenState
from tests.pages.visitor import words

pytestmark = pytest.mark.timeout(300)

Seen = dict[str, list[SeenState]]
TYPICAL = {
    "catalogue/public": ("home", "list", "calendar", "map", "mooc", "offer", "resources"),
    "catalogue/organisers": ("sessions", "new session, mistakes", "series", "published", "requests"),
    "enrolment/before": ("today", "roster, long names", "a person", "candidates", "by hand"),
    "enrolment/after": ("attendance", "check-in", "messages"),
    "enrolment/links": ("my enrolments", "another session"),
    "notifier/links": ("news, mistakes", "preferences"),
    "notifier/support": ("a long person", "figures"),
    "notifier/operations": ("an incident",),
    "portal": ("an agent",),
}
"""Pages of each kind, by group. Only these show the frame and the colours of their group to axe-core."""
OPENED = """
document.querySelector("[autofocus]")?.focus();  // a window does this by itself for its first content only
for (const fold of document.querySelectorAll("main details")) fold.open = true;
"""
MOST_REQUESTS = 3
"""The page, one style sheet, one script; the typeface comes after the first paint."""


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def seen(service: str, new_database: NewDatabase) -> Seen:
    """All states of the service. Playwright has the event loop of this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(visit(service, new_database))).result()


@pytest.fixture(scope="module")
def phone(chromium: Browser) -> Iterator[Page]:
    """One tab for all states: axe-core is loaded once."""
    with new_phone(chromium, "") as page:
        yield page


def test_every_page_is_as_its_golden_file(service: str, seen: Seen) -> None:
    changed = differences(seen)
    assert not changed, f"{changed}\nIf this is meant: python -m tests.pages {service}; read the difference."
    states = [state for group in seen.values() for state in group]
    assert [state.name for state in states if state.answer.status_code >= 500] == []
    assert [state.name for state in states if service != "portal" and is_heavy(state)] == []
    assert [title for group in seen.values() for title in namesakes(group)] == []


@pytest.mark.browser
def test_nothing_is_wrong_with_any_page(phone: Page, show: Show, seen: Seen) -> None:
    found, errors = [], console_errors(phone)
    for group, states in seen.items():
        assert {state.name for state in states} >= set(TYPICAL[group]), group
        for state in states:
            show(phone, state.answer.text)
            phone.evaluate(OPENED)
            look = faults_in_every_width if state.name in TYPICAL[group] else faults_of_main
            found += [f"{group}, {state.name}: {fault}" for fault in (*look(phone), *errors)]
            errors.clear()
    assert not found, "\n".join(found)


def test_no_style_sheet_depends_on_how_a_phone_is_held() -> None:
    """Axe finds this only if it fetches all style sheets again for each page."""
    assert [name for name, (content, _) in FILES.items() if b"orientation" in content] == []


def is_heavy(state: SeenState) -> bool:
    """Return whether a browser asks for too much to show the page, as it travels."""
    parts = [part.get("href") for part in state.page.iter("link") if part.get("rel") == "stylesheet"]
    parts += [part.get("src") for part in (*state.page.iter("script"), *state.page.iter("img"))]
    files = [part.partition("?")[0].rpartition("/")[2] for part in parts if part]
    weights = [len(ASSETS[name].compressed or ASSETS[name].content) for name in files]
    weights.append(len(gzip.compress(state.answer.content)))
    return len(weights) > MOST_REQUESTS or sum(weights) > MOST_BYTES


def namesakes(states: list[SeenState]) -> list[str]:
    """Return titles that two addresses have. The answer to a form may have the title of another page."""
    found, addresses = [], dict[str, str]()
    for state in states:
        title = words(next(state.page.iter("title"))).removeprefix("Erreur – ")
        is_log_in = any(field.get("id") == "jeton" for field in state.page.iter("input"))
        address = state.answer.url.path
        if state.answer.request.method != "POST" and not is_log_in:
            found += [title] if addresses.setdefault(title, address) != address else []
    return found
