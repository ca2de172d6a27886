"""Who has lost the link to their enrolments gets it anew, at their address; nobody learns who is known."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier import pages
from services.notifier.service.lost_links import AGENTS_OF_A_MAILBOX
from shared.events.enrolment import AgentEnrolled
from shared.limits import Rate
from shared.web.links import LOST_LINK
from shared.web.rendering import Sites
from tests.integration.notifier.conftest import Notifier
from tests.support.guards import a_guard
from tests.unit.notifier.builders import a_decision, an_agent

SENT = "Regardez vos courriels"


def application(notifier: Notifier, *, rate: str = "100/hour", signs: bool = True) -> FastAPI:
    api = FastAPI()
    guard, rendering = a_guard(notifier.database), pages.rendering(Sites(catalogue="http://catalogue"))
    pages.lost_link.add_to(api, notifier.database, guard, rendering, rate=Rate.parse(rate), signs=signs)
    return api


def visitor(api: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://test")


@pytest.fixture
async def client(notifier: Notifier) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(application(notifier)) as client:
        yield client


def enrolled(agent_id: str, address: str, **changes: Any) -> AgentEnrolled:
    agent = an_agent(agent_id=agent_id, email=address)
    decision: AgentEnrolled = a_decision(AgentEnrolled, agent=agent, enrolment_id=uuid4(), **changes)
    return decision


async def links(notifier: Notifier) -> list[Any]:
    return await notifier.rows(where="template = 'my-enrolments'")


async def ask(client: httpx.AsyncClient, address: str) -> str:
    answer = await client.post(LOST_LINK, data={"adresse": address})
    assert answer.status_code == 200
    return answer.text


async def test_the_letter_goes_to_the_agent_and_leads_to_their_newest_enrolment(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-1", "zoe@ville.example"))
    newest = enrolled("A-1", "zoe@ville.example")
    await notifier.hear(newest, enrolled("A-2", "yann@ville.example"))

    assert SENT in await ask(client, " Zoe@Ville.example ")

    [mail] = await links(notifier)
    assert (mail.recipient, mail.address, mail.enrolment_id) == (
        "A-1",
        "zoe@ville.example",
        newest.enrolment_id,
    )


async def test_an_address_that_nobody_has_is_answered_alike_and_gets_nothing(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-1", "zoe@ville.example"))
    assert await ask(client, "nobody@ville.example") == await ask(client, "zoe@ville.example")
    assert [mail.address for mail in await links(notifier)] == ["zoe@ville.example"]


async def test_a_mailbox_gets_it_once_a_day_under_whatever_name(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-1", "zoe@ville.example"))
    answers = {
        await ask(client, name) for name in ("zoe@ville.example", "ZOE@ville.example", "zoe@ville.example")
    }
    assert len(answers) == 1
    assert len(await links(notifier)) == 1
    await notifier.change("UPDATE request_count SET ends_at = now()")  # the next day
    await ask(client, "zoe@ville.example")
    assert len(await links(notifier)) == 2


async def test_who_types_what_nobody_has_uses_up_nothing_of_the_mailbox_it_looks_like(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-1", "lea@ville.example"))
    await ask(client, "lea+x@ville.example")
    await ask(client, "lea@ville.example")
    assert [mail.address for mail in await links(notifier)] == ["lea@ville.example"]


async def test_of_a_mailbox_that_many_share_the_last_to_enrol_get_theirs(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-0", "mairie@ville.example"))
    await notifier.hear(
        *(enrolled(f"A-{number}", "mairie@ville.example") for number in range(1, AGENTS_OF_A_MAILBOX + 1))
    )
    await ask(client, "mairie@ville.example")
    recipients = {mail.recipient for mail in await links(notifier)}
    assert (len(recipients), "A-0" in recipients) == (AGENTS_OF_A_MAILBOX, False)


async def test_what_is_no_address_is_said_beside_the_field(client: httpx.AsyncClient) -> None:
    answer = await client.post(LOST_LINK, data={"adresse": "zoe"})
    assert answer.status_code == 422
    assert "Saisissez une adresse de la forme" in answer.text
    assert "<title>Erreur" in answer.text


async def test_a_network_that_asks_too_often_is_told_so(notifier: Notifier) -> None:
    async with visitor(application(notifier, rate="1/hour")) as client:
        await ask(client, "zoe@ville.example")
        answer = await client.post(LOST_LINK, data={"adresse": "yann@ville.example"})
    assert answer.status_code == 429


async def test_where_links_cannot_be_signed_the_page_says_so(notifier: Notifier) -> None:
    async with visitor(application(notifier, signs=False)) as client:
        answer = await client.get(LOST_LINK)
    assert answer.status_code == 503
    assert re.search("<h1>Ce lien ne peut pas être envoyé</h1>", answer.text)
