"""Leases that run out, stops, relays that are away: nothing is lost, nothing sent twice."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from services.notifier import jobs
from services.notifier.delivery import deliverer as claiming
from services.notifier.letters import Priority
from services.notifier.service import mails
from services.notifier.store import claims
from services.notifier.tables import MailState
from shared import clock
from shared.events.catalogue import SessionScheduled
from tests.integration.notifier.conftest import Notifier, queue_many, until_idle
from tests.support.metrics import metric
from tests.support.smtp import Hang, Reply
from tests.unit.notifier.builders import a_session


async def test_the_mark_is_durable_before_data(queued: Notifier) -> None:
    """At the moment that the relay sees DATA, another connection to the database sees the mark."""
    hang = Hang()
    queued.relay.script("DATA", hang)
    work = asyncio.create_task(queued.deliver())
    await queued.relay.reached("DATA")
    row = await queued.row()
    assert row.state == "data_started"
    assert row.lease_until is not None
    hang.release.set()
    await work
    assert await queued.states() == ["sent"]


async def test_no_data_is_sent_when_the_claim_was_lost(queued: Notifier) -> None:
    """A lease ran out while its owner hung (SIGSTOP): another process may have the mail now."""
    hang = Hang()
    queued.relay.script("RCPT", hang)
    connections = metric("parcours_smtp_connections")
    expired = metric("parcours_mail_leases_expired_total", became="pending")
    work = asyncio.create_task(queued.deliver())
    await queued.relay.reached("RCPT")
    assert metric("parcours_smtp_connections") == connections + 1
    await queued.change(
        "UPDATE mail SET lease_until = now() - interval '1 second', due_at = now() + interval '1 hour'"
    )
    await jobs.expire_leases(queued.database)
    assert metric("parcours_mail_leases_expired_total", became="pending") == expired + 1
    assert await queued.states() == ["pending"]
    hang.release.set()
    await work
    assert "DATA" not in queued.relay.commands
    assert await queued.states() == ["pending"]
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliver()
    assert list(queued.relay.per_message_id().values()) == [1]
    assert metric("parcours_smtp_connections") == connections


async def test_an_owner_that_hung_after_data_still_settles_what_it_knows(queued: Notifier) -> None:
    hang = Hang()
    queued.relay.script("DOT", hang)
    expired = metric("parcours_mail_leases_expired_total", became="ambiguous")
    work = asyncio.create_task(queued.deliver())
    await queued.relay.reached("DOT")
    await queued.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(queued.database)
    assert metric("parcours_mail_leases_expired_total", became="ambiguous") == expired + 1
    assert await queued.states() == ["ambiguous"]
    hang.release.set()
    await work
    assert await queued.states() == ["sent"]


async def test_a_stop_finishes_what_the_relay_has_and_gives_back_the_rest(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 20)
    hang = Hang()
    notifier.relay.script("DOT", hang)
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer(workers=1).run(stopping))
    await notifier.relay.reached("DOT")
    stopping.set()
    hang.release.set()
    await work
    states = await notifier.states()
    assert states.count("sent") == 1
    assert states.count("pending") == 19
    assert {row.attempts for row in await notifier.rows() if row.state == "pending"} == {0}


async def test_a_stop_that_cannot_wait_any_longer_says_ambiguous(queued: Notifier) -> None:
    hang = Hang()
    queued.relay.script("DOT", hang)
    stopping = asyncio.Event()
    work = asyncio.create_task(queued.deliverer(stop_seconds=0.1).run(stopping))
    await queued.relay.reached("DOT")
    stopping.set()
    await work
    hang.release.set()
    assert await queued.states() == ["ambiguous"]


async def test_a_relay_that_is_down_costs_few_attempts_and_loses_nothing(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 100)
    port = notifier.relay.port
    failures = metric("parcours_smtp_connect_failures_total")
    await notifier.relay.stop()
    await notifier.deliver(notifier.deliverer(workers=4))
    assert metric("parcours_smtp_connect_failures_total") > failures
    rows = await notifier.rows()
    assert sum(row.attempts for row in rows) <= 8
    assert {row.state for row in rows} == {"retry", "pending"}
    await notifier.change("UPDATE mail SET due_at = now(), give_up_at = give_up_at - interval '1 day'")
    await notifier.relay.start(port)
    await notifier.deliver(notifier.deliverer(workers=4))
    assert len(notifier.relay.per_message_id()) == 100
    assert set(await notifier.states()) == {"sent"}


async def test_a_short_break_of_the_relay_makes_a_short_pause(notifier: Notifier) -> None:
    """However many workers found out about it."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 40)
    await notifier.relay.stop()
    deliverer = notifier.deliverer(workers=20)
    await until_idle(deliverer)
    assert 0 < deliverer._pool._outage.failures < 20


