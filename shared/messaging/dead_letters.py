"""The parking lot: records that could not be handled wait here, whole, until somebody decides."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from shared.database import Transaction, insert_many
from shared.events.cloudevents import Record
from shared.messaging import tables


@dataclass(frozen=True, slots=True)
class Parked:
    """A record to put aside, and why. ``traceback`` is empty when nothing was raised."""

    record: Record
    event_type: str | None
    error: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter(Parked):
    """A parked record as an operator sees it."""

    id: int
    parked_at: datetime
    state: str


async def park(tx: Transaction, parked: Sequence[Parked]) -> None:
    """Put records aside. A record that comes again is kept once."""
    if not parked:
        return
    rows = [
        {
            "topic": letter.record.topic,
            "partition": letter.record.partition,
            "offset": letter.record.offset,
            "digest": _digest(letter.record),
            "key": letter.record.key,
            "value": letter.record.value,
            "headers": _headers_to_json(letter.record),
            "received_at": letter.record.received_at,
            "event_type": _storable(letter.event_type),
            "error": _storable(letter.error),
            "traceback": _storable(letter.traceback),
        }
        for letter in parked
    ]
    await insert_many(tx, tables.dead_letter, rows, then="ON CONFLICT DO NOTHING")


async def find(
    tx: Transaction,
    *,
    ids: Sequence[int] = (),
    topic: str | None = None,
    state: str | None = None,
    limit: int,
) -> list[DeadLetter]:
    """Dead letters in the order of their partitions; all of them where no filter is given."""
    given = {"any_id": not ids, "ids": list(ids), "topic": topic, "state": state, "limit": limit}
    return [_from_row(row) for row in await tx.execute(_FIND, given)]


async def lock(tx: Transaction, dead_letter_id: int) -> DeadLetter | None:
    """The dead letter if it is still parked, kept from everybody else until the transaction ends."""
    row = (await tx.execute(_LOCK, {"id": dead_letter_id})).one_or_none()
    return _from_row(row) if row is not None else None


async def settle(tx: Transaction, dead_letter_id: int, *, state: str, actor: str, note: str | None) -> None:
    """End a dead letter as ``redriven`` or ``discarded``, with an audit line."""
    await tx.execute(_SETTLE, {"id": dead_letter_id, "state": state})
    await audit(tx, dead_letter_id, action=state, actor=actor, note=note)


async def audit(tx: Transaction, dead_letter_id: int, *, action: str, actor: str, note: str | None) -> None:
    """Leave a line about who did what."""
    await tx.execute(_AUDIT, {"id": dead_letter_id, "actor": actor, "action": action, "note": note})


async def count_parked(tx: Transaction) -> int:
    """How many wait for a decision."""
    return int((await tx.execute(_COUNT_PARKED)).scalar_one())


def _digest(record: Record) -> bytes:
    """What tells this record from another that once had its place."""
    content = hashlib.sha256(_headers_to_json(record).encode())
    content.update(b"\0" if record.key is None else b"\1" + record.key)
    content.update(b"\0" if record.value is None else b"\1" + record.value)
    return content.digest()


def _headers_to_json(record: Record) -> str:
    return json.dumps(
        [
            [_storable(name), None if value is None else base64.b64encode(value).decode()]
            for name, value in record.headers
        ]
    )


def _storable(value: str | None) -> str | None:
    """Text that Postgres can hold: it refuses NUL, and lone surrogates are no UTF-8."""
    if value is None:
        return None
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _from_row(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        record=Record(
            topic=row.topic,
            partition=row.partition,
            offset=row.offset,
            key=row.key,
            value=row.value,
            headers=tuple(
                (name, None if value is None else base64.b64decode(value)) for name, value in row.headers
            ),
            received_at=row.received_at,
        ),
        event_type=row.event_type,
        error=row.error,
        traceback=row.traceback,
        parked_at=row.parked_at,
        state=row.state,
    )


_FIND = text(
    "SELECT * FROM dead_letter WHERE (CAST(:any_id AS boolean) OR id = ANY(CAST(:ids AS bigint[]))) "
    "AND (CAST(:topic AS text) IS NULL OR topic = :topic) "
    "AND (CAST(:state AS text) IS NULL OR state = :state) "
    'ORDER BY topic, partition, "offset", id LIMIT :limit'
)
_LOCK = text("SELECT * FROM dead_letter WHERE id = :id AND state = 'parked' FOR UPDATE")
_SETTLE = text("UPDATE dead_letter SET state = :state WHERE id = :id")
_AUDIT = text(
    "INSERT INTO dead_letter_audit (dead_letter_id, actor, action, note) VALUES (:id, :actor, :action, :note)"
)
_COUNT_PARKED = text("SELECT count(*) FROM dead_letter WHERE state = 'parked'")
