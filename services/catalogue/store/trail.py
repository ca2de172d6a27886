"""What is left of each change: the events that tell of it, and the line that says who made it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.catalogue import tables
from shared.database import Transaction, insert_many
from shared.messaging.outbox import Outbox

outbox = Outbox("catalogue")


@dataclass(frozen=True, slots=True)
class Line:
    """One change of one session, offer or resource. ``changes``: field to [before, after]."""

    actor: str
    action: str
    subject: UUID
    version: int
    changes: Mapping[str, Any]


async def record(tx: Transaction, lines: Sequence[Line]) -> None:
    """Add audit lines."""
    if not lines:
        return
    rows = [
        {
            "actor": line.actor,
            "action": line.action,
            "subject": line.subject,
            "version": line.version,
            "changes": json.dumps(line.changes, ensure_ascii=False),
        }
        for line in lines
    ]
    await insert_many(tx, tables.audit_log, rows)


@dataclass(frozen=True, slots=True)
class Written:
    """An audit line as it stands in the book. ``id`` grows with time."""

    id: int
    at: datetime
    line: Line


async def of(tx: Transaction, subject: UUID, after: int | None, limit: int) -> list[Written]:
    """At most ``limit`` lines about a session or resource, the newest first, older than ``after``."""
    columns = tables.audit_log.c
    query = (
        select(tables.audit_log).where(columns.subject == subject).order_by(columns.id.desc()).limit(limit)
    )
    if after is not None:
        query = query.where(columns.id < after)
    return [
        Written(row.id, row.at, Line(row.actor, row.action, row.subject, row.version, row.changes))
        for row in await tx.execute(query)
    ]
