"""The promises of the queue: nothing lost, nothing sent twice without an operator's decision."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from services.notifier.delivery import deliverer as claiming
from services.notifier.letters import LetterContext, LetterType, Priority
from services.notifier.store import claims
from services.notifier.store.claims import Settlement
from services.notifier.store.mails import listing
from services.notifier.tables import MailState
from shared import clock
from shared.database import Transaction
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from shared.events.notifier import EmailSent
from shared.events.vocabulary import Event
from tests.conftest import Eventually, opened
from tests.integration.notifier.conftest import Notifier, queue_many, running, until_idle
from tests.integration.notifier.events import ADDRESS, cancelled
from tests.support.smtp import Hang, Reply
from tests.support.statements import kept_plans, statements
from tests.unit.notifier.builders import a_decision, a_mail, an_agent


async def test_a_mail_is_sent_once_and_published(queued: Notifier) -> None:
    assert await queued.deliver() == 1
    row = await queued.row()
    assert (row.state, row.smtp_code, row.attempts) == ("sent", 250, 1)
    assert [(taken.recipient, taken.message_id) for taken in queued.relay.taken] == [
        (ADDRESS, row.message_id)
    ]
    (event,) = await queued.events(EmailSent)
    assert (event["mail_id"], event["cause_id"]) == (str(row.mail_id), str(row.event_id))
    assert (event["message_id"], event["template"]) == (row.message_id, "enrolment-confirmed")
    assert "zoe" not in str(event).lower()
    assert await queued.deliver() == 0


async def test_only_a_mail_that_is_due_makes_the_queue_claimed(
    queued: Notifier, eventually: Eventually
) -> None:
    later = "UPDATE mail SET state = 'retry', due_at = now() + interval '0.3 seconds'"
    with statements() as asked:
        async with running(queued.deliverer()) as idle:
            await idle()
            await queued.change(later)
            await eventually(lambda: queued.are(["sent"]), "sent again once it is due")
            await idle()
    assert len(queued.relay.taken) == 2
    assert sum("SKIP LOCKED" in statement.sql for statement in asked) == 2


async def test_mails_of_commits_shortly_after_one_another_are_claimed_together(
    known: Notifier, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "GATHER_SECONDS", 0.5)
    monkeypatch.setattr(claiming, "POLL_SECONDS", 3600)  # a poll between two commits would claim by itself
    await queue_many(known, 3)
    await known.change("UPDATE mail SET due_at = now() + interval '1 hour'")
    async with running(known.deliverer()) as idle:
        await idle()
        with statements() as asked:
            for number in range(3):
                async with known.database.transaction() as tx:
                    due = text("UPDATE mail SET due_at = now() WHERE recipient = :agent")
                    await tx.execute(due, {"agent": f"A-{number}"})
            await eventually(lambda: known.are(["sent"] * 3), "all sent")
    assert sum("SKIP LOCKED" in statement.sql for statement in asked) == 1


async def test_a_kill_leaves_at_most_two_mails_of_a_worker_ambiguous(
    known: Notifier, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_store, settle = asyncio.Event(), claims.settle

    async def settle_later(tx: Transaction, owner: UUID, settlements: Sequence[Settlement]) -> None:
        await may_store.wait()
        await settle(tx, owner, settlements)

    async def two_are_taken() -> bool:
        return len(known.relay.taken) == 2

    monkeypatch.setattr(claims, "settle", settle_later)
    await queue_many(known, 4)
    async with running(known.deliverer(workers=1)):
        await eventually(two_are_taken, "the second is sent while the result of the first is stored")
        for _ in range(20):  # enough for a third
            assert sorted(await known.states()) == ["claimed"] * 2 + ["data_started"] * 2
        may_store.set()
        await eventually(lambda: known.are(["sent"] * 4), "all sent")


async def test_a_confirmation_that_failed_until_the_withdrawal_is_never_sent(queued: Notifier) -> None:
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.deliver()
    await queued.hear(a_decision(EnrolmentWithdrawn, version=2))
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliver()
    states = {row.template: row.state for row in await queued.rows()}
    assert states == {"enrolment-confirmed": "superseded", "withdrawn": "sent"}
    assert [event["template"] for event in await queued.events(EmailSent)] == ["withdrawn"]
    assert (len(queued.relay.taken), await queued.deliver()) == (1, 0)


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
@pytest.mark.parametrize(
    ("news", "left"),
    [
        (a_decision(EnrolmentWithdrawn, version=2), ["withdrawn"]),
        (cancelled(version=2), []),
    ],
    ids=["withdrawal", "cancellation"],
)
async def test_a_letter_that_becomes_untrue_while_the_relay_hangs_is_not_sent(
    queued: Notifier, eventually: Eventually, step: str, news: Event, left: list[str]
) -> None:
    hang = Hang()

    async def none_is_claimed() -> bool:
        return "claimed" not in await queued.states()

    queued.relay.script(step, hang)
    async with running(queued.deliverer(workers=1)):
        await queued.relay.reached(step)
        await queued.hear(news)
        hang.release.set()
        await eventually(none_is_claimed, "its claim is given back at once")
    await queued.deliver()
    assert [event["template"] for event in await queued.events(EmailSent)] == left


@pytest.mark.parametrize(
    ("template", "left"), [("refused", ["retry"]), ("of-next-year", ["pending"])], ids=["unwritable", "newer"]
)
async def test_a_letter_that_cannot_be_written_holds_up_no_other(
    known: Notifier, template: str, left: Sequence[str]
) -> None:
    """A letter that lacks its reason is tried again. A newer version's letter is left to such a version."""
    await queue_many(known, 3)
    await known.change("UPDATE mail SET template = :to WHERE recipient = 'A-1'", to=template)
    await known.deliver()
    assert sorted(await known.states()) == [*left, "sent", "sent"]


