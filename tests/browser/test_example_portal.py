"""The example portal in a real Chromium: answers that appear by themselves, and forms without a script."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ServedPortal, new_tab
from tests.pages.served_portal import LOIC
from tests.unit.local.portal.test_pages import SESSION

pytestmark = pytest.mark.browser


@pytest.fixture
def wide(chromium: Browser, served_portal: ServedPortal) -> Iterator[Page]:
    with new_tab(chromium, base_url=served_portal.url) as page:
        yield page


def test_an_answer_appears_by_itself_and_disturbs_nobody(wide: Page, served_portal: ServedPortal) -> None:
    wide.goto("/agents/EX-101")
    travel = wide.get_by_role("complementary")
    expect(travel.get_by_text("En direct")).to_be_visible()
    first = travel.get_by_role("listitem").first
    first.get_by_text("En-têtes").click()
    served_portal.known.hear("AgentWaitlisted", SESSION[:-1] + "9", position=7)
    expect(travel.get_by_role("listitem").first).to_contain_text("7e place dans la file")
    expect(wide.get_by_role("status")).to_contain_text("Sur la liste d’attente")
    expect(travel.locator("details[open]")).to_have_count(1)

    wide.get_by_text("Se désister").first.click()
    reason = wide.get_by_label("Motif (facultatif)").first
    reason.fill("Je suis")
    served_portal.known.hear("AgentWaitlisted", SESSION[:-1] + "8", position=8)
    expect(travel.get_by_role("listitem").first).to_contain_text("8e place dans la file")
    expect(reason).to_have_value("Je suis")


def test_without_script_a_link_shows_what_came(chromium: Browser, served_portal: ServedPortal) -> None:
    with new_tab(chromium, base_url=served_portal.url, java_script_enabled=False) as page:
        page.goto("/agents/EX-102")
        served_portal.known.hear("AgentEnrolled", agent=LOIC.as_json())
        page.get_by_role("link", name="Actualiser").click()
        expect(page.get_by_text("Inscription confirmée").first).to_be_visible()
