"""The events that say what became of a mail, made from its row."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.notifier.tables import MailState
from shared.events import Event
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.messaging.outbox import Outbox

outbox = Outbox("notifier")

COLUMNS = (
    "mail.mail_id, recipient, template, session_id, enrolment_id, message_id, "
    "coalesce(CAST(details ->> 'cause_id' AS uuid), event_id) AS event_id"
)
"""What every event about a mail says. One sent again on purpose names what called for the first."""


def sent(row: Row[Any]) -> EmailSent:
    """A mail that the relay has taken."""
    return EmailSent(**_about(row), message_id=row.message_id, sent_at=row.settled_at)


def ended(row: Row[Any], *, suppressed: bool = False) -> Event | None:
    """The end of a mail, if it has come to one."""
    if row.state == MailState.SENT:
        return sent(row)
    if row.state == MailState.FAILED:
        return EmailFailed(
            **_about(row), smtp_code=row.smtp_code, failed_at=row.settled_at, suppressed=suppressed
        )
    return None


def bounced(
    row: Row[Any], kind: BounceKind, status: str | None, bounced_at: datetime, *, suppressed: bool
) -> EmailBounced:
    """A mail that came back, or whose address the relay did not know."""
    return EmailBounced(
        **_about(row),
        message_id=row.message_id,
        kind=kind,
        status=status,
        bounced_at=bounced_at,
        suppressed=suppressed,
    )


def _about(row: Row[Any]) -> dict[str, Any]:
    return {
        "mail_id": row.mail_id,
        "agent_id": row.recipient,
        "template": row.template,
        "cause_id": row.event_id,
        "session_id": row.session_id,
        "enrolment_id": row.enrolment_id,
    }
