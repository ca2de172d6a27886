"""What is left of each change: the events that tell of it, and the line that says who made it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

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
    await insert_many(tx, tables.audit, rows)