async def test_a_slow_domain_leaves_connections_to_the_others(
    known: Notifier, eventually: Eventually
) -> None:
    async def three_are_taken() -> bool:
        return len(known.relay.taken) == 3

    await queue_many(known, 6)
    other = an_agent(agent_id="OTHER", email="other@elsewhere.example")
    await known.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    hangs = [Hang(), Hang()]
    known.relay.script("DOT", *hangs)
    async with running(known.deliverer(workers=3, per_domain=2)):
        await eventually(three_are_taken, "the other domain's mail beside the two that hang")
        assert known.relay.taken[2].recipient == "other@elsewhere.example"
        for hang in hangs:
            hang.release.set()
        await eventually(lambda: known.are(["sent"] * 7), "all sent")


async def test_a_domain_gets_its_rate_once_however_many_processes_send(
    known: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "CLAIM", 2)  # so that each process claims some
    await queue_many(known, 8)
    deliverers = [known.deliverer(domain_rate=0.001) for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(until_idle(deliverer) for deliverer in deliverers))
    rows = sorted(await known.rows(where="state = 'pending'"), key=lambda row: row.slot_at)
    assert (len(rows), {row.attempts for row in rows}) == (7, {0}), "to wait is no attempt"
    for first, second in pairwise(rows):
        assert round((second.slot_at - first.slot_at).total_seconds()) == 1000
        assert second.due_at - first.due_at == pytest.approx(
            timedelta(seconds=1000), abs=timedelta(seconds=100)
        )
    await known.change("UPDATE mail SET due_at = now(), slot_at = now() WHERE recipient = 'A-7'")
    await until_idle(deliverers[0])
    assert (await known.rows(where="recipient = 'A-7'"))[0].state == "sent", "it had kept its turn"


async def test_slots_that_were_not_used_are_lost_and_not_used_all_at_once(known: Notifier) -> None:
    await queue_many(known, 5)
    deliverer, hours = known.deliverer(domain_rate=0.001), "interval '9 hours'"
    await until_idle(deliverer)
    await known.change(f"UPDATE mail SET due_at = due_at - {hours}, slot_at = slot_at - {hours}")
    await known.change(f"UPDATE domain_rate SET free_at = free_at - {hours}")
    await until_idle(deliverer)
    assert sorted(await known.states()) == ["pending"] * 3 + ["sent"] * 2


async def test_answers_go_before_news(known: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "CLAIM", 2)  # so that the order is the queue's, not that of one claim
    await queue_many(known, 6)
    news = "UPDATE mail SET priority = 2, due_at = due_at - interval '1 hour' WHERE recipient < 'A-3'"
    await known.change(news)
    await known.deliver(known.deliverer(workers=1))
    order = [taken.recipient for taken in known.relay.taken]
    assert set(order[:3]) == {"a3@ville.example", "a4@ville.example", "a5@ville.example"}


