"""Every page of every service in each of its states, as a browser shows it: nothing is wrong.

Each state on a phone by day; typical pages in every width, by day and by night, and with large text.
inspection.py says what is looked at, docs/accessibility.md why.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import FILES, Show, new_phone
from tests.browser.inspection import faults, faults_in_every_width
from tests.pages.seen import SERVICES, NewDatabase, visit
from tests.pages.states import SeenState

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

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


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_wrong_with_any_page(
    chromium: Browser, show: Show, new_database: NewDatabase, service: str
) -> None:
    with ThreadPoolExecutor(1) as thread:  # Playwright has the event loop of this one
        seen: dict[str, list[SeenState]] = thread.submit(
            lambda: asyncio.run(visit(service, new_database))
        ).result()
    found = []
    with new_phone(chromium, "") as page:
        for group, states in seen.items():
            for state in states:
                show(page, state.answer.text)
                page.evaluate(
                    "for (const fold of document.querySelectorAll('main details')) fold.open = true"
                )
                look = faults_in_every_width if state.name in TYPICAL[group] else faults
                found += [f"{group}, {state.name}: {fault}" for fault in look(page)]
    assert not found, "\n".join(found)


def test_no_style_sheet_depends_on_how_a_phone_is_held() -> None:
    """Axe finds this only if it fetches all style sheets again for each page."""
    assert [name for name, (content, _) in FILES.items() if b"orientation" in content] == []
