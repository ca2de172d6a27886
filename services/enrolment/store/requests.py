"""Stores requests that wait for their session, and the results of decided requests.

A waiting request is read with the corrections of its agent that came after it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import text, tuple_
from sqlmodel import col, func, select

from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    RequestForSeats,
    RequestKey,
    RequestResult,
    SeatRequest,
    Swap,
    Withdrawal,
    as_corrected,
)
from services.enrolment.store import corrections
from services.enrolment.tables import ERASED, RequestRow
from shared.database import Statement, Transaction
from shared.events.vocabulary import AgentKey
from shared.statements import insert_many, insertion, once


class AnsweredMeanwhile(Exception):
    """Some requests were already answered when their results were saved.

    One batch had two requests of a portal with the same id, for two sessions. One by one, the second is
    recognised.
    """


async def decidable(
    tx: Transaction, requests: Sequence[Request], session_ids: Collection[UUID]
) -> tuple[list[Request], list[Request]]:
    """Return the requests that waited for these sessions, and the new ``requests``, each once, in order.

    The request rows are this service's inbox. They are read after the sessions are locked, when any other
    transaction with the same request has committed.
    """
    parameters = {
        "ids": [request.request_id for request in requests],
        "sessions": list(session_ids),
        "earliest": min(
            (request.received_at for request in requests if isinstance(request, RequestForSeats)),
            default=None,
        ),
    }
    rows = (await tx.execute(_TAKEN_IN, parameters)).all()
    taken_in = {RequestKey(row.source, row.request_id) for row in rows if row.request_id is not None}
    new = []
    for request in requests:
        if (key := request.key) not in taken_in:
            taken_in.add(key)
            new.append(request)
    waiting = await undecided(tx, session_ids) if rows[0].any_waits else []
    return waiting, await _as_corrected(tx, new) if rows[0].any_correction else new


async def _as_corrected(tx: Transaction, requests: list[Request]) -> list[Request]:
    newer = await corrections.newer(tx, requests)
    return [as_corrected(request, newer) for request in requests] if newer else requests


async def known(tx: Transaction, requests: Sequence[Request]) -> set[RequestKey]:
    result = await tx.execute(_KNOWN, {"ids": [request.request_id for request in requests]})
    return {RequestKey(row.source, row.request_id) for row in result}


async def keep_undecided(tx: Transaction, requests: Sequence[Request]) -> None:
    if requests:
        rows = [
            {
                "request_id": request.request_id,
                "source": request.source,
                "portal": request.portal,
                "kind": type(request).__name__,
                "session_id": request.session_id,
                "issuer": request.agent_key and request.agent_key.issuer,
                "agent_id": request.agent_key and request.agent_key.agent_id,
                "received_at": request.received_at,
                "body": _KINDS[type(request).__name__].dump_json(request).decode(),
            }
            for request in requests
        ]
        # Another process may be storing the same request.
        await insert_many(tx, RequestRow, rows, then="ON CONFLICT (request_id, source) DO NOTHING")


async def any_undecided(tx: Transaction) -> bool:
    return bool(await tx.scalar(_ANY_UNDECIDED))


async def undecided(tx: Transaction, session_ids: Collection[UUID]) -> list[Request]:
    """Lock and return the waiting requests of these sessions, in order of receipt.

    A request to move waits for both of its sessions, so both must be among these.
    """
    if not session_ids:
        return []
    rows = await tx.execute(_UNDECIDED, {"ids": list(session_ids)})
    return await _as_corrected(tx, [_KINDS[row.kind].validate_python(row.body) for row in rows])


async def undecided_since(
    tx: Transaction, moment: datetime, most: int, *, about_several: bool
) -> list[Request]:
    """``about_several``: return the requests that name several agents, else those that name one."""
    parameters = {"moment": moment, "most": most, "about_several": about_several}
    rows = await tx.execute(_UNDECIDED_SINCE, parameters)
    return await _as_corrected(tx, [_KINDS[row.kind].validate_python(row.body) for row in rows])


async def waits(tx: Transaction, agent: AgentKey, moment: datetime) -> bool:
    return bool(await tx.scalar(_WAITS, {**agent._asdict(), "moment": moment}))


async def waits_of_sender(tx: Transaction, addresses: Collection[str]) -> bool:
    """Return whether a list of an officer with one of these lower-case addresses is not decided yet."""
    return bool(await tx.scalar(_WAITS_OF_SENDER, {"addresses": sorted(addresses)}))


async def save_results(
    tx: Transaction, results: Sequence[RequestResult], now: datetime, beside: Sequence[Statement]
) -> None:
    """Store the results, and execute the statements ``beside`` in the same round trip.

    A request that waited has a row already, which is updated.
    """
    if not results:
        await tx.execute_together(beside)
        return
    requests = [result.request for result in results]
    agents = [request.agent_key for request in requests]
    own = insertion(
        RequestRow,
        {
            "request_id": [request.request_id for request in requests],
            "source": once([request.source for request in requests]),
            "portal": once([request.portal for request in requests]),
            "kind": once([type(request).__name__ for request in requests]),
            "session_id": [request.session_id for request in requests],
            "issuer": once([agent and agent.issuer for agent in agents]),
            "agent_id": [agent and agent.agent_id for agent in agents],
            "received_at": [request.received_at for request in requests],
            "decided_at": now,
            "outcome": [result.state for result in results],
            "reason": once([result.reason for result in results]),
            "facts": [_NUMBERS.dump_json(result.numbers).decode() for result in results],
        },
        # The request's content is removed once it is answered.
        then="ON CONFLICT (request_id, source) DO UPDATE SET decided_at = excluded.decided_at, "
        "kind = excluded.kind, outcome = excluded.outcome, reason = excluded.reason, "
        "facts = excluded.facts, body = NULL WHERE request.decided_at IS NULL",
    )
    saved = await tx.execute_together([*beside, own])
    if saved.rowcount != len(results):
        raise AnsweredMeanwhile(f"{len(results) - saved.rowcount} requests were answered meanwhile")


async def find(tx: Transaction, request: RequestKey) -> RequestRow | None:
    return await tx.get(RequestRow, (request.request_id, request.source))


async def find_all(tx: Transaction, keys: Collection[RequestKey]) -> dict[RequestKey, RequestRow]:
    found = select(RequestRow).where(tuple_(col(RequestRow.source), col(RequestRow.request_id)).in_(keys))
    return {RequestKey(row.source, row.request_id): row for row in await tx.scalars(found)}


async def destinations(tx: Transaction, request_ids: Collection[UUID]) -> dict[UUID, UUID]:
    to = col(RequestRow.facts)["to_session_id"].astext
    found = select(col(RequestRow.request_id), to).where(
        col(RequestRow.request_id).in_(request_ids), to.is_not(None)
    )
    return {request_id: UUID(session_id) for request_id, session_id in await tx.execute(found)}


async def with_id(tx: Transaction, request_id: UUID, source: str | None = None) -> Sequence[RequestRow]:
    """Return the requests with this ``ce_id``, which several portals may have used.

    Requests of erased agents are left out.
    """
    found = select(RequestRow).where(col(RequestRow.request_id) == request_id, col(RequestRow.kind) != ERASED)
    if source is not None:
        found = found.where(col(RequestRow.source) == source)
    return (await tx.scalars(found.order_by(col(RequestRow.number)))).all()


async def of_agent(tx: Transaction, agent_id: str) -> Sequence[RequestRow]:
    """Return the agent's requests, oldest first, at most 1,000."""
    found = select(RequestRow).where(col(RequestRow.agent_id) == agent_id)
    return (await tx.scalars(found.order_by(col(RequestRow.number)).limit(1000))).all()


