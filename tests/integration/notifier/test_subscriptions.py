"""Subscriptions begin and end by a portal, by our page, by one click in a mail program."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from sqlalchemy import event, text

from services.notifier import pages
from services.notifier.letters import Interest, next_edition
from services.notifier.service import subscriptions
from services.notifier.store import subscriptions as store
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import (
    BespokeRequestAnswered,
    BespokeRequestReceived,
    ReplayPublished,
    ResourcePublished,
    ResourceWithdrawn,
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
)
from shared.events.enrolment import AgentEnrolled
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.limits import Rate
from shared.web.links import Links, Purpose
from shared.web.rendering import Sites
from tests.integration.notifier.conftest import Notifier
from tests.support.guards import a_guard
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent

LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "http://test"))


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


async def news(notifier: Notifier) -> dict[str, int]:
    """How many items the next letter of each subscriber has."""
    rows = await notifier.rows(where="template = 'news' AND state = 'pending'")
    return {row.recipient: len(row.details["items"]) for row in rows}


@pytest.fixture
def api(notifier: Notifier) -> FastAPI:
    return a_process(notifier)


def a_process(notifier: Notifier, *, of_a_network: str = "100/hour", of_all: str = "100/hour") -> FastAPI:
    """The pages as a process serves them, with what it counts."""
    api = FastAPI()
    pages.subscribing.add_to(
        api,
        notifier.database,
        a_guard(notifier.database),
        LINKS,
        pages.rendering(Sites(catalogue="http://catalogue")),
        rates=pages.subscribing.SubscriptionRates(Rate.parse(of_a_network), Rate.parse(of_all)),
    )
    return api


def visiting(api: FastAPI, visitor: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=api, client=(visitor, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(api) as client:
        yield client


async def test_news_go_to_who_follows_a_theme_a_delegation_or_a_community_and_to_nobody_else(
    notifier: Notifier,
) -> None:
    await notifier.hear(
        changed("THEME", theme="enjeux-ia"),
        changed("DELEGATION", delegation="bretagne"),
        changed("COMMUNITY", community="enjeux-ia"),
        changed("OTHER", theme="evolution-des-metiers", delegation="corse"),
    )
    await notifier.hear(a_replay())
    assert await news(notifier) == {"THEME": 1, "DELEGATION": 1, "COMMUNITY": 1}


async def test_what_falls_in_one_day_is_one_letter(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    dossier = a_dossier()
    await notifier.hear(dossier, a_replay(title="Un replay"))
    await notifier.hear(dossier.model_copy(update={"version": 2, "title": "Dossier corrigé"}))
    assert await news(notifier) == {"A-1": 2}
    row = await notifier.row()
    assert abs(row.due_at - next_edition(clock.now()).due_at) < timedelta(days=1, seconds=1)
    assert await notifier.deliver() == 0, "not before its hour"
    await notifier.change("UPDATE mail SET due_at = now()")
    assert await notifier.deliver() == 1
    (mail,) = notifier.relay.taken
    assert mail.message["Subject"] == "Deux nouveautés dans vos abonnements"
    body = mail.message.get_body(("plain",))
    assert body is not None
    assert "Dossier corrigé" in body.get_content()
    await notifier.hear(a_dossier())
    assert len(await notifier.rows()) == 1, "the edition of today is sent"


async def test_a_subscriber_who_was_enrolled_gets_one_letter_about_the_replay(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed("IEL-0048151", theme="enjeux-ia"), changed(theme="enjeux-ia"))
    await notifier.hear(a_replay(session_id=SESSION_ID))
    assert await news(notifier) == {"A-1": 1}
    replays = await notifier.rows(where="template = 'replay-available'")
    assert [row.recipient for row in replays] == ["IEL-0048151"]


async def test_an_agent_who_stops_gets_nothing_more_and_is_not_kept(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier())
    await notifier.hear(changed(subscribed=False, theme="enjeux-ia"))
    await notifier.hear(changed(subscribed=False))
    assert await notifier.states() == ["superseded"]
    async with notifier.database.quiet_transaction() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM subscriber"))).scalar() == 0


async def at_the_hour(notifier: Notifier) -> list[str]:
    """What goes out when the hour of the edition has come, as the body of each letter."""
    await notifier.deliver()
    before = len(notifier.relay.taken)
    await notifier.change("UPDATE mail SET due_at = now() WHERE template = 'news'")
    await notifier.deliver()
    bodies = [mail.message.get_body(("plain",)) for mail in notifier.relay.taken[before:]]
    return [body.get_content() for body in bodies if body is not None]


async def test_a_letter_announces_what_is_followed_when_it_leaves(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier(title="Un dossier"), a_replay(title="Un replay", themes=["autre"]))
    await notifier.hear(changed(subscribed=False, theme="enjeux-ia"))
    (body,) = await at_the_hour(notifier)
    assert "Un replay" in body
    assert "Un dossier" not in body


async def test_a_letter_of_which_nothing_is_followed_any_more_does_not_leave(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier())
    await notifier.hear(changed(subscribed=False, theme="enjeux-ia"))
    assert await at_the_hour(notifier) == []
    assert await notifier.states() == ["superseded"]


def withdrawn(resource: ReplayPublished | ResourcePublished) -> ResourceWithdrawn:
    return ResourceWithdrawn(resource_id=resource.resource_id, version=2, withdrawn_at=clock.now())


async def test_what_was_withdrawn_is_no_news_and_a_letter_of_nothing_else_does_not_leave(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", theme="enjeux-ia"), changed("A-2", theme="autre"))
    dossier, replay = (
        a_dossier(title="Un dossier"),
        a_replay(title="Un replay", themes=["enjeux-ia", "autre"]),
    )
    await notifier.hear(dossier, replay)
    assert await news(notifier) == {"A-1": 2, "A-2": 1}
    await notifier.hear(withdrawn(replay))
    (body,) = await at_the_hour(notifier)
    assert "Un dossier" in body
    assert "Un replay" not in body
    (row,) = await notifier.rows(where="recipient = 'A-2' AND template = 'news'")
    assert row.state == "superseded"


async def test_nobody_is_told_any_more_of_what_was_withdrawn_before_all_were(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    early, late = a_dossier(), a_dossier()
    await notifier.take(early)
    await notifier.take(withdrawn(early))
    await notifier.take(late, withdrawn(late))  # in one batch
    await notifier.fan_out()
    await notifier.hear(early.model_copy(update={"title": "Lue trop tard"}))  # as by a redrive
    assert await news(notifier) == {}


async def test_a_community_that_was_withdrawn_is_not_proposed_any_more(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    community = a_dossier(kind="community", title="E-communauté : retirée", themes=["retiree"])
    await notifier.hear(community)
    assert "retirée" in (await client.get("/courriels/abonnement")).text
    await notifier.hear(withdrawn(community))
    assert "retirée" not in (await client.get("/courriels/abonnement")).text


async def test_an_event_is_announced_as_it_is_when_the_letter_leaves(notifier: Notifier) -> None:
    await notifier.hear(changed(delegation="bretagne"))
    window = {"enrolment_closes_at": clock.now() + timedelta(days=2)}
    event = a_session(organiser="bretagne", format="local_event").model_dump() | window
    await notifier.hear(SessionScheduled.model_validate(event))
    moved = {"version": 2, "title": "IA à Brest", "venue": "Le Quartz, Brest"}
    await notifier.hear(SessionChanged.model_validate(event | moved))
    (body,) = await at_the_hour(notifier)
    assert "IA à Brest" in body
    assert "Le Quartz, Brest" in body


async def test_an_event_that_was_cancelled_is_no_news(notifier: Notifier) -> None:
    await notifier.hear(changed(delegation="bretagne"))
    window = {"enrolment_opens_at": clock.now(), "enrolment_closes_at": clock.now() + timedelta(days=3)}
    event = a_session(organiser="bretagne", format="local_event").model_dump() | window
    await notifier.hear(SessionScheduled.model_validate(event))
    assert await news(notifier) == {"A-1": 1}
    await notifier.hear(SessionCancelled.model_validate(event | {"version": 9, "status": "cancelled"}))
    assert await at_the_hour(notifier) == []


async def test_two_agents_of_one_address_are_two_subscribers(notifier: Notifier) -> None:
    mailbox = "accueil@mairie.example"
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=mailbox, theme="enjeux-ia"))
    await notifier.hear(changed("A-1", subscribed=False, email=mailbox))
    await notifier.hear(a_dossier())
    assert await news(notifier) == {"A-2": 1}


async def test_two_issuers_same_identifier_are_two_subscribers(notifier: Notifier) -> None:
    mailbox = "accueil@mairie.example"
    for issuer in ("iel", "martinique", None):
        await notifier.hear(changed("1001", email=mailbox, theme="enjeux-ia"), issuer=issuer)
    await notifier.hear(a_dossier())
    rows = await notifier.rows(where="template = 'news'")
    assert sorted((row.issuer, row.recipient) for row in rows) == [
        ("", "1001"),
        ("iel", "1001"),
        ("martinique", "1001"),
    ]
    await notifier.hear(changed("1001", email=mailbox, subscribed=False), issuer="martinique")
    rows = await notifier.rows(where="template = 'news' AND state = 'pending'")
    assert sorted(row.issuer for row in rows) == ["", "iel"]


async def test_a_subscriber_hears_of_a_replay_whose_session_only_another_issuers_agent_attended(
    notifier: Notifier,
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed("IEL-0048151", theme="enjeux-ia"), issuer="martinique")
    await notifier.hear(a_replay(session_id=SESSION_ID))
    assert await news(notifier) == {"IEL-0048151": 1}


# ------------------------------------------------------------------- portals' agents, and owners of addresses

OWNER = "zoe@ville.example"
CONFIRMED = ["delegation:bretagne", "theme:enjeux-ia"]
OTHER_THEME = "transition-ecologique"


async def followers(notifier: Notifier) -> dict[tuple[str | None, str], list[str]]:
    """What each subscriber follows, by the identifier of the agent (None: an owner) and the address."""
    rows = await notifier.query(
        "SELECT agent_id, address, array_agg(interest ORDER BY interest) AS interests "
        "FROM subscriber JOIN subscription USING (subscriber_id) GROUP BY agent_id, address"
    )
    return {(row.agent_id, row.address): row.interests for row in rows}


async def id_of(notifier: Notifier, agent: str | None) -> str:
    """The subscriber who is this agent; None: who is none."""
    query = "SELECT subscriber_id FROM subscriber WHERE agent_id IS NOT DISTINCT FROM CAST(:agent AS varchar)"
    async with notifier.database.quiet_transaction() as tx:
        return str((await tx.execute(text(query), {"agent": agent})).scalar_one())


@pytest.mark.parametrize(
    "events",
    [
        [changed("X-1", email=OWNER, theme=OTHER_THEME)],
        [changed("X-1", email=OWNER, theme="enjeux-ia"), AgentCorrected(agent_id="X-1", email="x@x.example")],
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
    await notifier.hear(AgentCorrected(agent_id="X-1", email="x@x.example"))
    assert await followers(notifier) == {
        (None, OWNER): CONFIRMED,
        ("X-1", "x@x.example"): [f"theme:{OTHER_THEME}"],
    }
    await notifier.hear(a_replay(themes=[OTHER_THEME]))
    letters = {row.address: row for row in await notifier.rows(where="template = 'news'")}
    assert letters.keys() == {OWNER, "x@x.example"}
    assert letters["x@x.example"].details["subscriber"] == await id_of(notifier, "X-1")


async def test_one_portal_changes_nothing_that_anothers_agent_of_the_same_address_follows(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", email=OWNER, theme="enjeux-ia"), issuer="ouest")
    await notifier.hear(changed("X-1", email=OWNER, theme=OTHER_THEME), issuer="iel")
    await notifier.hear(AgentCorrected(agent_id="X-1", email="x@x.example"), issuer="iel")
    await notifier.hear(AgentCorrected(agent_id="A-1", email="x@x.example"), issuer="iel")
    await notifier.hear(changed("A-1", email=OWNER, subscribed=False), issuer="iel")
    assert await followers(notifier) == {
        ("A-1", OWNER): ["theme:enjeux-ia"],
        ("X-1", "x@x.example"): [f"theme:{OTHER_THEME}"],
    }


async def test_a_mailbox_gets_one_letter_a_day_for_its_owner_and_the_agents_there(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, "Zoe@Ville.example", ["theme:enjeux-ia"])
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=OWNER, theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier(title="Un dossier"), a_replay(title="Un replay", themes=[OTHER_THEME]))
    assert await news(notifier) == {f"abonnement-{await id_of(notifier, None)}": 2}
    (body,) = await at_the_hour(notifier)
    assert "Un dossier" in body
    assert "Un replay" in body


async def test_what_nobody_at_the_mailbox_follows_any_more_is_not_in_its_letter(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, OWNER, ["theme:enjeux-ia"])
    await notifier.hear(changed("A-1", email=OWNER, delegation="bretagne"))
    await notifier.hear(a_dossier(title="Un dossier"), a_replay(title="Un replay", themes=[OTHER_THEME]))
    await notifier.hear(AgentCorrected(agent_id="A-1", email="a-1@ville.example"))
    (body,) = await at_the_hour(notifier)
    assert "Un dossier" in body
    assert "Un replay" not in body


async def test_who_was_enrolled_and_also_subscribed_by_address_gets_what_the_owner_confirmed(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    """What a portal says of its agent's enrolment is no reason to leave the owner out."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(email=OWNER)))
    await notifier.hear(changed("IEL-0048151", email=OWNER, theme="enjeux-ia"))
    await confirm(notifier, client, OWNER, ["theme:enjeux-ia"])
    await notifier.hear(a_replay(session_id=SESSION_ID))
    assert await news(notifier) == {f"abonnement-{await id_of(notifier, None)}": 1}


