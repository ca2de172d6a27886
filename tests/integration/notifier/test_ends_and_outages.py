"""Leases that run out, stops, relays that are away: nothing is lost, nothing sent twice."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

from services.notifier import jobs
from services.notifier.letters import Priority
from services.notifier.store import claims
from services.notifier.tables import MailState
from shared import clock
from tests.integration.notifier.conftest import Notifier, queue_many, until_idle
from tests.support.metrics import metric
from tests.support.smtp import Hang, Reply

OWNER, MINUTE = uuid4(), timedelta(minutes=1)


async def claim(notifier: Notifier, owner: UUID = OWNER) -> claims.Claimed:
    """Claim the only mail."""
    async with notifier.database.quiet_transaction() as tx:
        [claimed], _ = await claims.claim(
            tx, owner, list(Priority), most=10, lease=MINUTE, message_domain="x.example", now=clock.now()
        )
    return claimed


async def leases_run_out(notifier: Notifier) -> None:
    await notifier.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(notifier.database)


async def test_the_mark_is_durable_before_data(queued: Notifier) -> None:
    """At the moment that the relay sees DATA, another connection to the database sees the mark."""
    hang = Hang()
    queued.relay.script("DATA", hang)
    work = asyncio.create_task(queued.deliver())
    await queued.relay.reached("DATA")
    row = await queued.row()
    assert (row.state, row.lease_until is not None) == ("data_started", True)
    hang.release.set()
    await work
    assert await queued.states() == ["sent"]


async def test_no_data_is_sent_when_the_claim_was_lost(queued: Notifier) -> None:
    """A lease ran out while its owner hung, as under SIGSTOP. Either process claims the mail again."""
    hang = Hang()
    queued.relay.script("RCPT", hang)
    connections = metric("parcours_smtp_connections")
    expired = metric("parcours_mail_leases_expired_total", became="pending")
    work = asyncio.create_task(queued.deliver())
    await queued.relay.reached("RCPT")
    assert metric("parcours_smtp_connections") == connections + 1
    await leases_run_out(queued)
    assert metric("parcours_mail_leases_expired_total", became="pending") == expired + 1
    await queued.deliver()
    hang.release.set()
    await work
    row = await queued.row()
    assert (row.state, row.claims) == ("sent", 2)
    assert list(queued.relay.per_message_id().values()) == [1]
    assert metric("parcours_smtp_connections") == connections


async def test_an_owner_that_hung_after_data_still_settles_what_it_knows(queued: Notifier) -> None:
    hang = Hang()
    queued.relay.script("DOT", hang)
    expired = metric("parcours_mail_leases_expired_total", became="ambiguous")
    work = asyncio.create_task(queued.deliver())
    await queued.relay.reached("DOT")
    await leases_run_out(queued)
    assert metric("parcours_mail_leases_expired_total", became="ambiguous") == expired + 1
    assert (await queued.states(), await queued.deliver()) == (["ambiguous"], 0)
    hang.release.set()
    await work
    assert await queued.states() == ["sent"]
    assert list(queued.relay.per_message_id().values()) == [1]


async def test_a_stop_finishes_what_the_relay_has_and_gives_back_the_rest(known: Notifier) -> None:
    await queue_many(known, 20)
    hang, stopping = Hang(), asyncio.Event()
    known.relay.script("DOT", hang)
    work = asyncio.create_task(known.deliverer(workers=1).run(stopping))
    await known.relay.reached("DOT")
    stopping.set()
    hang.release.set()
    await work
    states = sorted((row.state, row.attempts) for row in await known.rows())
    assert states == [("pending", 0)] * 19 + [("sent", 1)]


async def test_a_stop_that_cannot_wait_any_longer_says_ambiguous(queued: Notifier) -> None:
    hang, stopping = Hang(), asyncio.Event()
    queued.relay.script("DOT", hang)
    work = asyncio.create_task(queued.deliverer(stop_seconds=0.1).run(stopping))
    await queued.relay.reached("DOT")
    stopping.set()
    await work
    hang.release.set()
    assert await queued.states() == ["ambiguous"]


async def test_a_relay_that_is_down_costs_few_attempts_and_loses_nothing(known: Notifier) -> None:
    await queue_many(known, 40)
    port = known.relay.port
    failures = metric("parcours_smtp_connect_failures_total")
    await known.relay.stop()
    deliverer = known.deliverer(workers=20)
    await until_idle(deliverer)
    assert 0 < deliverer._pool._outage.failures < 20, "a short pause, however many workers found out"
    assert metric("parcours_smtp_connect_failures_total") > failures
    rows = await known.rows()
    assert sum(row.attempts for row in rows) <= 40, "at most two for each worker"
    assert {row.state for row in rows} == {"retry", "pending"}
    await known.change("UPDATE mail SET due_at = now(), give_up_at = give_up_at - interval '1 day'")
    await known.relay.start(port)
    await known.deliver()
    assert sorted(known.relay.per_message_id().values()) == [1] * 40
    assert set(await known.states()) == {"sent"}


async def test_a_claim_that_ran_out_marks_and_settles_nothing_though_the_same_process_claimed_again(
    queued: Notifier,
) -> None:
    first = await claim(queued)
    await leases_run_out(queued)
    second = await claim(queued)
    async with queued.database.transaction() as tx:
        assert await claims.mark_data_started(tx, OWNER, [first], lease=MINUTE) == set()
        assert await claims.mark_data_started(tx, OWNER, [first, second], lease=MINUTE) == {second.claim}
        late = claims.Settlement(first.claim, MailState.RETRY, None, "timed out before DATA")
        await claims.settle(tx, OWNER, [late])
        await claims.settle(tx, OWNER, [claims.Settlement(second.claim, MailState.SENT, 250, "ok")])
    assert await queued.states() == ["sent"]
    assert await queued.query("SELECT state FROM mail_attempt") == [("sent",)]


async def test_what_is_settled_again_since_the_answer_to_its_commit_was_lost_is_settled_once(
    queued: Notifier,
) -> None:
    claimed = await claim(queued)
    for _ in range(2):
        async with queued.database.quiet_transaction() as tx:
            unknown = claims.Settlement(claimed.claim, MailState.AMBIGUOUS, None, "the line was cut")
            await claims.settle(tx, OWNER, [unknown])
    assert len(await queued.query("SELECT mail_id FROM mail_attempt")) == 1
    assert await queued.states() == ["ambiguous"]


async def test_a_claim_whose_lease_has_not_run_out_stays(queued: Notifier) -> None:
    await claim(queued)
    await jobs.expire_leases(queued.database)
    assert (await queued.states(), await queued.deliver()) == (["claimed"], 0)


async def test_claims_that_ran_out_before_anything_was_sent_were_no_attempts(queued: Notifier) -> None:
    """Or the first real 4xx of a mail would wait for hours."""
    for _ in range(6):
        await claim(queued, uuid4())
        await leases_run_out(queued)
    assert (await queued.row()).attempts == 0
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.attempts) == ("retry", 1)
    assert row.due_at - clock.now() < timedelta(minutes=6)