async def count_by_outcome(
    tx: Transaction, session_id: UUID
) -> Sequence[tuple[str, str | None, str | None, int]]:
    number = func.count()
    counted = (
        select(RequestRow.kind, RequestRow.outcome, RequestRow.reason, number)
        .where(col(RequestRow.session_id) == session_id)
        .group_by(col(RequestRow.kind), col(RequestRow.outcome), col(RequestRow.reason))
        .order_by(number.desc())
    )
    return [(kind, outcome, reason, n) for kind, outcome, reason, n in await tx.execute(counted)]


_NUMBERS: TypeAdapter[Mapping[str, int | str | None]] = TypeAdapter(Mapping[str, int | str | None])
_KINDS: Mapping[str, TypeAdapter[Request]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (SeatRequest, GroupRequest, Nomination, Withdrawal, ApprovalDecision, OfferAnswer, Swap)
}
# The first row exists even if no request is known. Both questions are almost always answered by no.
_TAKEN_IN = text(
    "SELECT request.request_id, source, any_waits, any_correction FROM (SELECT "
    "EXISTS (SELECT FROM request WHERE session_id = ANY(CAST(:sessions AS uuid[])) AND decided_at IS NULL) "
    "AS any_waits, "
    "EXISTS (SELECT FROM correction WHERE received_at > CAST(:earliest AS timestamptz)) AS any_correction"
    ") AS before "
    "LEFT JOIN request ON request.request_id = ANY(CAST(:ids AS uuid[]))"
)
_KNOWN = text("SELECT request_id, source FROM request WHERE request_id = ANY(CAST(:ids AS uuid[]))")
# Ordered like the index of undecided requests, so that Postgres uses it whatever the statistics say.
_ANY_UNDECIDED = text("SELECT true FROM request WHERE decided_at IS NULL ORDER BY session_id, number LIMIT 1")
_UNDECIDED = text(
    "SELECT kind, body FROM request "
    "WHERE session_id = ANY(CAST(:ids AS uuid[])) AND decided_at IS NULL "
    # Moves to unknown sessions may be many: to read them with each request would stop the session.
    "AND (kind <> 'Swap' OR CAST(body->>'to_session_id' AS uuid) = ANY(CAST(:ids AS uuid[]))) "
    "ORDER BY number FOR UPDATE"
)
_WAITS = text(
    "SELECT EXISTS (SELECT FROM request WHERE decided_at IS NULL AND received_at <= :moment "
    "AND ((issuer = :issuer AND agent_id = :agent_id) OR (agent_id IS NULL AND body @> jsonb_build_object("
    "'agents', jsonb_build_array(jsonb_build_object('agent_id', CAST(:agent_id AS text)))))))"
)
_WAITS_OF_SENDER = text(
    "SELECT EXISTS (SELECT FROM request WHERE decided_at IS NULL "
    "AND lower(body -> 'nominated_by' ->> 'email') = ANY(CAST(:addresses AS text[])))"
)
_UNDECIDED_SINCE = text(
    "SELECT kind, body FROM request WHERE decided_at IS NULL AND created_at < :moment "
    "AND (agent_id IS NULL) = :about_several "
    "AND (NOT EXISTS (SELECT FROM session WHERE session.session_id = request.session_id) "
    "OR jsonb_exists(body, 'to_session_id') AND NOT EXISTS (SELECT FROM session "
    "WHERE session.session_id = CAST(body->>'to_session_id' AS uuid))) "
    "ORDER BY number LIMIT :most FOR UPDATE SKIP LOCKED"
)
