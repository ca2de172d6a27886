import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlmodel import col, select

from services.notifier.letters import LetterContext
from services.notifier.tables import MailAttemptRow
from shared.database import Transaction

log = logging.getLogger(__name__)

_CONTEXT: TypeAdapter[LetterContext] = TypeAdapter(LetterContext)


@dataclass(frozen=True, slots=True)
class WrittenLetter:
    """Names of other persons are left out: these persons may be erased before the reader."""

    at: datetime
    by: str
    context: LetterContext


def as_json(context: LetterContext) -> str:
    return _CONTEXT.dump_json(
        replace(context, people={}, trainers=()), by_alias=True, exclude_defaults=True
    ).decode()


async def of_mail(tx: Transaction, mail_id: UUID) -> list[MailAttemptRow]:
    found = select(MailAttemptRow).where(col(MailAttemptRow.mail_id) == mail_id)
    return list(await tx.scalars(found.order_by(col(MailAttemptRow.number))))


def written(attempts: Sequence[MailAttemptRow]) -> WrittenLetter | None:
    """Return None if the last sent letter is not stored, or unreadable because its classes have changed."""
    for row in reversed(attempts):
        if row.written_at is not None and row.written_by is not None:
            try:
                context = _CONTEXT.validate_json(json.dumps(row.written_from))
            except ValidationError as error:
                log.warning(
                    "What mail %s said cannot be read any more: %s wrote it, and %d fields differ now",
                    row.mail_id,
                    row.written_by,
                    error.error_count(),
                )
                return None
            return WrittenLetter(row.written_at, row.written_by, context)
    return None