async def test_an_answer_passes_the_letters_that_a_process_has_in_hand_already(
    known: Notifier, eventually: Eventually
) -> None:
    async def claimed(number: int) -> bool:
        return (await known.states()).count("claimed") == number

    await queue_many(known, 30)
    await known.change("UPDATE mail SET priority = 2")
    hang = Hang()
    known.relay.script("DOT", hang)
    async with running(known.deliverer(workers=1)):
        await known.relay.reached("DOT")
        await eventually(lambda: claimed(29), "all but the first wait for a worker")
        await known.hear(a_decision(AgentEnrolled))
        await eventually(lambda: claimed(30), "the answer too")
        hang.release.set()
        await eventually(lambda: known.are(["sent"] * 31), "all sent")
    assert known.relay.taken[1].recipient == ADDRESS


async def test_what_is_due_in_weeks_costs_a_claim_nothing(notifier: Notifier) -> None:
    """Whatever their number: the index is entered once for each priority, and left at what is not due."""
    await queue_many(notifier, 50)
    await notifier.change("UPDATE mail SET due_at = now() + interval '20 days', priority = 1")
    await notifier.change("ANALYZE mail")
    values = {"owner": uuid4(), "priorities": list(Priority), "lease": timedelta(minutes=1)}
    values |= {"domain": "x.example", "templates": claims._TEMPLATES}
    async with notifier.database.quiet_transaction(plan_once=True) as tx:
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS OFF) {claims._claim_of(200).text}")
        plan = "\n".join((await tx.execute(explain, values)).scalars())
    assert "Index Cond: ((priority = " in plan
    assert "(due_at <= now())" in plan
    assert "Rows Removed" not in plan


async def test_plans_that_were_made_once_on_an_empty_queue_read_no_whole_queue_later(
    notifier: Notifier,
) -> None:
    owner, lease, claim = uuid4(), timedelta(minutes=1), claims.Claim(uuid4(), 1)
    mail = a_mail(LetterType.CONFIRMED)
    unknown = claims.Claimed(mail, LetterContext(), claim, Priority.ANSWER, 1, timedelta(hours=1))
    url = notifier.database.url.render_as_string(hide_password=False)
    async with opened(url) as unused:
        async with unused.autocommit() as alone:
            await alone.driver.execute("VACUUM ANALYZE mail")
        async with unused.quiet_transaction(plan_once=True) as tx:
            await claims.claim(
                tx, owner, list(Priority), most=100, lease=lease, message_domain="x.example", now=clock.now()
            )
            await claims.mark_data_started(tx, owner, [unknown], lease=lease)
            await claims.settle(tx, owner, [Settlement(claim, MailState.SENT, 250, "ok")])
            plans = await kept_plans(tx, " mail")
    assert len(plans) == 3
    for plan in plans:
        lines = plan.splitlines()
        scans = [at for at, line in enumerate(lines) if re.search(r"Scan .*on mail( mail_\d)? ", line)]
        assert scans
        assert ["Index Cond" in lines[at + 1] for at in scans] == [True] * len(scans), plan


async def test_a_mark_looks_up_its_own_mails_and_not_all_that_are_claimed(known: Notifier) -> None:
    await queue_many(known, 50)
    await known.change("ANALYZE mail")  # none is claimed: the index of leases looks small
    owner = uuid4()
    await known.change(
        "UPDATE mail SET state = 'claimed', owner = :owner, lease_until = now() + interval '1 minute'",
        owner=owner,
    )
    marked = await known.rows(where="recipient < 'A-2'")
    values = {
        "owner": owner,
        "lease": timedelta(minutes=15),
        **claims._columns([claims.Claim(row.mail_id, row.claims) for row in marked]),
        "enrolments": [1] * len(marked),
        "sessions": [1] * len(marked),
    }
    async with known.database.quiet_transaction(plan_once=True) as tx:
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS OFF) {claims._MARK_DATA_STARTED.text}")
        plan = "\n".join((await tx.execute(explain, values)).scalars())
    assert "rows=12.00" in plan
    assert "ix_mail_leased" not in plan


@pytest.mark.parametrize(
    ("issuer", "agent", "state"),
    [(None, None, None), (None, "A-1", None), ("iel", "A-1", None), (None, None, MailState.FAILED)],
)
async def test_the_newest_mails_are_listed_without_sorting_them_all(
    notifier: Notifier, issuer: str | None, agent: str | None, state: MailState | None
) -> None:
    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text("SET LOCAL enable_sort = off"))  # sorts only if no index has the order
        query = listing(issuer, agent, state, 50).compile(
            dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
            compile_kwargs={"literal_binds": True},
        )
        plan = "\n".join((await tx.execute(text(f"EXPLAIN {query}"))).scalars())
    assert "Sort" not in plan
