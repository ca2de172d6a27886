"""The links in letters of news: they show what is followed, change it, and end it."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from shared import clock
from shared.events.enrolment import AgentEnrolled
from shared.events.portal import AgentCorrected
from shared.web.links import Purpose
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.subscribing import (
    LINKS,
    OWNER,
    a_dossier,
    changed,
    client,
    confirm,
    followers,
    link,
    news,
    preferences,
    subscriber_id,
)
from tests.unit.notifier.builders import a_decision, an_agent

__all__ = ["client"]


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


async def enrolled(notifier: Notifier, address: str = "a-1@ville.example") -> UUID:
    """An enrolment of A-1, who is written to about it at this address."""
    decision = a_decision(AgentEnrolled, agent=an_agent(agent_id="A-1", email=address))
    await notifier.hear(decision)
    return UUID(str(decision.enrolment_id))


def from_enrolments(enrolment_id: UUID, address: str) -> str:
    """The link on the page of an agent's enrolments, which a letter to this address leads to."""
    until, mark = clock.now() + timedelta(hours=1), LINKS.mark(address)
    return LINKS.to_agent(Purpose.SUBSCRIPTIONS, enrolment_id, mark, until=until)


async def test_who_comes_from_their_enrolments_sees_what_they_follow_and_ends_it(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    enrolment_id = await enrolled(notifier)
    await notifier.hear(changed(theme="enjeux-ia"))
    led = await client.get(from_enrolments(enrolment_id, "a-1@ville.example"))
    assert led.status_code == 303
    shown = await client.get(led.headers["location"])
    assert 'value="theme:enjeux-ia" id="i-theme:enjeux-ia" checked' in shown.text
    assert (await client.post(led.headers["location"], data={"arreter": "oui"})).status_code == 200
    assert await followers(notifier) == {}
    nothing = await client.get(from_enrolments(enrolment_id, "a-1@ville.example"))
    assert (nothing.status_code, "Vous ne suivez rien" in nothing.text) == (200, True)


async def test_who_comes_from_their_enrolments_sees_what_the_owner_of_their_address_follows(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    """Their letters are about the whole mailbox, and so is their page (ADR 0040)."""
    enrolment_id = await enrolled(notifier, OWNER)
    await confirm(notifier, client, OWNER, ["theme:enjeux-ia"])
    led = await client.get(from_enrolments(enrolment_id, OWNER))
    shown = await client.get(led.headers["location"])
    assert 'value="theme:enjeux-ia" id="i-theme:enjeux-ia" checked' in shown.text


async def test_a_link_from_enrolments_that_lies_in_another_mailbox_shows_nothing(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    enrolment_id = await enrolled(notifier)
    await notifier.hear(changed(email="autre@ville.example", theme="enjeux-ia"))
    assert (await client.get(from_enrolments(enrolment_id, "faute@ville.example"))).status_code == 410
    assert (await client.get(from_enrolments(uuid4(), "a-1@ville.example"))).status_code == 410
    own = await client.get(from_enrolments(enrolment_id, "a-1@ville.example"))
    assert own.status_code == 200, "what the agent follows goes to another mailbox"


async def test_one_click_of_a_mail_program_ends_it(notifier: Notifier, client: httpx.AsyncClient) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    await notifier.hear(a_dossier())
    url = link(Purpose.UNSUBSCRIBE, await subscriber_id(notifier))
    assert (await client.get(url)).status_code == 200
    assert await news(notifier) == {"A-1": 1}, "opening changes nothing"
    done = await client.post(url, data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    assert await news(notifier) == {}
    assert (await client.post(url)).status_code == 200, "twice is once"
    assert await notifier.deliver() == 0


async def test_preferences_show_what_is_followed_and_keep_what_is_chosen(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(changed(theme="enjeux-ia", community="ia-et-territoires"))
    url = preferences(await subscriber_id(notifier), "a-1@ville.example")
    shown = await client.get(url)
    assert 'value="theme:enjeux-ia" id="i-theme:enjeux-ia" checked' in shown.text
    assert "E-communauté" in shown.text
    chosen = ["delegation:bretagne", "community:ia-et-territoires", "community:made-up", "rubbish"]
    assert (await client.post(url, data={"interet": chosen})).status_code == 200
    async with notifier.database.quiet_transaction() as tx:
        kept = (await tx.execute(text("SELECT interest FROM subscription ORDER BY 1"))).scalars().all()
    assert kept == ["community:ia-et-territoires", "delegation:bretagne"]
    ended = await client.post(url, data={"interet": chosen, "arreter": "oui"})
    assert "Vous ne recevrez plus rien" in ended.text
    assert (await client.get(url)).status_code == 410


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE])
async def test_a_link_of_another_kind_or_none_of_ours_opens_nothing(
    client: httpx.AsyncClient, purpose: Purpose
) -> None:
    other = Purpose.WITHDRAW
    stolen = LINKS.token(other, str(uuid4()), until=clock.now() + timedelta(days=1))
    late = LINKS.token(purpose, str(uuid4()), until=clock.now() - timedelta(seconds=1))
    odd = LINKS.token(purpose, "no id", until=clock.now() + timedelta(days=1))
    for token, status in ((stolen, 404), ("x", 404), (odd, 404), (late, 410)):
        for method in ("GET", "POST"):
            response = await client.request(method, f"{purpose.value}/{token}")
            assert response.status_code == status
            assert "script-src 'self';" in response.headers["content-security-policy"]
            assert response.headers["cache-control"] == "no-store"
