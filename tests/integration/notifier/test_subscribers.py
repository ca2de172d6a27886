"""Subscribers of one address: its owner, who confirmed it, and the agents of whom portals say so."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.notifier.letters import Interest
from services.notifier.service import subscriptions
from services.notifier.store import subscriptions as store
from shared.events.enrolment import AgentEnrolled
from shared.events.portal import AgentCorrected
from shared.web.links import Purpose
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.subscribing import (
    CONFIRMED,
    OTHER_THEME,
    OWNER,
    a_dossier,
    a_replay,
    at_the_hour,
    changed,
    client,
    confirm,
    confirmation,
    followers,
    id_of,
    link,
    news,
    preferences,
    ticked,
)
from tests.support.metrics import metric
from tests.support.statements import statements
from tests.unit.notifier.builders import SESSION_ID, a_decision, an_agent

__all__ = ["client"]
OTHER = f"theme:{OTHER_THEME}"


def moves(agent: str, to: str = "x@x.example") -> AgentCorrected:
    return AgentCorrected(agent_id=agent, email=to)


@pytest.mark.parametrize(
    "events",
    [
        [changed("X-1", email=OWNER, theme=OTHER_THEME)],
        [changed("X-1", email=OWNER, theme="enjeux-ia"), moves("X-1")],
        [
            changed("X-1", email=OWNER, theme="enjeux-ia"),
            changed("X-1", email="x@x.example", theme="enjeux-ia"),
        ],
        [changed("X-1", email=OWNER, theme="enjeux-ia"), changed("X-1", email=OWNER, subscribed=False)],
        [changed("X-1", email=OWNER, theme="enjeux-ia", subscribed=False)],
        [changed("X-1", email=OWNER, subscribed=False)],
    ],
    ids=["named", "corrected", "named with another", "ended", "ended one, unnamed", "ended all, unnamed"],
)
async def test_nothing_that_a_portal_says_of_an_address_changes_what_its_owner_confirmed(
    notifier: Notifier, client: httpx.AsyncClient, events: list[Any]
) -> None:
    await confirm(notifier, client, OWNER, CONFIRMED)
    owner = await id_of(notifier, None)
    await notifier.hear(*events)
    assert (await followers(notifier))[None, OWNER] == CONFIRMED
    assert await id_of(notifier, None) == owner
    await notifier.hear(a_replay(themes=[OTHER_THEME]))  # of the delegation that the owner follows
    [mail] = await notifier.rows(where="template = 'news'")
    assert (mail.recipient, mail.address) == (f"abonnement-{owner}", OWNER)


async def test_an_agent_who_moves_away_takes_nothing_along_that_the_owner_confirmed_before_or_after(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await notifier.hear(changed("X-1", email=OWNER, theme=OTHER_THEME))
    await confirm(notifier, client, OWNER, CONFIRMED)
    await notifier.hear(moves("X-1"))
    assert await followers(notifier) == {(None, OWNER): CONFIRMED, ("X-1", "x@x.example"): [OTHER]}
    await notifier.hear(a_replay(themes=[OTHER_THEME]))
    letters = {
        row.address: row.details["subscriber"] for row in await notifier.rows(where="template = 'news'")
    }
    assert letters == {OWNER: await id_of(notifier, None), "x@x.example": await id_of(notifier, "X-1")}


async def test_one_portal_changes_nothing_that_anothers_agent_of_the_same_address_follows(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", email=OWNER, theme="enjeux-ia"), issuer="ouest")
    await notifier.hear(changed("X-1", email=OWNER, theme=OTHER_THEME), moves("X-1"), moves("A-1"))
    await notifier.hear(changed("A-1", email=OWNER, subscribed=False))
    expected = {("A-1", OWNER): ["theme:enjeux-ia"], ("X-1", "x@x.example"): [OTHER]}
    assert await followers(notifier) == expected


async def test_a_mailbox_gets_one_letter_a_day_of_what_its_owner_and_the_agents_there_follow(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, "Zoe@Ville.example", ["theme:enjeux-ia"])
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=OWNER, theme="enjeux-ia", delegation="bretagne"))
    replays = [a_replay(title=title, themes=[OTHER_THEME]) for title in ("Un replay", "Un autre")]
    await notifier.hear(a_dossier(title="Un dossier"), *replays)
    assert await news(notifier) == {f"abonnement-{await id_of(notifier, None)}": 3}
    await notifier.hear(moves("A-1"))
    (letter,) = await at_the_hour(notifier)
    assert ("Un dossier" in letter, "Un replay" in letter) == (True, True), "A-2 still follows it there"


async def test_an_owner_hears_of_a_replay_though_a_portals_agent_of_the_address_was_enrolled(
    known: Notifier, client: httpx.AsyncClient
) -> None:
    """What a portal says of its agent's enrolment is no reason to leave the owner out."""
    await known.hear(a_decision(AgentEnrolled, agent=an_agent(email=OWNER)))
    await known.hear(changed("IEL-0048151", email=OWNER, theme="enjeux-ia"))
    await confirm(known, client, OWNER, ["theme:enjeux-ia"])
    await known.hear(a_replay(session_id=SESSION_ID))
    assert await news(known) == {f"abonnement-{await id_of(known, None)}": 1}


