"""What the relay says, or does not say, at each command; and what becomes of the mail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest

from services.notifier.delivery.pool import Outage, SmtpPool
from services.notifier.delivery.results import Timeouts, Verdict
from services.notifier.delivery.workers import DATA_LEASE
from services.notifier.settings import SmtpServer
from shared.events.notifier import EmailFailed
from tests.conftest import Eventually
from tests.integration.notifier.conftest import Notifier, queue_many, running
from tests.integration.notifier.test_tls import MAIL, yes
from tests.support.smtp import Drop, Hang, Reply, ScriptedRelay, SmtpAction

LOGIN = Reply("530 5.7.0 Authentication required")
MakePool = Callable[..., AbstractAsyncContextManager[SmtpPool]]


@pytest.fixture
def a_pool(relay: ScriptedRelay) -> MakePool:
    """A function that opens a pool by itself, which waits so many seconds for these answers."""

    @asynccontextmanager
    async def opened(size: int = 1, **seconds: float) -> AsyncIterator[SmtpPool]:
        pool = SmtpPool(SmtpServer("127.0.0.1", relay.port), size=size, timeouts=Timeouts(**seconds))
        yield pool
        await pool.close()

    return opened


ANSWERS: list[tuple[str, SmtpAction, Verdict]] = [
    ("MAIL RCPT DOT", Reply("252 taken, I think"), Verdict.SENT),
    ("CONNECT EHLO MAIL RCPT", Drop(), Verdict.RETRY),
    ("DATA BODY DOT", Drop(), Verdict.AMBIGUOUS),
    # About the connection, and not about the mail, whatever the code (RFC 5321, 3.1).
    ("CONNECT EHLO", Reply("421 closing"), Verdict.RETRY),
    ("CONNECT EHLO", Reply("554 no service"), Verdict.RETRY),
    ("MAIL RCPT DATA DOT", Reply("421 closing"), Verdict.RETRY),
    ("MAIL RCPT DATA DOT", Reply("451 later"), Verdict.RETRY),
    ("MAIL RCPT DATA DOT", Reply("550 5.7.1 not here"), Verdict.FAILED),
    ("MAIL RCPT DATA", LOGIN, Verdict.RETRY),
    ("MAIL RCPT DATA", Reply("534 5.7.9 too weak"), Verdict.RETRY),
    ("MAIL RCPT DATA", Reply("535 5.7.8 wrong"), Verdict.RETRY),
    ("MAIL RCPT DATA", Reply("538 5.7.11 in the clear"), Verdict.RETRY),
    ("DATA", Reply("250 taken without a look"), Verdict.RETRY),
    ("DATA", Reply("334 what"), Verdict.RETRY),
    ("DATA", Reply("199 hm"), Verdict.RETRY),
    ("DOT", Reply("354 more"), Verdict.AMBIGUOUS),
    ("DOT", Reply("199 hm"), Verdict.AMBIGUOUS),
    ("DOT", Reply("600 ?"), Verdict.AMBIGUOUS),
]
"""At which points, what the relay does, and what that says of the mail."""


@pytest.mark.parametrize(
    ("point", "action", "verdict"),
    [(point, action, verdict) for points, action, verdict in ANSWERS for point in points.split()],
    ids=str,
)
async def test_what_an_answer_says_of_the_mail(
    relay: ScriptedRelay, a_pool: MakePool, point: str, action: SmtpAction, verdict: Verdict
) -> None:
    relay.script(point, action, action)  # EHLO is followed by HELO
    async with a_pool() as pool:
        assert (await pool.send(MAIL, yes)).verdict is verdict
    if verdict in (Verdict.RETRY, Verdict.FAILED):
        assert relay.taken == []


@pytest.mark.parametrize(
    ("point", "answer", "verdict"),
    [
        ("CONNECT", "connect", Verdict.RETRY),
        ("EHLO", "command", Verdict.RETRY),
        ("MAIL", "command", Verdict.RETRY),
        ("RCPT", "command", Verdict.RETRY),
        ("DATA", "data", Verdict.AMBIGUOUS),
        ("BODY", "final", Verdict.AMBIGUOUS),
        ("DOT", "final", Verdict.AMBIGUOUS),
    ],
)
async def test_a_relay_too_slow_is_tried_again_before_data_and_ambiguous_after(
    relay: ScriptedRelay, a_pool: MakePool, point: str, answer: str, verdict: Verdict
) -> None:
    hangs = [Hang(), Hang()]  # EHLO is followed by HELO
    relay.script(point, *hangs)
    async with a_pool(**{answer: 0.2}) as pool:
        assert (await pool.send(MAIL, yes)).verdict is verdict
        for hang in hangs:
            hang.release.set()


@pytest.mark.parametrize(
    ("point", "action", "code"),
    [("RCPT", Drop(), None), ("DOT", Reply("451 later"), 451), ("MAIL", LOGIN, 530)],
)
async def test_a_mail_that_is_put_off_is_sent_once_later_under_its_message_id(
    queued: Notifier, point: str, action: SmtpAction, code: int | None
) -> None:
    queued.relay.script(point, action)
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code, row.due_at > row.created_at) == ("retry", code, True)
    assert await queued.published() == []
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliver()
    assert await queued.states() == ["sent"]
    assert queued.relay.per_message_id() == {row.message_id: 1}


@pytest.mark.parametrize("point", ["DATA", "BODY", "DOT"])
async def test_a_connection_that_falls_after_the_mark_is_ambiguous_and_never_sent_again(
    queued: Notifier, point: str
) -> None:
    queued.relay.script(point, Drop())
    await queued.deliver()
    assert await queued.states() == ["ambiguous"]
    await queued.change("UPDATE mail SET due_at = now() - interval '1 day'")
    assert await queued.deliver() == 0
    assert len(queued.relay.taken) == (1 if point == "DOT" else 0)
    assert await queued.published() == []


async def test_5xx_is_failed_for_good_and_published(queued: Notifier) -> None:
    queued.relay.script("RCPT", Reply("550 5.7.1 not here"))
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code, row.smtp_answer) == ("failed", 550, "5.7.1 not here")
    assert [event["smtp_code"] for event in await queued.events(EmailFailed)] == [550]
    await queued.change("UPDATE mail SET due_at = now()")
    assert await queued.deliver() == 0


async def test_after_four_days_of_4xx_a_mail_is_failed_and_published(queued: Notifier) -> None:
    row = await queued.row()
    assert row.give_up_at - row.created_at == timedelta(days=4)
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.change("UPDATE mail SET give_up_at = now() + interval '10 minutes', attempts = 40")
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code) == ("failed", 451)
    assert len(await queued.events(EmailFailed)) == 1


async def attempts_of(notifier: Notifier) -> int:
    """Attempts that were made: a claim counts as one until it is given back."""
    rows = await notifier.rows()
    return sum(row.attempts - (row.state in ("claimed", "data_started")) for row in rows)


@pytest.mark.parametrize("point", ["MAIL", "DATA"])
async def test_a_relay_that_wants_another_login_is_left_alone_and_costs_the_mails_that_wait_no_attempt(
    known: Notifier, eventually: Eventually, point: str
) -> None:
    await queue_many(known, 20)
    known.relay.script(point, *[LOGIN] * 1000)

    def probes() -> int:
        return known.relay.commands.count("MAIL FROM:<>")

    async def it_was_asked_again() -> bool:
        return probes() >= 1

    async def the_others_are_sent() -> bool:
        return (await known.states()).count("sent") >= 20 - 2 - probes()

    async with running(known.deliverer(workers=2)):
        await eventually(it_was_asked_again, "a probe")
        # One for each worker that found out, and one for each probe that a mail followed.
        assert await attempts_of(known) <= 2 + (probes() if point == "DATA" else 0)
        known.relay._script.clear()
        await eventually(the_others_are_sent, "the relay takes mails again")
    assert set(known.relay.per_message_id().values()) == {1}


async def test_a_mail_that_was_claimed_before_an_outage_costs_no_attempt_when_the_pause_is_over(
    known: Notifier, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outage, "pause", lambda _: 0.0)
    await queue_many(known, 20)
    known.relay.script("MAIL", *[LOGIN] * 1000)

    async def it_has_been_asked_again() -> bool:
        return known.relay.commands.count("MAIL FROM:<>") >= 5

    async with running(known.deliverer(workers=2)):
        await eventually(it_has_been_asked_again, "probes with no mail in hand")
    assert await attempts_of(known) <= 2, "one for each worker that found out"


@pytest.mark.parametrize("point", ["RCPT", "DATA"])
async def test_the_pause_grows_until_the_relay_has_taken_a_mail(
    relay: ScriptedRelay, a_pool: MakePool, point: str
) -> None:
    relay.script(point, *[LOGIN] * 5)
    async with a_pool() as pool:
        for _ in range(5):
            assert (await pool.send(MAIL, yes)).verdict is Verdict.RETRY
            assert pool.has_failed()
            assert await pool.try_relay()
        assert pool.pause() > 1, "half a second at first, then twice as long each time"
        assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT
        assert (pool.has_failed(), pool.pause()) == (False, 0)


async def test_a_relay_that_wants_another_login_is_not_trusted_for_the_connections_that_lie_idle(
    relay: ScriptedRelay, a_pool: MakePool
) -> None:
    async with a_pool(size=2) as pool:
        async with pool_busy(relay, pool):
            await pool.send(MAIL, yes)
        assert relay.connections == 2
        relay.script("MAIL", LOGIN, LOGIN)
        assert (await pool.send(MAIL, yes)).verdict is Verdict.RETRY
        assert [await pool.try_relay() for _ in range(2)] == [False, True]
        assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT


@asynccontextmanager
async def pool_busy(relay: ScriptedRelay, pool: SmtpPool) -> AsyncIterator[None]:
    """Inside, one connection of the pool is at work."""
    hang = Hang()
    relay.script("MAIL", hang)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pool.send(MAIL, yes))
        await relay.reached("MAIL")
        yield
        hang.release.set()


async def test_a_refused_recipient_does_not_spoil_the_next_mail_on_the_connection(known: Notifier) -> None:
    await queue_many(known, 3)
    known.relay.script("RCPT", Reply("550 no"))
    await known.deliver(known.deliverer(workers=1))
    assert sorted(await known.states()) == ["failed", "sent", "sent"]
    assert (known.relay.connections, "RSET" in known.relay.commands) == (1, True)


@pytest.mark.parametrize("closed", ["while it was idle", "with 421"])
async def test_a_reused_connection_that_the_relay_closes_costs_no_attempt(
    known: Notifier, eventually: Eventually, closed: str
) -> None:
    await queue_many(known, 1)
    async with running(known.deliverer(workers=1)) as idle:
        await idle()
        if closed == "with 421":
            known.relay.script("MAIL", Reply("421 too many messages on this connection"))
        else:
            await known.relay.drop_all()
        await queue_many(known, 1)
        await eventually(lambda: known.are(["sent", "sent"]), "both sent")
    assert [row.attempts for row in await known.rows()] == [1, 1]


async def test_a_recipient_at_which_the_relay_hangs_costs_one_connection(
    known: Notifier, eventually: Eventually
) -> None:
    def recipients() -> int:
        return sum(command.startswith("RCPT") for command in known.relay.commands)

    await queue_many(known, 4)
    hangs = [Hang() for _ in range(4)]
    async with running(known.deliverer(workers=4, timeouts=Timeouts(command=0.5))) as idle:
        await idle()
        before = recipients()
        known.relay.script("RCPT", *hangs)
        await queue_many(known, 1)
        await eventually(lambda: known.are(["retry", *["sent"] * 4]), "one put off")
    for hang in hangs:
        hang.release.set()
    assert recipients() == before + 1


@pytest.mark.parametrize("action", [Reply("421 x"), Reply("550 x"), Reply("252 x"), Drop(), Hang()], ids=str)
async def test_a_relay_that_cannot_forget_a_refused_mail_gets_the_next_on_another_connection(
    relay: ScriptedRelay, a_pool: MakePool, action: SmtpAction
) -> None:
    relay.script("RCPT", Reply("550 no"))
    relay.script("RSET", action)
    async with a_pool(command=0.5) as pool:
        assert (await pool.send(MAIL, yes)).verdict is Verdict.FAILED
        assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT
        if isinstance(action, Hang):
            action.release.set()
    assert (len(relay.taken), relay.connections) == (1, 2)


def test_a_relay_may_take_ten_minutes_after_the_final_dot() -> None:
    assert Timeouts().final >= 600  # RFC 5321, 4.5.3.2.6
    assert timedelta(seconds=Timeouts().final + Timeouts().data) < DATA_LEASE
