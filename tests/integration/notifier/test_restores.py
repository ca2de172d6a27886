"""A database that was restored from a backup: no letter leaves a second time."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from local.kafka import KafkaBroker
from services.notifier import restores as guard
from services.notifier.service import restores
from shared import clock
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentEnrolled
from shared.events.index import BY_TYPE
from shared.events.notifier import EmailSent, MailEnd
from shared.messaging.broker import KafkaSettings
from tests.conftest import Eventually
from tests.integration.notifier.conftest import Notifier, RunCommand
from tests.integration.notifier.events import enrolled, scheduled
from tests.support.builders import headers
from tests.support.consuming import received
from tests.support.kafka import KafkaPortal

RECONCILE = ("mails", "reconcile", "--since", "2025-01-01")
SESSION = scheduled()


def decisions(number: int) -> list[AgentEnrolled]:
    return [enrolled(n) for n in range(number)]


async def published(notifier: Notifier) -> list[Received[MailEnd]]:
    """What the outbox has published of mails, as it is read from the topic."""
    rows = await notifier.query("SELECT event_id, type, data, created_at FROM outbox ORDER BY id")
    return [
        received(BY_TYPE[row.type].model_validate_json(row.data), row.event_id, row.created_at)
        for row in rows
    ]


async def restore(notifier: Notifier, *waiting: str) -> None:
    """Put the database back to where the mails of these agents waited, and no other had been heard of."""
    for statement in (
        "DELETE FROM outbox",
        "DELETE FROM mail_audit",
        "DELETE FROM mail WHERE recipient <> ALL(:waiting)",
        "DELETE FROM enrolment WHERE agent_id <> ALL(:waiting)",
        "DELETE FROM inbox",
        "UPDATE mail SET state = 'pending', settled_at = NULL, owner = NULL, message_id = NULL",
    ):
        await notifier.change(statement, **({"waiting": list(waiting)} if ":waiting" in statement else {}))


async def has_forgotten(notifier: Notifier, ended: Sequence[Received[MailEnd]]) -> bool:
    async with notifier.database.quiet_transaction() as tx:
        return await restores.has_forgotten(tx, ended)


async def reconcile(
    notifier: Notifier,
    ended: Sequence[Received[MailEnd]],
    logged: Mapping[UUID, str] | None = None,
    *,
    accept_missing: bool = False,
) -> tuple[int, Mapping[str, int]]:
    """Return how many mails were marked, and which are missing."""
    async with notifier.database.transaction() as tx:
        done = await restores.reconcile(tx, ended, logged or {}, accept_missing=accept_missing, actor="ops")
    return done.marked, done.missing


async def test_what_left_since_the_backup_does_not_leave_again(notifier: Notifier) -> None:
    await notifier.hear(SESSION)
    made = decisions(5)
    ids = [uuid4() for _ in made]
    await notifier.hear(*made[:4], ids=ids[:4])
    await notifier.deliver()
    ended = await published(notifier)
    assert len(notifier.relay.taken) == len(ended) == 4
    assert not await has_forgotten(notifier, ended)

    await restore(notifier, "A-0", "A-1")
    # The last two were decided after the backup: nobody knows yet whether they will be read again.
    assert await reconcile(notifier, ended) == (0, {"enrolment-confirmed": 2})
    assert await notifier.states() == ["pending"] * 2
    assert await has_forgotten(notifier, ended)

    await notifier.hear(*made, ids=ids)
    assert await reconcile(notifier, ended) == (4, {})
    assert not await has_forgotten(notifier, ended)
    await notifier.deliver()
    recipients = sorted(mail.recipient for mail in notifier.relay.taken)
    assert recipients == [f"a{n}@ville.example" for n in range(5)], "each once"
    done = await notifier.query("SELECT DISTINCT actor || ': ' || action FROM mail_audit")
    assert done == [("ops: reconciled after a restore",)]


async def test_what_the_relay_took_and_nobody_heard_of_is_in_its_log(notifier: Notifier) -> None:
    """The crash came between the relay's answer and the event."""
    await notifier.hear(SESSION)
    (decision,) = decisions(1)
    (event_id,) = await notifier.hear(decision)
    await notifier.deliver()
    message_id = notifier.relay.taken[0].message_id
    log = f"postfix/cleanup[7]: 4c3: message-id={message_id}\n"
    await restore(notifier)
    await notifier.hear(decision, ids=[event_id])

    assert await reconcile(notifier, [], restores.message_ids_in(log)) == (1, {})

    assert await notifier.deliver() == 0
    [sent] = await published(notifier)
    assert isinstance(sent.event, EmailSent), "now it is published"
    assert sent.event.message_id == message_id
    assert await reconcile(notifier, [], {uuid4(): "<x@y>"}) == (0, {restores.RELAYS_LOG: 1})


async def test_an_empty_log_of_the_relay_is_not_taken_for_one(command: RunCommand, tmp_path: Path) -> None:
    """So a shell that hands nothing in lets no letter leave twice."""
    log = tmp_path / "relay.log"
    log.touch()
    refused = await command(*RECONCILE, "--relay-log", str(log))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "no Message-ID of ours: nothing was changed" in refused.stderr


async def test_a_mail_that_will_not_come_again_is_accepted_as_missing(notifier: Notifier) -> None:
    await notifier.hear(SESSION)
    await notifier.hear(*decisions(1))
    await notifier.deliver()
    ended = await published(notifier)
    await restore(notifier)

    assert await reconcile(notifier, ended, accept_missing=True) == (0, {"enrolment-confirmed": 1})

    assert not await has_forgotten(notifier, ended)


async def test_nothing_is_sent_until_it_is_reconciled(
    notifier: Notifier, command: RunCommand, kafka: KafkaBroker, eventually: Eventually
) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    sent = EmailSent(
        mail_id=uuid4(),
        agent_id="A-1",
        template="enrolment-confirmed",
        cause_id=uuid4(),
        message_id="<1@cnfpt.example>",
        sent_at=clock.now(),
    )
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        made = headers(EmailSent.TYPE, source="/services/notifier")
        await portal.send(EmailSent.TOPIC, [(sent.key, made, sent.model_dump_json().encode())])

    waiting = asyncio.create_task(
        guard.wait_until_reconciled(notifier.database, settings, asyncio.Event(), every=0.05)
    )

    async def held() -> bool:
        return bool(guard.HELD._value.get())

    await eventually(held, "it holds its mails")
    refused = await command(*RECONCILE, **environment)
    assert refused.exit_code == 1, refused.stderr
    assert "of enrolment-confirmed" in refused.stdout
    assert "Nothing was changed" in refused.stderr
    done = await command(*RECONCILE, "--accept-missing", **environment)
    assert done.exit_code == 0, done.stderr
    await asyncio.wait_for(waiting, 10)
    assert guard.HELD._value.get() == 0
