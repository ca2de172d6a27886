"""Each fact, letter and recipient makes one row, however often the fact is read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import text

from services.notifier.letters import KINDS, Letter, LetterDetails, LetterType
from services.notifier.tables import MailRow
from shared import tracing
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import Decision
from shared.statements import insert_many
from shared.tracing import Attributes

if TYPE_CHECKING:
    from shared.tracing.spans import Span

PATIENCE = timedelta(days=4)
"""A mail is tried for this long after it was due."""

MAIL_COLUMNS = (
    "event_id, template, issuer, recipient, address, given_name, family_name, session_id, enrolment_id, "
    "version, details, needs_session, priority, called_for_at"
)
OFFICER = "demandeur-{}"
ONCE_KEY = "(event_id, template, issuer, recipient)"
ONCE = f"ON CONFLICT {ONCE_KEY} DO NOTHING"


async def add(tx: Transaction, called_for: Sequence[tuple[Received[Decision], Letter]]) -> None:
    if called_for:
        await insert_many(tx, MailRow, [_row(received, letter) for received, letter in called_for], then=ONCE)


def _row(received: Received[Decision], letter: Letter) -> dict[str, Any]:
    decision, event_id, details = received.event, received.id, letter.details
    if letter.once:
        event_id = uuid5(decision.enrolment_id, letter.template)
        details = {**details, "cause_id": str(received.id)}
    if letter.needs_session:
        details = {**details, "session_version": decision.session_version}
    return {
        "event_id": event_id,
        "template": letter.template.value,
        "issuer": decision.agent.issuer,
        "recipient": decision.agent.agent_id,
        "address": decision.agent.email,
        "given_name": decision.agent.given_name,
        "family_name": decision.agent.family_name,
        "session_id": decision.session_id,
        "enrolment_id": decision.enrolment_id,
        "version": decision.version,
        "details": json.dumps(details),
        "needs_session": letter.needs_session,
        "priority": int(KINDS[letter.template].priority),
        "called_for_at": received.received_at,
        "traceparent": _queued(received, letter),
    }


def _queued(received: Received[Decision], letter: Letter) -> str | None:
    attributes = {"parcours.template": letter.template, "parcours.enrolment_id": received.event.enrolment_id}
    span = tracing.begin(f"queue {letter.template}", received.traceparent, attributes=attributes)
    if span is None:
        return received.traceparent
    span.end()
    return span.traceparent


async def trace(
    tx: Transaction, name: str, template: LetterType, mail_ids: Sequence[UUID], attributes: Attributes
) -> None:
    """Trace some of the letters queued together, so that traces do not grow with the number of letters."""
    spans: dict[UUID, Span] = {}
    for mail_id in mail_ids if tracing.is_on() else ():
        of_letter = {"parcours.template": template, "parcours.mail_id": mail_id}
        if (span := tracing.begin_at_random(f"queue {template}", of_letter)) is not None:
            spans[mail_id] = span
    if not spans:
        return
    of_all = {**attributes, "parcours.template": template, "parcours.letters": len(mail_ids)}
    together = tracing.begin_anyway(name, None, "internal", of_all, tuple(spans.values()))
    contexts = [span.traceparent for span in spans.values()]
    await tx.execute(_TRACE, {"mail_ids": list(spans), "traceparents": contexts})
    for span in (*spans.values(), together):
        span.end()


@dataclass(frozen=True, slots=True)
class Addressee:
    """``recipient`` replaces the address where none is allowed. ``issuer`` is empty for no agent."""

    recipient: str
    address: str
    given_name: str
    family_name: str
    issuer: str = ""


async def add_letter(
    tx: Transaction,
    event_id: UUID,
    letter: Letter,
    to: Addressee,
    *,
    called_for_at: datetime | None = None,
    session_id: UUID | None = None,
) -> None:
    span = tracing.begin_at_random(f"queue {letter.template}", {"parcours.template": letter.template})
    await tx.execute(
        _QUEUE,
        {
            "event_id": event_id,
            "template": letter.template.value,
            "issuer": to.issuer,
            "recipient": to.recipient,
            "address": to.address,
            "given_name": to.given_name,
            "family_name": to.family_name,
            "session_id": session_id,
            "details": json.dumps(letter.details),
            "needs_session": letter.needs_session,
            "priority": int(KINDS[letter.template].priority),
            "called_for_at": called_for_at,
            "traceparent": None if span is None else span.traceparent,
        },
    )
    if span is not None:
        span.end()


async def add_links(
    tx: Transaction, request_id: UUID, address: str, most: int, details: LetterDetails
) -> int:
    """Send at most ``most`` letters, to agents with the newest enrolments. Returns how many."""
    result = await tx.execute(
        _QUEUE_LINKS,
        {
            "request": request_id,
            "template": LetterType.MY_ENROLMENTS.value,
            "priority": int(KINDS[LetterType.MY_ENROLMENTS].priority),
            "address": address,
            "details": json.dumps(details),
            "most": most,
        },
    )
    return result.rowcount


_QUEUE_LINKS = text(
    f"INSERT INTO mail ({MAIL_COLUMNS}) "  # noqa: S608 our own words
    "SELECT :request, :template, issuer, agent_id, address, given_name, family_name, NULL, enrolment_id, "
    "version, CAST(:details AS jsonb), false, :priority, now() "
    # Locked, so that an erasure sees the letter, or has ended the enrolment.
    "FROM (SELECT DISTINCT ON (issuer, agent_id) * FROM (SELECT * FROM enrolment "
    "WHERE lower(address) = lower(:address) ORDER BY enrolment_id FOR KEY SHARE) AS there "
    f"ORDER BY issuer, agent_id, since DESC) AS newest ORDER BY since DESC LIMIT :most {ONCE}"
)
_QUEUE = text(
    f"INSERT INTO mail ({MAIL_COLUMNS}, traceparent) "  # noqa: S608 our own words
    "VALUES (:event_id, :template, :issuer, :recipient, :address, :given_name, :family_name, :session_id, "
    "NULL, 0, CAST(:details AS jsonb), :needs_session, :priority, "
    "coalesce(CAST(:called_for_at AS timestamptz), now()), :traceparent) "
    f"{ONCE}"
)
_TRACE = text(
    "UPDATE mail SET traceparent = traced.traceparent "
    "FROM unnest(CAST(:mail_ids AS uuid[]), CAST(:traceparents AS varchar[])) "
    "AS traced (mail_id, traceparent) WHERE mail.mail_id = traced.mail_id"
)
