"""The public pages, as a visitor meets them: small screen, keyboard, zoom, dark, and with axe-core's eyes."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import OF_COLOURS, violations
from tests.pages.states_catalogue import PAGES

pytestmark = pytest.mark.browser


def test_a_page_with_a_fault_would_be_found(page: Page) -> None:
    page.goto(PAGES["missing"])
    page.evaluate("document.querySelector('main').innerHTML = '<img src=x><a href=/></a><input>'")
    found = violations(page)
    assert len(found) >= 3
    assert any(fault.startswith("image-alt: ") for fault in found)
    page.evaluate("document.querySelector('footer a').style.color = 'gray'")
    (pale,) = violations(page, runOnly=OF_COLOURS)
    assert pale.startswith("color-contrast: ")


def test_results_change_in_place_as_one_chooses_and_are_announced(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/sessions")
    page.evaluate("window.stayed = true")
    page.get_by_role("radio", name="Webinaire").check(force=True)
    expect(page).to_have_url(re.compile(r"/sessions\?format=webinar$"))
    expect(page.get_by_role("status")).to_have_text(page.get_by_role("heading", level=2).inner_text())
    expect(page.get_by_role("radio", name="Webinaire")).to_be_focused()
    page.get_by_label("Un sujet, une ville").fill("sobre")
    expect(page.get_by_role("heading", name="1 session", exact=True)).to_be_visible()
    expect(page.get_by_label("Un sujet, une ville")).to_be_focused()
    assert page.evaluate("window.stayed"), "no page was loaded"
    assert violations(page) == []
    page.reload()
    expect(page.get_by_role("heading", name="1 session", exact=True)).to_be_visible()


def test_the_filters_are_one_button_on_a_phone_that_says_how_many_are_in_use(page: Page) -> None:
    page.goto("/sessions?format=webinar&ouvertes=oui")
    button = page.get_by_text("Filtres (2)")
    expect(button).to_be_visible()
    expect(page.get_by_label("Un sujet, une ville")).to_be_visible()
    expect(page.get_by_label("Mois")).to_be_hidden()
    top = page.locator(".session").first.bounding_box()
    assert top is not None
    assert top["y"] < 740, "the first session is on the first screen"
    button.click()
    expect(page.get_by_label("Mois")).to_be_visible()
    page.get_by_role("radio", name="Mooc").check(force=True)
    expect(page).to_have_url(re.compile("format=mooc"))
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/sessions")
    expect(page.get_by_label("Mois")).to_be_visible()
    expect(page.get_by_text("Filtres", exact=True)).to_be_hidden()


def test_a_page_prints_without_what_is_for_clicking(page: Page) -> None:
    page.set_viewport_size({"width": 1000, "height": 1400})
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(PAGES["local-event"])
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("Pour s’inscrire : https://portail.example.org")).to_be_visible()
    for hidden in (
        page.get_by_role("navigation", name="Principale"),
        page.locator("footer"),
        page.locator(".button"),
    ):
        expect(hidden).to_be_hidden()
    assert page.locator("body").evaluate("body => getComputedStyle(body).color") == "rgb(0, 0, 0)"
    page.goto(PAGES["list"])
    expect(page.locator(".filters")).to_be_hidden()
    box = page.locator(".sessions").bounding_box()
    assert box is not None
    assert box["width"] > 900  # the place of the filters is not left blank
    for name in ("home", "calendar", "offer", "resources"):
        page.goto(PAGES[name])
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert (
            page.locator("nav[aria-label=Principale], footer, .button, button, .map")
            .filter(visible=True)
            .count()
            == 0
        ), name


def test_the_seats_of_a_session_are_kept_up_to_date_while_it_is_seen(page: Page) -> None:
    page.clock.install()
    page.goto("/sessions?format=local_event&ouvertes=oui")
    page.locator(".session h3 a").first.click()
    shown = page.locator("#places")
    expect(shown).to_have_attribute("data-again", "30")
    asked: list[str] = []

    def fewer(route: Route) -> None:
        asked.append(route.request.url)
        answer = route.fetch()
        text = re.sub("<span>[^<]*</span>", "<span>Il reste 3 places</span>", answer.text(), count=1)
        route.fulfill(response=answer, body=text)

    page.route("**/places", fewer)
    page.clock.run_for(29_000)
    assert asked == []
    page.clock.run_for(2_000)
    expect(shown).to_contain_text("Il reste 3 places")
    assert violations(page) == []
    look(page, 31_000)  # nothing is new: it is asked later
    page.clock.run_for(31_000)
    assert len(asked) == 2
    with page.expect_response("**/places"):
        page.clock.run_for(15_000)


def look(page: Page, milliseconds: int) -> None:
    """Let so much time pass, in which the page looks once, and wait until it has planned its next look."""
    page.evaluate(PLANS_COUNTED)
    page.clock.run_for(milliseconds)
    while not page.evaluate("planned"):
        pass


PLANS_COUNTED = """() => {
  const plan = window.plan ??= window.setTimeout;
  window.planned = 0;
  window.setTimeout = (...given) => { window.planned += 1; return plan(...given); };
}"""
LOOKS_COUNTED = """
window.looks = 0;
const ask = window.fetch;
window.fetch = (...given) => { window.looks += 1; return ask(...given); };
"""


def show_seats(page: Page) -> Locator:
    """Show a session whose seats are looked at again. Returns the button that ends it."""
    page.add_init_script(LOOKS_COUNTED)
    page.clock.install()
    page.goto("/sessions?format=local_event&ouvertes=oui")
    page.locator(".session h3 a").first.click()
    stop = page.get_by_role("button", name="Arrêter la mise à jour automatique")
    expect(stop).to_be_visible()
    return stop


def test_the_seats_stay_as_they_are_once_nobody_wants_them_up_to_date(page: Page) -> None:
    stop = show_seats(page)
    with page.expect_response("**/places"):
        page.clock.run_for(31_000)
    stop.click()
    expect(stop).to_have_count(0)
    page.clock.run_for(600_000)
    assert page.evaluate("looks") == 1


def test_the_seats_are_kept_up_to_date_for_half_an_hour(page: Page) -> None:
    stop = show_seats(page)
    look(page, 29 * 60_000)
    expect(stop).to_be_visible()
    with page.expect_response("**/places"):
        page.clock.run_for(2 * 60_000)
    expect(stop).to_have_count(0)
    page.clock.run_for(600_000)
    assert page.evaluate("looks") == 2
