"""Support downloads what each service keeps of a person."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.notifier.pages.staff_area import PEOPLE
from shared import clock, read_log
from shared.events.outcomes import RejectionCode
from shared.events.portal import EVENTS, WithdrawalRequested
from shared.events.vocabulary import AgentKey, FieldProblem
from shared.messaging import dead_letters
from shared.messaging.portals.admission import Rejected
from shared.process import Process
from shared.read_log import Reading, ReadKind
from shared.web import labels
from tests.conftest import SecurityLines
from tests.integration.catalogue.conftest import BRETAGNE, time_is
from tests.integration.services.composed import AREAS, SITE, gateway
from tests.integration.services.conftest import Compose
from tests.integration.services.test_logins import by_token, key_of
from tests.support.consuming import a_record
from tests.support.processes import SERVICES

AGENT = AgentKey("iel", "IEL-0048151")
SUPPORT, KEY = AREAS["notifier"], "a key of thirty-two characters for tests only"


@pytest.fixture
async def processes(compose_service: Compose) -> dict[str, Process]:
    """Each service keeps that somebody read about the agent."""
    processes = {service: compose_service(service, link_signing_key=KEY) for service in SERVICES}
    for process in processes.values():
        async with process.database.transaction() as tx:
            await read_log.record(tx, Reading.by_command("awa"), ReadKind.PERSON, agents=[AGENT])
    return processes


@pytest.fixture
async def browser(processes: dict[str, Process]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=gateway(processes), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=SITE, follow_redirects=True) as browser:
        await by_token(browser, SUPPORT)
        yield browser


async def links_on_page(browser: httpx.AsyncClient, page_name: str = "exploitation/personne") -> list[str]:
    chosen = {"emetteur": AGENT.issuer, "agent": AGENT.agent_id, "motif": "ticket 12"}
    page = await browser.post(PEOPLE, data=chosen | {"cle": await key_of(browser, SUPPORT)})
    return [unescape(link) for link in re.findall(f'href="([^"]+/{page_name}[?][^"]+)"', page.text)]


async def test_support_downloads_what_each_service_keeps_and_each_remembers_the_reader(
    browser: httpx.AsyncClient, processes: dict[str, Process], security_lines: SecurityLines
) -> None:
    links = await links_on_page(browser)
    assert len(links) == len(SERVICES)
    for link, process in zip(links, processes.values(), strict=True):
        assert AGENT.agent_id not in link
        page = await browser.get(link)
        assert page.headers["content-disposition"] == f'attachment; filename="donnees-{process.name}.html"'
        assert page.headers["cache-control"] == "no-store"
        assert (AGENT.agent_id in page.text, "Consultations de données" in page.text) == (True, True)
        async with process.database.quiet_transaction() as tx:
            lines = await tx.execute(text("SELECT agent_id, purpose FROM read_log WHERE kind = 'export'"))
        assert [tuple(line) for line in lines] == [(AGENT.agent_id, "ticket 12")]
    assert [line["event"] for line in security_lines()].count("export") == len(SERVICES)


async def test_a_link_to_an_export_opens_for_half_an_hour_and_for_support_alone(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer() -> tuple[int, bool]:
        page = await browser.get(link)
        return page.status_code, "content-disposition" in page.headers

    link, *_ = await links_on_page(browser)
    assert (await browser.get(f"{link}x")).status_code == 404
    assert (await browser.get(link.partition("?")[0])).status_code == 404
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=30)):
        await by_token(browser, SUPPORT)
        assert await answer() == (404, False)
    assert await answer() == (200, True)
    browser.cookies.clear()
    await by_token(browser, AREAS["catalogue"], BRETAGNE)
    assert await answer() == (200, False), "a page to log in"


@pytest.mark.parametrize("service", SERVICES)
async def test_support_sees_what_each_service_rejected_about_a_person_and_why(
    service: str, browser: httpx.AsyncClient, processes: dict[str, Process]
) -> None:
    """A request about another person is not shown."""
    async with processes[service].database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [a_rejected(AGENT.agent_id), a_rejected("IEL-0000002")])
    links = dict(zip(SERVICES, await links_on_page(browser, "incidents/personne"), strict=True))
    assert AGENT.agent_id not in links[service]
    page = await browser.get(links[service])
    shown = re.sub(r"(<[^>]+>|\s)+", " ", page.text).replace("\u00a0", " ")
    why = "La demande n’est pas valable : /session_id doit être un UUID"
    row = f"Désistement Demande rejetée , numéro 1 {why} iel Rejeté"
    assert re.findall(r"Désistement Demande rejetée .*? Rejeté", shown) == [row]
    async with processes[service].database.quiet_transaction() as tx:
        reads = await tx.execute(text("SELECT agent_id, purpose FROM read_log WHERE kind = 'dead_letter'"))
    assert [tuple(line) for line in reads] == [(AGENT.agent_id, "ticket 12")]


def a_rejected(agent_id: str) -> Rejected:
    withdrawal = WithdrawalRequested(session_id=uuid4(), agent_id=agent_id)
    problem = FieldProblem(pointer="/session_id", message="Input should be a valid UUID")
    return Rejected(
        a_record(withdrawal), RejectionCode.INVALID, (problem,), "iel", event_type=withdrawal.TYPE
    )


def test_every_request_of_a_portal_has_a_name_in_french() -> None:
    assert list(labels.PORTAL_REQUESTS) == [event.__name__ for event in EVENTS]
