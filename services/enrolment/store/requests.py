"""What is asked: events read as requests, requests kept until their session is known, what became of each."""

import base64
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
from shared.database import Transaction, insert_columns, insert_many, once
from shared.events.cloudevents import Received
from shared.events.portal import (
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    SeatOfferAnswered,
    TraineesNominated,
    WithdrawalRequested,
)

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
    trace = received.traceparent
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


class AnsweredMeanwhile(Exception):
    """Requests of one id for two sessions were answered at once; taken one by one, one of them is known."""


async def unknown(tx: Transaction, requests: Sequence[Request]) -> list[Request]:
    """Those of ``requests`` that were never taken in, each id once, in the same order.

    The rows of requests are this service's inbox. Asked once the sessions are locked: whoever took in the
    same request before has committed then.
    """
    result = await tx.execute(_KNOWN, {"ids": [request.request_id for request in requests]})
    known = set(result.scalars())
    fresh = []
    for request in requests:
        if request.request_id not in known:
            known.add(request.request_id)
            fresh.append(request)
    return fresh


async def keep_for_later(tx: Transaction, requests: Sequence[Request]) -> None:
    """Keep requests whose session is unknown until it comes, or patience ends."""
    if requests:
        rows = [_undecided_row(request) for request in requests]
        # Another process may be keeping the same one.
        await insert_many(tx, tables.request, rows, then="ON CONFLICT (request_id) DO NOTHING")


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
    requests = [answer.request for answer in answers]
    result = await insert_columns(
        tx,
        tables.request,
        {
            "request_id": [request.request_id for request in requests],
            "kind": once([type(request).__name__ for request in requests]),
            "session_id": [request.session_id for request in requests],
            "agent_id": [request.agent_id for request in requests],
            "received_at": [request.received_at for request in requests],
            "decided_at": now,
            "outcome": [answer.outcome for answer in answers],
            "reason": once([answer.reason for answer in answers]),
            "facts": [_facts.dump_json(answer.facts).decode() for answer in answers],
        },
        # What was asked is not kept once it is answered.
        then="ON CONFLICT (request_id) DO UPDATE SET decided_at = excluded.decided_at, kind = excluded.kind, "
        "outcome = excluded.outcome, reason = excluded.reason, facts = excluded.facts, body = NULL "
        "WHERE request.decided_at IS NULL",
    )
    if result.rowcount != len(answers):
        raise AnsweredMeanwhile(f"{len(answers) - result.rowcount} requests were answered meanwhile")


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


async def why_unreadable(tx: Transaction, request_id: UUID) -> str | None:
    """Why a record with this ``ce_id`` was put aside, if one was; never a word of what it held."""
    encoded = base64.b64encode(str(request_id).encode()).decode()
    error: str | None = await tx.scalar(_UNREADABLE, {"header": json.dumps([["ce_id", encoded]])})
    return error


_facts: TypeAdapter[Mapping[str, int | str | None]] = TypeAdapter(Mapping[str, int | str | None])
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
        "body": _KINDS[kind].dump_json(request).decode(),
    }


def _request_from(row: Row[Any]) -> Request:
    return _KINDS[row.kind].validate_python(row.body)


_UNREADABLE = text(
    "SELECT error FROM dead_letter WHERE state = 'parked' AND traceback IS NULL "
    "AND headers @> CAST(:header AS jsonb) LIMIT 1"
)
_KNOWN = text("SELECT request_id FROM request WHERE request_id = ANY(CAST(:ids AS uuid[]))")
_UNDECIDED = text(
    "SELECT * FROM request WHERE session_id = ANY(CAST(:ids AS uuid[])) AND decided_at IS NULL "
    "ORDER BY number FOR UPDATE"
)
_WAITED = text(
    "SELECT * FROM request WHERE decided_at IS NULL AND created_at < :moment "
    "AND NOT EXISTS (SELECT FROM session WHERE session.session_id = request.session_id) "
    "ORDER BY number LIMIT 5000 FOR UPDATE SKIP LOCKED"
)
