"""Subscribers in tests: what portals say of them, the page where people subscribe, what they get."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from services.notifier import pages
from shared import clock
from shared.events.catalogue import ReplayPublished, ResourcePublished, ResourceWithdrawn
from shared.events.portal import SubscriptionChanged
from shared.rates import Rate
from shared.web.links import Links, Purpose
from shared.web.rendering import Sites
from tests.integration.notifier.conftest import Notifier
from tests.support.guards import a_guard
from tests.unit.notifier.reading import body

LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "http://test"))
OWNER = "zoe@ville.example"
CONFIRMED = ["delegation:bretagne", "theme:enjeux-ia"]
OTHER_THEME = "transition-ecologique"


def changed(agent: str = "A-1", *, subscribed: bool = True, **what: Any) -> SubscriptionChanged:
    fields = {"agent_id": agent, "email": f"{agent.lower()}@ville.example", "subscribed": subscribed}
    return SubscriptionChanged.model_validate(fields | what)


def a_dossier(**changes: Any) -> ResourcePublished:
    fields = {
        "resource_id": uuid4(),
        "version": 1,
        "title": "Dossier : IA et droit",
        "url": "https://r.example/1",
        "themes": ["enjeux-ia"],
        "published_at": clock.now(),
        "kind": "dossier",
    }
    return ResourcePublished.model_validate(fields | changes)


def a_replay(**changes: Any) -> ReplayPublished:
    return ReplayPublished.model_validate(a_dossier().model_dump() | {"organiser": "bretagne"} | changes)


def withdrawn(resource: ReplayPublished | ResourcePublished) -> ResourceWithdrawn:
    return ResourceWithdrawn(resource_id=resource.resource_id, version=2, withdrawn_at=clock.now())


async def news(notifier: Notifier) -> dict[str, int]:
    """How many items the next letter of each subscriber has."""
    rows = await notifier.rows(where="template = 'news' AND state = 'pending'")
    return {row.recipient: len(row.details["items"]) for row in rows}


async def at_the_hour(notifier: Notifier) -> list[str]:
    """What goes out when the hour of the edition has come, as the body of each letter."""
    await notifier.deliver()
    before = len(notifier.relay.taken)
    await notifier.change("UPDATE mail SET due_at = now() WHERE template = 'news'")
    await notifier.deliver()
    return [body(mail.message, "text/plain") for mail in notifier.relay.taken[before:]]


async def followers(notifier: Notifier) -> dict[tuple[str | None, str], list[str]]:
    """What each subscriber follows, by the identifier of the agent (None: an owner) and the address."""
    rows = await notifier.query(
        "SELECT agent_id, address, array_agg(interest ORDER BY interest) AS interests "
        "FROM subscriber JOIN subscription USING (subscriber_id) GROUP BY agent_id, address"
    )
    return {(row.agent_id, row.address): row.interests for row in rows}


async def id_of(notifier: Notifier, agent: str | None) -> str:
    """The subscriber that is this agent; for None, the owner of an address."""
    query = "SELECT subscriber_id FROM subscriber WHERE agent_id IS NOT DISTINCT FROM CAST(:agent AS varchar)"
    async with notifier.database.quiet_transaction() as tx:
        return str((await tx.execute(text(query), {"agent": agent})).scalar_one())


async def subscriber_id(notifier: Notifier) -> str:
    """The only subscriber."""
    [row] = await notifier.query("SELECT subscriber_id FROM subscriber")
    return str(row.subscriber_id)


async def confirmation(notifier: Notifier) -> str:
    """The link of the newest letter that asks whether to begin."""
    row = (await notifier.rows(where="template = 'confirm-subscription'"))[-1]
    return link(Purpose.CONFIRM, row.details["request"])


def ticked(page: str) -> list[str]:
    """The interests that are ticked on a page."""
    return re.findall(r'value="([^"]*)"[^>]* checked', page)


def a_process(notifier: Notifier, *, of_a_network: str = "100/hour", of_all: str = "100/hour") -> FastAPI:
    """The pages as a process serves them, with what it counts."""
    api = FastAPI()
    api.state.guard = a_guard(notifier.database)
    pages.subscribing.add_to(
        api,
        notifier.database,
        api.state.guard,
        LINKS,
        pages.rendering(Sites(catalogue="http://catalogue")),
        rates=pages.subscribing.SubscriptionRates(Rate.parse(of_a_network), Rate.parse(of_all)),
    )
    return api


def visiting(api: FastAPI, visitor: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=api, client=(visitor, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
async def client(notifier: Notifier) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(a_process(notifier)) as client:
        yield client


async def subscribe(api: FastAPI, address: str, visitor: str = "127.0.0.1") -> httpx.Response:
    """Type an address into our page; ``visitor`` is the IP address of the visitor."""
    async with visiting(api, visitor) as client:
        data = {"adresse": address, "interet": ["theme:enjeux-ia"]}
        return await client.post("/courriels/abonnement", data=data)


async def confirm(
    notifier: Notifier,
    client: httpx.AsyncClient,
    address: str,
    chosen: list[str],
    path: str = "/courriels/abonnement",
) -> httpx.Response:
    """Ask on the page, take the letter, follow its link and press the button."""
    response = await client.post(path, data={"adresse": address, "interet": chosen})
    assert response.status_code == 200
    url = await confirmation(notifier)
    assert (await client.get(url)).status_code == 200
    return await client.post(url)


def link(purpose: Purpose, *subject: str) -> str:
    return f"{purpose.value}/{LINKS.token(purpose, *subject, until=clock.now() + timedelta(days=1))}"


def preferences(subject: str, address: str) -> str:
    """The link that a letter to this address has."""
    return LINKS.preferences(subject, address, clock.now() + timedelta(days=1))
