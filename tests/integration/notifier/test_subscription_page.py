"""Our page and the links in letters of news: nothing begins before the owner of an address confirms it."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier.store import subscriptions as store
from shared import clock
from shared.events.enrolment import AgentEnrolled
from shared.events.portal import AgentCorrected
from shared.web.links import Purpose
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import scheduled
from tests.integration.notifier.subscribing import (
    LINKS,
    OWNER,
    a_dossier,
    a_process,
    changed,
    client,
    confirm,
    confirmation,
    followers,
    link,
    news,
    preferences,
    subscribe,
    subscriber_id,
    ticked,
    withdrawn,
)
from tests.unit.notifier.builders import a_decision, an_agent

__all__ = ["client"]
PAGE = "/courriels/abonnement"


@pytest.fixture
def api(notifier: Notifier) -> FastAPI:
    return a_process(notifier)


async def test_nobody_is_subscribed_before_the_owner_of_the_address_has_said_yes(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await client.post(PAGE, data={"adresse": "a@b.example", "interet": ["theme:enjeux-ia"]})
    url = await confirmation(notifier)
    await client.get(url)
    await notifier.hear(a_dossier())
    assert await news(notifier) == {}, "opening a link changes nothing: scanners open links"
    assert [(await client.post(url)).status_code for _ in range(2)] == [200, 200]
    await notifier.hear(a_dossier())
    assert list((await news(notifier)).values()) == [1]


async def test_a_link_of_confirmation_subscribes_once(notifier: Notifier, client: httpx.AsyncClient) -> None:
    """It stays in a mailbox for longer than a subscription may last."""
    await confirm(notifier, client, "a@b.example", ["theme:enjeux-ia", "delegation:bretagne"])
    url, subscriber = await confirmation(notifier), await subscriber_id(notifier)
    await client.post(preferences(subscriber, "a@b.example"), data={"interet": ["delegation:bretagne"]})
    assert (await client.post(url)).status_code == 200
    assert await followers(notifier) == {(None, "a@b.example"): ["delegation:bretagne"]}
    await client.post(link(Purpose.UNSUBSCRIBE, subscriber))
    assert (await client.post(url)).status_code == 410
    assert await followers(notifier) == {}
    await notifier.change("UPDATE request_count SET ends_at = now()")  # the next day
    assert (await confirm(notifier, client, "a@b.example", ["theme:enjeux-ia"])).status_code == 200


async def test_communities_that_the_catalogue_published_can_be_followed_until_they_are_withdrawn(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    long_ago = {"kind": "community", "published_at": clock.now() - timedelta(days=300)}
    stays = a_dossier(title="Ressources humaines", themes=["evolution-des-metiers", "enjeux-ia"], **long_ago)
    goes = a_dossier(title="Retirée", themes=["retiree"], **long_ago)
    await notifier.hear(stays, goes, a_dossier(themes=["souverainete-des-donnees"]))
    assert "community:retiree" in (await client.get(PAGE)).text
    await notifier.hear(withdrawn(goes))
    form = (await client.get(PAGE)).text
    assert ("Ressources humaines" in form, "community:retiree" in form) == (True, False)
    assert form.count('value="community:') == 1, "by its first theme"
    await confirm(notifier, client, "a@b.example", ["community:evolution-des-metiers"])
    await notifier.hear(a_dossier(themes=["evolution-des-metiers"]))
    assert list((await news(notifier)).values()) == [1]


async def test_a_mailbox_gets_one_letter_a_day_however_its_address_is_typed_and_nobody_learns_more(
    notifier: Notifier, api: FastAPI
) -> None:
    written = ["zoe.durand@gmail.com", "Zoe.Durand+1@GMAIL.com", "zoedurand@googlemail.com"]
    await notifier.hear(changed(email="zoe.durand@gmail.com", theme="enjeux-ia"))
    answers = [await subscribe(api, address) for address in (*written, "a@ville.example")]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert [row.address for row in await notifier.rows()] == [written[0], "a@ville.example"]


async def test_an_address_typed_in_two_processes_at_once_gets_one_letter_and_another_the_next_day(
    notifier: Notifier, api: FastAPI
) -> None:
    await asyncio.gather(*(subscribe(api, "a@b.example") for _ in range(5)))
    for hours, letters in ((23, 1), (2, 2)):
        await notifier.change(f"UPDATE request_count SET ends_at = ends_at - interval '{hours} hours'")
        await subscribe(api, "a@b.example")
        assert len(await notifier.rows()) == letters


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


async def test_all_networks_together_may_ask_so_often_and_what_sends_no_letter_does_not_count(
    notifier: Notifier,
) -> None:
    api = a_process(notifier, of_all="2/hour")
    asked = ["a", "a", "a", "b", "a", "c"]
    answers = [await subscribe(api, f"{name}@b.example", f"192.0.{n}.1") for n, name in enumerate(asked)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429, 429]
    assert answers[4].text == answers[5].text, "nobody learns who got a letter today"
    assert len(await notifier.rows()) == 2


async def test_what_is_counted_names_nobody(notifier: Notifier, api: FastAPI) -> None:
    await subscribe(api, "zoe@ville.example", "192.0.2.1")
    plain = ("zoe@ville.example", "192.0.2.0/24", "mailbox\0zoe@ville.example", "network\000192.0.2.0/24")
    guessed = {hashlib.sha256(value.encode()).digest() for value in plain}
    counted = {row.counted for row in await notifier.query("SELECT counted FROM request_count")}
    assert ({len(value) for value in counted}, counted & guessed) == ({32}, set())


async def test_the_page_does_not_wait_for_a_change_of_subscriptions(notifier: Notifier, api: FastAPI) -> None:
    async with notifier.database.quiet_transaction() as tx, asyncio.timeout(10):
        await store.lock(tx)
        assert (await subscribe(api, "a@b.example")).status_code == 200


async def test_an_offer_is_ticked_for_a_visitor_from_its_page(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    path = f"{PAGE}?offre=ia-et-territoires&delegation=bretagne"
    assert ticked((await client.get(path)).text) == ["offer:ia-et-territoires/bretagne"]
    chosen = ["offer:ia-et-territoires/corse", "offer:inconnue"]
    wrong = await client.post(path, data={"adresse": "x", "interet": chosen})
    assert ticked(wrong.text) == chosen[:1]
    await confirm(notifier, client, "a@b.example", chosen, path=path)
    assert await followers(notifier) == {(None, "a@b.example"): chosen[:1]}
    other = (await client.get(f"{PAGE}?offre=%22%3E%3Cscript&delegation=x")).text
    assert (ticked(other), other.count("<script")) == ([], 1), "our own file"


async def test_an_offer_that_was_made_on_the_pages_is_followed_by_what_its_sessions_are_called(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    offer: dict[str, Any] = {"offer_id": "ia-pour-les-elus", "title": "L’IA pour les élues et élus"}
    path, interest = f"{PAGE}?offre={offer['offer_id']}", "offer:ia-pour-les-elus"
    assert ticked((await client.get(path)).text) == []
    for fields in (offer | {"title": "L’IA à Brest"}, offer, offer):
        await notifier.hear(scheduled(session_id=uuid4(), **fields))
    form = (await client.get(path)).text
    assert (ticked(form), offer["title"] in form) == ([interest], True)
    confirmed = await confirm(notifier, client, "a@b.example", [interest], path=path)
    assert offer["title"] in confirmed.text
    url = preferences(await subscriber_id(notifier), "a@b.example")
    assert ticked((await client.get(url)).text) == [interest]
    await client.post(url, data={"interet": [interest, "offer:inconnue"]})
    assert await followers(notifier) == {(None, "a@b.example"): [interest]}


async def test_an_offer_of_bespoke_sessions_which_are_private_is_not_followed_nor_named(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(scheduled(offer_id="sur-mesure", format="bespoke", title="Pour Quimper"))
    form = (await client.get(f"{PAGE}?offre=sur-mesure")).text
    assert (ticked(form), "Quimper" in form) == ([], False)


AGENTS_ADDRESS = "a-1@ville.example"


async def test_a_link_that_was_written_to_another_address_than_is_right_now_shows_and_changes_nothing(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    """It may lie in a wrong mailbox. What ends everything, and shows nothing, stays possible there."""
    await notifier.hear(changed(email="faute@ville.example", theme="enjeux-ia"))
    subscriber = await subscriber_id(notifier)
    old = preferences(subscriber, "Faute@ville.example")
    assert (await client.get(old)).status_code == 200
    await notifier.hear(AgentCorrected(agent_id="A-1", email="juste@ville.example"))
    for url in (old, link(Purpose.PREFERENCES, subscriber)):
        assert (await client.get(url)).status_code == 410
        assert (await client.post(url, data={"arreter": "oui"})).status_code == 410
    assert list(await followers(notifier)) == [("A-1", "juste@ville.example")]
    assert (await client.get(preferences(subscriber, "juste@ville.example"))).status_code == 200
    assert (await client.post(link(Purpose.UNSUBSCRIBE, subscriber))).status_code == 200
    assert await followers(notifier) == {}


async def enrolled(notifier: Notifier, address: str = AGENTS_ADDRESS) -> UUID:
    """An enrolment of A-1 with this address."""
    decision = a_decision(AgentEnrolled, agent=an_agent(agent_id="A-1", email=address))
    await notifier.hear(decision)
    return UUID(str(decision.enrolment_id))


def from_enrolments(enrolment_id: UUID, address: str = AGENTS_ADDRESS) -> str:
    """The link on the page of an agent's enrolments, which a letter to this address leads to."""
    until, mark = clock.now() + timedelta(hours=1), LINKS.mark(address)
    return LINKS.to_agent(Purpose.SUBSCRIPTIONS, enrolment_id, mark, until=until)


