import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select

from services.notifier.letters import FanOut, FanOutTask, Letter, LetterType
from services.notifier.store.fan_outs import of
from services.notifier.store.queue import MAIL_COLUMNS, ONCE
from services.notifier.tables import ReplayRow
from shared.database import Transaction
from shared.events.catalogue import ReplayPublished
from shared.events.cloudevents import Received
from shared.statements import insert_many


@dataclass(frozen=True, slots=True)
class SavedReplay:
    announcement: FanOut
    is_new: bool


async def save(
    tx: Transaction, replays: Sequence[tuple[Received[ReplayPublished], Letter]]
) -> list[SavedReplay]:
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
                "details": "",
                "announced_at": received.received_at,
            },
        )
        if row["version"] < replay.version:
            row |= {"version": replay.version, "details": json.dumps(letter.details)}
    saved = await insert_many(
        tx,
        ReplayRow,
        list(rows.values()),
        then="ON CONFLICT (resource_id) DO UPDATE SET version = excluded.version, details = excluded.details "
        "WHERE replay.version < excluded.version "
        # An existing row has the xmax of this transaction.
        "RETURNING event_id, session_id, details::text AS details, announced_at, xmax = 0 AS is_new",
    )
    return [
        SavedReplay(
            FanOut(
                row.event_id, FanOutTask.REPLAY, row.session_id, json.loads(row.details), row.announced_at
            ),
            row.is_new,
        )
        for row in saved
    ]


async def all_rows(tx: Transaction) -> list[ReplayRow]:
    return list(await tx.scalars(select(ReplayRow)))


async def correct(tx: Transaction, replays: Sequence[FanOut]) -> None:
    if replays:
        newer = {
            "event_ids": [replay.event_id for replay in replays],
            "details": [json.dumps(replay.details) for replay in replays],
            "template": LetterType.REPLAY_AVAILABLE.value,
        }
        await tx.execute(_CORRECT_FAN_OUTS, newer)
        await tx.execute(_CORRECT_MAILS, newer)


async def announce_late(tx: Transaction, enrolment_ids: Collection[UUID]) -> None:
    if enrolment_ids:
        await tx.execute(_REPLAY_LATE, of(LetterType.REPLAY_AVAILABLE) | {"ids": list(enrolment_ids)})


_NEWER = "unnest(CAST(:event_ids AS uuid[]), CAST(:details AS jsonb[])) AS newer (event_id, details)"
_CORRECT_FAN_OUTS = text(
    f"UPDATE fan_out SET details = newer.details FROM {_NEWER} "  # noqa: S608 our own words
    "WHERE fan_out.event_id = newer.event_id AND task = 'replay' AND done_at IS NULL"
)
_CORRECT_MAILS = text(
    f"UPDATE mail SET details = newer.details FROM {_NEWER} "  # noqa: S608 our own words
    "WHERE mail.event_id = newer.event_id AND template = :template AND state IN ('pending', 'retry')"
)
_REPLAY_LATE = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS})
    SELECT replay.event_id, :template, issuer, agent_id, address, given_name, family_name, replay.session_id,
           enrolment_id, enrolment.version, replay.details, true, :priority, announced_at
      FROM replay JOIN enrolment ON enrolment.session_id = replay.session_id AND standing = 'enrolled'
     WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) {ONCE}"""  # noqa: S608 our own words
)