async def test_links_of_the_owner_show_and_end_all_that_the_mailbox_gets(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, OWNER, ["theme:enjeux-ia"])
    await notifier.hear(changed("A-1", email="Zoe@Ville.example", theme=OTHER_THEME, delegation="bretagne"))
    await notifier.hear(changed("A-2", theme=OTHER_THEME))
    await notifier.hear(a_dossier())
    owner = await id_of(notifier, None)
    url, kept = preferences(owner, OWNER), ["delegation:bretagne", "theme:enjeux-ia"]
    assert sorted(ticked((await client.get(url)).text)) == [*kept, OTHER]

    await client.post(url, data={"interet": kept})
    of_others = {("A-2", "a-2@ville.example"): [OTHER]}
    of_agent = {("A-1", "Zoe@Ville.example"): kept[:1]}
    assert await followers(notifier) == {(None, OWNER): kept} | of_agent | of_others
    await notifier.hear(changed("A-1", email=OWNER, subscribed=False))
    assert (await followers(notifier))[None, OWNER] == kept, "the owner has saved it"

    await notifier.hear(changed("A-1", email=OWNER, theme=OTHER_THEME))
    assert (await client.post(link(Purpose.UNSUBSCRIBE, owner))).status_code == 200
    assert await followers(notifier) == of_others
    assert len(await notifier.query("SELECT 1 FROM subscriber")) == 1
    assert (await at_the_hour(notifier), (await client.get(url)).status_code) == ([], 410)


