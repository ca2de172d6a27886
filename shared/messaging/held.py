"""Held events of the outbox: refused by the broker for good, or waiting.

A *refused* event is an outgoing dead letter: too large, or not allowed by the broker. A *waiting* event has a
topic that does not exist yet, or comes after a refused event of its key and topic. The relay reads neither.
Releasing events takes the lock of their bucket, so that no pass reads meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import Transaction

LOCK_SPACE = 0x6F7574
"""The first half of the advisory locks of buckets: "out"."""


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """A held event for an operator."""

    id: int
    created_at: datetime
    topic: str
    key: str
    event_id: UUID
    type: str
    source: str
    data: str
    held: str
    error: str


async def hold(tx: Transaction, refused: Mapping[int, str], waiting: Mapping[int, str]) -> None:
    """Hold events back, each with its reason."""
    reasons = {**refused, **waiting}
    if reasons:
        states = ["refused"] * len(refused) + ["waiting"] * len(waiting)
        await tx.execute(_HOLD, {"ids": [*reasons], "states": states, "errors": [*reasons.values()]})


async def find(
    tx: Transaction,
    *,
    ids: Sequence[int] = (),
    topic: str | None = None,
    state: str | None = None,
    limit: int,
) -> list[HeldEvent]:
    """Return at most ``limit`` events that are or were held back, in order."""
    filters = {"ids": list(ids), "topic": topic, "state": state, "limit": limit}
    rows = await tx.execute(_FIND, filters)
    return [HeldEvent(**row) for row in rows]


async def redrive(tx: Transaction, event_id: int) -> bool:
    """Make the relay send a refused event and the events behind it. Returns whether it was refused."""
    return await _settle(tx, event_id, _REDRIVE, {})


async def discard(tx: Transaction, event_id: int, *, actor: str, reason: str) -> bool:
    """Discard a refused event, and release the events behind it. Returns whether it was refused."""
    return await _settle(tx, event_id, _DISCARD, {"note": f"discarded by {actor}: {reason}"})


async def waiting_topics(tx: Transaction) -> list[str]:
    """Return the topics that events wait for, except behind a refused event."""
    return list(await tx.scalars(_WAITING_TOPICS))


async def release(tx: Transaction, topics: Sequence[str], buckets: int) -> int:
    """Release events for these topics, in buckets that no process serves now. Returns how many."""
    free = list(await tx.scalars(_FREE, {"space": LOCK_SPACE, "buckets": buckets}))
    return (await tx.execute(_RELEASE, {"topics": topics, "buckets": free})).rowcount


async def count(tx: Transaction) -> tuple[int, int]:
    """Return the numbers of refused and of waiting events."""
    refused, waiting = (await tx.execute(_COUNT)).one()
    return int(refused), int(waiting)


async def _settle(tx: Transaction, event_id: int, statement: Any, values: Mapping[str, str]) -> bool:
    await tx.execute(_LOCK_BUCKET, {"space": LOCK_SPACE, "id": event_id})
    settled = (await tx.execute(statement, {"id": event_id, **values})).one_or_none()
    if settled is None:
        return False
    await tx.execute(_RELEASE_KEY, {"topic": settled.topic, "key": settled.key})
    return True


_HOLD = text(
    """
    UPDATE outbox SET held = change.held, error = change.error
      FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS varchar[]), CAST(:errors AS varchar[]))
           AS change (id, held, error)
     WHERE outbox.id = change.id"""
)
_FIND = text(
    """
    SELECT id, created_at, topic, key, event_id, type, source, data, held, error FROM outbox
     WHERE held IS NOT NULL
       AND (cardinality(CAST(:ids AS bigint[])) = 0 OR id = ANY(CAST(:ids AS bigint[])))
       AND (CAST(:topic AS varchar) IS NULL OR topic = :topic)
       AND (CAST(:state AS varchar) IS NULL OR held = :state)
     ORDER BY id LIMIT :limit"""
)
_LOCK_BUCKET = text("SELECT pg_advisory_xact_lock(:space, bucket) FROM outbox WHERE id = :id")
_REDRIVE = text(
    "UPDATE outbox SET held = NULL, error = NULL WHERE id = :id AND held = 'refused' RETURNING topic, key"
)
_DISCARD = text(
    "UPDATE outbox SET held = 'discarded', sent_at = now(), error = error || '; ' || :note "
    "WHERE id = :id AND held = 'refused' RETURNING topic, key"
)
_RELEASE_KEY = text(
    "UPDATE outbox SET held = NULL, error = NULL WHERE held = 'waiting' AND topic = :topic AND key = :key"
)
_WAITING_TOPICS = text(
    """
    SELECT DISTINCT topic FROM outbox
     WHERE held = 'waiting' AND NOT EXISTS (
           SELECT FROM outbox AS refused
            WHERE refused.held = 'refused' AND refused.topic = outbox.topic AND refused.key = outbox.key)"""
)
_FREE = text(
    "SELECT bucket FROM generate_series(0, :buckets - 1) AS bucket "
    "WHERE pg_try_advisory_xact_lock(:space, bucket)"
)
_RELEASE = text(
    """
    UPDATE outbox SET held = NULL, error = NULL
     WHERE held = 'waiting' AND topic = ANY(CAST(:topics AS varchar[]))
       AND bucket = ANY(CAST(:buckets AS integer[])) AND NOT EXISTS (
           SELECT FROM outbox AS refused
            WHERE refused.held = 'refused' AND refused.topic = outbox.topic AND refused.key = outbox.key)"""
)
_COUNT = text(
    "SELECT count(*) FILTER (WHERE held = 'refused'), count(*) FILTER (WHERE held = 'waiting') FROM outbox "
    "WHERE held IN ('refused', 'waiting')"
)
