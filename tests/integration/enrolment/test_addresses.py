"""Whose mails come back is known to organisers, until one arrives."""

from uuid import uuid4

from sqlalchemy import text

from services.enrolment.handlers import subscriptions
from shared import clock
from shared.database import Database
from shared.events.notifier import BounceKind, EmailBounced, EmailSent
from shared.events.topics import Topic
from shared.messaging.consumer import Intake
from shared.messaging.decoding import Record, decode
from tests.support.builders import headers


async def hear(database: Database, *events: EmailBounced | EmailSent) -> list[str]:
    """Whose address is bad, after these events."""
    intake = Intake(subscriptions.by_topic[Topic.NOTIFIER_DELIVERIES], database)
    await intake.take(
        [
            decode(
                Record(
                    Topic.NOTIFIER_DELIVERIES,
                    partition=0,
                    offset=0,
                    key=None,
                    value=event.model_dump_json().encode(),
                    headers=tuple(headers(event.TYPE, source="/services/notifier")),
                    received_at=clock.now(),
                )
            )
            for event in events
        ]
    )
    async with database.quiet_transaction() as tx:
        return list((await tx.execute(text("SELECT agent_id FROM bad_address ORDER BY 1"))).scalars())


def bounced(agent_id: str, kind: BounceKind = BounceKind.HARD) -> EmailBounced:
    return EmailBounced(
        mail_id=uuid4(),
        agent_id=agent_id,
        template="enrolment-confirmed",
        cause_id=uuid4(),
        message_id="<1@x.fr>",
        kind=kind,
        bounced_at=clock.now(),
    )


def sent(agent_id: str) -> EmailSent:
    return EmailSent(
        mail_id=uuid4(),
        agent_id=agent_id,
        template="enrolment-confirmed",
        cause_id=uuid4(),
        message_id="<2@x.fr>",
        sent_at=clock.now(),
    )


async def test_a_hard_bounce_marks_an_address_and_a_soft_one_does_not(database: Database) -> None:
    assert await hear(database, bounced("A-1"), bounced("A-2", BounceKind.SOFT)) == ["A-1"]


async def test_a_mark_is_kept_once_and_goes_when_a_mail_is_accepted_again(database: Database) -> None:
    assert await hear(database, bounced("A-1"), bounced("A-1"), bounced("A-2")) == ["A-1", "A-2"]
    assert await hear(database, sent("A-1")) == ["A-2"]


async def test_within_one_batch_the_last_word_counts(database: Database) -> None:
    assert await hear(database, bounced("A-1"), sent("A-1")) == []
    assert await hear(database, sent("A-1"), bounced("A-1")) == ["A-1"]
