"""The promises of the queue: nothing lost, nothing sent twice without an operator's word."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.notifier import delivery, jobs, store
from services.notifier.mailer import Patience
from services.notifier.store import lookup, sending
from services.notifier.tables import MailState
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from tests.integration.notifier.conftest import Notifier
from tests.support.smtp import Drop, Hang, Reply
from tests.unit.notifier.builders import a_decision, a_session, an_agent


@pytest.fixture
async def queued(notifier: Notifier) -> Notifier:
    """One mail in the queue, its session known."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    return notifier


async def queue_many(notifier: Notifier, number: int) -> None:
    decisions = [
        a_decision(
            AgentEnrolled,
            enrolment_id=uuid4(),
            agent=an_agent(agent_id=f"A-{n}", email=f"a{n}@ville.example"),
        )
        for n in range(number)
    ]
    await notifier.hear(*decisions)


async def test_a_mail_is_sent_once_and_told(queued: Notifier) -> None:
    assert await queued.deliverer().deliver_due() == 1
    row = await queued.row()
    assert (row.state, row.smtp_code, row.attempts) == ("sent", 250, 1)
    (taken,) = queued.relay.taken
    assert taken.recipient == "zoe.durand@ville-exemple.fr"
    assert taken.message_id == row.message_id
    ((event_type, data),) = await queued.told()
    assert event_type == "fr.cnfpt.notifier.EmailSent.v1"
    told = json.loads(data)
    assert (told["mail_id"], told["cause_id"]) == (str(row.mail_id), str(row.event_id))
    assert (told["message_id"], told["template"]) == (row.message_id, "enrolment-confirmed")
    assert "zoe" not in data.lower()
    assert await queued.deliverer().deliver_due() == 0


async def test_any_2xx_after_the_final_dot_is_sent(queued: Notifier) -> None:
    queued.relay.script("DOT", Reply("252 taken, I think"))
    await queued.deliverer().deliver_due()
    assert await queued.states() == ["sent"]
    assert len(queued.relay.taken) == 1


@pytest.mark.parametrize("point", ["CONNECT", "EHLO", "MAIL", "RCPT"])
async def test_a_connection_that_falls_before_data_is_tried_again(queued: Notifier, point: str) -> None:
    queued.relay.script(point, Drop(), Drop(), Drop())  # EHLO is followed by HELO
    await queued.deliverer().deliver_due()
    row = await queued.row()
    assert row.state == "retry"
    assert queued.relay.taken == []
    await queued.change("UPDATE mail SET due_at = now()")
    queued.relay._script.clear()
    await queued.deliverer().deliver_due()
    assert await queued.states() == ["sent"]
    assert list(queued.relay.per_message_id().values()) == [1]
    assert queued.relay.taken[0].message_id == row.message_id


@pytest.mark.parametrize("point", ["DATA", "BODY", "DOT"])
async def test_a_connection_that_falls_after_the_mark_is_ambiguous_and_never_sent_again(
    queued: Notifier, point: str
) -> None:
    queued.relay.script(point, Drop())
    await queued.deliverer().deliver_due()
    assert await queued.states() == ["ambiguous"]
    await queued.change("UPDATE mail SET due_at = now() - interval '1 day'")
    assert await queued.deliverer().deliver_due() == 0
    assert len(queued.relay.taken) == (1 if point == "DOT" else 0)
    assert await queued.told() == []


