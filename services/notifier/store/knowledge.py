"""What the notifier knows of sessions and enrolments, by their newest version."""

import functools
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.notifier import tables
from services.notifier.letters import Known, Session, Standing
from shared.database import Transaction, insert_many
from shared.events.enrolment import Decision


async def remember_sessions(tx: Transaction, states: Iterable[Session]) -> None:
    """Keep the newest of each session; an older version than what is known changes nothing."""
    newest = {state.session_id: state for state in sorted(states, key=lambda state: state.version)}
    if newest:
        await insert_many(
            tx,
            tables.SessionRow,
            [
                {"session_id": state.session_id, "version": state.version, "state": state.model_dump_json()}
                for _, state in sorted(newest.items())
            ],
            then="ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, state = excluded.state "
            "WHERE session.version < excluded.version",
        )


async def enrolments(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Known]:
    """What is known of these enrolments, locked until the end of the transaction."""
    rows = await tx.execute(_ENROLMENTS, {"ids": list(ids)})
    return {row.enrolment_id: Known(row.version, Standing(row.standing)) for row in rows}


async def remember_enrolments(
    tx: Transaction, changed: Mapping[UUID, tuple[Decision, Standing]], since: Mapping[UUID, datetime]
) -> None:
    """Keep where these agents stand now, and since when; older versions change nothing."""
    if changed:
        await insert_many(
            tx,
            tables.EnrolmentRow,
            [
                {
                    "enrolment_id": enrolment_id,
                    "version": decision.version,
                    "session_id": decision.session_id,
                    "standing": standing.value,
                    "agent_id": decision.agent.agent_id,
                    "address": decision.agent.email,
                    "given_name": decision.agent.given_name,
                    "family_name": decision.agent.family_name,
                    "since": since[enrolment_id],
                }
                for enrolment_id, (decision, standing) in sorted(changed.items())
            ],
            then="ON CONFLICT (enrolment_id) DO UPDATE SET version = excluded.version, "
            "standing = excluded.standing, address = excluded.address, given_name = excluded.given_name, "
            "family_name = excluded.family_name, since = excluded.since "
            "WHERE enrolment.version < excluded.version",
        )


async def known_sessions(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Session]:
    """The newest state of these sessions, those that are known."""
    rows = await tx.execute(_SESSIONS, {"ids": list(ids)}) if ids else ()
    return {row.session_id: _session(row.state) for row in rows}


@functools.lru_cache(maxsize=256)
def _session(state: str) -> Session:
    """A session from its JSON; many letters tell of the same few."""
    return Session.model_validate_json(state)


async def open_alternatives(
    tx: Transaction, ids: Collection[UUID], *, most: int = 3
) -> dict[UUID, list[Session]]:
    """For each of these sessions, others of its offer that are open to enrolment now.

    Those of the same organiser first, then the next to begin; never one that is for some only, which would
    tell one authority of another's training. Whether they have seats left is not known here.
    """
    found: dict[UUID, list[Session]] = {}
    for row in await tx.execute(_ALTERNATIVES, {"ids": list(ids), "most": most}):
        found.setdefault(row.instead_of, []).append(_session(row.state))
    return found


_ENROLMENTS = text(
    "SELECT enrolment_id, version, standing FROM enrolment WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) "
    "ORDER BY enrolment_id FOR UPDATE"
)
_SESSIONS = text(
    "SELECT session_id, state::text AS state FROM session WHERE session_id = ANY(CAST(:ids AS uuid[]))"
)
_ALTERNATIVES = text(
    """
    SELECT wanted.session_id AS instead_of, other.state::text AS state
      FROM session AS wanted CROSS JOIN LATERAL (
           SELECT state FROM session
            WHERE session_id <> wanted.session_id AND state ->> 'offer_id' = wanted.state ->> 'offer_id'
              AND state ->> 'status' = 'published' AND (state ->> 'enrolment_opens_at')::timestamptz <= now()
              AND (state ->> 'enrolment_closes_at')::timestamptz > now()
              AND state ->> 'format' <> 'bespoke' AND coalesce((state ->> 'capacity')::int, 1) > 0
              AND jsonb_path_match(state, 'exists($.audience.*[*])') IS NOT TRUE
            ORDER BY state ->> 'organiser' <> wanted.state ->> 'organiser',
                     (state ->> 'starts_at')::timestamptz, session_id
            LIMIT :most) AS other
     WHERE wanted.session_id = ANY(CAST(:ids AS uuid[]))"""
)
