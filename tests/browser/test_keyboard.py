"""Three tasks with the keyboard alone, and the way of the focus out of a list, a map and a form."""

import re
from datetime import timedelta
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from services.catalogue.rules.offers import loaded_session_id
from shared import clock
from tests.browser.conftest import ServedCatalogue, ServedEnrolment, ServedPortal, new_tab
from tests.pages import served_enrolment as enrolment
from tests.pages.served_catalogue import TOKEN
from tests.pages.states_catalogue import PAGES
from tests.unit.local.portal.test_pages import SESSION

pytestmark = pytest.mark.browser
RENNES = loaded_session_id("ia-et-territoires", "rennes")


FOCUS_WATCHED = """
window.unseen = [];  // what had the focus and did not show it
window.left = false;
addEventListener("focusin", ({ target }) => {
  const style = getComputedStyle(target), box = target.getBoundingClientRect();
  const shows = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  if (!shows || box.width * box.height <= 1) unseen.push(target.outerHTML.slice(0, 120));
});
addEventListener("focusout", ({ relatedTarget }) => { left ||= relatedTarget === null; });
"""


def reach(page: Page, target: Locator, most: int = 120) -> None:
    """Press Tab until this has the focus, which it has to show."""
    expect(target).to_be_attached()
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            expect(target).to_be_in_viewport()
            assert target.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
            return
    pytest.fail(f"{target} is not reached by Tab")


def press(page: Page, name: str | re.Pattern[str], role: Literal["button", "link"] = "button") -> None:
    """Go to what has this name, and press Enter."""
    reach(page, page.get_by_role(role, name=name).first)
    page.keyboard.press("Enter")


def type_into(page: Page, label: str, text: str) -> None:
    reach(page, page.get_by_label(label, exact=True))
    page.keyboard.type(text)


def type_moment(page: Page, label: str, days: int) -> None:
    """A moment in the parts of its field, in whatever order this browser shows them."""
    field = page.get_by_label(label, exact=True)
    reach(page, field)
    day = clock.now() + timedelta(days=days)
    page.keyboard.type(f"{day:%m%d%Y}")
    page.keyboard.press("Tab")
    page.keyboard.type("0930AM")
    assert field.input_value() == f"{day:%Y-%m-%d}T09:30"


def log_in(page: Page, path: str, token: str) -> None:
    page.goto(path)
    type_into(page, "Jeton d’accès", token)
    page.keyboard.press("Enter")
    expect(page.locator(".account")).to_be_visible()


def test_an_agent_finds_an_event_and_asks_for_a_seat(
    chromium: Browser, served: ServedCatalogue, served_portal: ServedPortal
) -> None:
    def to_the_portal(route: Route) -> None:
        route.fulfill(status=302, headers={"location": f"{served_portal.url}/sessions/{SESSION}"})

    with new_tab(chromium, base_url=served.url) as page:
        page.route("https://portail.example.org/**", to_the_portal)
        page.goto("/")
        type_into(page, "Un sujet, une ville, un département", "Rennes")
        page.keyboard.press("Enter")
        press(page, re.compile("^Rennes"), "link")
        expect(page).to_have_url(re.compile(rf"/sessions/{RENNES}\?pour=bretagne&pres=35\+Rennes$"))
        press(page, re.compile("S’inscrire|Rejoindre la liste d’attente"), "link")
        expect(page).to_have_url(re.compile(rf"^{served_portal.url}"))
        type_into(page, "Pour qui ? (obligatoire)", "Karim")
        press(page, "Envoyer la demande")
        expect(page.get_by_role("heading", level=1)).to_have_text("Bonjour Karim Béranger")


def test_an_organiser_confirms_a_ranking(chromium: Browser, served_enrolment: ServedEnrolment) -> None:
    with new_tab(chromium, base_url=served_enrolment.url) as page:
        log_in(page, "/inscriptions/gestion", enrolment.TOKEN)
        page.goto(f"/inscriptions/gestion/sessions/{served_enrolment.known.sessions['decided']}/candidatures")
        for left in (3, 2, 1):
            expect(page.get_by_role("button", name="Classer ensuite")).to_have_count(left)
            press(page, re.compile("^Classer ensuite"))
        expect(page.get_by_role("button", name="Classer ensuite")).to_have_count(0)
        press(page, "Enregistrer et voir le résultat")
        expect(page.get_by_text("Ce classement donnerait")).to_be_visible()
        press(page, "Décider ainsi")
        expect(page.get_by_role("status")).to_contain_text("La sélection est décidée")


def test_staff_create_a_session(chromium: Browser, served: ServedCatalogue) -> None:
    with new_tab(chromium, base_url=served.url) as page:
        log_in(page, "/gestion", TOKEN)
        press(page, re.compile("Nouvelle session"), "link")
        type_into(page, "Offre", "Rendez-vous local")
        type_into(page, "Titre", "Rencontre de Lannion")
        press(page, "Continuer\u00a0: quand")
        type_moment(page, "Début", 60)
        type_into(page, "Heure de fin", "0500PM")
        press(page, "Continuer\u00a0: où")
        type_into(page, "Lieu", "Lannion")
        press(page, "Enregistrer le brouillon")
        expect(page.get_by_role("status")).to_contain_text("Le brouillon est enregistré")


def test_the_focus_comes_out_of_a_list_a_map_and_a_form(page: Page) -> None:
    log_in(page, "/gestion", TOKEN)
    page.add_init_script(FOCUS_WATCHED)
    for path in (PAGES["list"], PAGES["map"], "/gestion/sessions/nouvelle"):
        page.goto(path)
        for _ in range(20):
            for _ in range(10):
                page.keyboard.press("Tab")
            if page.evaluate("left"):
                break
        else:
            pytest.fail(f"{path}: the focus never comes out")
        assert page.evaluate("unseen") == [], path
