"""Into the queue: a row per fact, letter and recipient, however often the fact is told."""

import json
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from services.notifier import tables
from services.notifier.letters import KINDS, Letter, Template
from shared.database import Transaction, insert_many
from shared.events.catalogue import ReplayPublished
from shared.events.enrolment import Decision
from shared.messaging.decoding import Received


async def queue(tx: Transaction, called_for: Sequence[tuple[Received[Decision], Letter]]) -> None:
    """Queue letters to the agents that the decisions are about, each once."""
    if called_for:
        await insert_many(
            tx,
            tables.mail,
            [_row(received, letter) for received, letter in called_for],
            then="ON CONFLICT (event_id, template, recipient) DO NOTHING",
        )


def _row(received: Received[Decision], letter: Letter) -> dict[str, Any]:
    decision = received.event
    return {
        "mail_id": uuid4(),
        "event_id": received.id,
        "template": letter.template.value,
        "recipient": decision.agent.agent_id,
        "address": decision.agent.email,
        "given_name": decision.agent.given_name,
        "family_name": decision.agent.family_name,
        "session_id": decision.session_id,
        "enrolment_id": decision.enrolment_id,
        "version": decision.version,
        "facts": json.dumps(letter.facts),
        "needs_session": letter.needs_session,
        "priority": int(KINDS[letter.template].priority),
        "called_for_at": received.received_at,
    }


async def lock_sessions(tx: Transaction, ids: Collection[UUID], *, alone: bool) -> None:
    """Let the enrolments of a session be told and its replay be announced one after the other.

    Of two transactions at once, which do not see each other, neither would write to who enrolled just then.
    """
    await tx.execute(_LOCK_ALONE if alone else _LOCK_SHARED, {"ids": sorted(ids)})


async def announce(tx: Transaction, replays: Sequence[tuple[Received[ReplayPublished], Letter]]) -> None:
    """Write to everyone enrolled in the recorded sessions: one statement, however many they are.

    A replay is announced by its first event; a later version of it (a corrected title) mails nobody again.
    """
    if not replays:
        return
    new = await insert_many(
        tx,
        tables.replay,
        [
            {
                "resource_id": received.event.resource_id,
                "event_id": received.id,
                "session_id": received.event.session_id,
                "facts": json.dumps(letter.facts),
                "announced_at": received.received_at,
            }
            for received, letter in {
                one.event.resource_id: (one, letter) for one, letter in replays[::-1]
            }.values()
        ],
        then="ON CONFLICT (resource_id) DO NOTHING RETURNING resource_id",
    )
    await tx.execute(_ANNOUNCE, {"replays": list(new.scalars()), "priority": _NEWS, "template": _REPLAY})


async def announce_to(tx: Transaction, enrolment_ids: Collection[UUID]) -> None:
    """Write to those whose enrolment was told after the replay was: their event was late, not they."""
    if enrolment_ids:
        await tx.execute(_ANNOUNCE_LATE, {"ids": list(enrolment_ids), "priority": _NEWS, "template": _REPLAY})


_REPLAY = Template.REPLAY_AVAILABLE.value
_NEWS = int(KINDS[Template.REPLAY_AVAILABLE].priority)

_LOCK = (
    "FROM (SELECT DISTINCT hashtextextended(id::text, 7) AS key "
    "FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY 1)"
)
_LOCK_ALONE = text(f"SELECT pg_advisory_xact_lock(key) {_LOCK} AS keys")
_LOCK_SHARED = text(f"SELECT pg_advisory_xact_lock_shared(key) {_LOCK} AS keys")

_FAN_OUT = """
    INSERT INTO mail (event_id, template, recipient, address, given_name, family_name, session_id,
                      enrolment_id, version, facts, needs_session, priority, called_for_at)
    SELECT DISTINCT ON (replay.event_id, agent_id)
           replay.event_id, :template, agent_id, address, given_name, family_name, replay.session_id,
           enrolment_id, enrolment.version, replay.facts, true, :priority, announced_at
      FROM replay JOIN enrolment ON enrolment.session_id = replay.session_id AND standing = 'enrolled'
     WHERE {which}
        ON CONFLICT (event_id, template, recipient) DO NOTHING"""
_ANNOUNCE = text(_FAN_OUT.format(which="resource_id = ANY(CAST(:replays AS uuid[]))"))
_ANNOUNCE_LATE = text(_FAN_OUT.format(which="enrolment_id = ANY(CAST(:ids AS uuid[]))"))
