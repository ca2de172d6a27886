"""Replays: told once to everyone enrolled in the recorded session, as their newest version has them."""

import json
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.notifier import tables
from services.notifier.letters import Letter, Template
from services.notifier.store.fan_out import MAIL_COLUMNS, FanOut, Task, begin, of
from services.notifier.store.queueing import ONCE
from shared.database import Transaction, insert_many
from shared.events.catalogue import ReplayPublished
from shared.events.cloudevents import Received


async def announce(tx: Transaction, replays: Sequence[tuple[Received[ReplayPublished], Letter]]) -> None:
    """Write to everyone enrolled in the recorded sessions.

    A replay is announced by its first event; a later version (a corrected address) mails nobody again, and
    corrects what is still to be sent.
    """
    told = await remember_replays(tx, replays)
    await begin(
        tx,
        [
            FanOut(row.event_id, Task.REPLAY, row.session_id, json.loads(row.facts), row.announced_at)
            for row in told
            if row.is_new
        ],
    )
    corrected = [row for row in told if not row.is_new]
    if corrected:
        which = {
            "event_ids": [row.event_id for row in corrected],
            "facts": [row.facts for row in corrected],
            "template": Template.REPLAY_AVAILABLE.value,
        }
        await tx.execute(_CORRECT_FAN_OUTS, which)
        await tx.execute(_CORRECT_MAILS, which)


async def remember_replays(
    tx: Transaction, replays: Sequence[tuple[Received[ReplayPublished], Letter]]
) -> Sequence[Row[Any]]:
    """Know these replays, and tell nobody. Returns those that are new, or newer than what was known.

    Each with the event that it was, or is, announced by.
    """
    if not replays:
        return []
    rows: dict[UUID, dict[str, Any]] = {}
    for received, letter in replays:
        replay = received.event
        row = rows.setdefault(
            replay.resource_id,
            {
                "resource_id": replay.resource_id,
                "version": 0,
                "event_id": received.id,
                "session_id": replay.session_id,
                "facts": "",
                "announced_at": received.received_at,
            },
        )
        if row["version"] < replay.version:
            row |= {"version": replay.version, "facts": json.dumps(letter.facts)}
    told = await insert_many(
        tx,
        tables.ReplayRow,
        list(rows.values()),
        then="ON CONFLICT (resource_id) DO UPDATE SET version = excluded.version, facts = excluded.facts "
        "WHERE replay.version < excluded.version "
        # Of a row that was there before, it is the transaction that changes it.
        "RETURNING event_id, session_id, facts::text AS facts, announced_at, xmax = 0 AS is_new",
    )
    return told.all()


async def announce_to(tx: Transaction, enrolment_ids: Collection[UUID]) -> None:
    """Write to those whose enrolment was told after the replay was: their event was late, not they."""
    if enrolment_ids:
        await tx.execute(_REPLAY_LATE, of(Template.REPLAY_AVAILABLE) | {"ids": list(enrolment_ids)})


_NEWER = "unnest(CAST(:event_ids AS uuid[]), CAST(:facts AS jsonb[])) AS newer (event_id, facts)"
_CORRECT_FAN_OUTS = text(
    f"UPDATE fan_out SET facts = newer.facts FROM {_NEWER} "  # noqa: S608 our own words
    "WHERE fan_out.event_id = newer.event_id AND task = 'replay' AND done_at IS NULL"
)
_CORRECT_MAILS = text(
    f"UPDATE mail SET facts = newer.facts FROM {_NEWER} "  # noqa: S608 our own words
    "WHERE mail.event_id = newer.event_id AND template = :template AND state IN ('pending', 'retry')"
)
_REPLAY_LATE = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS})
    SELECT replay.event_id, :template, agent_id, address, given_name, family_name, replay.session_id,
           enrolment_id, enrolment.version, replay.facts, true, :priority, announced_at
      FROM replay JOIN enrolment ON enrolment.session_id = replay.session_id AND standing = 'enrolled'
     WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) {ONCE}"""  # noqa: S608
)
