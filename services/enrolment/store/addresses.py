from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from services.enrolment.store.enrolments import LIVE
from services.enrolment.tables import BadAddressRow
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.statements import insert_many


class Arrived(NamedTuple):
    enrolment_id: UUID
    at: datetime


async def mark_bad(tx: Transaction, agents: Mapping[AgentKey, datetime]) -> None:
    """Each moment is when the agent's last mail came back."""
    if agents:
        rows = [{**agent._asdict(), "since": since} for agent, since in sorted(agents.items())]
        await insert_many(
            tx,
            BadAddressRow,
            rows,
            then="ON CONFLICT (issuer, agent_id) DO UPDATE "
            "SET since = greatest(bad_address.since, excluded.since)",
        )


async def mark_good(tx: Transaction, arrived: Mapping[AgentKey, Arrived]) -> None:
    """Remove the marks that are older than the arrived mail.

    Agents with another address in another enrolment stay marked: it may be the bad one.
    """
    if not arrived:
        return
    found = await tx.execute(_BAD, {"agents": [agent.agent_id for agent in arrived]})
    bad = [agent for row in found if (agent := AgentKey(row.issuer, row.agent_id)) in arrived]
    if bad:
        parameters = {
            "issuers": [agent.issuer for agent in bad],
            "agents": [agent.agent_id for agent in bad],
            "enrolments": [arrived[agent].enrolment_id for agent in bad],
            "moments": [arrived[agent].at for agent in bad],
            "live": LIVE,
        }
        await tx.execute(_DELETE, parameters)


async def bad_in_session(tx: Transaction, session_id: UUID, most: int) -> list[UUID]:
    parameters = {"session": session_id, "live": LIVE, "most": most}
    return list(await tx.scalars(_BAD_IN_SESSION, parameters))


# Almost no address is bad, so the query reads enrolments only for marked agents.
_BAD = text("SELECT issuer, agent_id FROM bad_address WHERE agent_id = ANY(CAST(:agents AS text[]))")
_BAD_IN_SESSION = text(
    "SELECT enrolment_id FROM bad_address JOIN enrolment USING (issuer, agent_id) "
    "WHERE session_id = :session AND state = ANY(CAST(:live AS text[])) ORDER BY enrolment_id LIMIT :most"
)
_DELETE = text(
    "DELETE FROM bad_address "
    "USING unnest(CAST(:issuers AS text[]), CAST(:agents AS text[]), CAST(:enrolments AS uuid[]), "
    "CAST(:moments AS timestamptz[])) AS arrived (issuer, agent_id, enrolment_id, at) "
    "LEFT JOIN enrolment AS reached ON reached.enrolment_id = arrived.enrolment_id "
    "WHERE bad_address.issuer = arrived.issuer AND bad_address.agent_id = arrived.agent_id "
    "AND bad_address.since < arrived.at AND NOT EXISTS ("
    "SELECT FROM enrolment AS other "
    "WHERE other.issuer = arrived.issuer AND other.agent_id = arrived.agent_id "
    "AND other.state = ANY(CAST(:live AS text[])) "
    "AND lower(other.agent ->> 'email') <> lower(reached.agent ->> 'email'))"
)
