"""For people: what was sent to whom, and the end of a mail of which nobody knows whether it left."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from sqlalchemy import TextClause, text

from services.notifier import tables
from services.notifier.letters import Mail
from services.notifier.store.sending import mail_of, outbox, told_of
from services.notifier.tables import MailState
from shared.database import Transaction, insert_many


@dataclass(frozen=True, slots=True)
class MailRecord:
    """A mail as support staff and operators see it: never its text, never the address but to who may."""

    mail_id: UUID
    event_id: UUID
    template: str
    agent_id: str
    address: str
    session_id: UUID | None
    enrolment_id: UUID | None
    state: MailState
    attempts: int
    message_id: str | None
    smtp_code: int | None
    smtp_answer: str | None
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None
    bounced_at: datetime | None
    bounce_status: str | None


async def mails(
    tx: Transaction,
    *,
    agent_id: str | None = None,
    state: MailState | None = None,
    mail_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[MailRecord]:
    """Mails, newest first; ``before`` is the last one of the page before."""
    conditions = {
        "recipient = :agent_id": agent_id,
        "state = :state": state.value if state else None,
        "mail_id = :mail_id": mail_id,
        "(created_at, mail_id) < (:before_at, :before_id)": before,
    }
    where = " AND ".join(condition for condition, value in conditions.items() if value is not None) or "true"
    rows = await tx.execute(
        _listing(where),
        {
            "agent_id": agent_id,
            "state": state.value if state else None,
            "mail_id": mail_id,
            "before_at": before[0] if before else None,
            "before_id": before[1] if before else None,
            "limit": limit,
        },
    )
    return [
        MailRecord(**{**row._mapping, "state": MailState(row.state)})  # noqa: SLF001 SQLAlchemy's public name
        for row in rows
    ]


def _listing(where: str) -> TextClause:
    return text(
        f"SELECT {_RECORD} FROM mail WHERE {where} ORDER BY created_at DESC, mail_id DESC LIMIT :limit"  # noqa: S608 our own words
    )


async def letter(tx: Transaction, mail_id: UUID) -> Mail | None:
    """A letter of the queue, to be shown as it would be written now."""
    row = (await tx.execute(_LETTER, {"mail_id": mail_id})).one_or_none()
    return mail_of(row) if row is not None else None


ENDED = frozenset((MailState.SENT, MailState.FAILED, MailState.AMBIGUOUS, MailState.SUPERSEDED))
"""The states after which a letter may be sent once more."""


async def waits_for_its_session(tx: Transaction, mail_id: UUID) -> bool:
    """Whether a letter cannot be written yet, because nothing is known of its session."""
    return bool(await tx.scalar(_WAITS, {"mail_id": mail_id}))


SENT_AGAIN_AS = "sent again as"
SENT_AGAIN_AFTER = "sent again on purpose, after"
RESOLVED_AS_SENT = "resolved as sent"
RESENT = "resent"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """What somebody decided about a mail."""

    at: datetime
    actor: str
    action: str


async def audit_of(tx: Transaction, mail_id: UUID) -> list[AuditLine]:
    """What was decided about a mail, in order."""
    return [
        AuditLine(row.at, row.actor, row.action) for row in await tx.execute(_AUDIT_OF, {"mail_id": mail_id})
    ]


async def resend(tx: Transaction, mail_id: UUID, *, actor: str, after: int | None = None) -> UUID | None:
    """Send a letter once more on purpose: a new mail, with a key and a Message-ID of its own.

    Whatever became of the first one, it stays as it is. What is not so any more is not sent again either: the
    new mail is superseded when its turn comes. ``after`` is how many decisions whoever asks had seen: asked
    twice from one page, it is sent once. Returns its id, None where there is no such mail or where it is
    still on its way.
    """
    key = uuid4() if after is None else uuid5(mail_id, f"after {after} decisions")
    again = await tx.scalar(
        _RESEND, {"mail_id": mail_id, "key": key, "ended": [state.value for state in ENDED]}
    )
    if again is None:
        earlier: UUID | None = await tx.scalar(_BY_KEY, {"key": key})
        return earlier
    await insert_many(
        tx,
        tables.MailAuditRow,
        [
            {"mail_id": mail_id, "actor": actor, "action": f"{SENT_AGAIN_AS} {again}"},
            {"mail_id": again, "actor": actor, "action": f"{SENT_AGAIN_AFTER} {mail_id}"},
        ],
    )
    return UUID(str(again))


async def counts(tx: Transaction) -> dict[MailState, int]:
    """How many mails are in each state, states without any included."""
    rows = await tx.execute(text("SELECT state, count(*) AS mails FROM mail GROUP BY state"))
    found = {row.state: int(row.mails) for row in rows}
    return {state: found.get(state.value, 0) for state in MailState}


async def count_open(tx: Transaction) -> tuple[int, float, int]:
    """How many mails are due and wait, for how many seconds the oldest does, and how many are ambiguous."""
    row = (await tx.execute(_OPEN)).one()
    return int(row.due), float(row.age), int(row.ambiguous)


async def resolve(tx: Transaction, mail_id: UUID, *, sent: bool, actor: str) -> MailState | None:
    """An operator's word about an ambiguous or failed mail: it arrived, or it is to be sent again.

    Returns the state before, None where there is no such mail; only ambiguous and failed ones change. The
    same Message-ID stays, so a recipient who gets it twice may see it once.
    """
    before = await tx.scalar(
        text("SELECT state FROM mail WHERE mail_id = :mail_id FOR UPDATE"), {"mail_id": mail_id}
    )
    if before not in (MailState.AMBIGUOUS, MailState.FAILED) or (sent and before == MailState.FAILED):
        return None if before is None else MailState(before)
    row = (await tx.execute(_RESOLVE_SENT if sent else _RESOLVE_RESEND, {"mail_id": mail_id})).one()
    event = told_of(row)
    await outbox.publish(tx, [event] if event is not None else [])
    action = RESOLVED_AS_SENT if sent else RESENT
    await insert_many(tx, tables.MailAuditRow, [{"mail_id": mail_id, "actor": actor, "action": action}])
    return MailState(before)


async def resend_failed(tx: Transaction, code: int, *, actor: str) -> int:
    """An operator's word about every mail that failed with this code: send them again. How many it is."""
    return (await tx.execute(_RESEND_FAILED, {"code": code, "actor": actor, "action": RESENT})).rowcount


