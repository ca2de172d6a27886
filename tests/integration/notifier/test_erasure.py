"""An agent is forgotten by the notifier: after the enrolments, and after the last letters."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.notifier.app import eraser
from services.notifier.handlers import router
from services.notifier.letters.bounces import digest_of
from services.notifier.service import erasures, fan_outs, lost_links, mails, subscriptions
from services.notifier.store.erasures import letters_leave
from services.notifier.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn, NewAddressGiven
from shared.events.erasure import AgentErased
from shared.events.portal import AgentCorrected, AgentErasureRequested, SubscriptionChanged
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.messaging import progress
from shared.messaging.erasure import Eraser
from shared.messaging.portals.registry import PortalsFile
from shared.permissions import Role
from shared.read_log import Reading
from tests.conftest import SecurityLines
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import a_session_replay, bespoke_answered, corrected
from tests.integration.notifier.subscribing import a_replay
from tests.integration.notifier.test_messages import messaged
from tests.support.builders import an_agent
from tests.support.consuming import received, take
from tests.support.guards import a_guard
from tests.support.locks import locks_awaited
from tests.support.marking import ADDRESS
from tests.support.searching import MARK, columns_with
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_renderer

REQUEST = UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")
AGENT = f"{MARK}-1"
NEW = "zoe@nouvelle.example"
FOLLOWS = SubscriptionChanged(agent_id=AGENT, email=ADDRESS, theme="enjeux-ia", subscribed=True)


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


@pytest.fixture
async def seated(known: Notifier) -> Notifier:
    """The agent has a seat, and a letter to come."""
    await known.hear(of_agent(AgentEnrolled))
    return known


def of_agent(kind: type[Any], **changes: Any) -> Any:
    return a_decision(kind, agent=an_agent(AGENT, email=ADDRESS, issuer="iel"), **changes)


async def request_erasure(notifier: Notifier) -> None:
    await notifier.take(AgentErasureRequested(agent_id=AGENT, requested_at=clock.now()), ids=[REQUEST])


async def enrolment_has_erased(
    notifier: Notifier, erased_at: datetime | None = None, *, read_until: datetime | None = None
) -> None:
    """Enrolment has answered, and all that it decided by then is read."""
    now = clock.now()
    answered = {"request_id": REQUEST, "request_source": "/tests", "service": "enrolment"}
    await notifier.take(AgentErased.model_validate(answered | {"erased_at": erased_at or now}))
    for topic in (Topic.ENROLMENT_DECISIONS, Topic.ENROLMENT_NOTICES):
        await is_read(notifier, topic, read_until or now)


async def is_read(notifier: Notifier, topic: Topic, moment: datetime) -> None:
    async with notifier.database.transaction() as tx:
        await progress.save(tx, topic, {0: moment})


async def may_be_forgotten(notifier: Notifier) -> None:
    """All letters have left, the erasure is requested, and enrolment has answered."""
    await notifier.deliver()
    await request_erasure(notifier)
    await enrolment_has_erased(notifier)


async def test_no_row_is_left_of_an_agent_and_the_erasure_is_answered(
    seated: Notifier, forget: Forget, security_lines: SecurityLines
) -> None:
    """That no text is left is in `tests/integration/services/test_personal_data.py`."""
    await seated.hear(FOLLOWS)
    await seated.suppress(ADDRESS)
    await may_be_forgotten(seated)
    assert await seated.query("SELECT 1 FROM suppression")

    assert await forget()

    [line] = security_lines()
    assert line["message"] == "erasure ok where=agents.erased times=1"
    for table in ("suppression", "bounce", "subscription", "subscriber", "mail_audit"):
        assert await seated.query(f"SELECT 1 FROM {table}") == []
    assert await seated.query("SELECT issuer, agent_id FROM erasure") == [(None, None)]
    async with seated.database.quiet_transaction() as tx:
        [state] = await erasures.states(tx, REQUEST)
    assert state.missing == {"catalogue", "notifier"}  # its own answer is read from the topic too
    assert len(await seated.events(AgentErased)) == 1


async def test_a_message_to_chosen_persons_ends_with_one_of_them(known: Notifier, forget: Forget) -> None:
    own, left = of_agent(AgentEnrolled), uuid4()
    await known.hear(own)
    to_both = {"link": "https://exemple.fr", "enrolment_ids": [own.enrolment_id, left]}
    written = [received(messaged(text=message, **to_both)) for message in (f"De {MARK}", "Aux deux")]
    await take(router, known.database, written, organisers={})
    # The other is still being written.
    await known.change("UPDATE fan_out SET done_at = now() WHERE details ->> 'text' LIKE 'De %'")
    await may_be_forgotten(known)

    assert await forget()

    for mark in (MARK, str(own.enrolment_id)):
        assert await columns_with(known.database, metadata, mark) == set()
    rows = await known.query("SELECT details FROM fan_out WHERE task = 'message' ORDER BY done_at NULLS LAST")
    kept = [(row.details["text"], row.details["link"], row.details["enrolments"]) for row in rows]
    assert kept == [("", None, [str(left)]), ("Aux deux", "https://exemple.fr", [str(left)])]
    await known.fan_out()


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
    seated: Notifier, forget: Forget, erasing: Eraser
) -> None:
    """A portal only claims the address: its agents end, not what they never were."""
    await seated.hear(FOLLOWS)
    await subscribe_by_address(seated)
    await seated.hear(a_replay(session_id=uuid4()))
    await seated.change("UPDATE mail SET called_for_at = now() - interval '1 minute'")
    await seated.change("UPDATE subscriber SET created_at = now() - interval '1 minute'")
    await may_be_forgotten(seated)
    of_no_agent = "SELECT template, address FROM mail WHERE issuer = '' ORDER BY template"
    before = await seated.query(of_no_agent)
    assert {row.template for row in before} >= {"confirm-subscription", "news"}

    assert await forget()

    assert await seated.query(of_no_agent) == before
    followed = "SELECT agent_id, address, interest FROM subscriber JOIN subscription USING (subscriber_id)"
    assert await seated.query(followed) == [(None, ADDRESS, "theme:enjeux-ia")]
    assert len(await seated.query("SELECT 1 FROM subscription_request")) == 2

    await erasing.forget(ADDRESS, uuid4())
    assert await columns_with(seated.database, metadata) == set()
    assert await seated.query("SELECT 1 FROM subscription") == []


@pytest.mark.parametrize(
    "events",
    [
        [of_agent(AgentEnrolled), corrected(NEW, AgentKey("iel", AGENT))],
        [FOLLOWS, AgentCorrected(agent_id=AGENT, email=NEW)],
        [FOLLOWS, FOLLOWS.model_copy(update={"email": NEW})],
    ],
    ids=["an enrolment", "a subscription", "a subscription that moved"],
)
async def test_that_a_former_address_failed_ends_too(
    known: Notifier, forget: Forget, events: list[Any]
) -> None:
    for event in events:
        await known.hear(event)
    await known.suppress(ADDRESS)
    await may_be_forgotten(known)

    assert await forget()

    assert await known.query("SELECT 1 FROM suppression") == []
    assert await columns_with(known.database, metadata) == set()


async def test_a_correction_and_the_former_address_that_are_kept_while_the_erasure_waits_end_too(
    notifier: Notifier, forget: Forget
) -> None:
    await notifier.take(FOLLOWS)
    await may_be_forgotten(notifier)
    await notifier.take(AgentCorrected(agent_id=AGENT, email=NEW))
    await notifier.take(AgentCorrected(agent_id="another", email="autre@exemple.fr"))
    assert await notifier.query("SELECT address FROM former_address") != []

    assert await forget()

    assert await notifier.query("SELECT address FROM former_address") == []
    assert await notifier.query("SELECT DISTINCT agent_id FROM agent_detail") == [("another",)]


async def test_what_was_asked_for_before_and_is_redriven_while_the_erasure_waits_ends_too(
    notifier: Notifier, forget: Forget
) -> None:
    await notifier.take(FOLLOWS)
    await request_erasure(notifier)
    another = FOLLOWS.model_copy(update={"theme": "acculturation"})
    await notifier.hear(another, at=clock.now() - timedelta(hours=1))
    [row] = await notifier.query("SELECT subscriber_id FROM subscriber")
    async with notifier.database.transaction() as tx:
        await subscriptions.choose(tx, row.subscriber_id, ["theme:acculturation"])
    await notifier.change("UPDATE subscription SET since = now() - interval '1 hour'")
    await enrolment_has_erased(notifier)
    assert await forget()
    assert await columns_with(notifier.database, metadata) == set()


async def test_letters_wait_for_the_enrolments_and_for_what_was_decided(
    seated: Notifier, forget: Forget
) -> None:
    await seated.deliver()
    await request_erasure(seated)
    assert not await forget()
    erased_at, second = clock.now(), timedelta(seconds=1)
    await enrolment_has_erased(seated, erased_at, read_until=erased_at - second)
    for topic in (Topic.ENROLMENT_DECISIONS, Topic.ENROLMENT_NOTICES):
        assert not await forget(), "a message to chosen persons may still be read"
        await is_read(seated, topic, erased_at + second)
    assert await forget()
    assert await seated.query("SELECT 1 FROM mail_attempt") == [], "nor what was sent"


def let_an_hour_pass(monkeypatch: pytest.MonkeyPatch) -> datetime:
    later = clock.now() + erasures.LETTERS_WAIT
    monkeypatch.setattr("shared.clock.now", lambda: later)
    return later


async def test_the_letter_of_a_seat_given_up_may_leave_for_an_hour(
    notifier: Notifier, forget: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.hear(of_agent(EnrolmentWithdrawn, by="agent"))
    await may_be_forgotten(notifier)
    assert not await forget()
    let_an_hour_pass(monkeypatch)
    await notifier.change(
        "UPDATE mail SET state = 'data_started', owner = gen_random_uuid(), lease_until = now()"
    )
    assert not await forget()  # one that is on its way is waited for
    await notifier.change("UPDATE mail SET state = 'pending'")
    assert await forget()
    assert await notifier.rows() == []


@pytest.mark.parametrize("is_short", [True, False], ids=["for a short time", "for long"])
async def test_a_letter_that_the_relay_could_not_take_leaves_before_all_is_erased_or_never(
    known: Notifier, forget: Forget, monkeypatch: pytest.MonkeyPatch, *, is_short: bool
) -> None:
    await known.hear(of_agent(EnrolmentWithdrawn, by="agent"))
    port = known.relay.port
    await known.relay.stop()
    await may_be_forgotten(known)
    assert (await known.states(), await forget()) == (["retry"], False)
    if not is_short:
        with monkeypatch.context() as patched:
            let_an_hour_pass(patched)
            assert await forget()
    await known.relay.start(port)
    await known.change("UPDATE mail SET due_at = now()")
    await known.deliver()
    assert len(known.relay.per_message_id()) == is_short
    assert await forget()
    assert await known.rows() == []


async def test_letters_that_a_replay_calls_for_meanwhile_end_too(seated: Notifier, forget: Forget) -> None:
    await seated.hear(FOLLOWS)
    await request_erasure(seated)
    await enrolment_has_erased(seated)
    await seated.hear(a_session_replay(), a_replay(session_id=uuid4()))
    await seated.deliver()
    late = await seated.rows(where="called_for_at > (SELECT erased_at FROM erasure_answer)")
    assert {row.template for row in late} == {"replay-available", "news"}
    assert await forget()
    assert await seated.rows() == []


async def test_no_letter_begins_to_leave_while_its_agent_is_forgotten(seated: Notifier) -> None:
    async with seated.database.transaction() as tx:
        assert not await letters_leave(tx, AgentKey("iel", AGENT), patient=False)
        assert await seated.deliver() == 0
    assert await seated.deliver() == 1


async def test_another_issuers_agent_what_comes_after_and_an_ended_digest_stay(
    seated: Notifier, forget: Forget
) -> None:
    """A digest is about the delegation for which an organiser works, and would be written again."""
    other = an_agent(AGENT, issuer="ouest", email="autre@exemple.fr")
    await seated.hear(a_decision(AgentEnrolled, agent=other, enrolment_id=uuid4()))
    ended = "INSERT INTO ended_digest (organiser, address, ended_at) VALUES ('bretagne', :address, now())"
    await seated.change(ended, address=digest_of(ADDRESS, b""))
    await may_be_forgotten(seated)
    await seated.hear(FOLLOWS)
    assert await forget()
    assert [row.issuer for row in await seated.rows()] == ["ouest"]
    assert await seated.query("SELECT agent_id FROM subscriber") == [(AGENT,)]
    assert len(await seated.query("SELECT 1 FROM ended_digest")) == 1


async def test_what_a_known_subscriber_asks_for_after_enrolments_answer_stays_alone(
    notifier: Notifier, forget: Forget
) -> None:
    def wanted(theme: str) -> SubscriptionChanged:
        return FOLLOWS.model_copy(update={"theme": theme})

    await notifier.take(wanted("enjeux-ia"), wanted("eau"))
    await notifier.suppress(ADDRESS)
    await may_be_forgotten(notifier)
    await notifier.take(wanted("eau"), wanted("climat"))

    assert await forget()

    followed = "SELECT agent_id, interest FROM subscriber JOIN subscription USING (subscriber_id) ORDER BY 2"
    assert await notifier.query(followed) == [(AGENT, "theme:climat"), (AGENT, "theme:eau")]
    assert await notifier.query("SELECT 1 FROM suppression") == [], "it was known of what ended, too"


async def test_a_second_request_for_the_same_agent_ends_too(notifier: Notifier, forget: Forget) -> None:
    await may_be_forgotten(notifier)
    assert await forget()
    await request_erasure(notifier)
    [erasure] = await notifier.query("SELECT done_at FROM erasure")
    assert clock.now() - timedelta(hours=1) < erasure.done_at


@pytest.mark.parametrize("opened", ["a copy", "a slice", "a link"])
async def test_what_is_being_queued_when_the_agent_is_forgotten_ends_too(
    seated: Notifier, forget: Forget, monkeypatch: pytest.MonkeyPatch, opened: str
) -> None:
    await seated.deliver()
    sent = await seated.row()
    await seated.take(a_session_replay(session_id=SESSION_ID))
    await request_erasure(seated)
    await enrolment_has_erased(seated)
    later = let_an_hour_pass(monkeypatch)
    async with seated.database.transaction() as tx:
        if opened == "a copy":
            assert await mails.resend(tx, sent.mail_id, actor="op")
        elif opened == "a link":
            await lost_links.send(tx, sent.address, a_guard().digest)
        else:
            assert await fan_outs.next_slice(tx, later, most=10)
        forgetting = asyncio.create_task(forget())
        await locks_awaited(seated.database)  # it waits for what is being queued
    assert await forgetting
    assert await seated.rows() == []


async def test_what_was_decided_before_and_is_read_late_ends_too(known: Notifier, forget: Forget) -> None:
    """The notifier was down, or far behind, while enrolment withdrew the agent and forgot them."""
    await request_erasure(known)
    await known.take(of_agent(EnrolmentWithdrawn, version=2), at=clock.now() - timedelta(minutes=1))
    await known.deliver()
    assert await known.query("SELECT 1 FROM enrolment") != []
    await enrolment_has_erased(known, erased_at=clock.now() - timedelta(seconds=30))
    assert await forget()
    assert await columns_with(known.database, metadata) == set()


async def test_the_letters_to_addresses_that_the_agent_gave_end_with_the_agent(
    seated: Notifier, forget: Forget
) -> None:
    agent = an_agent(AGENT, email=ADDRESS, issuer="iel")
    given = NewAddressGiven(
        request_id=uuid4(), enrolment_id=uuid4(), agent=agent, new_address=NEW, given_at=clock.now()
    )
    other = an_agent("autre", email="autre@exemple.fr", issuer="iel")
    by_another = given.model_copy(update={"request_id": uuid4(), "agent": other})
    await seated.hear(given, by_another, corrected(NEW, agent=agent.key))
    await seated.deliver()
    [asked] = await seated.query(f"SELECT mail_id FROM mail WHERE recipient = 'adresse-{given.request_id}'")
    async with seated.database.transaction() as tx:
        assert await mails.resend(tx, asked.mail_id, actor="assistance")
    await may_be_forgotten(seated)

    assert await forget()

    rows = await seated.query("SELECT recipient, address FROM mail ORDER BY address")
    assert await seated.query("SELECT 1 FROM mail_audit") == []
    kept = [("autre", "autre@exemple.fr"), (f"adresse-{by_another.request_id}", NEW)]
    assert [(row.recipient, row.address) for row in rows] == kept


@pytest.mark.parametrize("has_left", [True, False])
async def test_an_advisor_is_forgotten_in_the_letter_to_an_officer_which_still_reads(
    notifier: Notifier, erasing: Eraser, *, has_left: bool
) -> None:
    answered = bespoke_answered().model_copy(update={"message": f"De {MARK}"})
    await notifier.hear(answered)
    if has_left:
        await notifier.deliver()
    async with notifier.database.quiet_transaction() as tx:
        [kept] = (await erasing.export(tx, answered.advisor.email))["mail"]
    assert answered.requested_by.email not in str(kept)
    assert kept["details"]["advisor"] == answered.advisor.name

    assert await erasing.forget(answered.advisor.email, uuid4())

    row = await notifier.row()
    assert answered.advisor.name not in str(row.details)
    assert answered.advisor.email not in str(row.details)
    assert (MARK in str(row.details)) is not has_left, "what an officer has not read yet stays"
    reading = Reading("ali", Role.SUPPORT, "ticket 12")
    async with notifier.database.quiet_transaction() as tx:
        shown = await mails.show(tx, row.mail_id, reading)
    assert shown is not None
    assert shown.context is not None
    written = a_renderer().text(shown.letter, shown.context)
    assert "None" not in written
    assert "délégation" in written
