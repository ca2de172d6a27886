"""The promises of the queue: nothing lost, nothing sent twice without an operator's decision."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from local.ports import free_port, is_free
from local.readiness import wait_until
from services.notifier.delivery import deliverer as claiming
from services.notifier.letters import Priority
from services.notifier.service import mails
from services.notifier.store import claims
from services.notifier.store.mails import listing
from services.notifier.tables import MailState
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from tests.integration.notifier.conftest import Notifier, queue_many, until_idle
from tests.support.lacking import program
from tests.support.smtp import Drop, Hang, Reply
from tests.unit.notifier.builders import a_decision, a_session, an_agent


async def test_a_mail_is_sent_once_and_published(queued: Notifier) -> None:
    assert await queued.deliver() == 1
    row = await queued.row()
    assert (row.state, row.smtp_code, row.attempts) == ("sent", 250, 1)
    (taken,) = queued.relay.taken
    assert taken.recipient == "zoe.durand@ville-exemple.fr"
    assert taken.message_id == row.message_id
    ((event_type, data),) = await queued.published()
    assert event_type == "fr.cnfpt.notifier.EmailSent.v1"
    event = json.loads(data)
    assert (event["mail_id"], event["cause_id"]) == (str(row.mail_id), str(row.event_id))
    assert (event["message_id"], event["template"]) == (row.message_id, "enrolment-confirmed")
    assert "zoe" not in data.lower()
    assert await queued.deliver() == 0


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


async def test_a_confirmation_that_failed_until_the_withdrawal_is_never_sent(queued: Notifier) -> None:
    queued.relay.script("RCPT", Reply("451 later"))
    await queued.deliver()
    await queued.hear(a_decision(EnrolmentWithdrawn, version=2))
    await queued.change("UPDATE mail SET due_at = now()")
    await queued.deliver()
    assert {row.template: row.state for row in await queued.rows()} == {
        "enrolment-confirmed": "superseded",
        "withdrawn": "sent",
    }
    assert len(queued.relay.taken) == 1
    assert [event_type for event_type, _ in await queued.published()] == ["fr.cnfpt.notifier.EmailSent.v1"]
    assert await queued.deliver() == 0


async def test_a_slow_domain_leaves_connections_to_the_others(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 6)
    other = an_agent(agent_id="OTHER", email="other@elsewhere.example")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    hangs = [Hang(), Hang()]
    notifier.relay.script("DOT", *hangs)
    work = asyncio.create_task(notifier.deliver(notifier.deliverer(workers=3, per_domain=2)))

    async def three_are_taken() -> bool:
        return len(notifier.relay.taken) == 3

    await eventually(three_are_taken, "the other domain's mail beside the two that hang")
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
    await until_idle(deliverer)
    rows = await notifier.rows()
    assert sorted(row.state for row in rows) == ["pending", "pending", "sent"]
    waiting = sorted((row for row in rows if row.state == "pending"), key=lambda row: row.due_at)
    assert [row.attempts for row in waiting] == [0, 0]
    assert timedelta(seconds=900) < waiting[1].due_at - waiting[0].due_at < timedelta(seconds=1100)


async def test_a_domain_gets_its_rate_once_however_many_processes_send(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "CLAIM", 2)  # so that each process claims some
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 8)
    deliverers = [notifier.deliverer(domain_rate=0.001) for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(until_idle(deliverer) for deliverer in deliverers))
    assert sorted(await notifier.states()) == ["pending"] * 7 + ["sent"]
    slots = sorted(row.slot_at for row in await notifier.rows(where="state = 'pending'"))
    assert {round((later - slot).total_seconds()) for slot, later in pairwise(slots)} == {1000}
    await notifier.change("UPDATE mail SET due_at = now(), slot_at = now() WHERE recipient = 'A-7'")
    await until_idle(deliverers[0])
    assert (await notifier.rows(where="recipient = 'A-7'"))[0].state == "sent", "it had kept its turn"


async def test_slots_that_were_not_used_are_lost_and_not_used_all_at_once(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 5)
    deliverer = notifier.deliverer(domain_rate=0.001)
    await until_idle(deliverer)
    hours = "interval '9 hours'"
    await notifier.change(f"UPDATE mail SET due_at = due_at - {hours}, slot_at = slot_at - {hours}")
    await notifier.change(f"UPDATE domain_rate SET free_at = free_at - {hours}")
    await until_idle(deliverer)
    assert sorted(await notifier.states()) == ["pending"] * 3 + ["sent"] * 2


@pytest.fixture
def kept_mails(tmp_path: Path) -> Path:
    """A folder that everybody may write to."""
    tmp_path.chmod(0o777)
    return tmp_path


def all_of(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.iterdir())


async def test_the_ordinary_path_to_smtp_sink(notifier: Notifier, kept_mails: Path) -> None:
    """Postfix's own sink, which keeps what it took: every mail, once."""
    smtp_sink = program("smtp-sink", package="postfix")
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 60)
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = await asyncio.create_subprocess_exec(
        smtp_sink, *user, "-R", str(kept_mails), "-d", "%M.", f"127.0.0.1:{port}", "64"
    )
    try:
        await asyncio.to_thread(wait_until, lambda: not is_free(port), seconds=10, what="smtp-sink")
        notifier.relay.port, relays_own = port, notifier.relay.port
        await notifier.deliver(notifier.deliverer(workers=8))
        notifier.relay.port = relays_own
    finally:
        sink.terminate()
        await sink.wait()
    assert set(await notifier.states()) == {"sent"}
    kept = all_of(kept_mails)
    expected = [row.message_id for row in await notifier.rows()]
    assert [kept.count(f"Message-ID: {message_id}") for message_id in expected] == [1] * 60