@pytest.mark.parametrize("point", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("code", ["451", "421"])
async def test_4xx_is_tried_again(queued: Notifier, point: str, code: str) -> None:
    queued.relay.script(point, Reply(f"{code} later"))
    await queued.deliverer().deliver_due()
    row = await queued.row()
    assert (row.state, row.smtp_code) == ("retry", int(code))
    assert row.due_at > row.created_at
    assert queued.relay.taken == []
    assert await queued.told() == []
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliverer().deliver_due()
    assert await queued.states() == ["sent"]


@pytest.mark.parametrize("point", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_5xx_is_failed_for_good_and_told(queued: Notifier, point: str) -> None:
    queued.relay.script(point, Reply("550 5.1.1 no such user"))
    await queued.deliverer().deliver_due()
    row = await queued.row()
    assert (row.state, row.smtp_code, row.smtp_answer) == ("failed", 550, "5.1.1 no such user")
    ((event_type, data),) = await queued.told()
    assert event_type == "fr.cnfpt.notifier.EmailFailed.v1"
    assert json.loads(data)["smtp_code"] == 550
    await queued.change("UPDATE mail SET due_at = now()")
    assert await queued.deliverer().deliver_due() == 0


async def test_a_refused_recipient_does_not_spoil_the_next_mail_on_the_connection(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    notifier.relay.script("RCPT", Reply("550 no"))
    await notifier.deliverer(lanes=1).deliver_due()
    assert sorted(await notifier.states()) == ["failed", "sent", "sent"]
    assert notifier.relay.connections == 1
    assert "RSET" in notifier.relay.commands


async def test_connections_are_reused(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 50)
    await notifier.deliverer(lanes=4).deliver_due()
    assert len(notifier.relay.taken) == 50
    assert notifier.relay.connections <= 4


async def test_a_connection_that_the_relay_closed_while_idle_costs_no_attempt(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 1)
    deliverer = notifier.deliverer(lanes=1)
    await deliverer.deliver_due()
    await notifier.relay.drop_all()
    await queue_many(notifier, 1)
    await deliverer.deliver_due()
    assert await notifier.states() == ["sent", "sent"]
    assert [row.attempts for row in await notifier.rows()] == [1, 1]


async def test_a_relay_that_says_421_to_a_reused_connection_costs_no_attempt(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 2)
    deliverer = notifier.deliverer(lanes=1)
    await deliverer.deliver_due()
    await queue_many(notifier, 1)
    notifier.relay.script("MAIL", Reply("421 too many messages on this connection"))
    await deliverer.deliver_due()
    assert await notifier.states() == ["sent"] * 3


async def test_a_relay_too_slow_before_data_is_tried_again(queued: Notifier) -> None:
    hang = Hang()
    queued.relay.script("RCPT", hang)
    await queued.deliverer(patience=Patience(command=0.2)).deliver_due()
    hang.release.set()
    assert await queued.states() == ["retry"]


async def test_a_relay_too_slow_after_the_final_dot_is_ambiguous(queued: Notifier) -> None:
    hang = Hang()
    queued.relay.script("DOT", hang)
    await queued.deliverer(patience=Patience(final=0.2)).deliver_due()
    hang.release.set()
    assert await queued.states() == ["ambiguous"]
    assert len(queued.relay.taken) == 1


async def test_a_relay_may_take_ten_minutes_after_the_final_dot() -> None:
    assert Patience().final >= 600  # RFC 5321, 4.5.3.2.6
    assert timedelta(seconds=Patience().final + Patience().data) < delivery.DATA_LEASE


async def test_the_mark_is_durable_before_data(queued: Notifier) -> None:
    """At the moment that the relay sees DATA, another connection to the database sees the mark."""
    hang = Hang()
    queued.relay.script("DATA", hang)
    work = asyncio.create_task(queued.deliverer().deliver_due())
    await queued.relay.reached("DATA")
    row = await queued.row()
    assert row.state == "data_started"
    assert row.lease_until is not None
    hang.release.set()
    await work
    assert await queued.states() == ["sent"]


async def test_no_data_is_sent_when_the_claim_was_lost(queued: Notifier) -> None:
    """A lease ran out while its owner hung (SIGSTOP): somebody else may have the mail now."""
    hang = Hang()
    queued.relay.script("RCPT", hang)
    work = asyncio.create_task(queued.deliverer().deliver_due())
    await queued.relay.reached("RCPT")
    await queued.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(queued.database)
    assert await queued.states() == ["pending"]
    await queued.change("UPDATE mail SET due_at = now() + interval '1 hour'")
    hang.release.set()
    await work
    assert "DATA" not in queued.relay.commands
    assert await queued.states() == ["pending"]
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliverer().deliver_due()
    assert list(queued.relay.per_message_id().values()) == [1]


async def test_an_owner_that_hung_after_data_still_settles_what_it_knows(queued: Notifier) -> None:
    hang = Hang()
    queued.relay.script("DOT", hang)
    work = asyncio.create_task(queued.deliverer().deliver_due())
    await queued.relay.reached("DOT")
    await queued.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(queued.database)
    assert await queued.states() == ["ambiguous"]
    hang.release.set()
    await work
    assert await queued.states() == ["sent"]


@pytest.mark.parametrize(
    ("point", "left", "then"),
    [
        ("CONNECT", "claimed", "pending"),
        ("MAIL", "claimed", "pending"),
        ("RCPT", "claimed", "pending"),
        ("DATA", "data_started", "ambiguous"),
        ("BODY", "data_started", "ambiguous"),
        ("DOT", "data_started", "ambiguous"),
    ],
)
async def test_a_kill_between_claim_and_sent_loses_nothing_and_doubles_nothing(
    queued: Notifier, point: str, left: str, then: str
) -> None:
    hang = Hang()
    queued.relay.script(point, hang)
    work = asyncio.create_task(queued.deliverer().deliver_due())
    await queued.relay.reached(point)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    hang.release.set()
    assert await queued.states() == [left]
    assert await queued.deliverer().deliver_due() == 0  # the lease protects it
    await queued.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(queued.database)
    assert await queued.states() == [then]
    await queued.deliverer().deliver_due()
    assert all(count == 1 for count in queued.relay.per_message_id().values())
    assert await queued.states() == ["sent" if then == "pending" else "ambiguous"]


async def test_two_deliverers_on_one_queue_never_send_twice(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 450)
    tried = await asyncio.gather(*(notifier.deliverer(lanes=6).deliver_due() for _ in range(3)))
    assert sum(tried) == 450
    assert sum(count > 0 for count in tried) > 1, "they did not work at the same time: this proves nothing"
    counts = notifier.relay.per_message_id()
    assert len(counts) == 450
    assert set(counts.values()) == {1}
    assert set(await notifier.states()) == {"sent"}
    assert len(await notifier.told()) == 450


async def test_a_stop_finishes_what_the_relay_has_and_gives_back_the_rest(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 20)
    hang = Hang()
    notifier.relay.script("DOT", hang)
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer(lanes=1).run(stopping))
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


async def test_a_running_deliverer_sends_what_is_committed_meanwhile(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    async def all_taken() -> bool:
        return len(notifier.relay.taken) == 3

    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer().run(stopping))
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    await eventually(all_taken, "three mails taken")
    stopping.set()
    await work
    assert await notifier.states() == ["sent"] * 3


async def test_a_relay_that_is_down_costs_few_attempts_and_loses_nothing(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 100)
    port = notifier.relay.port
    await notifier.relay.stop()
    await notifier.deliverer(lanes=4).deliver_due()
    rows = await notifier.rows()
    assert sum(row.attempts for row in rows) <= 8
    assert {row.state for row in rows} == {"retry", "pending"}
    await notifier.change("UPDATE mail SET due_at = now(), give_up_at = give_up_at - interval '1 day'")
    await notifier.relay.start(port)
    await notifier.deliverer(lanes=4).deliver_due()
    assert len(notifier.relay.per_message_id()) == 100
    assert set(await notifier.states()) == {"sent"}


async def test_a_confirmation_that_failed_until_the_withdrawal_is_never_sent(queued: Notifier) -> None:
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.deliverer().deliver_due()
    await queued.hear(a_decision(EnrolmentWithdrawn, version=2))
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliverer().deliver_due()
    assert {row.template: row.state for row in await queued.rows()} == {
        "enrolment-confirmed": "superseded",
        "withdrawn": "sent",
    }
    assert len(queued.relay.taken) == 1
    assert [event_type for event_type, _ in await queued.told()] == ["fr.cnfpt.notifier.EmailSent.v1"]
    assert await queued.deliverer().deliver_due() == 0


async def test_a_slow_domain_leaves_connections_to_the_others(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 6)
    other = an_agent(agent_id="OTHER", email="other@elsewhere.example")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    hangs = [Hang(), Hang()]
    notifier.relay.script("DOT", *hangs)
    work = asyncio.create_task(notifier.deliverer(lanes=3, per_domain=2).deliver_due())
    while len(notifier.relay.taken) < 3:  # noqa: ASYNC110 the test's own limit is the deadline
        await asyncio.sleep(0.01)
    assert [taken.recipient for taken in notifier.relay.taken][2] == "other@elsewhere.example"
    for hang in hangs:
        hang.release.set()
    assert await work == 7
    assert set(await notifier.states()) == {"sent"}


async def test_a_domain_gets_no_more_than_its_rate_and_nothing_is_an_attempt_before(
    notifier: Notifier,
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    deliverer = notifier.deliverer(domain_rate=0.001)
    await deliverer.deliver_due()
    rows = await notifier.rows()
    assert sorted(row.state for row in rows) == ["pending", "pending", "sent"]
    waiting = sorted((row for row in rows if row.state == "pending"), key=lambda row: row.due_at)
    assert [row.attempts for row in waiting] == [0, 0]
    assert timedelta(seconds=900) < waiting[1].due_at - waiting[0].due_at < timedelta(seconds=1100)


async def test_a_short_break_of_the_relay_makes_a_short_pause(notifier: Notifier) -> None:
    """However many lanes found out about it."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 40)
    await notifier.relay.stop()
    deliverer = notifier.deliverer(lanes=20)
    await deliverer.deliver_due()
    assert 0 < deliverer._mailer.pause() <= 0.5


async def test_an_outage_costs_the_mails_that_wait_no_attempt(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 2)
    port = notifier.relay.port
    await notifier.relay.stop()
    deliverer = notifier.deliverer(lanes=1)
    stopping = asyncio.Event()
    work = asyncio.create_task(deliverer.run(stopping))

    async def tried_more_than_once() -> bool:
        return deliverer._mailer._outage.failures > 2

    await eventually(tried_more_than_once, "the relay tried again")
    assert max(row.attempts for row in await notifier.rows()) == 1
    assert min(row.attempts for row in await notifier.rows()) == 0
    await notifier.relay.start(port)

    async def the_other_is_sent() -> bool:
        return "sent" in await notifier.states()

    await eventually(the_other_is_sent, "the mail that had waited")
    stopping.set()
    await work


async def test_after_four_days_of_4xx_a_mail_is_failed_and_told(queued: Notifier) -> None:
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.change("UPDATE mail SET give_up_at = now() + interval '10 minutes', attempts = 40")
    await queued.deliverer().deliver_due()
    row = await queued.row()
    assert (row.state, row.smtp_code) == ("failed", 451)
    assert [event_type for event_type, _ in await queued.told()] == ["fr.cnfpt.notifier.EmailFailed.v1"]


async def test_a_mail_is_given_four_days(queued: Notifier) -> None:
    row = await queued.row()
    assert row.give_up_at - row.created_at == timedelta(days=4)


async def test_an_operator_may_say_that_an_ambiguous_mail_arrived(queued: Notifier) -> None:
    queued.relay.script("DOT", Drop())
    await queued.deliverer().deliver_due()
    row = await queued.row()
    async with queued.database.transaction() as tx:
        assert await store.resolve(tx, row.mail_id, sent=True, actor="op") is MailState.AMBIGUOUS
    assert await queued.states() == ["sent"]
    assert [event_type for event_type, _ in await queued.told()] == ["fr.cnfpt.notifier.EmailSent.v1"]
    assert await queued.deliverer().deliver_due() == 0


async def test_an_operator_may_send_an_ambiguous_mail_again_under_the_same_message_id(
    queued: Notifier,
) -> None:
    queued.relay.script("DOT", Drop())
    await queued.deliverer().deliver_due()
    row = await queued.row()
    async with queued.database.transaction() as tx:
        assert await store.resolve(tx, row.mail_id, sent=False, actor="op") is MailState.AMBIGUOUS
    await queued.deliverer().deliver_due()
    assert await queued.states() == ["sent"]
    assert queued.relay.per_message_id() == {row.message_id: 2}


async def test_an_operator_cannot_resend_what_was_sent(queued: Notifier) -> None:
    await queued.deliverer().deliver_due()
    row = await queued.row()
    async with queued.database.transaction() as tx:
        assert await store.resolve(tx, row.mail_id, sent=False, actor="op") is MailState.SENT
    assert await queued.states() == ["sent"]
    assert await queued.deliverer().deliver_due() == 0


async def test_a_letter_that_cannot_be_written_holds_up_no_other(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    await notifier.change(
        "UPDATE mail SET template = 'waitlisted' WHERE recipient = 'A-1'"
    )  # lacks its position
    await notifier.deliverer().deliver_due()
    assert sorted(await notifier.states()) == ["retry", "sent", "sent"]


async def test_answers_go_before_news(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CLAIM", 2)  # so that the order is the queue's, not that of one claim
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 6)
    await notifier.change(
        "UPDATE mail SET priority = 2, due_at = due_at - interval '1 hour' "
        "WHERE recipient IN ('A-0', 'A-1', 'A-2')"
    )
    await notifier.deliverer(lanes=1).deliver_due()
    order = [taken.recipient for taken in notifier.relay.taken]
    assert set(order[:3]) == {"a3@ville.example", "a4@ville.example", "a5@ville.example"}


@pytest.mark.parametrize("where", ["true", "recipient = 'A-1'", "state = 'failed'"])
async def test_the_newest_mails_are_listed_without_sorting_them_all(notifier: Notifier, where: str) -> None:
    await queue_many(notifier, 400)
    await notifier.change("ANALYZE mail")
    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        await tx.execute(text("SET LOCAL enable_bitmapscan = off"))
        explain = text(f"EXPLAIN {lookup._listing(where).text}")
        plan = "\n".join((await tx.execute(explain, {"limit": 50})).scalars())
    assert "Sort" not in plan


async def test_the_index_of_due_mails_serves_the_claim(notifier: Notifier) -> None:
    await queue_many(notifier, 400)
    await notifier.change("ANALYZE mail")
    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join((await tx.execute(text(f"EXPLAIN {sending._CLAIM.text}"), _CLAIM_VALUES)).scalars())
    assert "ix_mail_due" in plan


_CLAIM_VALUES = {"owner": uuid4(), "most": 200, "lease": timedelta(minutes=1), "domain": "x.example"}


async def test_a_claim_that_ran_out_marks_and_settles_nothing_though_the_same_process_claimed_again(
    queued: Notifier,
) -> None:
    notifier = queued
    owner, minute = uuid4(), timedelta(minutes=1)

    async def claim() -> store.Claim:
        async with notifier.database.quiet_transaction() as tx:
            [claimed] = await store.claim(tx, owner, most=10, lease=minute, message_domain="x.example")
        return claimed.claim

    first = await claim()
    await notifier.change("UPDATE mail SET lease_until = now() - interval '1 second'")
    await jobs.expire_leases(notifier.database)
    second = await claim()

    async with notifier.database.transaction() as tx:
        assert await store.start_data(tx, owner, [first, second], lease=minute) == {second}
        late = store.Settlement(first, MailState.RETRY, None, "timed out before DATA")
        await store.settle(tx, owner, [late])
        await store.settle(tx, owner, [store.Settlement(second, MailState.SENT, 250, "ok")])
        counts = await store.counts(tx)
    assert (counts[MailState.SENT], counts[MailState.RETRY]) == (1, 0)