async def test_links_of_the_owner_show_and_end_all_that_the_mailbox_gets(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, OWNER, ["theme:enjeux-ia"])
    await notifier.hear(changed("A-1", email="Zoe@Ville.example", theme=OTHER_THEME, delegation="bretagne"))
    await notifier.hear(changed("A-2", theme=OTHER_THEME))
    await notifier.hear(a_dossier())
    owner = await id_of(notifier, None)
    url = preferences(owner, OWNER)
    assert (await client.get(url)).text.count(" checked") == 3

    kept = ["theme:enjeux-ia", "delegation:bretagne"]
    assert (await client.post(url, data={"interet": kept})).status_code == 200
    assert await followers(notifier) == {
        (None, OWNER): sorted(kept),
        ("A-1", "Zoe@Ville.example"): ["delegation:bretagne"],
        ("A-2", "a-2@ville.example"): [f"theme:{OTHER_THEME}"],
    }
    await notifier.hear(changed("A-1", email=OWNER, subscribed=False))
    assert (await followers(notifier))[None, OWNER] == sorted(kept), "the owner has saved it"

    await notifier.hear(changed("A-1", email=OWNER, theme=OTHER_THEME))
    assert (await client.post(link(Purpose.UNSUBSCRIBE, owner))).status_code == 200
    assert list(await followers(notifier)) == [("A-2", "a-2@ville.example")]
    assert len(await notifier.query("SELECT 1 FROM subscriber")) == 1
    assert await at_the_hour(notifier) == []
    assert (await client.get(url)).status_code == 410


