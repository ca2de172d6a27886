from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.notifier.store.events import PUBLISHED, PublishedMail, ended
from services.notifier.tables import MailState
from shared.database import Transaction
from shared.events.notifier import EmailSent, MailEnd
from shared.events.vocabulary import Event

UNFINISHED = (
    MailState.PENDING,
    MailState.CLAIMED,
    MailState.DATA_STARTED,
    MailState.RETRY,
    MailState.AMBIGUOUS,
)


async def states(tx: Transaction, mail_ids: Collection[UUID]) -> dict[UUID, MailState]:
    rows = await tx.execute(_STATES, {"ids": list(mail_ids)})
    return {row.mail_id: MailState(row.state) for row in rows}


async def published(tx: Transaction, event_ids: Collection[UUID], since: datetime) -> set[UUID]:
    return set(await tx.scalars(_PUBLISHED, {"ids": list(event_ids), "since": since}))


@dataclass(frozen=True, slots=True)
class KnownEnd:
    mail_id: UUID
    state: MailState
    at: datetime
    message_id: str | None

    @classmethod
    def of(cls, event: MailEnd) -> "KnownEnd":
        if isinstance(event, EmailSent):
            return cls(event.mail_id, MailState.SENT, event.sent_at, event.message_id)
        return cls(event.mail_id, MailState.FAILED, event.failed_at, None)


async def end(tx: Transaction, ends: Sequence[KnownEnd]) -> dict[UUID, Event]:
    rows = await tx.execute(
        _END,
        {
            "ids": [known.mail_id for known in ends],
            "states": [known.state.value for known in ends],
            "moments": [known.at for known in ends],
            "message_ids": [known.message_id for known in ends],
            "unfinished": [state.value for state in UNFINISHED],
        },
    )
    events = {mail.mail_id: ended(mail) for mail in (PublishedMail(*row) for row in rows)}
    return {mail_id: event for mail_id, event in events.items() if event is not None}


_STATES = text("SELECT mail_id, state FROM mail WHERE mail_id = ANY(CAST(:ids AS uuid[]))")
_PUBLISHED = text(
    "SELECT event_id FROM outbox WHERE event_id = ANY(CAST(:ids AS uuid[])) AND created_at >= :since"
)
_END = text(
    f"""
    UPDATE mail SET state = end_.state, settled_at = end_.moment, lease_until = NULL,
           message_id = coalesce(mail.message_id, end_.message_id)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS varchar[]), CAST(:moments AS timestamptz[]),
                  CAST(:message_ids AS varchar[])) AS end_ (id, state, moment, message_id)
     WHERE mail.mail_id = end_.id AND mail.state = ANY(CAST(:unfinished AS varchar[]))
    RETURNING {PUBLISHED.replace("message_id", "mail.message_id")}"""  # noqa: S608 our own columns
)
