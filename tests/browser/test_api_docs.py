"""``/docs`` of each service in a real Chromium: nothing for axe to report, on a phone, light and dark."""

from typing import Literal

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser

from shared.web import api_docs
from tests.browser.conftest import Show, new_tab, violations
from tests.unit.test_token_first import APIS

pytestmark = pytest.mark.browser


LOST = """() => [...document.querySelectorAll('a[href^="#"]')]
  .map(link => link.getAttribute('href')).filter(to => !document.getElementById(to.slice(1)))"""
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark", "light"]


@pytest.mark.parametrize(
    ("api", "scheme"), list(zip(APIS, SCHEMES, strict=True)), ids=[api.title for api in APIS]
)
def test_axe_finds_nothing_in_the_documentation_of_an_api(
    chromium: Browser, show: Show, api: FastAPI, scheme: Literal["light", "dark"]
) -> None:
    with new_tab(chromium, color_scheme=scheme, viewport={"width": 320, "height": 800}) as page:
        show(page, api_docs.page(api.openapi(), "catalogue"))
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.evaluate(LOST) == []
