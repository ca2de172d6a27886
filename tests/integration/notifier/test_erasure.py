"""An agent is forgotten by the notifier: after the enrolments, and after the last letters."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from faststream import ContextRepo
from sqlalchemy import text

from services.notifier.app import eraser
from services.notifier.handlers import router
from services.notifier.letters.bounces import digest_of
from services.notifier.service import erasures, fan_outs, lost_links, mails, subscriptions
from services.notifier.store.erasures import letters_leave
from services.notifier.tables import metadata
from shared import clock, security_log
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, EnrolmentWithdrawn
from shared.events.erasure import AgentErased
from shared.events.portal import AgentCorrected, AgentErasureRequested, SubscriptionChanged
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.messaging import progress
from shared.messaging.consumer import Consumer
from shared.messaging.erasure import Eraser
from shared.messaging.faststream import record_of
from shared.messaging.portals.registry import PortalsFile
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.marked import ADDRESS, live_through_everything
from tests.integration.notifier.test_handlers import a_replay
from tests.integration.notifier.test_messages import messaged
from tests.support.builders import an_agent
from tests.support.consuming import a_record, received, take
from tests.support.guards import a_guard
from tests.support.searching import MARK, columns_with
from tests.unit.notifier.builders import a_decision, a_session

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
REQUEST = UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")
AGENT = f"{MARK}-1"
NEW = "zoe@nouvelle.example"
SESSION = SessionScheduled.model_validate(a_session().model_dump())


@pytest.fixture
def erasing(database: Database, portals: PortalsFile) -> Eraser:
    return eraser(database, portals, b"")


Forget = Callable[[], Coroutine[Any, Any, bool]]


@pytest.fixture
def forget(notifier: Notifier, erasing: Eraser) -> Forget:
    """A function that runs the job once. Returns whether the agent is forgotten."""

    async def run() -> bool:
        await notifier.change(
            "UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL AND type NOT LIKE '%Erased%'"
        )
        await erasing.run()
        return bool((await notifier.query("SELECT done_at FROM erasure"))[0].done_at)

    return run


async def request_erasure(notifier: Notifier) -> None:
    await notifier.take(AgentErasureRequested(agent_id=AGENT, requested_at=clock.now()), ids=[REQUEST])


async def enrolment_has_erased(notifier: Notifier, erased_at: datetime | None = None) -> None:
    """Enrolment has answered, and all that it decided is read."""
    now = clock.now()
    answer = AgentErased(
        request_id=REQUEST, request_source="/tests", service="enrolment", erased_at=erased_at or now
    )
    await notifier.take(answer)
    async with notifier.database.transaction() as tx:
        await progress.save(tx, Topic.ENROLMENT_DECISIONS, {0: now})


async def test_nothing_is_left_of_an_agent(
    notifier: Notifier, forget: Forget, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    await live_through_everything(notifier)
    await notifier.change(
        "DELETE FROM mail WHERE issuer = ''"
    )  # to who is no agent: an officer, a subscriber
    await notifier.change("DELETE FROM subscription_request")
    await notifier.change("DELETE FROM trainer")
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    assert await notifier.query("SELECT 1 FROM suppression")
    await notifier.deliver()

    assert await forget()
    lines = [record.getMessage() for record in caplog.records if record.name == security_log.LOGGER]
    assert lines == ["erasure ok where=agents.erased times=1"]

    assert await columns_with(notifier.database, metadata) == set()
    for table in ("suppression", "bounce", "subscription", "subscriber", "mail_audit"):
        assert await notifier.query(f"SELECT 1 FROM {table}") == []
    [erasure] = await notifier.query("SELECT issuer, agent_id FROM erasure")
    assert tuple(erasure) == (None, None)
    async with notifier.database.quiet_transaction() as tx:
        [state] = await erasures.states(tx, REQUEST)
    assert state.missing == {"catalogue", "notifier"}  # its own answer is read from the topic too
    assert [kind for kind, _ in await notifier.published() if "AgentErased" in kind] == [AgentErased.TYPE]


async def test_a_message_to_chosen_persons_ends_with_one_of_them(notifier: Notifier, forget: Forget) -> None:
    await notifier.hear(SESSION)
    agent = an_agent(AGENT, email=ADDRESS, issuer="iel")
    own, left = a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent), uuid4()
    await notifier.hear(own)
    to_both = {"link": "https://exemple.fr", "enrolment_ids": [own.enrolment_id, left]}
    written = [received(messaged(text=message, **to_both)) for message in (f"De {MARK}", "Aux deux")]
    await take(router, notifier.database, written, organisers={})
    await notifier.change(
        "UPDATE fan_out SET done_at = now() WHERE details ->> 'text' LIKE 'De %'"
    )  # the other is still being written
    await notifier.deliver()
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)

    assert await forget()

    assert await columns_with(notifier.database, metadata) == set()
    assert await columns_with(notifier.database, metadata, str(own.enrolment_id)) == set()
    [done, begun] = await notifier.query(
        "SELECT details FROM fan_out WHERE task = 'message' ORDER BY done_at NULLS LAST"
    )
    assert (done.details["text"], done.details["link"]) == ("", None)
    assert (begun.details["text"], begun.details["link"]) == ("Aux deux", "https://exemple.fr")
    assert [row.details["enrolments"] for row in (done, begun)] == [[str(left)]] * 2
    await notifier.fan_out()


async def subscribe_by_address(notifier: Notifier) -> None:
    """Let the owner of the agent's address subscribe on our page, and ask for more."""
    async with notifier.database.transaction() as tx:
        await subscriptions.request(tx, ADDRESS, ["theme:enjeux-ia"], ["Enjeux"], a_guard().digest)
        query = "SELECT request_id FROM subscription_request WHERE address = :address"
        request_id = (await tx.execute(text(query), {"address": ADDRESS})).scalar_one()
        assert await subscriptions.confirm(tx, request_id)
    await notifier.change("UPDATE request_count SET ends_at = now()")  # the next day
    async with notifier.database.transaction() as tx:
        await subscriptions.request(tx, ADDRESS, ["delegation:corse"], ["Corse"], a_guard().digest)


