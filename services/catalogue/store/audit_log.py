"""The audit log is written in the transaction of the change."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from services.catalogue.tables import AuditLogRow
from shared.database import Transaction
from shared.statements import in_order, insert_many, next_to


class Action(StrEnum):
    CREATED = "created"
    DUPLICATED = "duplicated"
    IMPORTED = "imported"
    LOADED = "loaded"
    CHANGED = "changed"
    PUBLISHED = "published"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    WITHDRAWN = "withdrawn"
    RESTORED = "restored"
    AGREED = "agreed"
    ANSWERED = "answered"
    HANDED_OVER = "handed_over"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """``changes`` maps a field to [before, after]."""

    actor: str
    action: Action
    subject: UUID
    version: int
    changes: Mapping[str, Any]


async def record(tx: Transaction, entries: Sequence[AuditEntry]) -> None:
    if entries:
        rows = [
            {
                "actor": entry.actor,
                "action": entry.action,
                "subject": entry.subject,
                "version": entry.version,
                "changes": json.dumps(entry.changes, ensure_ascii=False),
            }
            for entry in entries
        ]
        await insert_many(tx, AuditLogRow, rows)


async def entries_of(
    tx: Transaction, subject: UUID, after: int | None, limit: int, *, before: int | None = None
) -> list[AuditLogRow]:
    edges = [None if edge is None else (edge,) for edge in (after, before)]
    query = select(AuditLogRow).where(col(AuditLogRow.subject) == subject)
    query = next_to(query, [col(AuditLogRow.id)], *edges, descending=True)
    return in_order(await tx.scalars(query.limit(limit)), before)
