"""An agent who lost the link to their enrolments gets it by mail; the page does not say who is known."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier import pages
from services.notifier.service.lost_links import AGENTS_OF_A_MAILBOX
from shared.events.enrolment import AgentEnrolled
from shared.rates import Rate
from shared.web.links import LOST_LINK
from shared.web.rendering import Sites
from tests.integration.notifier.conftest import Notifier, browsing
from tests.support.guards import a_guard
from tests.unit.notifier.builders import a_decision, an_agent


def application(notifier: Notifier, *, rate: str = "100/hour", signs: bool = True) -> FastAPI:
    api = FastAPI()
    guard, rendering = a_guard(notifier.database), pages.rendering(Sites(catalogue="http://catalogue"))
    api.state.guard = guard
    pages.lost_link.add_to(api, notifier.database, guard, rendering, rate=Rate.parse(rate), signs=signs)
    return api


@pytest.fixture
async def client(notifier: Notifier) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(application(notifier)) as client:
        yield client


def enrolled(agent_id: str, name: str) -> Any:
    agent = an_agent(agent_id=agent_id, email=f"{name}@ville.example")
    return a_decision(AgentEnrolled, agent=agent, enrolment_id=uuid4())


async def ask(client: httpx.AsyncClient, address: str) -> str:
    answer = await client.post(LOST_LINK, data={"adresse": address})
    assert answer.status_code == 200
    return answer.text


async def test_the_letter_goes_to_the_agent_and_leads_to_their_newest_enrolment(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-1", "zoe"))
    newest = enrolled("A-1", "zoe")
    await notifier.hear(newest, enrolled("A-2", "yann"))
    await ask(client, " Zoe@Ville.example ")
    mail = await notifier.row_of("my-enrolments")
    assert (mail.recipient, mail.address) == ("A-1", "zoe@ville.example")
    assert mail.enrolment_id == newest.enrolment_id


async def test_a_mailbox_gets_the_link_once_a_day_and_no_answer_says_whether_it_is_known(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-1", "zoe"))
    names = ("zoe+x", "zoe", "ZOE", "zoe", "nobody")  # the first is nobody's, and uses up nothing
    assert len({await ask(client, f"{name}@ville.example") for name in names}) == 1
    assert await notifier.addressees("my-enrolments") == ["A-1"]
    await notifier.change("UPDATE request_count SET ends_at = now()")  # the next day
    await ask(client, "zoe@ville.example")
    assert await notifier.addressees("my-enrolments") == ["A-1", "A-1"]


async def test_of_a_mailbox_that_many_share_the_last_to_enrol_get_theirs(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(enrolled("A-0", "mairie"))
    last = [f"A-{number}" for number in range(1, AGENTS_OF_A_MAILBOX + 1)]
    await notifier.hear(*(enrolled(agent_id, "mairie") for agent_id in last))
    await ask(client, "mairie@ville.example")
    assert await notifier.addressees("my-enrolments") == sorted(last)


@pytest.mark.parametrize(
    ("typed", "rate", "status"), [("zoe", "100/hour", 422), ("a@b.example", "1/hour", 429)]
)
async def test_what_is_no_address_or_comes_too_often_is_refused(
    notifier: Notifier, typed: str, rate: str, status: int
) -> None:
    async with browsing(application(notifier, rate=rate)) as client:
        await ask(client, "zoe@ville.example")
        assert (await client.post(LOST_LINK, data={"adresse": typed})).status_code == status


async def test_where_links_cannot_be_signed_the_page_says_so(notifier: Notifier) -> None:
    async with browsing(application(notifier, signs=False)) as client:
        assert (await client.get(LOST_LINK)).status_code == 503
