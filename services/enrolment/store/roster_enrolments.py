from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.session_roster import Certified
from services.enrolment.store.enrolments import LIVE, read
from services.enrolment.store.sessions import session_of
from shared.database import Transaction
from shared.events.vocabulary import AgentKey


async def latest(tx: Transaction, pairs: Collection[tuple[UUID, AgentKey]]) -> Iterable[Enrolment]:
    if not pairs:
        return ()
    return await read(
        tx,
        LATEST_OF_AGENTS,
        sessions=[session_id for session_id, _ in pairs],
        issuers=[agent.issuer for _, agent in pairs],
        agents=[agent.agent_id for _, agent in pairs],
        live=LIVE,
    )


async def live(tx: Transaction, session_ids: Sequence[UUID]) -> Iterable[Enrolment]:
    return await read(tx, _LIVE, ids=list(session_ids), live=LIVE) if session_ids else ()


async def pending(tx: Transaction, session_ids: Sequence[UUID]) -> Iterable[Enrolment]:
    return await read(tx, _PENDING, ids=list(session_ids)) if session_ids else ()


async def offers(tx: Transaction, ends: Mapping[UUID, datetime]) -> Iterable[Enrolment]:
    return await read(tx, _OFFERS, ids=list(ends), until=list(ends.values())) if ends else ()


async def vacancies(tx: Transaction, closes: Mapping[UUID, datetime]) -> dict[UUID, dict[str, int]]:
    """Count by SIRET how many more trainees have left since the close than have come as replacements."""
    result: dict[UUID, dict[str, int]] = {}
    if closes:
        columns = {"sessions": list(closes), "closes": list(closes.values()), "live": LIVE}
        for row in await tx.execute(_VACANCIES, columns):
            result.setdefault(row.session_id, {})[row.siret] = row.number
    return result


async def schedule(tx: Transaction, agents: Collection[AgentKey]) -> AgentSchedule:
    """Lock the agents, so that no other transaction enrols them meanwhile. Return their live sessions."""
    columns = {
        "issuers": [agent.issuer for agent in agents],
        "agents": [agent.agent_id for agent in agents],
    }
    await tx.execute(_LOCK_AGENTS, columns)
    result = AgentSchedule()
    for row in await tx.execute(_SESSIONS_OF_AGENTS, {**columns, "live": LIVE}):
        result.add(AgentKey(row.issuer, row.agent_id), session_of(row))
    return result


async def certified(
    tx: Transaction, agents: Collection[AgentKey], offers: Collection[str]
) -> frozenset[Certified]:
    """Return the pairs (agent, offer) for which a certificate exists."""
    parameters = {
        "issuers": [agent.issuer for agent in agents],
        "agents": [agent.agent_id for agent in agents],
        "offers": list(offers),
    }
    return frozenset(
        (AgentKey(row.issuer, row.agent_id), row.offer_id) for row in await tx.execute(_CERTIFIED, parameters)
    )


# LATERAL with LIMIT leaves no other way than to look up each agent: a join might read the whole table.
LATEST_OF_AGENTS = text(
    "SELECT latest.* "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:issuers AS text[]), CAST(:agents AS text[])) "
    "AS wanted (session_id, issuer, agent_id), LATERAL (SELECT * FROM enrolment "
    "WHERE session_id = wanted.session_id AND agent_id = wanted.agent_id AND issuer = wanted.issuer "
    "ORDER BY (state = ANY(CAST(:live AS text[]))) DESC, updated_at DESC, ticket DESC NULLS LAST LIMIT 1"
    ") AS latest"
)
_VACANCIES = text(
    "SELECT session_id, agent->'employer'->>'siret' AS siret, "
    "count(*) FILTER (WHERE state = 'withdrawn' AND received_at < closes_at AND updated_at >= closes_at) "
    "- count(*) FILTER (WHERE state = ANY(CAST(:live AS text[])) AND received_at >= closes_at) AS number "
    "FROM unnest(CAST(:sessions AS uuid[]), CAST(:closes AS timestamptz[])) "
    "AS of_session (session_id, closes_at) "
    "JOIN enrolment USING (session_id) GROUP BY 1, 2"
)
_LIVE = text(
    "SELECT * FROM enrolment WHERE session_id = ANY(CAST(:ids AS uuid[])) "
    "AND state = ANY(CAST(:live AS text[])) ORDER BY session_id, ticket"
)
_PENDING = text(
    "SELECT * FROM enrolment WHERE session_id = ANY(CAST(:ids AS uuid[])) "
    "AND state IN ('pending_approval', 'pending_selection')"
)
_OFFERS = text(
    "SELECT enrolment.* "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:until AS timestamptz[])) AS wanted (id, until) "
    "JOIN enrolment ON session_id = wanted.id AND state = 'offered' AND hold_until <= wanted.until"
)
# Neither part has a space, so each name stands for one agent.
_LOCK_AGENTS = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(agent, 0)) "
    "FROM (SELECT issuer || ' ' || agent_id AS agent "
    "FROM unnest(CAST(:issuers AS text[]), CAST(:agents AS text[])) AS named (issuer, agent_id) "
    "ORDER BY 1) AS agents"
)
_CERTIFIED = text(
    "SELECT DISTINCT enrolment.issuer, enrolment.agent_id, session.state->>'offer_id' AS offer_id "
    "FROM unnest(CAST(:issuers AS text[]), CAST(:agents AS text[])) AS wanted (issuer, agent_id) "
    "JOIN enrolment USING (issuer, agent_id) JOIN session USING (session_id) "
    "WHERE enrolment.state = 'certified' AND session.state->>'offer_id' = ANY(CAST(:offers AS text[]))"
)
_SESSIONS_OF_AGENTS = text(
    "SELECT enrolment.issuer, enrolment.agent_id, session.* "
    "FROM unnest(CAST(:issuers AS text[]), CAST(:agents AS text[])) AS wanted (issuer, agent_id) "
    "JOIN enrolment USING (issuer, agent_id) JOIN session USING (session_id) "
    "WHERE enrolment.state = ANY(CAST(:live AS text[]))"
)