async def test_the_link_of_an_agent_shows_and_ends_nothing_of_the_owner_of_the_address_it_moved_to(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    """Whoever got the agent's letters before has it, and need not be that owner."""
    await confirm(notifier, client, OWNER, CONFIRMED)
    await notifier.hear(changed("X-1", email="x@x.example", theme=OTHER_THEME))
    agent = await id_of(notifier, "X-1")
    await notifier.hear(AgentCorrected(agent_id="X-1", email=OWNER))
    shown = (await client.get(preferences(agent, OWNER))).text
    assert re.findall('value="([^"]*)" id="[^"]*" checked', shown) == [f"theme:{OTHER_THEME}"]
    assert (await client.post(link(Purpose.UNSUBSCRIBE, agent))).status_code == 200
    assert await followers(notifier) == {(None, OWNER): CONFIRMED}


async def test_an_old_link_of_confirmation_shows_nothing_of_an_agent(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await confirm(notifier, client, OWNER, CONFIRMED)
    (row,) = await notifier.rows(where="template = 'confirm-subscription'")
    token = LINKS.token(Purpose.CONFIRM, row.details["request"], until=clock.now() + timedelta(hours=1))
    await client.post(link(Purpose.UNSUBSCRIBE, await id_of(notifier, None)))
    await notifier.hear(changed("A-1", email=OWNER, theme=OTHER_THEME))
    assert (await client.post(f"/courriels/confirmation/{token}")).status_code == 410


# ------------------------------------------------------------------- many agents with one address


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
        interest=f"theme:{OTHER_THEME}",
    )


@contextmanager
def statements(tx: Transaction) -> Iterator[list[tuple[str, Any]]]:
    """What the database is asked meanwhile, each with its parameters."""
    asked: list[tuple[str, Any]] = []
    connection = tx.sync_session.connection()

    def keep(*call: Any) -> None:
        asked.append((call[2], call[3]))

    event.listen(connection, "before_cursor_execute", keep)
    yield asked
    event.remove(connection, "before_cursor_execute", keep)


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
            with statements(tx) as asked:
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
        with statements(tx) as asked:
            followed = await store.followed(tx, readers)
        assert followed == dict.fromkeys(readers, (Interest.parse(f"theme:{OTHER_THEME}"),))
        [(statement, parameters)] = asked
        explained = await (await tx.connection()).exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        )
        assert rows_of(explained.scalar_one()[0]["Plan"]) < 20 * many