_RECORD = (
    "mail_id, event_id, template, recipient AS agent_id, address, session_id, enrolment_id, state, attempts, "
    "message_id, smtp_code, smtp_answer, created_at, due_at, settled_at, bounced_at, "
    "bounce_status"
)
_OPEN = text(
    "SELECT count(*) FILTER (WHERE state IN ('pending', 'retry') AND due_at <= now()) AS due, "
    "coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state IN ('pending', 'retry') "
    "AND due_at <= now())), 0) AS age, count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous "
    "FROM mail WHERE (state IN ('pending', 'retry') AND due_at <= now()) OR state = 'ambiguous'"
)
_LETTER = text(
    "SELECT mail_id, template, facts::text AS facts, message_id, recipient, address, given_name, "
    "family_name, session_id, enrolment_id, version, called_for_at FROM mail WHERE mail_id = :mail_id"
)
_WAITS = text(
    "SELECT needs_session AND NOT EXISTS (SELECT FROM session WHERE session.session_id = mail.session_id) "
    "FROM mail WHERE mail_id = :mail_id"
)
_AUDIT_OF = text("SELECT at, actor, action FROM mail_audit WHERE mail_id = :mail_id ORDER BY id")
_RESEND = text(
    "INSERT INTO mail (event_id, template, recipient, address, given_name, family_name, session_id, "
    "enrolment_id, version, facts, needs_session, priority, called_for_at) "
    "SELECT :key, template, recipient, address, given_name, family_name, session_id, "
    "enrolment_id, version, "
    "facts || jsonb_build_object('cause_id', coalesce(facts ->> 'cause_id', event_id::text)), "
    "needs_session, priority, called_for_at FROM mail WHERE mail_id = :mail_id "
    "AND state = ANY(CAST(:ended AS varchar[])) "
    "ON CONFLICT (event_id, template, recipient) DO NOTHING RETURNING mail_id"
)
_BY_KEY = text("SELECT mail_id FROM mail WHERE event_id = :key")
_TOLD = (
    "RETURNING mail_id, recipient, template, "
    "coalesce(CAST(facts ->> 'cause_id' AS uuid), event_id) AS event_id, "
    "session_id, enrolment_id, state, message_id, settled_at, smtp_code"
)
_RESOLVE_SENT = text(f"UPDATE mail SET state = 'sent', settled_at = now() WHERE mail_id = :mail_id {_TOLD}")  # noqa: S608
_AGAIN = (
    "UPDATE mail SET state = 'pending', attempts = 0, owner = NULL, due_at = now(), settled_at = NULL, "
    "give_up_at = now() + interval '4 days'"
)
_RESOLVE_RESEND = text(f"{_AGAIN} WHERE mail_id = :mail_id {_TOLD}")
_RESEND_FAILED = text(
    f"WITH again AS ({_AGAIN} WHERE state = 'failed' AND smtp_code = :code RETURNING mail_id) "  # noqa: S608
    "INSERT INTO mail_audit (mail_id, actor, action) SELECT mail_id, :actor, :action FROM again"
)