async def test_what_the_owner_of_a_claimed_address_confirmed_stays_and_ends_by_address(
    notifier: Notifier, forget: Forget, erasing: Eraser
) -> None:
    """A portal only claims the address: its agents end, not what they never were."""
    await live_through_everything(notifier)
    await subscribe_by_address(notifier)
    await notifier.hear(a_replay(session_id=uuid4(), published_at=clock.now(), themes=["enjeux-ia"]))
    await notifier.change("UPDATE mail SET called_for_at = now() - interval '1 minute'")
    await notifier.change("UPDATE subscriber SET created_at = now() - interval '1 minute'")
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    await notifier.deliver()
    of_no_agent = "SELECT template, address FROM mail WHERE issuer = '' ORDER BY template"
    before = await notifier.query(of_no_agent)

    assert await forget()

    assert await notifier.query(of_no_agent) == before
    assert [row.template for row in before].count("confirm-subscription") == 3
    assert "news" in {row.template for row in before}
    followed = "SELECT agent_id, address, interest FROM subscriber JOIN subscription USING (subscriber_id)"
    assert await notifier.query(followed) == [(None, ADDRESS, "theme:enjeux-ia")]
    assert len(await notifier.query("SELECT 1 FROM subscription_request")) == 3

    for address in (ADDRESS, f"autre.{ADDRESS}"):
        await erasing.forget(address, uuid4())
    assert await columns_with(notifier.database, metadata) == set()
    assert await notifier.query("SELECT 1 FROM subscription") == []


