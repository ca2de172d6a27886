"""Another number of seats, and other dates, in a real Chromium: nothing for axe to report."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import TOKEN, violations
from tests.browser.test_every_page import log_in

pytestmark = pytest.mark.browser


def first_published(page: Page) -> str:
    log_in(page, "/gestion", TOKEN)
    page.goto("/gestion?etat=published&passees=oui")
    for link in page.locator("tbody th a, .sessions h3 a").all():
        address = link.get_attribute("href") or ""
        page.goto(address)
        if page.get_by_role("link", name="Reporter").count():
            return address
        page.go_back()
    pytest.fail("no session to come")


@pytest.mark.parametrize("width", [360, 1200])
def test_axe_finds_nothing_where_what_follows_is_shown(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    session = first_published(page)
    page.goto(f"{session}/places")
    page.get_by_label("Nombre de places").fill("500")
    page.get_by_label("Sans limite de places").uncheck()
    page.get_by_role("button", name="Voir ce qui suit").click()
    expect(page.get_by_role("heading", name="Ce qui suit")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(f"{session}/reporter")
    typed = page.get_by_label("Nouveau début").input_value()
    page.get_by_label("Nouveau début").fill(f"{int(typed[:4]) + 2}{typed[4:]}")
    page.get_by_role("button", name="Voir ce qui suit").click()
    expect(page.get_by_role("heading", name="Ce qui suit")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
