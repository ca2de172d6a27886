"""What the accessibility statement says was assessed, page by page: change one and change the other."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import TOKEN, Served, new_tab, violations
from tests.browser.test_public_pages import PAGES

pytestmark = pytest.mark.browser

PUBLIC = ("home", "list", "local-event", "bespoke", "resources", "accessibility")
MANAGED = (
    "/gestion",
    "/gestion/sessions/nouvelle",
    "/gestion/sessions/importer",
    "/gestion/demandes",
    "/gestion/connexions",
)

FOCUSED = """() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  return {
    body: at === document.body,
    what: at.outerHTML.slice(0, 120),
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width * box.height > 1,
  };
}"""
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important; " +
    "word-spacing: .16em !important; } p { margin-bottom: 2em !important; }");
  document.adoptedStyleSheets = [sheet];
}"""
LINKS = """() => {
  let heading = "";
  return Array.from(document.querySelectorAll("main h1, main h2, main a[href]"), one => {
    const text = one.textContent.trim().replace(/\\s+/g, " ");
    if (one.matches("h1, h2")) { heading = text; return null; }
    return [heading, text, one.getAttribute("href")];
  }).filter(Boolean);
}"""


def log_in(page: Page) -> None:
    page.goto("/gestion/connexion")
    page.get_by_label("Jeton d’accès").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Mon compte")).to_be_attached()


def every_page(page: Page) -> list[str]:
    log_in(page)
    return [*(PAGES[name] for name in PUBLIC), *MANAGED]


def test_whatever_takes_the_focus_shows_it(page: Page) -> None:
    for path in every_page(page):
        page.goto(path)
        for _ in range(200):
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused["body"]:
                break
            assert focused["seen"], (path, focused["what"])
        else:
            pytest.fail(f"{path}: the focus never comes out")


def test_nothing_is_lost_at_320_pixels_nor_with_text_spread_out(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 600})
    for path in every_page(page):
        page.goto(path)
        page.evaluate(SPACED)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_forced_colours_leave_edges_and_the_focus(chromium: Browser, served: Served) -> None:
    with new_tab(chromium, base_url=served.url, forced_colors="active") as page:
        for path in every_page(page):
            page.goto(path)
            assert violations(page) == [], path
            for button in page.locator("button:visible, .button:visible").all():
                assert button.evaluate("one => getComputedStyle(one).borderTopStyle") != "none", path
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED)["seen"]


def test_links_of_one_name_under_one_heading_lead_to_one_place(page: Page) -> None:
    for path in every_page(page):
        page.goto(path)
        places: dict[tuple[str, str], str] = {}
        for heading, name, place in page.evaluate(LINKS):
            assert name, (path, place)
            assert places.setdefault((heading, name), place) == place, (path, heading, name)


def test_a_form_with_errors_says_so_in_its_title_and_beside_each_field(page: Page) -> None:
    log_in(page)
    page.goto("/gestion/sessions/nouvelle")
    page.get_by_role("button", name="Enregistrer le brouillon").click()
    expect(page).to_have_title("Erreur – Nouvelle session – Parcours")
    wrong = page.locator("[aria-invalid=true]")
    assert wrong.count() >= 4
    for field in wrong.all():
        expect(field).to_have_accessible_description("Ce champ est obligatoire.")