async def test_a_link_from_enrolments_shows_and_ends_the_agents_subscriptions(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    url = from_enrolments(await enrolled(notifier))
    await notifier.hear(changed(theme="enjeux-ia"))
    led = (await client.get(url)).headers["location"]
    assert ticked((await client.get(led)).text) == ["theme:enjeux-ia"]
    assert (await client.post(led, data={"arreter": "oui"})).status_code == 200
    assert await followers(notifier) == {}
    assert (await client.get(url)).status_code == 200


async def test_a_link_from_enrolments_shows_what_the_owner_of_the_address_follows(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    """Their letters are about the whole mailbox, and so is their page (ADR 0040)."""
    url = from_enrolments(await enrolled(notifier, OWNER), OWNER)
    await confirm(notifier, client, OWNER, ["theme:enjeux-ia"])
    led = await client.get(url)
    assert ticked((await client.get(led.headers["location"])).text) == ["theme:enjeux-ia"]


async def test_a_link_from_enrolments_that_lies_in_another_mailbox_shows_nothing(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    enrolment_id = await enrolled(notifier)
    await notifier.hear(changed(email="autre@ville.example", theme="enjeux-ia"))
    for url in (from_enrolments(enrolment_id, "faute@ville.example"), from_enrolments(uuid4())):
        assert (await client.get(url)).status_code == 410
    own = await client.get(from_enrolments(enrolment_id))
    assert own.status_code == 200, "what the agent follows goes to another mailbox"


async def test_one_click_of_a_mail_program_ends_it(notifier: Notifier, client: httpx.AsyncClient) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    await notifier.hear(a_dossier())
    url = link(Purpose.UNSUBSCRIBE, await subscriber_id(notifier))
    assert (await client.get(url)).status_code == 200
    assert await news(notifier) == {"A-1": 1}, "opening changes nothing"
    for _ in range(2):
        done = await client.post(url, data={"List-Unsubscribe": "One-Click"})
        assert (done.status_code, await news(notifier)) == (200, {})


async def test_preferences_show_what_is_followed_and_keep_what_is_chosen(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(changed(theme="enjeux-ia", community="ia-et-territoires"))
    url = preferences(await subscriber_id(notifier), AGENTS_ADDRESS)
    assert sorted(ticked((await client.get(url)).text)) == ["community:ia-et-territoires", "theme:enjeux-ia"]
    chosen = ["community:ia-et-territoires", "delegation:bretagne", "community:made-up", "rubbish"]
    assert (await client.post(url, data={"interet": chosen})).status_code == 200
    assert await followers(notifier) == {("A-1", AGENTS_ADDRESS): chosen[:2]}
    assert (await client.post(url, data={"interet": chosen, "arreter": "oui"})).status_code == 200
    assert (await client.get(url)).status_code == 410


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE])
async def test_a_link_of_another_kind_or_none_of_ours_opens_nothing(
    client: httpx.AsyncClient, purpose: Purpose
) -> None:
    day = timedelta(days=1)
    stolen = LINKS.token(Purpose.WITHDRAW, str(uuid4()), until=clock.now() + day)
    late = LINKS.token(purpose, str(uuid4()), until=clock.now() - day)
    odd = LINKS.token(purpose, "no id", until=clock.now() + day)
    for token, status in ((stolen, 404), ("x", 404), (odd, 404), (late, 410)):
        for method in ("GET", "POST"):
            response = await client.request(method, f"{purpose.value}/{token}")
            assert (response.status_code, response.headers["cache-control"]) == (status, "no-store")
