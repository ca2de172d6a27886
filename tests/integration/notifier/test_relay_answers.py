"""What the relay says, or does not say, at each command; and what becomes of the mail."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from services.notifier.delivery.outcomes import Timeouts, Verdict
from services.notifier.delivery.pool import Outage, SmtpPool
from services.notifier.delivery.workers import DATA_LEASE
from services.notifier.settings import SmtpServer
from shared.events.catalogue import SessionScheduled
from tests.integration.notifier.conftest import Notifier, queue_many, running
from tests.integration.notifier.test_tls import MAIL, yes
from tests.support.smtp import Drop, Hang, Reply, ScriptedRelay, SmtpAction
from tests.unit.notifier.builders import a_session


def impatient(relay: ScriptedRelay, **seconds: float) -> SmtpPool:
    """A pool by itself, which waits so long for these answers."""
    return SmtpPool(SmtpServer("127.0.0.1", relay.port), size=1, timeouts=Timeouts(**seconds))


async def test_any_2xx_after_the_final_dot_is_sent(queued: Notifier) -> None:
    queued.relay.script("DOT", Reply("252 taken, I think"))
    await queued.deliver()
    assert await queued.states() == ["sent"]
    assert len(queued.relay.taken) == 1


@pytest.mark.parametrize("point", ["CONNECT", "EHLO", "MAIL", "RCPT"])
async def test_a_connection_that_falls_before_data_is_tried_again(queued: Notifier, point: str) -> None:
    queued.relay.script(point, Drop(), Drop(), Drop())  # EHLO is followed by HELO
    await queued.deliver()
    row = await queued.row()
    assert row.state == "retry"
    assert queued.relay.taken == []
    await queued.change("UPDATE mail SET due_at = now()")
    queued.relay._script.clear()
    await queued.deliver()
    assert await queued.states() == ["sent"]
    assert list(queued.relay.per_message_id().values()) == [1]
    assert queued.relay.taken[0].message_id == row.message_id


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


@pytest.mark.parametrize("point", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("code", ["451", "421"])
async def test_4xx_is_tried_again(queued: Notifier, point: str, code: str) -> None:
    queued.relay.script(point, Reply(f"{code} later"))
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code) == ("retry", int(code))
    assert row.due_at > row.created_at
    assert queued.relay.taken == []
    assert await queued.published() == []
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliver()
    assert await queued.states() == ["sent"]


@pytest.mark.parametrize("point", ["CONNECT", "EHLO"])
@pytest.mark.parametrize("answer", ["421 closing", "451 later", "550 go away", "554 no service"])
async def test_a_relay_that_does_not_want_us_says_nothing_of_the_mail(
    queued: Notifier, point: str, answer: str
) -> None:
    """Whatever its code: it is about the connection (RFC 5321, 3.1), and the mail is tried again."""
    queued.relay.script(point, Reply(answer), Reply(answer))  # EHLO is followed by HELO
    await queued.deliver()
    assert (await queued.row()).state == "retry"
    assert queued.relay.taken == []
    assert await queued.published() == []


@pytest.mark.parametrize(
    ("point", "answer"), [("MAIL", "251 fine"), ("RCPT", "251 will forward"), ("RCPT", "252 maybe")]
)
async def test_any_2xx_to_the_envelope_is_yes(queued: Notifier, point: str, answer: str) -> None:
    queued.relay.script(point, Reply(answer))
    await queued.deliver()
    assert await queued.states() == ["sent"]


@pytest.mark.parametrize("answer", ["250 taken without a look", "334 what", "199 hm"])
async def test_an_answer_to_data_that_smtp_does_not_know_sends_nothing(queued: Notifier, answer: str) -> None:
    queued.relay.script("DATA", Reply(answer))
    await queued.deliver()
    assert await queued.states() == ["retry"]
    assert queued.relay.taken == []


@pytest.mark.parametrize("answer", ["354 more", "199 hm", "600 ?"])
async def test_an_answer_to_the_final_dot_that_smtp_does_not_know_is_ambiguous(
    queued: Notifier, answer: str
) -> None:
    queued.relay.script("DOT", Reply(answer))
    await queued.deliver()
    assert await queued.states() == ["ambiguous"]


@pytest.mark.parametrize("point", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_5xx_is_failed_for_good_and_published(queued: Notifier, point: str) -> None:
    queued.relay.script(point, Reply("550 5.7.1 not here"))
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code, row.smtp_answer) == ("failed", 550, "5.7.1 not here")
    ((event_type, data),) = await queued.published()
    assert event_type == "fr.cnfpt.notifier.EmailFailed.v1"
    assert json.loads(data)["smtp_code"] == 550
    await queued.change("UPDATE mail SET due_at = now()")
    assert await queued.deliver() == 0


@pytest.mark.parametrize("point", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("code", [530, 534, 535, 538])
async def test_a_relay_that_wants_another_login_says_nothing_of_the_mail(
    queued: Notifier, point: str, code: int
) -> None:
    queued.relay.script(point, Reply(f"{code} 5.7.0 Authentication required"))
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code) == ("retry", code)
    assert await queued.published() == []
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliver()
    assert await queued.states() == ["sent"]
    assert list(queued.relay.per_message_id().values()) == [1]


async def attempts_of(notifier: Notifier) -> int:
    """Attempts that were made: a claim counts as one until it is given back."""
    rows = await notifier.rows()
    return sum(row.attempts - (row.state in ("claimed", "data_started")) for row in rows)


async def test_a_relay_that_wants_another_login_is_left_alone_and_costs_the_mails_that_wait_no_attempt(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 20)
    notifier.relay.script("MAIL", *[Reply("530 5.7.0 Authentication required")] * 1000)
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer(workers=2).run(stopping))

    async def it_has_been_asked_again() -> bool:
        return notifier.relay.commands.count("MAIL FROM:<>") >= 1

    await eventually(it_has_been_asked_again, "a probe with no mail in hand")
    assert await attempts_of(notifier) <= 2, "one for each worker that found out"
    notifier.relay._script.clear()

    async def those_that_waited_are_sent() -> bool:
        return (await notifier.states()).count("sent") >= 18

    await eventually(those_that_waited_are_sent, "the relay lets us in again")
    stopping.set()
    await work
    assert set(notifier.relay.per_message_id().values()) == {1}


async def test_a_mail_that_was_claimed_before_an_outage_costs_no_attempt_when_the_pause_is_over(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outage, "pause", lambda _: 0.0)
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 20)
    notifier.relay.script("MAIL", *[Reply("530 5.7.0 Authentication required")] * 1000)
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer(workers=2).run(stopping))

    async def it_has_been_asked_again() -> bool:
        return notifier.relay.commands.count("MAIL FROM:<>") >= 5

    await eventually(it_has_been_asked_again, "probes with no mail in hand")
    stopping.set()
    await work
    assert await attempts_of(notifier) <= 2, "one for each worker that found out"


@pytest.mark.parametrize("point", ["RCPT", "DATA"])
async def test_a_relay_that_wants_another_login_only_later_is_asked_by_one_mail_at_a_time(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]], point: str
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 20)
    notifier.relay.script(point, *[Reply("535 5.7.8 Credentials invalid")] * 1000)
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer(workers=4).run(stopping))

    def probes() -> int:
        return notifier.relay.commands.count("MAIL FROM:<>")

    async def it_has_been_asked_twice_again() -> bool:
        return probes() >= 2

    await eventually(it_has_been_asked_twice_again, "two probes")
    attempts = await attempts_of(notifier)
    assert attempts <= 4 + probes(), "one for each worker that found out, then one for each probe"
    notifier.relay._script.clear()

    async def those_that_waited_are_sent() -> bool:
        return (await notifier.states()).count("sent") >= 20 - 4 - probes()

    await eventually(those_that_waited_are_sent, "the relay takes mails again")
    stopping.set()
    await work
    assert set(notifier.relay.per_message_id().values()) == {1}


@pytest.mark.parametrize("point", ["RCPT", "DATA"])
async def test_the_pause_grows_until_the_relay_has_taken_a_mail(relay: ScriptedRelay, point: str) -> None:
    relay.script(point, *[Reply("530 login")] * 5)
    pool = SmtpPool(SmtpServer("127.0.0.1", relay.port), size=1)
    for _ in range(5):
        assert (await pool.send(MAIL, yes)).verdict is Verdict.RETRY
        assert pool.has_failed()
        assert await pool.try_relay()
    assert pool.pause() > 1, "half a second at first, then twice as long each time"
    assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT
    assert not pool.has_failed()
    assert pool.pause() == 0
    await pool.close()


async def test_a_relay_that_wants_another_login_is_not_trusted_for_the_connections_that_lie_idle(
    relay: ScriptedRelay,
) -> None:
    hang = Hang()
    relay.script("MAIL", hang)
    pool = SmtpPool(SmtpServer("127.0.0.1", relay.port), size=2)
    first = asyncio.create_task(pool.send(MAIL, yes))
    await relay.reached("MAIL")
    await pool.send(MAIL, yes)
    hang.release.set()
    await first
    assert relay.connections == 2
    relay.script("MAIL", Reply("530 login"), Reply("530 login"))
    assert (await pool.send(MAIL, yes)).verdict is Verdict.RETRY
    assert not await pool.try_relay()
    assert await pool.try_relay()
    assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT
    await pool.close()


async def test_a_refused_recipient_does_not_spoil_the_next_mail_on_the_connection(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    notifier.relay.script("RCPT", Reply("550 no"))
    await notifier.deliver(notifier.deliverer(workers=1))
    assert sorted(await notifier.states()) == ["failed", "sent", "sent"]
    assert notifier.relay.connections == 1
    assert "RSET" in notifier.relay.commands


async def test_connections_are_reused(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 50)
    await notifier.deliver(notifier.deliverer(workers=4))
    assert len(notifier.relay.taken) == 50
    assert notifier.relay.connections <= 4


async def test_a_connection_that_the_relay_closed_while_idle_costs_no_attempt(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 1)
    async with running(notifier.deliverer(workers=1)) as idle:
        await idle()
        await notifier.relay.drop_all()
        await queue_many(notifier, 1)
        await eventually(lambda: notifier.are(["sent", "sent"]), "both sent")
    assert [row.attempts for row in await notifier.rows()] == [1, 1]


async def test_a_relay_that_says_421_to_a_reused_connection_costs_no_attempt(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 2)
    async with running(notifier.deliverer(workers=1)) as idle:
        await idle()
        notifier.relay.script("MAIL", Reply("421 too many messages on this connection"))
        await queue_many(notifier, 1)
        await eventually(lambda: notifier.are(["sent"] * 3), "all sent")


async def test_a_recipient_at_which_the_relay_hangs_costs_one_connection(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 4)
    hangs = [Hang() for _ in range(4)]

    def recipients() -> int:
        return sum(command.startswith("RCPT") for command in notifier.relay.commands)

    async with running(notifier.deliverer(workers=4, timeouts=Timeouts(command=1))) as idle:
        await idle()
        before = recipients()
        notifier.relay.script("RCPT", *hangs)
        await queue_many(notifier, 1)
        await eventually(lambda: notifier.are(["retry", *["sent"] * 4]), "one put off")
    for hang in hangs:
        hang.release.set()
    assert recipients() == before + 1


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
    relay: ScriptedRelay, point: str, answer: str, verdict: Verdict
) -> None:
    hangs = [Hang(), Hang()]  # EHLO is followed by HELO
    relay.script(point, *hangs)
    pool = impatient(relay, **{answer: 0.2})
    assert (await pool.send(MAIL, yes)).verdict is verdict
    for hang in hangs:
        hang.release.set()
    await pool.close()


@pytest.mark.parametrize(
    "action", [Reply("421 x"), Reply("451 x"), Reply("550 x"), Reply("252 x"), Drop(), Hang()], ids=str
)
async def test_a_relay_that_cannot_forget_a_refused_mail_gets_the_next_on_another_connection(
    relay: ScriptedRelay, action: SmtpAction
) -> None:
    relay.script("RCPT", Reply("550 no"))
    relay.script("RSET", action)
    pool = impatient(relay, command=1)
    assert (await pool.send(MAIL, yes)).verdict is Verdict.FAILED
    assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT
    if isinstance(action, Hang):
        action.release.set()
    await pool.close()
    assert len(relay.taken) == 1
    assert relay.connections == 2


async def test_a_relay_may_take_ten_minutes_after_the_final_dot() -> None:
    assert Timeouts().final >= 600  # RFC 5321, 4.5.3.2.6
    assert timedelta(seconds=Timeouts().final + Timeouts().data) < DATA_LEASE


async def test_after_four_days_of_4xx_a_mail_is_failed_and_published(queued: Notifier) -> None:
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.change("UPDATE mail SET give_up_at = now() + interval '10 minutes', attempts = 40")
    await queued.deliver()
    row = await queued.row()
    assert (row.state, row.smtp_code) == ("failed", 451)
    assert [event_type for event_type, _ in await queued.published()] == ["fr.cnfpt.notifier.EmailFailed.v1"]


async def test_a_mail_is_given_four_days(queued: Notifier) -> None:
    row = await queued.row()
    assert row.give_up_at - row.created_at == timedelta(days=4)