@pytest.mark.parametrize("known_by", ["an enrolment", "a subscription", "a subscription that moved"])
async def test_that_a_former_address_failed_ends_too(
    notifier: Notifier, forget: Forget, known_by: str
) -> None:
    followed = SubscriptionChanged(agent_id=AGENT, email=ADDRESS, theme="enjeux-ia", subscribed=True)
    if known_by == "an enrolment":
        await notifier.hear(SESSION)
        await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, email=ADDRESS, issuer="iel")))
        corrected = {"agent_id": AGENT, "issuer": "iel", "email": NEW, "corrected_at": clock.now()}
        await notifier.hear(AgentDetailsCorrected.model_validate(corrected))
    elif known_by == "a subscription":
        await notifier.take(followed, AgentCorrected(agent_id=AGENT, email=NEW), issuer="iel")
    else:
        await notifier.take(followed, followed.model_copy(update={"email": NEW}), issuer="iel")
    await notifier.change(
        "INSERT INTO suppression (address, kind, mail_id) VALUES (:address, 'hard', gen_random_uuid())",
        address=digest_of(ADDRESS, b""),
    )
    await notifier.deliver()
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)

    assert await forget()

    assert await notifier.query("SELECT 1 FROM suppression") == []
    assert await columns_with(notifier.database, metadata) == set()


async def test_who_is_forgotten_as_an_agent_has_still_ended_the_digest(
    notifier: Notifier, forget: Forget
) -> None:
    """The digest is about the delegation for which they work, and would be written again."""
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, email=ADDRESS, issuer="iel")))
    await notifier.change(
        "INSERT INTO ended_digest (organiser, address, ended_at) VALUES ('bretagne', :address, now())",
        address=digest_of(ADDRESS, b""),
    )
    await notifier.deliver()
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)

    assert await forget()

    assert len(await notifier.query("SELECT 1 FROM ended_digest")) == 1


async def test_a_correction_and_the_former_address_that_are_kept_while_the_erasure_waits_end_too(
    notifier: Notifier, forget: Forget
) -> None:
    followed = SubscriptionChanged(agent_id=AGENT, email=ADDRESS, theme="enjeux-ia", subscribed=True)
    await notifier.take(followed, issuer="iel")
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    await notifier.take(AgentCorrected(agent_id=AGENT, email=NEW), issuer="iel")
    await notifier.take(AgentCorrected(agent_id="another", email="autre@exemple.fr"), issuer="iel")
    assert await notifier.query("SELECT address FROM former_address") != []

    assert await forget()

    assert await notifier.query("SELECT address FROM former_address") == []
    assert [row.agent_id for row in await notifier.query("SELECT DISTINCT agent_id FROM agent_detail")] == [
        "another"
    ]


async def test_what_was_asked_for_before_and_is_redriven_while_the_erasure_waits_ends_too(
    notifier: Notifier, forget: Forget
) -> None:
    follows = SubscriptionChanged(agent_id=AGENT, email=ADDRESS, theme="enjeux-ia", subscribed=True)
    another = follows.model_copy(update={"theme": "acculturation"})
    await notifier.take(follows, issuer="iel")
    await request_erasure(notifier)
    await notifier.hear(another, at=clock.now() - timedelta(hours=1))
    [row] = await notifier.query("SELECT subscriber_id FROM subscriber")
    async with notifier.database.transaction() as tx:
        await subscriptions.choose(tx, row.subscriber_id, ["theme:acculturation"])
    await notifier.change("UPDATE subscription SET since = now() - interval '1 hour'")
    await enrolment_has_erased(notifier)

    assert await forget()

    assert await columns_with(notifier.database, metadata) == set()


async def test_letters_wait_for_the_enrolments_and_for_what_was_decided(
    notifier: Notifier, forget: Forget
) -> None:
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, issuer="iel")))
    await notifier.deliver()
    await request_erasure(notifier)
    assert not await forget()
    await enrolment_has_erased(notifier)
    await notifier.change("UPDATE read_progress SET read_until = read_until - interval '1 second'")
    assert not await forget()
    await enrolment_has_erased(notifier)
    await notifier.change("UPDATE read_progress SET read_until = read_until + interval '1 second'")
    assert await forget()


