"""Dead letters: records that could not be handled, kept whole until an operator decides."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import String, TextClause, cast, func, insert, or_, text, update
from sqlmodel import col, select

from shared.database import Row, Transaction
from shared.events.cloudevents import Received, Record
from shared.events.vocabulary import Event
from shared.messaging.portals.admission import Rejected
from shared.messaging.tables import REJECTED_WITH_CONTENT, DeadLetterAuditRow, DeadLetterRow
from shared.statements import in_order, insert_many, next_to

MAX_REJECTED = 1_000
"""The newest rejected records of a portal keep their content. Older ones keep place and reason only."""
READ_AT_ONCE = 20
NEWER = "is not handled by this version"
"""The reason for an event that only a newer version knows."""
KEPT = timedelta(days=30)
"""Records stay this long after they were rejected or decided."""


REJECTED_BYTES = 64 * 1024
"""A rejected record keeps so much of its value: each erasure searches all that is kept."""
_MAX_HEADERS = 50
_MAX_HEADER_BYTES = 1024
_MAX_ATTRIBUTE = 300
_BETWEEN_WORDS = b' \t\n\r\v\f\0"<>()[],;:\\?&=|{}'
_OF_WORDS = bytes(set(range(256)).difference(_BETWEEN_WORDS))


def _cut(content: bytes | None, most: int) -> bytes | None:
    """Cut content behind its last whole word: nobody would find half an address."""
    return content if content is None or len(content) <= most else content[:most].rstrip(_OF_WORDS)


@dataclass(frozen=True, slots=True)
class Parked:
    """A record to park. ``traceback`` is None if nothing was raised.

    ``portal`` and ``source`` name the portal that waits for an answer, if a portal sent the record.
    """

    record: Record
    event_type: str | None
    error: str
    traceback: str | None = None
    event_id: UUID | None = None
    source: str | None = None
    portal: str | None = None

    @classmethod
    def received(cls, received: Received[Event], error: str, traceback: str | None = None) -> Self:
        return cls(
            received.record,
            received.event.TYPE,
            error,
            traceback,
            received.id,
            received.source,
            received.portal,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter(Parked):
    """A dead letter for an operator."""

    id: int
    parked_at: datetime
    state: str

    def without_content(self) -> Self:
        """Keep only what a discard needs: the place, and the portal that waits for an answer."""
        bare = replace(self, record=replace(self.record, key=None, value=None, headers=()), error="")
        if self.state == "parked":
            return replace(bare, traceback=None)
        return replace(bare, traceback=None, event_type=None, source=None)  # text of the sender, of any size


async def park(tx: Transaction, parked: Sequence[Parked]) -> int:
    """Park records, each once. Returns how many are new."""
    if not parked:
        return 0
    return len(await _keep(tx, [_parked_row(letter) for letter in parked]))


async def keep_rejected(tx: Transaction, rejected: Sequence[Rejected]) -> list[Rejected]:
    """Store rejected records as evidence, each once. Returns the new ones.

    Nobody redrives a rejected record, so a large record is cut. Of each portal, the newest
    :data:`MAX_REJECTED` keep their content.
    """
    if not rejected:
        return []
    rows = [_rejected_row(rejection) for rejection in rejected]
    kept = await _keep(tx, rows)
    for portal in {rejection.portal for rejection in rejected}:
        await _empty_older(tx, portal)
    by_identity = {_identity(row): rejection for rejection, row in zip(rejected, rows, strict=True)}
    return [rejection for identity, rejection in by_identity.items() if identity in kept]


async def _empty_older(tx: Transaction, portal: str | None) -> None:
    letter = col(DeadLetterRow.id)
    kept = select(letter).where(text(REJECTED_WITH_CONTENT), col(DeadLetterRow.portal) == portal)
    older = kept.order_by(letter.desc()).offset(MAX_REJECTED)
    free = select(letter).where(letter.in_(older)).order_by(letter).with_for_update(skip_locked=True)
    emptied = update(DeadLetterRow).where(letter.in_(free))
    unknown = {"source": None} if portal is None else {}
    await tx.execute(emptied.values(key=None, value=None, headers=[], event_type=None, **unknown))


def _parked_row(letter: Parked) -> dict[str, Any]:
    return _row(letter, letter.event_id, letter.error) | {"traceback": _storable(letter.traceback)}


def _rejected_row(rejection: Rejected) -> dict[str, Any]:
    record = rejection.record
    headers = [
        (name, _cut(value, _MAX_HEADER_BYTES))
        for name, value in record.headers[:_MAX_HEADERS]
        if len(name) <= _MAX_HEADER_BYTES
    ]
    # The digest is that of the whole record.
    return _row(rejection, rejection.request_id, rejection.explanation) | {
        "key": _cut(record.key, REJECTED_BYTES),
        "value": _cut(record.value, REJECTED_BYTES),
        "headers": _headers_to_json(headers),
        "state": "rejected",
        "code": rejection.code.value,
        "problems": json.dumps([problem.model_dump() for problem in rejection.problems]),
    }


def _row(kept: Parked | Rejected, event_id: UUID | None, error: str) -> dict[str, Any]:
    record = kept.record
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "digest": _digest(record),
        "key": record.key,
        "value": record.value,
        "headers": _headers_to_json(record.headers),
        "received_at": record.received_at,
        "event_id": event_id,
        "event_type": _storable(kept.event_type, _MAX_ATTRIBUTE),
        "source": _storable(kept.source, _MAX_ATTRIBUTE),
        "portal": kept.portal,
        "error": _storable(error),
    }


async def _keep(tx: Transaction, rows: Sequence[dict[str, Any]]) -> set[tuple[Any, ...]]:
    then = 'ON CONFLICT DO NOTHING RETURNING topic, partition, "offset", digest'
    return {tuple(row) for row in await insert_many(tx, DeadLetterRow, rows, then=then)}


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["topic"], row["partition"], row["offset"], row["digest"]


async def find(
    tx: Transaction,
    *,
    ids: Sequence[int] = (),
    topic: str | None = None,
    state: str | None = None,
    limit: int,
) -> list[DeadLetter]:
    """Return at most ``limit`` dead letters in the order of their partitions."""
    query = select(DeadLetterRow)
    if ids:
        query = query.where(col(DeadLetterRow.id).in_(ids))
    if topic is not None:
        query = query.where(col(DeadLetterRow.topic) == topic)
    if state is not None:
        query = query.where(col(DeadLetterRow.state) == state)
    in_order = query.order_by(
        col(DeadLetterRow.topic),
        col(DeadLetterRow.partition),
        col(DeadLetterRow.offset),
        col(DeadLetterRow.id),
    )
    return [dead_letter_of(row) for row in await tx.scalars(in_order.limit(limit))]


async def listed(
    tx: Transaction,
    state: str,
    searched: str = "",
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[DeadLetter]:
    """Return dead letters in a state, after ``after`` or before ``before``.

    Parked letters are listed oldest first, all others newest first. ``searched`` is a ``ce_id``, portal,
    topic, type or code; "" for all.
    """
    query = select(DeadLetterRow).where(col(DeadLetterRow.state) == state)
    if searched:
        named = (DeadLetterRow.portal, DeadLetterRow.topic, DeadLetterRow.event_type, DeadLetterRow.code)
        is_named = [col(column) == searched for column in named]
        is_event = cast(col(DeadLetterRow.event_id), String) == searched.lower()
        query = query.where(or_(is_event, *is_named))
    begins, ends = (None if edge is None else (edge,) for edge in (after, before))
    page = next_to(query, (col(DeadLetterRow.id),), begins, ends, descending=state != "parked")
    return in_order([dead_letter_of(row) for row in await tx.scalars(page.limit(limit))], before)


async def of_event(tx: Transaction, event_id: UUID, source: str | None = None) -> DeadLetterRow | None:
    """Return the newest dead letter with this ``ce_id`` (and ``ce_source``, if given)."""
    found = select(DeadLetterRow).where(col(DeadLetterRow.event_id) == event_id)
    if source is not None:
        found = found.where(col(DeadLetterRow.source) == source)
    return await tx.scalar(found.order_by(col(DeadLetterRow.id).desc()).limit(1))


async def lock(tx: Transaction, dead_letter_id: int) -> DeadLetter | None:
    """Lock a dead letter until the transaction ends. Returns None if it is no longer parked."""
    parked = select(DeadLetterRow).where(
        col(DeadLetterRow.id) == dead_letter_id, col(DeadLetterRow.state) == "parked"
    )
    row = await tx.scalar(parked.with_for_update())
    return None if row is None else dead_letter_of(row)


async def settle(tx: Transaction, dead_letter_id: int, *, state: str, actor: str, note: str | None) -> None:
    """Set the last state, ``redriven`` or ``discarded``, and log the actor."""
    await tx.execute(update(DeadLetterRow).where(col(DeadLetterRow.id) == dead_letter_id).values(state=state))
    await audit(tx, dead_letter_id, action=state, actor=actor, note=note)


async def discard(
    tx: Transaction, dead_letter_ids: Sequence[int], *, actor: str, reason: str
) -> list[DeadLetter]:
    """Discard and return the letters that are still parked."""
    discarded = []
    for dead_letter_id in dead_letter_ids:
        if letter := await lock(tx, dead_letter_id):
            await settle(tx, dead_letter_id, state="discarded", actor=actor, note=reason)
            discarded.append(letter)
    return discarded


async def audit(tx: Transaction, dead_letter_id: int, *, action: str, actor: str, note: str | None) -> None:
    """Add an entry to the audit log."""
    await tx.execute(
        insert(DeadLetterAuditRow).values(
            dead_letter_id=dead_letter_id, actor=actor, action=action, note=note
        )
    )


async def audit_log(tx: Transaction, dead_letter_id: int) -> list[DeadLetterAuditRow]:
    """Return the audit log in order."""
    found = select(DeadLetterAuditRow).where(col(DeadLetterAuditRow.dead_letter_id) == dead_letter_id)
    return list(await tx.scalars(found.order_by(col(DeadLetterAuditRow.id))))


async def hold(tx: Transaction, letters: Sequence[DeadLetter]) -> bool:
    """Lock parked letters, so that nobody redrives them before the transaction ends.

    Returns whether all of them are still parked.
    """
    parked = [letter.id for letter in letters if letter.state == "parked"]
    held = select(DeadLetterRow.id).where(
        col(DeadLetterRow.id).in_(parked), col(DeadLetterRow.state) == "parked"
    )
    return len(list(await tx.scalars(held.order_by(col(DeadLetterRow.id)).with_for_update()))) == len(parked)


async def empty(tx: Transaction, dead_letter_ids: Sequence[int]) -> None:
    """Keep only place and digest of dead letters, so that a replay does not bring them back."""
    if dead_letter_ids:
        await tx.execute(_EMPTY, {"ids": list(dead_letter_ids)})
        await tx.execute(_EMPTY_AUDIT, {"ids": list(dead_letter_ids)})


async def lock_some(tx: Transaction, condition: TextClause) -> list[DeadLetter]:
    """Lock some dead letters with this SQL condition. Skips rows locked by others."""
    rows = select(DeadLetterRow).where(condition).order_by(col(DeadLetterRow.id)).limit(READ_AT_ONCE)
    return [dead_letter_of(row) for row in await tx.scalars(rows.with_for_update(skip_locked=True))]


def dead_letter_of(row: DeadLetterRow | Row) -> DeadLetter:
    """Return the dead letter of a row."""
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
        event_id=row.event_id,
        source=row.source,
        portal=row.portal,
        parked_at=row.parked_at,
        state=row.state,
    )


async def count_parked(tx: Transaction, before: datetime | None = None) -> int:
    """Return how many dead letters are parked (before this moment, if given)."""
    parked = select(func.count()).where(col(DeadLetterRow.state) == "parked")
    if before is not None:
        parked = parked.where(col(DeadLetterRow.parked_at) < before)
    return (await tx.scalars(parked)).one()


async def oldest_parked(tx: Transaction) -> datetime | None:
    """Return since when a dead letter has been parked, or None if none is."""
    parked = select(func.min(DeadLetterRow.parked_at)).where(col(DeadLetterRow.state) == "parked")
    return await tx.scalar(parked)


async def decided(tx: Transaction, since: datetime) -> dict[str, int]:
    """Return how often each action was taken since then."""
    return {row.action: row.number for row in await tx.execute(_DECIDED, {"since": since})}


_DECIDED = text("SELECT action, count(*) AS number FROM dead_letter_audit WHERE at >= :since GROUP BY action")
_EMPTY = text(
    "UPDATE dead_letter SET key = NULL, value = NULL, headers = '[]', error = 'erased', traceback = NULL, "
    "problems = NULL, event_type = NULL, source = CASE WHEN portal IS NOT NULL THEN source END, "
    "state = CASE WHEN state = 'parked' THEN 'discarded' ELSE state END "
    "WHERE id = ANY(CAST(:ids AS bigint[]))"
)
_EMPTY_AUDIT = text(
    "UPDATE dead_letter_audit SET note = NULL WHERE dead_letter_id = ANY(CAST(:ids AS bigint[]))"
)


def _digest(record: Record) -> bytes:
    """The digest tells two records apart that had the same offset."""
    content = hashlib.sha256(_headers_to_json(record.headers).encode())
    content.update(b"\0" if record.key is None else b"\1" + record.key)
    content.update(b"\0" if record.value is None else b"\1" + record.value)
    return content.digest()


def _headers_to_json(headers: Sequence[tuple[str, bytes | None]]) -> str:
    return json.dumps(
        [
            [_storable(name), None if value is None else base64.b64encode(value).decode()]
            for name, value in headers
        ]
    )


def _storable(value: str | None, most: int | None = None) -> str | None:
    """Replace NUL and lone surrogates, which Postgres cannot store in text."""
    if value is None:
        return None
    return value[:most].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
