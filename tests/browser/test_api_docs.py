"""``/docs`` of each service in a real Chromium: nothing for axe to report, on a phone, light and dark."""

import pytest
from playwright.sync_api import Browser

from shared.web import api_docs
from tests.browser.conftest import OF_COLOURS, WITHOUT_CONTRAST, Show, new_tab, violations
from tests.support.apis import apis

pytestmark = pytest.mark.browser


LOST = """() => [...document.querySelectorAll('a[href^="#"]')]
  .map(link => link.getAttribute('href')).filter(to => !document.getElementById(to.slice(1)))"""
SHOWN_IN_COLOUR = "notifier"
"""All pages have the same colours, and this one is the smallest."""


@pytest.mark.parametrize("service", ["catalogue", "enrolment", "notifier"])
def test_axe_finds_nothing_in_the_documentation_of_an_api(
    chromium: Browser, show: Show, service: str
) -> None:
    with new_tab(chromium, viewport={"width": 320, "height": 800}) as page:
        show(page, api_docs.page(apis()[service].openapi(), "catalogue"))
        assert violations(page, rules=WITHOUT_CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.evaluate(LOST) == []
        if service == SHOWN_IN_COLOUR:
            assert violations(page, runOnly=OF_COLOURS) == []
            page.emulate_media(color_scheme="dark")
            assert violations(page, runOnly=OF_COLOURS) == []
