"""What organisers do with enrolments in a real Chromium, on a phone unless said.

How each page and state looks is for test_every_page.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    Route,
    StorageState,
    ViewportSize,
    expect,
)

from shared.web.links import ARRIVAL
from tests.browser.conftest import ServedEnrolment, new_tab
from tests.pages.served import on_a_port
from tests.pages.served_enrolment import (
    COLLEAGUE,
    TOKEN,
    enrolment,
)

pytestmark = pytest.mark.browser
MANAGE = "/inscriptions/gestion"
PHONE = ViewportSize(width=360, height=800)
DESK = ViewportSize(width=1440, height=800)


@pytest.fixture(scope="module")
def served_enrolment(
    new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedEnrolment]:
    with on_a_port(enrolment, new_database("enrolment"), tmp_path_factory.mktemp("manage")) as served:
        yield served


@pytest.fixture(scope="module")
def log_in_kept(chromium: Browser, served_enrolment: ServedEnrolment) -> StorageState:
    """What a browser keeps of somebody who has logged in."""
    with new_tab(chromium, base_url=served_enrolment.url) as page:
        log_in(page)
        return page.context.storage_state()


@pytest.fixture
def tab(chromium: Browser, served_enrolment: ServedEnrolment, log_in_kept: StorageState) -> Iterator[Page]:
    """A phone of somebody who has logged in."""
    url = served_enrolment.url
    with new_tab(chromium, base_url=url, viewport=PHONE, storage_state=log_in_kept) as page:
        yield page


@pytest.fixture
def door(tab: Page, served_enrolment: ServedEnrolment) -> Iterator[Page]:
    """A phone on which nobody is noted yet; whoever was is taken back at the end."""
    tab.goto(at_the_door(served_enrolment))
    yield tab
    tab.unroute_all()
    tab.add_init_script("localStorage.clear()")
    tab.goto(at_the_door(served_enrolment))
    here = tab.locator(".arrivals .here")
    for left in range(here.count(), 0, -1):
        here.first.get_by_role("button", name="Annuler").click()
        has_come(tab, left - 1)


def at_the_door(served: ServedEnrolment, situation: str = "past") -> str:
    return f"{MANAGE}/sessions/{served.known.sessions[situation]}/pointage?seance=1"


def answer_taps(page: Page, *answers: Callable[[Route], None]) -> list[Route]:
    """Answer what is tapped by these, in turn, and the rest by the last. Returns what was sent."""
    sent: list[Route] = []

    def answer(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        sent.append(route)
        answers[min(len(sent), len(answers)) - 1](route)

    page.unroute_all()
    page.route("**/pointage*", answer)
    return sent


def lose(route: Route) -> None:
    route.abort()


def keep_waiting(route: Route) -> None:
    """Answer nothing yet: the test does."""


def let_through(route: Route) -> None:
    route.continue_()


def refuse(route: Route) -> None:
    route.fulfill(status=422)


def tap(page: Page, row: int) -> None:
    page.locator(".arrivals li").nth(row).get_by_role("button", name="Pointer").click()


def lose_tap(page: Page, row: int) -> None:
    """Tap, and wait until what was sent is lost: what comes meanwhile is sent some seconds later."""
    answer_taps(page, lose)
    with page.expect_event("requestfailed"):
        tap(page, row)


def send_again(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('online'))")


def has_come(page: Page, number: int) -> None:
    expect(page.get_by_role("heading", name=f"Pointage : {number} sur")).to_be_visible()


def log_in(page: Page, token: str = TOKEN) -> None:
    page.context.clear_cookies()
    page.goto(f"{MANAGE}/connexion")
    page.get_by_label("Jeton d’accès").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{MANAGE}")


def test_a_roster_is_a_table_on_a_tablet_and_is_printed_without_what_is_pressed(
    tab: Page, served_enrolment: ServedEnrolment
) -> None:
    tab.set_viewport_size(ViewportSize(width=768, height=900))
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['full']}")
    heads, rows = tab.get_by_role("columnheader"), tab.locator("tbody tr")
    assert [head.evaluate("head => head.offsetWidth > 50") for head in heads.all()] == [True] * 5
    assert max(row.evaluate("row => row.offsetHeight") for row in rows.all()) < 150
    region = tab.get_by_role("region", name="Participants")
    assert region.evaluate("table => table.scrollWidth <= table.clientWidth")
    tab.emulate_media(media="print")
    for shown in ("nav", "form[role=search]", "button", "input", ".chosen", ".actions"):
        assert tab.locator(f"main {shown}").filter(visible=True).count() == 0, shown
    assert rows.first.is_visible()


def test_a_phone_has_each_navigation_in_one_line_that_scrolls_to_where_one_is(
    tab: Page, served_enrolment: ServedEnrolment
) -> None:
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['past']}/messages")
    for name in ("Principale", "Pages de la session"):
        links = tab.get_by_role("navigation", name=name).get_by_role("link")
        tops = links.evaluate_all("links => links.map((link) => link.getBoundingClientRect().top)")
        assert len(tops) > 4
        assert len(set(tops)) == 1, name
    expect(tab.get_by_role("link", name="Messages", exact=True)).to_be_in_viewport(ratio=1)
    tab.get_by_role("link", name="Réglages", exact=True).focus()
    expect(tab.get_by_role("link", name="Réglages", exact=True)).to_be_in_viewport(ratio=1)


def test_the_roster_is_searched_while_one_types(tab: Page, served_enrolment: ServedEnrolment) -> None:
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['full']}")
    tab.get_by_label("Nom, courriel ou employeur").fill("MARTIN elise")
    expect(tab.locator("tbody tr:visible")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("status")).to_contain_text("1 personne pour « MARTIN elise »")


def test_candidates_are_dragged_to_their_rank(tab: Page, served_enrolment: ServedEnrolment) -> None:
    tab.set_viewport_size(DESK)  # where one drags
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['ranking']}/candidatures")
    unranked, ranked = tab.locator("ul.candidates li"), tab.locator("ol.candidates li")
    expect(tab.get_by_text("faites glisser")).to_be_visible()
    first, second = unranked.locator("strong").all_inner_texts()[:2]
    unranked.first.drag_to(tab.locator("ol.candidates"))
    is_said(tab, "L’ordre est changé dans cette page")
    unranked.first.drag_to(ranked.first, target_position={"x": 9, "y": 4})
    expect(ranked.locator("strong")).to_have_text([second, first])
    tab.get_by_role("button", name="Enregistrer le brouillon").last.click()
    expect(ranked.locator("strong")).to_have_text([second, first])


CAMERA = """
const canvas = document.createElement("canvas");
const pen = canvas.getContext("2d");
setInterval(() => pen.fillRect(0, 0, 9, 9), 50);
window.stream = canvas.captureStream();
Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: async () => window.stream } });
"""
READS_NOTHING = 'window.BarcodeDetector = class { async detect() { throw new Error("not supported"); } };'
READS = "window.BarcodeDetector = class {{ async detect() {{ return [{{ rawValue: {code!r} }}]; }} }};"


def test_the_camera_is_off_once_codes_cannot_be_read(tab: Page, served_enrolment: ServedEnrolment) -> None:
    tab.add_init_script(CAMERA + READS_NOTHING)
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['past']}/pointage")
    tab.get_by_text("Par la référence ou le code").click()
    tab.get_by_role("button", name="Lire un code par la caméra").click()
    expect(tab.get_by_role("button", name="La caméra n’est pas disponible")).to_be_visible()
    assert tab.evaluate("stream.getTracks().map((track) => track.readyState)") == ["ended"]


def test_who_shows_a_code_to_the_camera_is_noted(door: Page, served_enrolment: ServedEnrolment) -> None:
    row = door.locator(".arrivals li").nth(2)
    name = row.locator("strong").inner_text()
    enrolment_id = (row.get_attribute("id") or "").removeprefix("p-")
    door.add_init_script(CAMERA + READS.format(code=f"{served_enrolment.url}{ARRIVAL}/{enrolment_id}"))
    door.goto(at_the_door(served_enrolment))
    door.get_by_text("Par la référence ou le code").click()
    door.get_by_role("button", name="Lire un code par la caméra").click()
    expect(door.get_by_role("status").filter(has_text="est là")).to_contain_text(name)
    has_come(door, 1)


def test_who_comes_is_noted_by_one_tap(tab: Page, served_enrolment: ServedEnrolment) -> None:
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['past']}/pointage")
    tab.get_by_label("Chercher un nom").fill("kerdoncuff")
    expect(tab.locator(".arrivals li:visible")).to_have_count(1)
    tab.locator(".arrivals li:visible").get_by_role("button", name="Pointer").click()
    expect(tab.get_by_role("status")).to_contain_text("Kerdoncuff Anne-Marie est là.")
    expect(tab.get_by_role("status")).to_be_in_viewport()  # whoever is tapped next stays in their place
    tab.get_by_role("status").get_by_role("button", name="Annuler").click()
    expect(tab.get_by_role("heading", name="Pointage : 0 sur 9")).to_be_visible()


def test_who_is_looked_for_at_the_door_stands_below_the_field(
    tab: Page, served_enrolment: ServedEnrolment
) -> None:
    tab.set_viewport_size({"width": 360, "height": 640})
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['past']}/pointage")
    field, letters = tab.get_by_label("Chercher un nom"), tab.locator("#arrivees h3:visible")
    expect(letters).not_to_have_count(1)
    field.fill("morvan")
    expect(letters).to_have_text(["M"])
    expect(tab.locator("ul.arrivals:visible")).to_have_count(1)
    expect(tab.get_by_role("button", name="Pointer : Morvan")).to_be_in_viewport(ratio=1)
    expect(tab.get_by_role("navigation", name="Par lettre")).to_be_hidden()
    field.fill("personne de ce nom")
    expect(tab.get_by_text("Personne de ce nom ici.")).to_be_visible()
    expect(letters).to_have_count(0)
    field.blur()
    field.focus()
    tab.keyboard.type("nguyen")  # takes the place of what was typed
    expect(letters).to_have_text(["N"])
    expect(tab.get_by_text("Personne de ce nom ici.")).to_be_hidden()


def test_who_is_noted_without_a_network_waits_is_told_and_is_sent(
    tab: Page, served_enrolment: ServedEnrolment
) -> None:
    tab.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['past']}/pointage?seance=1")
    rows, status = tab.locator(".arrivals li"), tab.locator("#envois")
    tab.context.set_offline(True)
    rows.nth(0).get_by_role("button", name="Pointer").click()
    rows.nth(1).get_by_role("button", name="Pointer").click()
    expect(status).to_have_text("2 en attente d’envoi.")
    expect(rows.nth(0)).to_contain_text("En attente d’envoi")
    rows.nth(1).get_by_role("button", name="Pointer").click()  # taken back
    expect(status).to_have_text("1 en attente d’envoi.")
    expect(rows.nth(1)).not_to_contain_text("En attente d’envoi")
    tab.context.set_offline(False)
    expect(tab.get_by_role("heading", name="Pointage : 1 sur 9")).to_be_visible()
    expect(status).to_be_hidden()
    tab.get_by_role("status").get_by_role("button", name="Annuler").click()
    expect(tab.get_by_role("heading", name="Pointage : 0 sur 9")).to_be_visible()


def test_who_is_refused_is_still_told_once_others_were_sent(door: Page) -> None:
    lose_tap(door, 0)
    lose_tap(door, 1)
    expect(door.locator("#envois")).to_have_text("2 en attente d’envoi.")
    answer_taps(door, refuse, let_through)
    send_again(door)
    has_come(door, 1)
    expect(door.locator(".arrivals li").first).to_contain_text("Refusé")
    expect(door.locator("#envois")).to_have_text("1 refus.")


def test_who_cannot_be_sent_for_another_reason_waits_and_holds_up_nobody(door: Page) -> None:
    lose_tap(door, 0)
    lose_tap(door, 1)
    answer_taps(door, lambda route: route.fulfill(status=404), let_through)
    send_again(door)
    has_come(door, 1)
    expect(door.locator(".arrivals li").first).to_contain_text("En attente d’envoi")
    expect(door.locator("#envois")).to_have_text("1 en attente d’envoi.")


def test_a_tab_that_sends_drops_nothing_of_another_tab(door: Page, served_enrolment: ServedEnrolment) -> None:
    on_its_way = answer_taps(door, keep_waiting, let_through)
    tap(door, 0)
    other = door.context.new_page()
    answer_taps(other, lose)
    with other.expect_event("requestfailed"):
        other.goto(at_the_door(served_enrolment))
    with other.expect_event("requestfailed"):
        tap(other, 1)
    expect(other.locator("#envois")).to_have_text("2 en attente d’envoi.")
    tap(other, 0)  # taken back there
    expect(other.locator("#envois")).to_have_text("1 en attente d’envoi.")
    other.close()
    on_its_way[0].fulfill(status=204)
    has_come(door, 1)


def test_a_tab_of_a_log_in_that_has_ended_goes_on_with_the_next(door: Page) -> None:
    other = door.context.new_page()
    log_in(other)
    tap(door, 0)
    has_come(door, 1)


def test_who_was_noted_waits_for_who_noted_them(door: Page, served_enrolment: ServedEnrolment) -> None:
    answer_taps(door, lose)
    tap(door, 0)
    expect(door.locator("#envois")).to_have_text("1 en attente d’envoi.")
    log_in(door, COLLEAGUE)
    door.goto(at_the_door(served_enrolment))
    expect(door.locator(".arrivals li").first).to_be_visible()
    expect(door.locator("#envois")).to_be_hidden()
    log_in(door)
    door.unroute_all()
    door.goto(at_the_door(served_enrolment))
    has_come(door, 1)


def test_who_was_noted_is_not_believed_after_a_day(door: Page, served_enrolment: ServedEnrolment) -> None:
    answer_taps(door, lose)
    tap(door, 0)
    expect(door.locator("#envois")).to_have_text("1 en attente d’envoi.")
    door.clock.install(time=datetime.now(UTC) + timedelta(hours=25))
    door.goto(at_the_door(served_enrolment))
    expect(door.locator("#envois")).to_contain_text("1 hors délai")


def test_who_was_noted_at_one_door_is_told_and_sent_at_the_next(
    door: Page, served_enrolment: ServedEnrolment
) -> None:
    lose_tap(door, 0)
    with door.expect_event("requestfailed"):
        door.goto(at_the_door(served_enrolment, "full"))
    expect(door.locator("#envois")).to_have_text("1 en attente d’envoi.")
    door.unroute_all()
    send_again(door)
    expect(door.locator("#envois")).to_be_hidden()
    door.goto(at_the_door(served_enrolment))
    has_come(door, 1)


def test_a_second_tap_while_the_first_is_sent_takes_it_back(door: Page) -> None:
    on_its_way = answer_taps(door, keep_waiting, let_through)
    tap(door, 0)
    tap(door, 0)
    with door.expect_request(lambda request: "annuler=" in (request.post_data or "")):
        let_through(on_its_way[0])
    expect(door.locator("#envois")).to_be_hidden()
    has_come(door, 0)


LIMITS_BY_THE_CLOCK = """
AbortSignal.timeout = (milliseconds) => {
  const limit = new AbortController();
  setTimeout(() => limit.abort(), milliseconds);
  return limit.signal;
};
"""


def test_a_tap_that_nobody_answers_in_time_is_sent_again(
    door: Page, served_enrolment: ServedEnrolment
) -> None:
    door.add_init_script(LIMITS_BY_THE_CLOCK)
    door.clock.install()
    door.goto(at_the_door(served_enrolment))
    sent = answer_taps(door, keep_waiting, let_through)
    with door.expect_request("**/pointage*"):
        tap(door, 0)
    door.clock.run_for(14_000)
    expect(door.locator("#envois")).to_have_text("1 en attente d’envoi.")
    with door.expect_event("requestfailed"):
        door.clock.run_for(2_000)
    assert len(sent) == 1
    door.clock.run_for(5_000)
    has_come(door, 1)


NOTHING_KEPT = """
Object.defineProperty(window, "localStorage", { get() { throw new DOMException("", "SecurityError"); } });
"""


def test_a_browser_that_keeps_nothing_notes_at_once(door: Page, served_enrolment: ServedEnrolment) -> None:
    door.add_init_script(NOTHING_KEPT)
    door.goto(at_the_door(served_enrolment))
    tap(door, 0)
    has_come(door, 1)


def is_said(page: Page, sentence: str) -> None:
    expect(page.get_by_role("status").filter(has_text=sentence)).to_be_visible()
