"""Our page: people ask for news there, and nothing begins before the owner of the address confirms it."""

import asyncio
import hashlib
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier.store import subscriptions as store
from shared import clock
from shared.events.catalogue import SessionScheduled
from shared.web.links import Purpose
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.subscribing import (
    a_dossier,
    a_process,
    a_replay,
    changed,
    client,
    confirm,
    followers,
    link,
    news,
    preferences,
    subscribe,
    subscriber_id,
    withdrawn,
)
from tests.unit.notifier.builders import a_session

__all__ = ["client"]


@pytest.fixture
def api(notifier: Notifier) -> FastAPI:
    return a_process(notifier)


async def test_nobody_is_subscribed_before_the_owner_of_the_address_has_said_yes(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await client.post(
        "/courriels/abonnement", data={"adresse": "a@b.example", "interet": ["theme:enjeux-ia"]}
    )
    row = await notifier.row()
    url = link(Purpose.CONFIRM, row.details["request"])
    assert "Enjeux de l’intelligence artificielle" in (await client.get(url)).text
    await notifier.hear(a_dossier())
    assert await news(notifier) == {}, "opening a link changes nothing: scanners open links"
    done = await client.post(url)
    again = await client.post(url)
    assert (done.status_code, again.status_code) == (200, 200)
    await notifier.hear(a_dossier())
    assert list((await news(notifier)).values()) == [1]


async def test_a_link_of_confirmation_subscribes_once(notifier: Notifier, client: httpx.AsyncClient) -> None:
    """It stays in a mailbox for longer than a subscription may last."""
    first = await confirm(notifier, client, "a@b.example", ["theme:enjeux-ia", "delegation:bretagne"])
    (row,) = await notifier.rows(where="template = 'confirm-subscription'")
    url = link(Purpose.CONFIRM, row.details["request"])
    again = await client.post(url)
    assert (first.status_code, again.status_code) == (200, 200)
    who = await subscriber_id(notifier)
    await client.post(preferences(who, "a@b.example"), data={"interet": ["delegation:bretagne"]})
    again = await client.post(url)
    assert "Événements" in again.text
    assert "Enjeux" not in again.text
    await client.post(link(Purpose.UNSUBSCRIBE, who))
    again = await client.post(url)
    assert again.status_code == 410
    assert "Ce lien n’ouvre plus d’abonnement" in again.text
    await notifier.hear(a_replay())
    assert await news(notifier) == {}
    await notifier.change("UPDATE request_count SET ends_at = now()")  # the next day
    assert (await confirm(notifier, client, "a@b.example", ["theme:enjeux-ia"])).status_code == 200


async def test_communities_that_the_catalogue_published_can_be_followed_by_their_names(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    community = {
        "kind": "community",
        "title": "E-communauté : ressources humaines",
        "themes": ["evolution-des-metiers", "enjeux-ia"],
        "published_at": clock.now() - timedelta(days=300),
    }
    await notifier.hear(a_dossier(**community), a_dossier(themes=["souverainete-des-donnees"]))
    form = (await client.get("/courriels/abonnement")).text
    assert re.findall('value="(community:[^"]*)"', form) == ["community:evolution-des-metiers"]
    name = str(community["title"])
    assert name in form
    await confirm(notifier, client, "a@b.example", ["community:evolution-des-metiers"])
    assert await notifier.deliver() == 1
    body = notifier.relay.taken[0].message.get_body(("plain",))
    assert body is not None
    assert name in body.get_content().replace("\u00a0", " ")
    shown = await client.get(preferences(await subscriber_id(notifier), "a@b.example"))
    assert name in shown.text
    assert "Autres abonnements" not in shown.text
    await notifier.hear(a_dossier(themes=["evolution-des-metiers"]))
    assert list((await news(notifier)).values()) == [1]


async def test_a_community_that_was_withdrawn_is_not_proposed_any_more(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    community = a_dossier(kind="community", title="E-communauté : retirée", themes=["retiree"])
    await notifier.hear(community)
    assert "retirée" in (await client.get("/courriels/abonnement")).text
    await notifier.hear(withdrawn(community))
    assert "retirée" not in (await client.get("/courriels/abonnement")).text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"adresse": "pas une adresse", "interet": ["theme:enjeux-ia"]}, "Saisissez une adresse"),
        ({"adresse": "a@b.example"}, "Choisissez au moins un abonnement"),
        ({"adresse": "a@b.example", "interet": ["theme:inconnu", "x"]}, "Choisissez au moins un abonnement"),
        ({}, "Saisissez une adresse"),
    ],
)
async def test_a_form_that_is_wrong_says_what_and_sends_nothing(
    notifier: Notifier, client: httpx.AsyncClient, data: dict[str, Any], says: str
) -> None:
    response = await client.post("/courriels/abonnement", data=data)
    assert response.status_code == 422
    assert says in response.text
    assert await notifier.rows() == []


