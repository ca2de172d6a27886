import functools
from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select

from services.notifier.letters import NumberedSession
from services.notifier.tables import SessionRow
from shared import places
from shared.database import Transaction
from shared.statements import insert_many

_MOST_ALTERNATIVES = 3


async def lock(tx: Transaction, ids: Collection[UUID], *, exclusive: bool) -> None:
    """Serialise enrolments in a session and events about it.

    Otherwise neither transaction would write to an agent who enrolled meanwhile. Enrolments take the lock
    shared, events about the session exclusively.
    """
    await tx.execute(_LOCK_EXCLUSIVE if exclusive else _LOCK_SHARED, {"ids": sorted(ids)})


async def save(tx: Transaction, sessions: Iterable[NumberedSession]) -> None:
    """Store the newest states. An older version changes nothing."""
    newest = {
        session.session_id: session for session in sorted(sessions, key=lambda session: session.version)
    }
    if newest:
        await insert_many(
            tx,
            SessionRow,
            [
                {"session_id": session_id, "version": session.version, "state": session.model_dump_json()}
                for session_id, session in sorted(newest.items())
            ],
            then="ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, state = excluded.state "
            "WHERE session.version < excluded.version",
        )


async def find(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, NumberedSession]:
    rows = await tx.execute(_SESSIONS, {"ids": list(ids)}) if ids else ()
    return {row.session_id: session_of(row.state) for row in rows}


async def all_rows(tx: Transaction) -> list[SessionRow]:
    return list(await tx.scalars(select(SessionRow)))


async def offer_titles(tx: Transaction, offer_ids: Collection[str]) -> dict[str, str]:
    """Return the most frequent title of each offer's sessions, because no event names an offer.

    Bespoke sessions are private and do not count.
    """
    rows = await tx.execute(_OFFER_TITLES, {"ids": list(offer_ids)}) if offer_ids else ()
    return {row.offer_id: row.title for row in rows}


@functools.lru_cache(maxsize=256)
def session_of(state: str) -> NumberedSession:
    """Cached, because many letters are about the same few sessions."""
    return NumberedSession.model_validate_json(state)


async def open_alternatives(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, list[NumberedSession]]:
    """Return the three nearest others of the offer that are open and have a seat that nobody waits for.

    Sessions with an audience are private.
    """
    found: dict[UUID, list[NumberedSession]] = {}
    instead_of = await find(tx, ids)
    for row in await tx.execute(_ALTERNATIVES, {"ids": list(ids)}):
        found.setdefault(row.instead_of, []).append(session_of(row.state))
    return {
        session_id: sorted(others, key=places.nearness(instead_of[session_id]))[:_MOST_ALTERNATIVES]
        for session_id, others in found.items()
    }


_LOCK = (
    "FROM (SELECT DISTINCT hashtextextended(id::text, 7) AS key "
    "FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY 1)"
)
_LOCK_EXCLUSIVE = text(f"SELECT pg_advisory_xact_lock(key) {_LOCK} AS keys")
_LOCK_SHARED = text(f"SELECT pg_advisory_xact_lock_shared(key) {_LOCK} AS keys")

_SESSIONS = text(
    "SELECT session_id, state::text AS state FROM session WHERE session_id = ANY(CAST(:ids AS uuid[]))"
)
_OFFER_TITLES = text(
    "SELECT state ->> 'offer_id' AS offer_id, mode() WITHIN GROUP (ORDER BY state ->> 'title') AS title "
    "FROM session WHERE state ->> 'offer_id' = ANY(CAST(:ids AS text[])) AND state ->> 'format' <> 'bespoke' "
    "GROUP BY 1"
)
_ALTERNATIVES = text(
    """
    SELECT wanted.session_id AS instead_of, other.state::text AS state
      FROM session AS wanted JOIN session AS other
           ON other.session_id <> wanted.session_id
           AND other.state ->> 'offer_id' = wanted.state ->> 'offer_id'
     WHERE wanted.session_id = ANY(CAST(:ids AS uuid[]))
       AND other.state ->> 'status' = 'published' AND other.state ->> 'format' <> 'bespoke'
       AND (other.state ->> 'enrolment_opens_at')::timestamptz <= now()
       AND (other.state ->> 'enrolment_closes_at')::timestamptz > now()
       AND jsonb_path_match(other.state, 'exists($.audience.*[*])') IS NOT TRUE
       AND (other.state ->> 'capacity' IS NULL OR (other.state ->> 'capacity')::int >
            (SELECT count(*) FROM enrolment WHERE session_id = other.session_id AND standing = 'enrolled')
            + (SELECT count(*) FROM enrolment
                WHERE session_id = other.session_id AND standing IN ('waitlisted', 'offered')))"""
)