async def test_an_operator_may_say_that_an_ambiguous_mail_arrived(queued: Notifier) -> None:
    queued.relay.script("DOT", Drop())
    await queued.deliver()
    row = await queued.row()
    async with queued.database.transaction() as tx:
        assert await mails.resolve(tx, row.mail_id, sent=True, actor="op") == (MailState.AMBIGUOUS, True)
    assert await queued.states() == ["sent"]
    assert [event_type for event_type, _ in await queued.published()] == ["fr.cnfpt.notifier.EmailSent.v1"]
    assert await queued.deliver() == 0


async def test_an_operator_may_send_an_ambiguous_mail_again_under_the_same_message_id(
    queued: Notifier,
) -> None:
    queued.relay.script("DOT", Drop())
    await queued.deliver()
    row = await queued.row()
    async with queued.database.transaction() as tx:
        assert await mails.resolve(tx, row.mail_id, sent=False, actor="op") == (MailState.AMBIGUOUS, True)
    await queued.deliver()
    assert await queued.states() == ["sent"]
    assert queued.relay.per_message_id() == {row.message_id: 2}


async def test_an_operator_cannot_resend_what_was_sent(queued: Notifier) -> None:
    await queued.deliver()
    row = await queued.row()
    async with queued.database.transaction() as tx:
        assert await mails.resolve(tx, row.mail_id, sent=False, actor="op") == (MailState.SENT, False)
    assert await queued.states() == ["sent"]
    assert await queued.deliver() == 0


async def test_a_letter_that_cannot_be_written_holds_up_no_other(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    await notifier.change("UPDATE mail SET template = 'refused' WHERE recipient = 'A-1'")  # lacks its reason
    await notifier.deliver()
    assert sorted(await notifier.states()) == ["retry", "sent", "sent"]


async def test_a_letter_of_a_newer_version_is_left_to_a_process_that_knows_it(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 3)
    await notifier.change("UPDATE mail SET template = 'of-next-year' WHERE recipient = 'A-1'")
    assert await notifier.deliver() == 2
    assert sorted(await notifier.states()) == ["pending", "sent", "sent"]


async def test_answers_go_before_news(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "CLAIM", 2)  # so that the order is the queue's, not that of one claim
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 6)
    await notifier.change(
        "UPDATE mail SET priority = 2, due_at = due_at - interval '1 hour' "
        "WHERE recipient IN ('A-0', 'A-1', 'A-2')"
    )
    await notifier.deliver(notifier.deliverer(workers=1))
    order = [taken.recipient for taken in notifier.relay.taken]
    assert set(order[:3]) == {"a3@ville.example", "a4@ville.example", "a5@ville.example"}


async def test_what_is_due_in_weeks_costs_a_claim_nothing(notifier: Notifier) -> None:
    """Whatever their number: the index is entered once for each priority, and left at what is not due."""
    await queue_many(notifier, 300)
    await notifier.change("UPDATE mail SET due_at = now() + interval '20 days', priority = 1")
    await notifier.change("ANALYZE mail")
    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS OFF) {claims._CLAIM.text}")
        plan = "\n".join((await tx.execute(explain, _CLAIM_VALUES)).scalars())
    assert "Index Cond: ((priority = " in plan
    assert "(due_at <= now())" in plan
    assert "Rows Removed" not in plan


async def test_an_answer_passes_the_letters_that_a_process_has_in_hand_already(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    async def claimed(number: int) -> bool:
        return (await notifier.states()).count("claimed") == number

    async def all_taken() -> bool:
        return len(notifier.relay.taken) == 81

    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 80)
    await notifier.change("UPDATE mail SET priority = 2")
    hang = Hang()
    notifier.relay.script("DOT", hang)
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.deliverer(workers=1).run(stopping))
    await notifier.relay.reached("DOT")
    await eventually(lambda: claimed(79), "all but the first wait for a worker")
    late = an_agent(agent_id="LATE", email="late@ville.example")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=late))
    await eventually(lambda: claimed(80), "the answer too")
    hang.release.set()
    await eventually(all_taken, "all mails taken")
    stopping.set()
    await work
    assert notifier.relay.taken[1].recipient == "late@ville.example"


@pytest.mark.parametrize(
    ("issuer", "agent", "state"),
    [(None, None, None), (None, "A-1", None), ("iel", "A-1", None), (None, None, MailState.FAILED)],
)
async def test_the_newest_mails_are_listed_without_sorting_them_all(
    notifier: Notifier, issuer: str | None, agent: str | None, state: MailState | None
) -> None:
    await queue_many(notifier, 400)
    await notifier.change("ANALYZE mail")
    async with notifier.database.quiet_transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        await tx.execute(text("SET LOCAL enable_bitmapscan = off"))
        query = listing(issuer, agent, state, 50).compile(
            dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
            compile_kwargs={"literal_binds": True},
        )
        plan = "\n".join((await tx.execute(text(f"EXPLAIN {query}"))).scalars())
    assert "Sort" not in plan


_CLAIM_VALUES = {
    "owner": uuid4(),
    "priorities": list(Priority),
    "most": 200,
    "lease": timedelta(minutes=1),
    "domain": "x.example",
    "templates": claims._TEMPLATES,
}