def rows_of(plan: dict[str, Any]) -> float:
    """How many rows the steps of a plan returned or looked at in vain."""
    removed = sum(number for name, number in plan.items() if name.startswith("Rows Removed"))
    here: float = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return here + sum(map(rows_of, plan.get("Plans", ())))


@pytest.fixture
def two_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "AGENTS_OF_AN_ADDRESS", 2)


def not_kept(issuer: str) -> float:
    return REGISTRY.get_sample_value("parcours_subscriptions_not_kept_total", {"issuer": issuer}) or 0.0


@pytest.mark.usefixtures("two_of_an_address")
async def test_so_many_agents_of_an_issuer_may_follow_with_one_address(notifier: Notifier) -> None:
    before = not_kept("iel")
    for agent in ("A-1", "A-2", "A-3"):
        await notifier.hear(changed(agent, email=OWNER, theme="enjeux-ia"))
    await notifier.hear(changed("M-1", email=OWNER, theme="enjeux-ia"), issuer="martinique")
    await notifier.hear(changed("A-1", email=OWNER.upper(), theme=OTHER_THEME))
    assert await followers(notifier) == {
        ("A-1", OWNER.upper()): ["theme:enjeux-ia", f"theme:{OTHER_THEME}"],
        ("A-2", OWNER): ["theme:enjeux-ia"],
        ("M-1", OWNER): ["theme:enjeux-ia"],
    }
    assert not_kept("iel") == before + 1

    await notifier.hear(changed("A-2", email=OWNER, subscribed=False))
    await notifier.hear(changed("A-3", email=OWNER, theme="enjeux-ia"))
    assert ("A-3", OWNER) in await followers(notifier)


