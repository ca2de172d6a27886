"""What the relay answered to each attempt, and what a letter said that it has, or may have."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlmodel import col, select

from services.notifier.letters import LetterContext
from services.notifier.tables import MailAttemptRow, MailState
from shared.database import Transaction, insert_many

_CONTEXT: TypeAdapter[LetterContext] = TypeAdapter(LetterContext)


@dataclass(frozen=True, slots=True)
class WrittenLetter:
    """A letter as it was written: from what, when, and by which version and templates.

    Without the names of others whom it speaks of, who may be forgotten before its reader is.
    """

    at: datetime
    by: str
    context: LetterContext


@dataclass(frozen=True, slots=True)
class SendAttempt:
    """What became of one claim of a mail."""

    mail_id: UUID
    number: int
    state: MailState
    code: int | None
    answer: str
    written: WrittenLetter | None


async def add(tx: Transaction, attempts: Sequence[SendAttempt]) -> None:
    """Keep attempts, in one statement."""
    if attempts:
        await insert_many(tx, MailAttemptRow, [_row(attempt) for attempt in attempts])


def _row(attempt: SendAttempt) -> dict[str, object]:
    written = attempt.written
    return {
        "mail_id": attempt.mail_id,
        "number": attempt.number,
        "state": attempt.state.value,
        "code": attempt.code,
        "answer": attempt.answer,
        "written_by": written and written.by,
        "written_at": written and written.at,
        "written_from": None if written is None else as_json(written.context),
    }


def as_json(context: LetterContext) -> str:
    """Return what is kept of what a letter said, as JSON."""
    return _CONTEXT.dump_json(replace(context, people={}, trainers=()), exclude_defaults=True).decode()


async def of_mail(tx: Transaction, mail_id: UUID) -> list[MailAttemptRow]:
    """Return the attempts to send a mail, in order."""
    found = select(MailAttemptRow).where(col(MailAttemptRow.mail_id) == mail_id)
    return list(await tx.scalars(found.order_by(col(MailAttemptRow.number))))


def written(attempts: Sequence[MailAttemptRow]) -> WrittenLetter | None:
    """Return what the letter said that the relay had last; None where that is not kept."""
    for row in reversed(attempts):
        if row.written_at is not None and row.written_by is not None:
            context = _CONTEXT.validate_json(json.dumps(row.written_from))
            return WrittenLetter(row.written_at, row.written_by, context)
    return None
