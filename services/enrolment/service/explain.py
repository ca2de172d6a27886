from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.enrolment.service.requests import record_read
from services.enrolment.store import changes, history, request_outcomes, requests, sessions
from services.enrolment.store.history import EnrolmentHistory
from services.enrolment.store.sessions import session_of
from services.enrolment.tables import EnrolmentChangeRow, RequestOutcomeRow, RequestRow, SessionRow
from shared import read_log
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import AgentKey
from shared.read_log import Reading, ReadKind
from shared.references import ids_of

__all__ = [
    "LAST_CHANGES",
    "AgentExplanation",
    "EnrolmentHistory",
    "IdExplanation",
    "OutcomeExplanation",
    "RequestExplanation",
    "SessionExplanation",
    "explain",
]

LAST_CHANGES = 50


@dataclass(frozen=True, slots=True)
class RequestExplanation:
    request: RequestRow
    enrolments: Sequence[EnrolmentHistory]


@dataclass(frozen=True, slots=True)
class SessionExplanation:
    session: SessionState
    row: SessionRow
    answers: Sequence[tuple[str, str | None, str | None, int]]
    changes: Sequence[EnrolmentChangeRow]


@dataclass(frozen=True, slots=True)
class AgentExplanation:
    agent: AgentKey
    enrolments: Sequence[EnrolmentHistory]
    requests: Sequence[RequestRow]


@dataclass(frozen=True, slots=True)
class OutcomeExplanation:
    request_id: UUID
    outcomes: Sequence[RequestOutcomeRow]


IdExplanation = (
    RequestExplanation | OutcomeExplanation | SessionExplanation | AgentExplanation | EnrolmentHistory
)


async def explain(tx: Transaction, identifier: str, reading: Reading) -> Sequence[IdExplanation]:
    try:
        known_id = UUID(identifier)
    except ValueError:
        known_id = None
    if known_id is not None:
        if of_portals := await requests.with_id(tx, known_id):
            for request in of_portals:
                await record_read(tx, request, reading, ReadKind.EXPLANATION)
            return [
                RequestExplanation(request, await history.of_request(tx, request)) for request in of_portals
            ]
        if (session := await sessions.find_row(tx, known_id)) is not None:
            await read_log.record(tx, reading, ReadKind.EXPLANATION, session_id=known_id)
            answers = await requests.count_by_outcome(tx, known_id)
            last = [*reversed(await changes.last_of_session(tx, known_id, LAST_CHANGES))]
            return [SessionExplanation(session_of(session), session, answers, last)]
        if outcomes := await request_outcomes.of_request(tx, known_id, None):
            return [OutcomeExplanation(known_id, outcomes)]
        if found := await _between(tx, (known_id, known_id), reading):
            return found
    histories = await history.of_agent(tx, identifier)
    by_name = await requests.of_agent(tx, identifier)
    if not histories and not by_name:
        return await _of_reference(tx, identifier, reading)
    issuers = {past.enrolment.issuer for past in histories} | {request.issuer or "" for request in by_name}
    agents = [AgentKey(issuer, identifier) for issuer in sorted(issuers)]
    await read_log.record(tx, reading, ReadKind.EXPLANATION, agents=agents)
    return [
        AgentExplanation(
            agent,
            [past for past in histories if past.enrolment.issuer == agent.issuer],
            [request for request in by_name if request.issuer == agent.issuer],
        )
        for agent in agents
    ]


async def _of_reference(tx: Transaction, typed: str, reading: Reading) -> list[EnrolmentHistory]:
    ids = ids_of(typed)
    return [] if ids is None else await _between(tx, ids, reading)


async def _between(tx: Transaction, ids: tuple[UUID, UUID], reading: Reading) -> list[EnrolmentHistory]:
    found = await history.between(tx, *ids)
    if found:
        about = [AgentKey(past.enrolment.issuer, past.enrolment.agent_id) for past in found]
        await read_log.record(tx, reading, ReadKind.EXPLANATION, agents=about)
    return found
