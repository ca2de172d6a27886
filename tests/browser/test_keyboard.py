"""Five tasks with the keyboard alone, from first page to last; the order in which pages are heard."""

import re
from datetime import timedelta
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from services.catalogue.rules.offers import loaded_session_id
from shared import clock
from tests.browser.conftest import ServedCatalogue, ServedEnrolment, ServedNotifier, ServedPortal, new_tab
from tests.pages import served_enrolment as enrolment
from tests.pages import served_notifier as notifier
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
        expect(page).to_have_url(re.compile(rf"/sessions/{RENNES}$"))
        press(page, re.compile("S’inscrire|Rejoindre la liste d’attente"), "link")
        expect(page).to_have_url(re.compile(rf"^{served_portal.url}"))
        type_into(page, "Pour qui ? (obligatoire)", "Karim")
        press(page, "Envoyer la demande")
        expect(page.get_by_role("heading", level=1)).to_have_text("Bonjour Karim Béranger")


def test_an_agent_gives_up_a_seat_by_the_link_of_a_letter(
    chromium: Browser, served_enrolment: ServedEnrolment
) -> None:
    with new_tab(chromium, base_url=served_enrolment.url) as page:
        page.goto(served_enrolment.known.withdrawal)
        press(page, "Oui, je me désiste")
        expect(page.get_by_role("heading", level=1)).to_contain_text("désistement est enregistré")


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


def test_support_finds_a_person_and_sends_a_letter_again(
    chromium: Browser, served_notifier: ServedNotifier
) -> None:
    with new_tab(chromium, base_url=served_notifier.url) as page:
        log_in(page, f"{notifier.LOG}/personnes", notifier.TOKEN)
        type_into(page, "Personne", "maxence@ville.example")
        type_into(page, "Motif de la consultation", "demande 4711")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(notifier.LONG_NAME)
        press(page, re.compile(r"^Courriel\s"), "link")
        before = page.url
        press(page, "Envoyer de nouveau")
        expect(page).not_to_have_url(before)
        expect(page.get_by_text("Ce courriel est encore en route")).to_be_visible()


def test_staff_create_a_session(chromium: Browser, served: ServedCatalogue) -> None:
    with new_tab(chromium, base_url=served.url) as page:
        log_in(page, "/gestion", TOKEN)
        press(page, re.compile("Nouvelle session"), "link")
        type_into(page, "Offre", "Rendez-vous local")
        type_into(page, "Titre", "Rencontre de Lannion")
        for label, days in (("Début", 60), ("Fin", 61), ("Ouverture des inscriptions", 1)):
            type_moment(page, label, days)
        type_into(page, "Lieu", "Lannion")
        press(page, "Enregistrer le brouillon")
        expect(page.get_by_role("status")).to_contain_text("Le brouillon est enregistré")


HEARD_AS = (
    "banner|navigation|main|contentinfo|complementary|search|heading|textbox|searchbox|combobox|button|link"
)


def heard(page: Page) -> list[str]:
    """Landmarks, headings, fields, buttons and links as a screen reader says them, in their order."""
    tree = page.locator("body").aria_snapshot()
    return re.findall(rf"^ *- '?((?:{HEARD_AS})\b(?: \".*?\")?)", tree, re.MULTILINE)


def in_order(page: Page, *names: str) -> None:
    """These are heard one after the other, with others between them."""
    said = iter(heard(page))
    for name in names:
        assert any(re.match(name, line) for line in said), (name, heard(page))


FRAME = (
    'link "Aller au contenu"',
    "banner",
    'link "Parcours',
    'navigation "Principale"',
    'link "Sessions"',
    "main",
)
HEARD: dict[str, tuple[str, ...]] = {
    "/": (
        'heading "Se former',
        "search",
        'searchbox "Un sujet',
        'button "Chercher"',
        'heading "Près de chez vous"',
        'combobox "Votre délégation"',
        'heading "Prochaines sessions ouvertes"',
        'heading "Six formats"',
        "contentinfo",
    ),
    "/sessions": (
        'heading "Sessions"',
        'search "Filtrer les sessions"',
        'searchbox "Un sujet',
        'button "Chercher"',
        'button "Filtrer"',
        'heading "[0-9]+ sessions"',
        'navigation "Présentation"',
        'navigation "Pages de la liste"',
        "contentinfo",
    ),
    f"/sessions/{RENNES}": (
        'navigation "Fil d’Ariane"',
        'heading ".*Rennes',
        'link "(S’inscrire|Rejoindre)',
        "contentinfo",
    ),
}


@pytest.mark.parametrize("path", HEARD)
def test_a_page_is_heard_in_the_order_in_which_it_is_read(
    chromium: Browser, served: ServedCatalogue, path: str
) -> None:
    with new_tab(chromium, base_url=served.url) as page:
        page.goto(path)
        in_order(page, *FRAME, *HEARD[path])


def test_a_roster_is_heard_in_the_order_in_which_it_is_read(
    chromium: Browser, served_enrolment: ServedEnrolment
) -> None:
    with new_tab(chromium, base_url=served_enrolment.url) as page:
        log_in(page, "/inscriptions/gestion", enrolment.TOKEN)
        page.goto(f"/inscriptions/gestion/sessions/{served_enrolment.known.sessions['full']}")
        in_order(
            page,
            'link "Aller au contenu"',
            "banner",
            'navigation "Pages publiques"',
            'navigation "Principale"',
            "main",
            'navigation "Fil d’Ariane"',
            'heading "Rennes',
            'navigation "Pages de la session"',
            'searchbox "Nom, courriel ou employeur"',
            'navigation "Filtrer par situation"',
            'link "Durand Zoé"',
            'button "Enregistrer leur désistement"',
            "contentinfo",
        )


def test_the_focus_comes_out_of_every_page(page: Page) -> None:
    log_in(page, "/gestion", TOKEN)
    page.add_init_script(FOCUS_WATCHED)
    for path in (*PAGES.values(), "/gestion", "/gestion/sessions/nouvelle", "/gestion/sessions/importer"):
        page.goto(path)
        for _ in range(20):
            for _ in range(10):
                page.keyboard.press("Tab")
            if page.evaluate("left"):
                break
        else:
            pytest.fail(f"{path}: the focus never comes out")
        assert page.evaluate("unseen") == [], path