async def test_the_letter_of_a_seat_given_up_may_leave_for_an_hour(
    notifier: Notifier, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = an_agent(AGENT, issuer="iel")
    await notifier.hear(a_decision(EnrolmentWithdrawn, agent=agent, by="agent"))
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    assert not await forget()
    later = clock.now() + erasures.LETTERS_WAIT
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await notifier.change(
        "UPDATE mail SET state = 'data_started', owner = gen_random_uuid(), lease_until = now()"
    )
    assert not await forget()  # one that is on its way is waited for
    await notifier.change("UPDATE mail SET state = 'pending'")
    assert await forget()
    assert await notifier.rows() == []


async def withdrawn_while_the_relay_is_away(notifier: Notifier) -> int:
    """An agent who wants to be forgotten was withdrawn, and the relay takes no letter. Returns its port."""
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(EnrolmentWithdrawn, agent=an_agent(AGENT, issuer="iel"), by="agent"))
    port = notifier.relay.port
    await notifier.relay.stop()
    await notifier.deliver()
    assert await notifier.states() == ["retry"]
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    return port


async def test_the_letter_that_the_relay_could_not_take_leaves_before_all_is_erased(
    notifier: Notifier, forget: Forget
) -> None:
    port = await withdrawn_while_the_relay_is_away(notifier)
    assert not await forget()
    await notifier.relay.start(port)
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert len(notifier.relay.per_message_id()) == 1
    assert await forget()
    assert await notifier.rows() == []


async def test_who_is_forgotten_while_the_relay_is_away_for_long_gets_no_letter_afterwards(
    notifier: Notifier, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await withdrawn_while_the_relay_is_away(notifier)
    with monkeypatch.context() as patched:
        later = clock.now() + erasures.LETTERS_WAIT
        patched.setattr("shared.clock.now", lambda: later)
        assert await forget()
    await notifier.relay.start(port)
    assert await notifier.deliver() == 0
    assert notifier.relay.per_message_id() == {}


async def test_letters_that_a_replay_calls_for_meanwhile_end_too(notifier: Notifier, forget: Forget) -> None:
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, issuer="iel")))
    wanted = SubscriptionChanged(agent_id=AGENT, email=ADDRESS, delegation="bretagne", subscribed=True)
    await notifier.hear(wanted)
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    await notifier.hear(
        a_replay(session_id=SESSION.session_id), a_replay(session_id=uuid4(), published_at=clock.now())
    )
    await notifier.deliver()
    late = await notifier.rows(where="called_for_at > (SELECT erased_at FROM erasure_answer)")
    assert {row.template for row in late} == {"replay-available", "news"}
    assert await forget()
    assert await notifier.rows() == []


async def test_no_letter_begins_to_leave_while_its_agent_is_forgotten(notifier: Notifier) -> None:
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, issuer="iel")))
    async with notifier.database.transaction() as tx:
        assert not await letters_leave(tx, AgentKey("iel", AGENT), patient=False)
        assert await notifier.deliver() == 0
    assert await notifier.deliver() == 1


async def test_another_issuers_agent_and_what_comes_after_stay(notifier: Notifier, forget: Forget) -> None:
    other = an_agent(AGENT, issuer="ouest", email="autre@exemple.fr")
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(AgentEnrolled, agent=other))
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, issuer="iel"), enrolment_id=uuid4()))
    await request_erasure(notifier)
    await notifier.deliver()
    await enrolment_has_erased(notifier)
    subscribed = SubscriptionChanged(agent_id=AGENT, email=ADDRESS, theme="enjeux-ia", subscribed=True)
    await notifier.hear(subscribed)
    assert await forget()
    assert [row.issuer for row in await notifier.rows()] == ["ouest"]
    assert [row.agent_id for row in await notifier.query("SELECT agent_id FROM subscriber")] == [AGENT]


