"""What is asked: events read as requests, requests kept until their session is known, what became of each."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, text

from services.enrolment import tables
from services.enrolment.rules import (
    Answer,
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    SeatRequest,
    Withdrawal,
)
from shared.database import Transaction, insert_many
from shared.events.portal import (
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    SeatOfferAnswered,
    TraineesNominated,
    WithdrawalRequested,
)
from shared.messaging.decoding import Received

PortalRequest = (
    EnrolmentRequested
    | GroupEnrolmentRequested
    | WithdrawalRequested
    | ApprovalDecided
    | SeatOfferAnswered
    | TraineesNominated
)


def request_of(received: Received[PortalRequest]) -> Request:
    """The request that an event makes, as the rules want it."""
    event = received.event
    about = received.id, received.received_at, event.session_id
    trace = received.envelope.traceparent
    match event:
        case EnrolmentRequested():
            return SeatRequest(*about, event.agent, event.approval is not None, trace)
        case GroupEnrolmentRequested():
            return GroupRequest(*about, event.agents, event.all_or_nothing, trace)
        case WithdrawalRequested():
            return Withdrawal(*about, event.agent_id, event.reason, event.by == "employer", trace)
        case ApprovalDecided():
            return ApprovalDecision(*about, event.agent_id, event.granted, trace)
        case SeatOfferAnswered():
            return OfferAnswer(*about, event.agent_id, event.accepted, None, trace)
        case TraineesNominated():
            return Nomination(*about, event.siret, event.agents, trace)


async def keep_for_later(tx: Transaction, requests: Sequence[Request]) -> None:
    """Keep requests whose session is unknown until it comes, or patience ends."""
    if requests:
        await insert_many(tx, tables.request, [_undecided_row(request) for request in requests])


async def undecided_since(tx: Transaction, moment: datetime) -> list[Request]:
    """Requests that have waited since before ``moment`` for a session that is still unknown, locked."""
    result = await tx.execute(_WAITED, {"moment": moment})
    return [_request_from(row) for row in result]


async def undecided(tx: Transaction, session_ids: Sequence[UUID]) -> list[Request]:
    """Requests that wait for these sessions, in the order in which they came, locked."""
    if not session_ids:
        return []
    result = await tx.execute(_UNDECIDED, {"ids": list(session_ids)})
    return [_request_from(row) for row in result]


async def save_answers(tx: Transaction, answers: Sequence[Answer], now: datetime) -> None:
    """What became of each request; one that waited for its session has a row already."""
    if not answers:
        return
    rows = [
        {
            "request_id": answer.request.request_id,
            "kind": type(answer.request).__name__,
            "session_id": answer.request.session_id,
            "agent_id": answer.request.agent_id,
            "received_at": answer.request.received_at,
            "decided_at": now,
            "outcome": answer.outcome,
            "reason": answer.reason,
            "facts": json.dumps(answer.facts),
        }
        for answer in answers
    ]
    await insert_many(
        tx,
        tables.request,
        rows,
        # What was asked is not kept once it is answered.
        then="ON CONFLICT (request_id) DO UPDATE SET decided_at = excluded.decided_at, kind = excluded.kind, "
        "outcome = excluded.outcome, reason = excluded.reason, facts = excluded.facts, asked = NULL",
    )


async def request_outcome(tx: Transaction, request_id: UUID) -> Row[Any] | None:
    """The row of one request, or None."""
    result = await tx.execute(
        text(
            "SELECT request_id, kind, session_id, agent_id, received_at, decided_at, outcome, reason, facts "
            "FROM request WHERE request_id = :id"
        ),
        {"id": request_id},
    )
    return result.one_or_none()


_KINDS: Mapping[str, TypeAdapter[Request]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (SeatRequest, GroupRequest, Nomination, Withdrawal, ApprovalDecision, OfferAnswer)
}


def _undecided_row(request: Request) -> dict[str, Any]:
    kind = type(request).__name__
    return {
        "request_id": request.request_id,
        "kind": kind,
        "session_id": request.session_id,
        "agent_id": request.agent_id,
        "received_at": request.received_at,
        "asked": _KINDS[kind].dump_json(request).decode(),
    }


def _request_from(row: Row[Any]) -> Request:
    # A row of the version before has no kind; it knew these two.
    kind = row.kind or ("SeatRequest" if "agent" in row.asked else "Withdrawal")
    return _KINDS[kind].validate_python(row.asked)


_UNDECIDED = text(
    "SELECT * FROM request WHERE session_id = ANY(CAST(:ids AS uuid[])) AND decided_at IS NULL "
    "ORDER BY number FOR UPDATE"
)
_WAITED = text(
    "SELECT * FROM request WHERE decided_at IS NULL AND created_at < :moment "
    "AND NOT EXISTS (SELECT FROM session WHERE session.session_id = request.session_id) "
    "ORDER BY number LIMIT 5000 FOR UPDATE SKIP LOCKED"
)
