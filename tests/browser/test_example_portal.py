"""The example portal in a real Chromium: nothing for axe to report, and answers that appear by themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from local.portal.envelope import Envelope, signed
from local.portal.exchange import Exchange
from local.portal.journal import Journal
from local.portal.offer import Offer
from local.portal.pages import pages
from local.portal.people import STAFF, PortalAgent
from local.portal.requests import Request, bespoke, group, seat
from tests.browser.conftest import new_tab, violations
from tests.support.serving import serving
from tests.unit.local.portal.test_pages import A_SESSION, SESSION, SETTINGS, catalogue

pytestmark = pytest.mark.browser

ZOE, LOIC, ANAIS = STAFF[:3]
SIRET = ZOE.employer.siret
STATES: list[tuple[str, dict[str, Any]]] = [
    ("AgentEnrolled", {}),
    ("AgentWaitlisted", {"position": 2}),
    ("SeatOffered", {"hold_until": "2026-12-01T11:00:00Z"}),
    ("SeatOfferLapsed", {"cause": "expired"}),
    ("EnrolmentPending", {"awaiting": "employer_approval"}),
    ("EnrolmentRefused", {"reason": "session_full"}),
    ("EnrolmentWithdrawn", {"by": "employer", "reason": "Départ"}),
]


@dataclass
class ServedPortal:
    """A portal that answers on a port of its own."""

    url: str
    journal: Journal
    loop: asyncio.AbstractEventLoop
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000, 2_000)))

    def hear(self, name: str, session_id: str = SESSION, **members: Any) -> None:
        """Have an answer heard by the portal."""
        answer = an_answer(name, next(self.numbers), session_id, **members)
        asyncio.run_coroutine_threadsafe(self.journal.add_answers([(answer, 0, 0)]), self.loop).result(10)


def an_answer(name: str, number: int, session_id: str, **members: Any) -> Envelope:
    data = {
        "enrolment_id": f"{session_id}-{number}",
        "version": 1,
        "request_id": None,
        "session_id": session_id,
    }
    headers = (("ce_id", f"{name}-{number}"), ("ce_type", f"fr.cnfpt.enrolment.{name}.v1"))
    return Envelope("portal.answers.exemple", "EX-101", headers, data | {"agent": ZOE.as_json()} | members)


def a_request(request: Request) -> Envelope:
    return signed(request, SETTINGS.source, SETTINGS.key, datetime.now(UTC))


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPortal]:
    """Zoé has something of everything; a colleague has a long name."""
    journal = Journal(tmp_path_factory.mktemp("portal") / "journal.jsonl")
    found: list[ServedPortal] = []

    @asynccontextmanager
    async def compose(address: str) -> AsyncIterator[object]:
        upstream = httpx.AsyncClient(
            base_url="http://catalogue.example", transport=httpx.MockTransport(catalogue)
        )
        served = ServedPortal(address, journal, asyncio.get_running_loop())
        await journal.add_agent(PortalAgent.new("Anne-Marie", "D" * 80, "a@b.example", "agent", ZOE.employer))
        for number, (name, members) in enumerate(STATES):
            session_id = SESSION[:-1] + str(number)
            await journal.add_request(a_request(seat(session_id, ZOE)))
            await journal.add_answers([(an_answer(name, number, session_id, **members), 0, number)])
        await journal.add_request(a_request(group(SESSION, [LOIC, ANAIS], ZOE.employer, all_or_nothing=True)))
        asked = a_request(bespoke(ZOE.employer, "enjeux-ia", 15, "Au printemps"))
        await journal.add_request(asked)
        agreed = {"request_id": asked.id, "siret": SIRET, "answer": "agreed", "agent": None}
        await journal.add_answers([(an_answer("BespokeRequestAnswered", 99, SESSION, **agreed), 0, 99)])
        found.append(served)
        async with upstream:
            yield pages(SETTINGS, journal, Exchange(SETTINGS, journal), Offer(upstream))

    with serving(compose):
        yield found[0]


@pytest.fixture(params=[(360, "light"), (768, "dark"), (1440, "light")], ids=str)
def tab(request: pytest.FixtureRequest, chromium: Browser, portal: ServedPortal) -> Iterator[Page]:
    width, scheme = request.param
    with new_tab(
        chromium,
        base_url=portal.url,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",
    ) as page:
        yield page


def looks_right(page: Page) -> None:
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert violations(page) == []
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_finds_nothing_on_a_page_with_everything_unfolded(tab: Page) -> None:
    for path in (
        "/",
        "/agents/EX-101",
        "/agents/EX-201",
        f"/employeurs/{SIRET}",
        "/sessions",
        f"/sessions/{SESSION}?agent_id=EX-101",
        "/evenements",
        "/nulle-part",
    ):
        tab.goto(path)
        looks_right(tab)


def test_axe_finds_nothing_on_a_form_with_mistakes(tab: Page) -> None:
    tab.goto(f"/sessions/{SESSION}")
    tab.get_by_role("button", name="Envoyer la demande").click()
    expect(tab.get_by_role("alert")).to_contain_text("Choisissez pour qui demander une place")
    expect(tab.get_by_label("Pour qui ?")).to_have_accessible_description(
        "Choisissez pour qui demander une place."
    )
    looks_right(tab)


@pytest.fixture
def wide(chromium: Browser, portal: ServedPortal) -> Iterator[Page]:
    with new_tab(chromium, base_url=portal.url) as page:
        yield page


def test_an_answer_appears_by_itself_and_disturbs_nobody(wide: Page, portal: ServedPortal) -> None:
    wide.goto("/agents/EX-101")
    travel = wide.get_by_role("complementary")
    expect(travel.get_by_text("En direct")).to_be_visible()
    first = travel.get_by_role("listitem").first
    first.get_by_text("En-têtes").click()
    portal.hear("AgentWaitlisted", SESSION[:-1] + "9", position=7)
    expect(travel.get_by_role("listitem").first).to_contain_text("7e place dans la file")
    expect(wide.get_by_role("status")).to_contain_text("Sur la liste d’attente")
    expect(travel.locator("details[open]")).to_have_count(1)

    wide.get_by_text("Se désister").first.click()
    reason = wide.get_by_label("Motif (facultatif)").first
    reason.fill("Je suis")
    portal.hear("AgentWaitlisted", SESSION[:-1] + "8", position=8)
    expect(travel.get_by_role("listitem").first).to_contain_text("8e place dans la file")
    expect(reason).to_have_value("Je suis")


def test_without_script_a_link_shows_what_came(chromium: Browser, portal: ServedPortal) -> None:
    with new_tab(chromium, base_url=portal.url, java_script_enabled=False) as page:
        page.goto("/agents/EX-102")
        portal.hear("AgentEnrolled", agent=LOIC.as_json())
        page.get_by_role("link", name="Actualiser").click()
        expect(page.get_by_text("Inscription confirmée").first).to_be_visible()


def test_a_form_works_with_the_keyboard_alone(wide: Page, portal: ServedPortal) -> None:
    before = len(portal.journal.travels)
    wide.goto(f"/sessions/{SESSION}")
    expect(wide.get_by_role("heading", level=1)).to_have_text(str(A_SESSION["title"]))
    wide.get_by_label("Pour qui ?").focus()
    wide.keyboard.type("Karim")
    button = wide.get_by_role("button", name="Envoyer la demande")
    for _ in range(20):  # a new person's fields, which are folded, and the organiser's questions
        wide.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            break
    expect(button).to_be_focused()
    wide.keyboard.press("Enter")
    expect(wide.get_by_role("heading", level=1)).to_have_text("Bonjour Karim Béranger")
    assert len(portal.journal.travels) == before + 1