async def test_a_mailbox_gets_one_letter_a_day_however_its_address_is_typed_and_nobody_learns_more(
    notifier: Notifier, api: FastAPI
) -> None:
    written = [
        "zoe.durand@gmail.com",
        "Zoe.Durand+1@GMAIL.com",
        "zoedurand@googlemail.com",
        "z.oedurand@gmail.com",
    ]
    await notifier.hear(changed(email="zoe.durand@gmail.com", theme="enjeux-ia"))
    answers = [await subscribe(api, address) for address in written]
    answers.append(await subscribe(api, "somebody@ville.example"))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert [row.address for row in await notifier.rows()] == [
        "zoe.durand@gmail.com",
        "somebody@ville.example",
    ]


async def test_who_asks_at_once_in_two_processes_gets_one_letter(notifier: Notifier, api: FastAPI) -> None:
    await asyncio.gather(*(subscribe(api, "a@b.example") for _ in range(5)))
    assert len(await notifier.rows()) == 1


async def test_the_next_day_a_mailbox_can_be_asked_again(notifier: Notifier, api: FastAPI) -> None:
    for age, letters in (("23 hours", 1), ("25 hours", 2)):
        await subscribe(api, "a@b.example")
        await notifier.change(f"UPDATE request_count SET ends_at = ends_at - interval '{age}'")
        await subscribe(api, "a@b.example")
        assert len(await notifier.rows()) == letters
        await notifier.change("UPDATE request_count SET ends_at = now() + interval '1 day'")


async def test_a_network_may_ask_so_often_and_others_go_on(notifier: Notifier) -> None:
    processes = [a_process(notifier, of_a_network="2/hour") for _ in range(2)]
    visitors = ["192.0.2.1", "192.0.2.77", "::ffff:192.0.2.3", "192.0.3.1", "2001:db8::1", "2001:db8::f:2"]
    visitors += ["2001:db8:0:ff:9::1", "2001:db8:0:100::1"]
    statuses = [
        (await subscribe(processes[n % 2], f"a{n}@b.example", visitor)).status_code
        for n, visitor in enumerate(visitors)
    ]
    assert statuses == [200, 200, 429, 200, 200, 200, 429, 200]
    assert len(await notifier.rows()) == 6
    await notifier.change("UPDATE request_count SET ends_at = ends_at - interval '1 hour'")
    another = a_process(notifier, of_a_network="2/hour")
    assert (await subscribe(another, "b@b.example", "192.0.2.1")).status_code == 200


