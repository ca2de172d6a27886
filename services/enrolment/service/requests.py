from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.answering import decide
from services.enrolment.rules.enrolments import refusal_event, refused_enrolment
from services.enrolment.rules.outcomes import no_session
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Request, RequestForSeats, RequestKey, RequestResult, Swap
from services.enrolment.rules.states import State
from services.enrolment.service.failures import RefusedByRules
from services.enrolment.store import (
    accepted_events,
    changes,
    enrolments,
    outbox,
    request_outcomes,
    rosters,
    sessions,
)
from services.enrolment.store import requests as store
from services.enrolment.tables import EnrolmentChangeRow, RequestOutcomeRow, RequestRow
from shared import read_log
from shared.database import Transaction
from shared.events.outcomes import RejectionCode
from shared.events.reasons import Reason
from shared.events.vocabulary import AgentKey
from shared.messaging import dead_letters
from shared.messaging.tables import DeadLetterRow
from shared.read_log import Reading, ReadKind
from shared.security_log import is_anothers


async def process(
    tx: Transaction, requests: Sequence[Request], policy: Policy, now: datetime
) -> Mapping[RequestKey, RequestResult | None]:
    """Process the new requests in order of receipt, after requests that waited for these sessions.

    A result is None if the request's session is unknown: it waits.
    """
    rows = await sessions.lock(tx, {session_id for request in requests for session_id in request.session_ids})
    answerable, new = await store.decidable(tx, requests, rows)
    waiting: list[Request] = []
    for request in new:
        known = all(session_id in rows for session_id in request.session_ids)
        (answerable if known else waiting).append(request)
    loaded = await rosters.load(tx, rows, policy, now, requests=rosters.by_session(answerable))
    decide(loaded, answerable)
    await rosters.save(tx, loaded.values())
    await store.keep_undecided(tx, waiting)
    results: dict[RequestKey, RequestResult | None] = {request.key: None for request in waiting}
    return results | {result.request.key: result for roster in loaded.values() for result in roster.results}


async def process_known(tx: Transaction, request: Request, policy: Policy, now: datetime) -> RequestResult:
    result = (await process(tx, [request], policy, now))[request.key]
    if result is None:
        raise LookupError("a session that was there is not")
    return result


async def grant(tx: Transaction, request: Request, policy: Policy, now: datetime) -> None:
    """A refusal raises ``RefusedByRules``, so that no letter is sent."""
    result = await process_known(tx, request, policy, now)
    if result.reason is not None:
        raise RefusedByRules(result.reason)


async def any_undecided(tx: Transaction) -> bool:
    return await store.any_undecided(tx)


async def process_waiting(tx: Transaction, policy: Policy, now: datetime) -> None:
    """Process requests stored while their session's event was being committed."""
    rows = await sessions.lock(tx, await sessions.with_undecided_requests(tx))
    requests = await store.undecided(tx, rows)
    by_session = rosters.by_session(requests)
    rows = {session_id: row for session_id, row in rows.items() if session_id in by_session}
    loaded = await rosters.load(tx, rows, policy, now, requests=by_session)
    decide(loaded, requests)
    await rosters.save(tx, loaded.values())


MOST_REFUSED = 500
MOST_GROUPS_REFUSED = 10
"""Requests refused in one transaction. Many groups of 500 agents would stop the process."""


async def refuse_unknown(tx: Transaction, waiting_since: datetime, now: datetime) -> bool:
    """Refuse requests that have waited since ``waiting_since`` for an unknown session.

    A refusal is published for each agent whom the request describes. If only an id is known, only the portal
    is answered. Returns whether more may be left.
    """
    reason = Reason.UNKNOWN_SESSION
    alone = await store.undecided_since(tx, waiting_since, MOST_REFUSED, about_several=False)
    groups = await store.undecided_since(tx, waiting_since, MOST_GROUPS_REFUSED, about_several=True)
    requests = [*alone, *groups]
    refused = [
        (refused_enrolment(request, agent, reason), request)
        for request in requests
        if isinstance(request, RequestForSeats)
        for agent in request.agents
    ]
    results = [RequestResult(request, State.REFUSED, reason, {}) for request in requests]
    decisions = [(refusal_event(enrolment, 0, request.key), request) for enrolment, request in refused]
    outcomes = [
        (outcome, request)
        for request in requests
        if not isinstance(request, RequestForSeats) and (outcome := no_session(request)) is not None
    ]
    statements = [
        *enrolments.insertions([enrolment for enrolment, _ in refused], now),
        *outbox.insertions(tx, [*decisions, *outcomes]),
    ]
    await store.save_results(tx, results, now, statements)
    return len(alone) == MOST_REFUSED or len(groups) == MOST_GROUPS_REFUSED


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """All that is known of a request.

    ``request`` is None until it is read. ``changes`` are its own, ``history`` are later changes of the
    agent's enrolments. ``accepted_at`` is set if it came by HTTP. ``outcomes`` are other services' answers.
    ``dead_letter`` is set if it was parked or rejected.
    """

    request: RequestRow | None
    changes: Sequence[EnrolmentChangeRow] = ()
    states_now: Sequence[str] = ()
    history: Sequence[EnrolmentChangeRow] = ()
    accepted_at: datetime | None = None
    outcomes: Sequence[RequestOutcomeRow] = ()
    dead_letter: DeadLetterRow | None = None


class SeveralRequests(LookupError):
    """Several portals used one ``ce_id`` for different requests."""


async def status(
    tx: Transaction, request_id: UUID, source: str | None, reading: Reading | None = None
) -> RequestStatus:
    """``source`` None means any portal. Raises :class:`SeveralRequests`."""
    match await store.with_id(tx, request_id, source):
        case [request]:
            if reading is not None:
                await record_read(tx, request, reading, ReadKind.REQUEST)
            return await _status_of(tx, request)
        case [_, *_]:
            raise SeveralRequests(request_id)
    if source is not None and await store.with_id(tx, request_id, None):
        is_anothers()
    outcomes = await request_outcomes.of_request(tx, request_id, source)
    if len({outcome.request_source for outcome in outcomes}) > 1:
        raise SeveralRequests(request_id)
    letter = await dead_letters.of_event(tx, request_id, source)
    accepted_at = await accepted_events.accepted_at(tx, request_id, source)
    if accepted_at is not None:
        # We sign events sent by HTTP, so an unsigned record with the same id is not this request.
        outcomes = [outcome for outcome in outcomes if outcome.code != RejectionCode.NOT_AUTHENTICATED]
        letter = None if letter is not None and letter.code == RejectionCode.NOT_AUTHENTICATED else letter
    return RequestStatus(None, outcomes=outcomes, accepted_at=accepted_at, dead_letter=letter)


async def record_read(tx: Transaction, request: RequestRow, reading: Reading, kind: ReadKind) -> None:
    """Record a read about the request's agent, or about its session for several agents."""
    known = request.agent_id is not None
    about = [AgentKey(request.issuer or "", request.agent_id or "")] if known else []
    await read_log.record(tx, reading, kind, agents=about, session_id=request.session_id)


async def _status_of(tx: Transaction, request: RequestRow) -> RequestStatus:
    made = await changes.of_request(tx, request)
    # The new seat of a move counts. The seat that the agent left is in the history.
    moved = [] if request.kind == Swap.__name__ else [change.enrolment_id for change in made]
    own = await enrolments.of_request(tx, request, moved)
    return RequestStatus(
        request,
        changes=made,
        states_now=list(own.values()),
        history=await changes.since(tx, own, request.decided_at),
    )