@pytest.mark.usefixtures("two_of_an_address")
@pytest.mark.parametrize(
    "event",
    [
        AgentCorrected(agent_id="A-3", email=OWNER),
        changed("A-3", email=OWNER, theme=OTHER_THEME),
    ],
    ids=["corrected", "named with another"],
)
async def test_who_moves_to_an_address_that_has_as_many_agents_as_may_follows_nothing(
    notifier: Notifier, event: Any
) -> None:
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=OWNER, theme="enjeux-ia"))
    await notifier.hear(changed("A-3", theme="enjeux-ia"))
    await notifier.hear(a_dossier())
    await notifier.hear(event)
    assert set(await followers(notifier)) == {("A-1", OWNER), ("A-2", OWNER)}
    assert await news(notifier) == {"A-1": 1, "A-2": 1}, "the address of before is not theirs any more"


@pytest.mark.usefixtures("two_of_an_address")
async def test_a_correction_of_who_follows_nothing_is_no_subscription_too_many(notifier: Notifier) -> None:
    before = not_kept("iel")
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=OWNER, theme="enjeux-ia"))
    await notifier.hear(AgentCorrected(agent_id="A-3", email=OWNER))
    await notifier.hear(AgentCorrected(agent_id="A-1", email=OWNER, given_name="Zoé"))
    assert set(await followers(notifier)) == {("A-1", OWNER), ("A-2", OWNER)}
    assert not_kept("iel") == before