async def test_the_link_of_an_agent_shows_and_ends_nothing_of_the_owner_of_the_address_it_moved_to(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    """Whoever got the agent's letters before has it, and need not be that owner."""
    await confirm(notifier, client, OWNER, CONFIRMED)
    await notifier.hear(changed("X-1", email="x@x.example", theme=OTHER_THEME))
    agent = await id_of(notifier, "X-1")
    await notifier.hear(moves("X-1", OWNER))
    assert ticked((await client.get(preferences(agent, OWNER))).text) == [OTHER]
    assert (await client.post(link(Purpose.UNSUBSCRIBE, agent))).status_code == 200
    assert await followers(notifier) == {(None, OWNER): CONFIRMED}


async def test_an_old_link_of_confirmation_shows_nothing_of_an_agent(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, OWNER, CONFIRMED)
    url = await confirmation(notifier)
    await client.post(link(Purpose.UNSUBSCRIBE, await id_of(notifier, None)))
    await notifier.hear(changed("A-1", email=OWNER, theme=OTHER_THEME))
    assert (await client.post(url)).status_code == 410


async def claim(notifier: Notifier, agents: range, address: str = OWNER) -> None:
    """Keep agents with this address as subscribers, also more than a portal may name."""
    await notifier.change(
        """
        WITH claimed AS (
             INSERT INTO subscriber (subscriber_id, issuer, agent_id, address, given_name, family_name)
             SELECT gen_random_uuid(), 'iel', agent_id, CAST(:address AS varchar), '', ''
               FROM unnest(CAST(:agents AS varchar[])) AS agent_id
             RETURNING subscriber_id)
        INSERT INTO subscription (subscriber_id, interest)
        SELECT subscriber_id, CAST(:interest AS varchar) FROM claimed""",
        address=address,
        agents=[f"X-{number}" for number in agents],
        interest=OTHER,
    )


@pytest.mark.parametrize("left", [(), CONFIRMED], ids=["ends all", "keeps some"])
async def test_an_owner_ends_what_many_agents_follow_by_as_many_statements_as_what_few_do(
    notifier: Notifier, client: httpx.AsyncClient, left: Sequence[str]
) -> None:
    numbers = []
    for agents in (range(2), range(2, 60)):
        await notifier.change("DELETE FROM request_count")
        await confirm(notifier, client, OWNER, CONFIRMED)
        await claim(notifier, agents)
        async with notifier.database.quiet_transaction() as tx:
            owner = UUID(await id_of(notifier, None))
            with statements() as asked:
                await subscriptions.choose(tx, owner, left)
        numbers.append(len(asked))
        assert await followers(notifier) == ({(None, OWNER): CONFIRMED} if left else {})
        assert len(await notifier.query("SELECT 1 FROM subscriber")) == bool(left)
    assert numbers[0] == numbers[1]


async def test_news_that_wait_for_all_agents_of_a_mailbox_do_not_leave_once_its_owner_ends_them(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await claim(notifier, range(3))
    await claim(notifier, range(3, 4), "other@ville.example")
    await notifier.hear(a_dossier(themes=[OTHER_THEME]))
    assert await news(notifier) == {"X-0": 1, "X-1": 1, "X-2": 1, "X-3": 1}
    await confirm(notifier, client, OWNER, CONFIRMED)
    await client.post(link(Purpose.UNSUBSCRIBE, await id_of(notifier, None)))
    assert await news(notifier) == {"X-3": 1}


async def test_what_many_agents_of_one_address_follow_is_read_without_looking_at_each_for_each(
    notifier: Notifier,
) -> None:
    many = 200
    await claim(notifier, range(many))
    await notifier.change("ANALYZE subscriber, subscription")
    readers = [row.subscriber_id for row in await notifier.query("SELECT subscriber_id FROM subscriber")]
    async with notifier.database.quiet_transaction() as tx:
        with statements() as asked:
            followed = await store.followed(tx, readers)
        assert followed == dict.fromkeys(readers, (Interest.parse(OTHER),))
        [(statement, parameters)] = asked
        explained = await tx.driver.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *parameters)
        assert rows_of(explained[0]["Plan"]) < 20 * many


def rows_of(plan: dict[str, Any]) -> float:
    """How many rows the steps of a plan returned or looked at in vain."""
    removed = sum(number for name, number in plan.items() if name.startswith("Rows Removed"))
    here: float = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return here + sum(map(rows_of, plan.get("Plans", ())))


@pytest.fixture
async def crowded(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> Notifier:
    """An address with as many agents of an issuer as may be."""
    monkeypatch.setattr(subscriptions, "AGENTS_OF_AN_ADDRESS", 2)
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=OWNER, theme="enjeux-ia"))
    return notifier


def not_kept() -> float:
    return metric("parcours_subscriptions_not_kept_total", issuer="iel")


async def test_so_many_agents_of_an_issuer_may_follow_with_one_address(crowded: Notifier) -> None:
    before = not_kept()
    await crowded.hear(changed("A-3", email=OWNER, theme="enjeux-ia"))
    await crowded.hear(moves("A-4", OWNER))  # who follows nothing
    await crowded.hear(changed("M-1", email=OWNER, theme="enjeux-ia"), issuer="martinique")
    await crowded.hear(changed("A-1", email=OWNER.upper(), theme=OTHER_THEME))
    assert await followers(crowded) == {
        ("A-1", OWNER.upper()): ["theme:enjeux-ia", OTHER],
        ("A-2", OWNER): ["theme:enjeux-ia"],
        ("M-1", OWNER): ["theme:enjeux-ia"],
    }
    assert not_kept() == before + 1

    await crowded.hear(changed("A-2", email=OWNER, subscribed=False))
    await crowded.hear(changed("A-3", email=OWNER, theme="enjeux-ia"))
    assert ("A-3", OWNER) in await followers(crowded)


@pytest.mark.parametrize(
    "event",
    [moves("A-3", OWNER), changed("A-3", email=OWNER, theme=OTHER_THEME)],
    ids=["corrected", "named with another"],
)
async def test_an_agent_who_moves_to_a_crowded_address_follows_nothing(crowded: Notifier, event: Any) -> None:
    await crowded.hear(changed("A-3", theme="enjeux-ia"))
    await crowded.hear(a_dossier())
    await crowded.hear(event)
    assert set(await followers(crowded)) == {("A-1", OWNER), ("A-2", OWNER)}
    assert await news(crowded) == {"A-1": 1, "A-2": 1}, "the address of before is not theirs any more"