async def test_an_outage_costs_the_mails_that_wait_no_attempt(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 2)
    port = notifier.relay.port
    await notifier.relay.stop()
    deliverer = notifier.deliverer(workers=1)
    stopping = asyncio.Event()
    work = asyncio.create_task(deliverer.run(stopping))

    async def tried_more_than_once() -> bool:
        return deliverer._pool._outage.failures > 1

    await eventually(tried_more_than_once, "the relay tried again")
    assert max(row.attempts for row in await notifier.rows()) == 1
    assert min(row.attempts for row in await notifier.rows()) == 0
    await notifier.relay.start(port)

    async def the_other_is_sent() -> bool:
        return "sent" in await notifier.states()

    await eventually(the_other_is_sent, "the mail that had waited")
    stopping.set()
    await work


async def test_a_relay_that_was_down_for_a_day_gets_every_mail_once_and_answers_before_news(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is moved: everything is a day older when the relay comes back."""
    monkeypatch.setattr(claiming, "CLAIM", 10)
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 40)
    await notifier.change("UPDATE mail SET priority = 2 WHERE recipient < 'A-2'")
    port = notifier.relay.port
    await notifier.relay.stop()
    for _ in range(5):
        await notifier.deliver(notifier.deliverer(workers=4))
    day = "interval '1 day'"
    await notifier.change(
        f"UPDATE mail SET created_at = created_at - {day}, due_at = due_at - {day}, "
        f"give_up_at = give_up_at - {day}, called_for_at = called_for_at - {day}"
    )
    await notifier.relay.start(port)
    await notifier.deliver(notifier.deliverer(workers=1))
    assert set(await notifier.states()) == {"sent"}
    assert set(notifier.relay.per_message_id().values()) == {1}
    news = {row.address for row in await notifier.rows(where="priority = 2")}
    order = [taken.recipient in news for taken in notifier.relay.taken]
    assert order == sorted(order)
    assert any(order)
    assert not all(order)


async def test_a_claim_that_ran_out_marks_and_settles_nothing_though_the_same_process_claimed_again(
    queued: Notifier,
) -> None:
    notifier = queued
    owner, minute = uuid4(), timedelta(minutes=1)

    async def claim() -> claims.Claim:
        async with notifier.database.quiet_transaction() as tx:
            [claimed], _ = await claims.claim(
                tx, owner, list(Priority), most=10, lease=minute, message_domain="x.example", now=clock.now()
            )
        return claimed.claim

    first = await claim()
    await notifier.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(notifier.database)
    second = await claim()

    async with notifier.database.transaction() as tx:
        assert await claims.mark_data_started(tx, owner, [first], lease=minute) == set()
        assert (await mails.counts(tx))[MailState.CLAIMED] == 1, "no mark for a claim that is over"
        assert await claims.mark_data_started(tx, owner, [first, second], lease=minute) == {second}
        late = claims.Settlement(first, MailState.RETRY, None, "timed out before DATA")
        await claims.settle(tx, owner, [late])
        await claims.settle(tx, owner, [claims.Settlement(second, MailState.SENT, 250, "ok")])
        counts = await mails.counts(tx)
    assert (counts[MailState.SENT], counts[MailState.RETRY]) == (1, 0)


async def test_what_is_settled_again_since_the_answer_to_its_commit_was_lost_is_settled_once(
    queued: Notifier,
) -> None:
    owner, minute = uuid4(), timedelta(minutes=1)
    async with queued.database.quiet_transaction() as tx:
        [claimed], _ = await claims.claim(
            tx, owner, list(Priority), most=10, lease=minute, message_domain="x.example", now=clock.now()
        )
    for _ in range(2):
        async with queued.database.quiet_transaction() as tx:
            unknown = claims.Settlement(claimed.claim, MailState.AMBIGUOUS, None, "the line was cut")
            await claims.settle(tx, owner, [unknown])
    assert len(await queued.query("SELECT mail_id FROM mail_attempt")) == 1
    assert await queued.states() == [MailState.AMBIGUOUS]


async def test_claims_that_ran_out_before_anything_was_sent_were_no_attempts(queued: Notifier) -> None:
    """Or the first real 4xx of a mail would wait for hours."""
    for _ in range(6):
        async with queued.database.quiet_transaction() as tx:
            await claims.claim(
                tx,
                uuid4(),
                list(Priority),
                most=10,
                lease=timedelta(minutes=1),
                message_domain="x.example",
                now=clock.now(),
            )
        await queued.change("UPDATE mail SET lease_until = now() - interval '1 second'")
        await jobs.expire_leases(queued.database)
    assert (await queued.row()).attempts == 0
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.attempts) == ("retry", 1)
    assert row.due_at - clock.now() < timedelta(minutes=6)