async def test_what_a_known_subscriber_asks_for_after_enrolments_answer_stays_alone(
    notifier: Notifier, forget: Forget
) -> None:
    def wanted(theme: str) -> SubscriptionChanged:
        return SubscriptionChanged(agent_id=AGENT, email=ADDRESS, theme=theme, subscribed=True)

    await notifier.take(wanted("enjeux-ia"), wanted("eau"), issuer="iel")
    await notifier.change(
        "INSERT INTO suppression (address, kind, mail_id) VALUES (:address, 'hard', gen_random_uuid())",
        address=digest_of(ADDRESS, b""),
    )
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    await notifier.take(wanted("eau"), wanted("climat"), issuer="iel")

    assert await forget()

    followed = "SELECT agent_id, interest FROM subscriber JOIN subscription USING (subscriber_id) ORDER BY 2"
    assert await notifier.query(followed) == [(AGENT, "theme:climat"), (AGENT, "theme:eau")]
    assert await notifier.query("SELECT 1 FROM suppression") == [], "it was known of what ended, too"


async def test_a_second_request_for_the_same_agent_ends_too(notifier: Notifier, forget: Forget) -> None:
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    assert await forget()
    await request_erasure(notifier)
    assert await notifier.query("SELECT count(*) FROM erasure") == [(1,)]
    assert clock.now() - timedelta(hours=1) < (await notifier.query("SELECT done_at FROM erasure"))[0].done_at


@pytest.mark.parametrize("opened", ["a copy", "a slice", "a link"])
async def test_what_is_being_queued_when_the_agent_is_forgotten_ends_too(
    notifier: Notifier,
    forget: Forget,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Awaitable[None]],
    opened: str,
) -> None:
    await notifier.hear(SESSION)
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(AGENT, issuer="iel")))
    await notifier.deliver()
    sent = await notifier.row()
    await notifier.take(a_replay(session_id=SESSION.session_id))
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)
    later = clock.now() + erasures.LETTERS_WAIT
    monkeypatch.setattr("shared.clock.now", lambda: later)
    async with notifier.database.transaction() as tx:
        if opened == "a copy":
            assert await mails.resend(tx, sent.mail_id, actor="op")
        elif opened == "a link":
            await lost_links.send(tx, sent.address, a_guard().digest)
        else:
            assert await fan_outs.next_slice(tx, later, most=10)
        forgetting = asyncio.create_task(forget())

        async def waits() -> bool:
            return forgetting.done() or bool((await notifier.query(WAITING))[0].count)

        await eventually(waits, "it waits for what is being queued")
    assert await forgetting
    assert await notifier.rows() == []


async def test_what_was_decided_before_and_is_read_late_ends_too(notifier: Notifier, forget: Forget) -> None:
    """The notifier was down, or far behind, while enrolment withdrew the agent and forgot them."""
    await notifier.hear(SESSION)
    await request_erasure(notifier)
    withdrawn = a_decision(EnrolmentWithdrawn, agent=an_agent(AGENT, email=ADDRESS, issuer="iel"), version=2)
    record = a_record(withdrawn)
    a_minute_ago = (clock.now() - timedelta(minutes=1)).timestamp()
    raw: Any = ConsumerRecord(
        record.topic,
        0,
        0,
        round(a_minute_ago * 1000),
        0,
        record.key,
        record.value,
        None,
        0,
        0,
        record.headers,
    )
    consumer = Consumer(router.subscriptions[Topic.ENROLMENT_DECISIONS], notifier.database, ContextRepo())
    await consumer.take([consumer.read(record_of(raw, clock.now()))])
    await notifier.deliver()
    assert await notifier.query("SELECT 1 FROM enrolment") != []
    await enrolment_has_erased(notifier, erased_at=clock.now() - timedelta(seconds=30))

    assert await forget()

    assert await columns_with(notifier.database, metadata) == set()