async def test_nobody_who_asks_on_our_page_waits_for_a_change_of_subscriptions(
    notifier: Notifier, api: FastAPI
) -> None:
    async with notifier.database.quiet_transaction() as tx, asyncio.timeout(10):
        await store.lock(tx)
        assert (await subscribe(api, "a@b.example")).status_code == 200


# ------------------------------------------------------------------- our page


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
    row = (await notifier.rows(where="template = 'confirm-subscription'"))[-1]
    token = LINKS.token(Purpose.CONFIRM, row.details["request"], until=clock.now() + timedelta(hours=1))
    shown = await client.get(f"/courriels/confirmation/{token}")
    assert shown.status_code == 200
    return await client.post(f"/courriels/confirmation/{token}")


async def test_nobody_is_subscribed_before_the_owner_of_the_address_has_said_yes(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    await client.post(
        "/courriels/abonnement", data={"adresse": "a@b.example", "interet": ["theme:enjeux-ia"]}
    )
    row = await notifier.row()
    token = LINKS.token(Purpose.CONFIRM, row.details["request"], until=clock.now() + timedelta(hours=1))
    assert (
        "Enjeux de l’intelligence artificielle" in (await client.get(f"/courriels/confirmation/{token}")).text
    )
    await notifier.hear(a_dossier())
    assert await news(notifier) == {}, "opening a link changes nothing: scanners open links"
    done = await client.post(f"/courriels/confirmation/{token}")
    again = await client.post(f"/courriels/confirmation/{token}")
    assert (done.status_code, again.status_code) == (200, 200)
    await notifier.hear(a_dossier())
    assert list((await news(notifier)).values()) == [1]


async def test_a_link_of_confirmation_subscribes_once(notifier: Notifier, client: httpx.AsyncClient) -> None:
    """It stays in a mailbox for longer than a subscription may last."""
    first = await confirm(notifier, client, "a@b.example", ["theme:enjeux-ia", "delegation:bretagne"])
    (row,) = await notifier.rows(where="template = 'confirm-subscription'")
    token = LINKS.token(Purpose.CONFIRM, row.details["request"], until=clock.now() + timedelta(hours=1))
    again = await client.post(f"/courriels/confirmation/{token}")
    assert (first.status_code, again.status_code) == (200, 200)
    who = await subscriber_id(notifier)
    await client.post(preferences(who, "a@b.example"), data={"interet": ["delegation:bretagne"]})
    again = await client.post(f"/courriels/confirmation/{token}")
    assert "Événements" in again.text
    assert "Enjeux" not in again.text
    await client.post(link(Purpose.UNSUBSCRIBE, who))
    again = await client.post(f"/courriels/confirmation/{token}")
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


async def subscribe(api: FastAPI, address: str, visitor: str = "127.0.0.1") -> httpx.Response:
    """Type an address into our page; ``visitor`` is the IP address of who does."""
    async with visiting(api, visitor) as client:
        data = {"adresse": address, "interet": ["theme:enjeux-ia"]}
        return await client.post("/courriels/abonnement", data=data)


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


async def subscriber_id(notifier: Notifier) -> str:
    async with notifier.database.quiet_transaction() as tx:
        return str((await tx.execute(text("SELECT subscriber_id FROM subscriber"))).scalar_one())


def link(purpose: Purpose, subject: str) -> str:
    return f"{purpose.value}/{LINKS.token(purpose, subject, until=clock.now() + timedelta(days=1))}"


def preferences(subject: str, address: str) -> str:
    """The link that a letter to this address has."""
    return LINKS.preferences(subject, address, clock.now() + timedelta(days=1))


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


# ------------------------------------------------------------------- bespoke answers


async def test_the_officer_who_asked_for_training_is_answered_once(notifier: Notifier) -> None:
    answered = BespokeRequestAnswered.model_validate(
        {
            "request_id": uuid4(),
            "siret": "21350238800019",
            "answer": "proposed",
            "requested_by": {"name": "Anne Le Bris", "email": "anne.lebris@ville.example"},
            "advisor": {"name": "Yann Le Goff", "email": "yann.legoff@cnfpt.example"},
            "message": "Deux journées à Rennes.",
        }
    )
    (event_id,) = await notifier.hear(answered)
    await notifier.change("DELETE FROM inbox")
    await notifier.hear(answered, ids=[event_id])
    assert await notifier.deliver() == 1
    (taken,) = notifier.relay.taken
    assert taken.recipient == "anne.lebris@ville.example"
    assert taken.message["Reply-To"] == "yann.legoff@cnfpt.example"
    row = await notifier.row()
    assert "@" not in row.recipient


async def test_the_officer_who_asks_for_training_reads_once_what_was_understood(notifier: Notifier) -> None:
    request_id = uuid4()
    event = BespokeRequestReceived.model_validate(
        {
            "request_id": request_id,
            "siret": "21350238800019",
            "authority": "Ville de Rennes",
            "delegation": "bretagne",
            "theme": "enjeux-ia",
            "trainees": 15,
            "requested_by": {"name": "Anne Le Bris", "email": "anne.lebris@ville.example"},
            "received_at": clock.now(),
        }
    )
    (event_id,) = await notifier.hear(event)
    await notifier.change("DELETE FROM inbox")
    await notifier.hear(event, ids=[event_id])
    assert await notifier.deliver() == 1
    (taken,) = notifier.relay.taken
    assert taken.recipient == "anne.lebris@ville.example"
    part = taken.message.get_body(("plain",))
    assert part is not None
    text = str(part.get_content())
    assert "15 agentes et agents" in text
    assert "Enjeux de l’intelligence artificielle" in text
    row = await notifier.row()
    assert (row.recipient, row.issuer) == (f"demandeur-{request_id}", "")


def opened(**changes: Any) -> SessionOpened:
    dates = {
        "session_id": uuid4(),
        "enrolment_opens_at": clock.now() - timedelta(hours=1),
        "enrolment_closes_at": clock.now() + timedelta(days=5),
    }
    return SessionOpened.model_validate(a_session(**dates | changes).model_dump())


async def test_who_follows_an_offer_is_told_once_of_all_its_sessions_that_open_in_one_letter(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    await notifier.hear(changed("A-2", offer="ia-et-territoires", delegation="bretagne"))
    await notifier.hear(changed("A-3", offer="autre-offre"), changed("A-4", delegation="corse"))
    first, second = opened(), opened(organiser="martinique", title="IA à Fort-de-France")
    await notifier.hear(first, second)
    again = SessionChanged.model_validate(first.model_dump() | {"version": 9})
    await notifier.hear(again)
    await notifier.hear(SessionOpened.model_validate(first.model_dump() | {"version": 10}))
    assert await news(notifier) == {"A-1": 2, "A-2": 1}
    bodies = await at_the_hour(notifier)
    assert sorted(body.count("IA à Fort-de-France") > 0 for body in bodies) == [False, True]
    for mail in notifier.relay.taken:
        assert mail.message["List-Unsubscribe"]


async def test_who_has_a_seat_already_is_not_told_that_the_session_has_opened(notifier: Notifier) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    event = opened()
    agent = an_agent(agent_id="A-1")
    await notifier.hear(a_decision(AgentEnrolled, agent=agent, session_id=event.session_id))
    await notifier.hear(event)
    assert await news(notifier) == {}


async def test_an_opening_of_long_ago_that_is_heard_again_is_told_to_nobody(notifier: Notifier) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    await notifier.hear(opened(), at=clock.now() - timedelta(days=8))
    assert await news(notifier) == {}


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
