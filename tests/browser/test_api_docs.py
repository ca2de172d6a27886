"""``/docs`` of each service in a real Chromium: nothing for axe to report, on a phone, light and dark."""

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser

from shared.web import api_docs
from tests.browser.conftest import OF_COLOURS, WITHOUT_CONTRAST, Show, new_tab, violations
from tests.unit.test_token_first import APIS

pytestmark = pytest.mark.browser


LOST = """() => [...document.querySelectorAll('a[href^="#"]')]
  .map(link => link.getAttribute('href')).filter(to => !document.getElementById(to.slice(1)))"""
SMALLEST = min(APIS, key=lambda api: len(api.routes))


@pytest.mark.parametrize("api", APIS, ids=[api.title for api in APIS])
def test_axe_finds_nothing_in_the_documentation_of_an_api(
    chromium: Browser, show: Show, api: FastAPI
) -> None:
    with new_tab(chromium, viewport={"width": 320, "height": 800}) as page:
        show(page, api_docs.page(api.openapi(), "catalogue"))
        assert violations(page, rules=WITHOUT_CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.evaluate(LOST) == []
        if api is SMALLEST:
            assert violations(page, runOnly=OF_COLOURS) == []
            page.emulate_media(color_scheme="dark")
            assert violations(page, runOnly=OF_COLOURS) == []
