from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.notifier.tables import MailState
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from shared.events.vocabulary import Event
from shared.messaging.outbox import Outbox

OUTBOX = Outbox("notifier")

PUBLISHED = (
    "mail.mail_id, issuer, recipient, template, "
    "coalesce(CAST(details ->> 'cause_id' AS uuid), event_id) AS cause_id, session_id, enrolment_id, "
    "message_id, address, claims, mail.state, smtp_code, coalesce(settled_at, now()) AS ended_at"
)


class PublishedMail(NamedTuple):
    """A mail that was sent again has the ``cause_id`` of the first mail.

    ``ended_at`` is valid only for an ended mail.
    """

    mail_id: UUID
    issuer: str
    agent_id: str
    template: str
    cause_id: UUID
    session_id: UUID | None
    enrolment_id: UUID | None
    message_id: str
    address: str
    claims: int
    state: str
    smtp_code: int | None
    ended_at: datetime


def sent(mail: PublishedMail) -> EmailSent:
    return EmailSent(**_identifiers(mail), message_id=mail.message_id, sent_at=mail.ended_at)


def ended(mail: PublishedMail, *, suppressed: bool = False) -> Event | None:
    """Return None if the mail has not ended or was never tried."""
    if mail.state == MailState.SENT:
        return sent(mail)
    if mail.state == MailState.FAILED:
        return EmailFailed(
            **_identifiers(mail), smtp_code=mail.smtp_code, failed_at=mail.ended_at, suppressed=suppressed
        )
    return None


def bounced(
    mail: PublishedMail, kind: BounceKind, status: str | None, bounced_at: datetime, *, suppressed: bool
) -> EmailBounced:
    return EmailBounced(
        **_identifiers(mail),
        message_id=mail.message_id,
        kind=kind,
        status=status,
        bounced_at=bounced_at,
        suppressed=suppressed,
    )


def _identifiers(mail: PublishedMail) -> dict[str, Any]:
    return {
        "mail_id": mail.mail_id,
        "issuer": mail.issuer,
        "agent_id": mail.agent_id,
        "template": mail.template,
        "cause_id": mail.cause_id,
        "session_id": mail.session_id,
        "enrolment_id": mail.enrolment_id,
    }