async def test_all_networks_together_may_ask_so_often(notifier: Notifier) -> None:
    api = a_process(notifier, of_all="2/hour")
    answers = [await subscribe(api, f"a{n}@b.example", f"192.0.{n}.1") for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert len(await notifier.rows()) == 2


async def test_what_sends_no_letter_uses_up_nothing_of_all_networks(notifier: Notifier) -> None:
    api = a_process(notifier, of_all="2/hour")
    again = [await subscribe(api, "a@b.example", f"192.0.{n}.1") for n in range(4)]
    another = await subscribe(api, "b@b.example", "192.0.9.1")
    assert [answer.status_code for answer in (*again, another)] == [200] * 5
    assert len(await notifier.rows()) == 2
    late = [await subscribe(api, address, "192.0.9.1") for address in ("a@b.example", "c@b.example")]
    assert [answer.status_code for answer in late] == [429, 429], "nobody learns who got a letter today"
    assert late[0].text == late[1].text


async def test_what_is_counted_names_nobody(notifier: Notifier, api: FastAPI) -> None:
    await subscribe(api, "zoe@ville.example", "192.0.2.1")
    for row in await notifier.query("SELECT counted FROM request_count"):
        assert len(row.counted) == 32
        for text_ in (
            "zoe@ville.example",
            "192.0.2.0/24",
            "mailbox\0zoe@ville.example",
            "network\000192.0.2.0/24",
        ):
            assert row.counted != hashlib.sha256(text_.encode()).digest()


async def test_nobody_who_asks_on_our_page_waits_for_a_change_of_subscriptions(
    notifier: Notifier, api: FastAPI
) -> None:
    async with notifier.database.quiet_transaction() as tx, asyncio.timeout(10):
        await store.lock(tx)
        assert (await subscribe(api, "a@b.example")).status_code == 200


async def test_somebody_who_comes_from_an_offers_page_finds_it_ticked_and_each_delegation_to_choose(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    path = "/courriels/abonnement?offre=ia-et-territoires&delegation=bretagne"
    form = (await client.get(path)).text
    assert re.findall(r'value="([^"]*)"[^>]* checked', form) == ["offer:ia-et-territoires/bretagne"]
    assert 'value="offer:ia-et-territoires/corse"' in form
    chosen = ["offer:ia-et-territoires/corse", "offer:inconnue"]
    wrong = await client.post(path, data={"adresse": "x", "interet": chosen})
    assert re.findall(r'value="([^"]*)"[^>]* checked', wrong.text) == chosen[:1]
    await client.post(path, data={"adresse": "a@b.example", "interet": chosen})
    assert await notifier.deliver() == 1
    body = notifier.relay.taken[0].message.get_body(("plain",))
    assert body is not None
    assert "délégation Corse" in body.get_content()
    other = (await client.get("/courriels/abonnement?offre=%22%3E%3Cscript&delegation=x")).text
    assert "checked" not in other
    assert other.count("<script") == 1, "our own file"


async def test_an_offer_that_was_made_on_the_pages_is_followed_by_what_its_sessions_are_called(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    offer: dict[str, Any] = {"offer_id": "ia-pour-les-elus", "title": "L’IA pour les élues et élus"}
    path = f"/courriels/abonnement?offre={offer['offer_id']}"
    unknown = (await client.get(path)).text
    assert "checked" not in unknown
    assert "Aucune session de cette offre n’est encore annoncée" in unknown
    at_one_place = {**offer, "title": "L’IA à Brest"}
    for fields in (at_one_place, offer, offer):
        session = a_session(session_id=uuid4(), **fields)
        await notifier.hear(SessionScheduled.model_validate(session.model_dump()))
    form = (await client.get(path)).text
    assert re.findall(r'value="([^"]*)"[^>]* checked', form) == ["offer:ia-pour-les-elus"]
    assert 'value="offer:ia-pour-les-elus/corse"' in form
    title = "Inscriptions ouvertes\u00a0: «\u00a0L’IA pour les élues et élus\u00a0»"
    assert title in form
    assert "Aucune session de cette offre" not in form
    confirmed = await confirm(notifier, client, "a@b.example", ["offer:ia-pour-les-elus"], path=path)
    assert title in confirmed.text
    assert await notifier.deliver() == 1
    body = notifier.relay.taken[0].message.get_body(("plain",))
    assert body is not None
    assert "L’IA pour les élues et élus" in body.get_content()
    url = preferences(await subscriber_id(notifier), "a@b.example")
    shown = (await client.get(url)).text
    assert re.findall(r'value="([^"]*)"[^>]* checked', shown) == ["offer:ia-pour-les-elus"]
    assert title in shown
    await client.post(url, data={"interet": ["offer:ia-pour-les-elus", "offer:inconnue"]})
    assert await followers(notifier) == {(None, "a@b.example"): ["offer:ia-pour-les-elus"]}


async def test_an_offer_of_bespoke_sessions_which_are_private_is_not_followed_nor_named(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    private = a_session(offer_id="sur-mesure", format="bespoke", title="Pour Quimper")
    await notifier.hear(SessionScheduled.model_validate(private.model_dump()))
    form = (await client.get("/courriels/abonnement?offre=sur-mesure")).text
    assert "checked" not in form
    assert "Quimper" not in form
