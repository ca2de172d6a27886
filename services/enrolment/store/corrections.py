import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, text
from sqlmodel import col

from services.enrolment.rules.requests import Request, RequestForSeats, SeatRequest
from services.enrolment.rules.roster_lines import sought_of
from services.enrolment.tables import BadAddressRow, CorrectionRow
from shared.database import Transaction
from shared.events.corrections import Correction, Corrections
from shared.events.enrolment import CorrectedBy
from shared.events.vocabulary import Agent, AgentKey
from shared.messaging.portals.registry import OWN_SOURCES

THE_AGENT = "agent"


@dataclass(frozen=True, slots=True)
class CorrectionRequest:
    source: str
    request_id: UUID
    at: datetime
    author: str | None = None
    traceparent: str | None = None

    @property
    def by(self) -> CorrectedBy:
        if self.author is not None:
            return CorrectedBy.AGENT if self.author == THE_AGENT else CorrectedBy.ORGANISER
        return CorrectedBy.SUPPORT if self.source.startswith(OWN_SOURCES) else CorrectedBy.PORTAL


async def sessions_of(tx: Transaction, agents: Collection[AgentKey]) -> list[UUID]:
    if not agents:
        return []
    columns = {
        "issuers": [agent.issuer for agent in agents],
        "agents": [agent.agent_id for agent in agents],
    }
    return list(await tx.scalars(_SESSIONS_OF, columns))


async def apply(tx: Transaction, agent: AgentKey, after: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the distinct old values."""
    wrong = list(await tx.scalars(_WRONG, {**agent._asdict(), "after": json.dumps(dict(after))}))
    if not wrong:
        return []
    right = [{**described, **after} for described in wrong]
    columns = {
        "wrong": list(map(json.dumps, wrong)),
        "right": list(map(json.dumps, right)),
        "sought": [sought_of(Agent.model_validate(described)) for described in right],
    }
    await tx.execute(_CORRECT, {**agent._asdict(), **columns})
    before: list[dict[str, str]] = []
    for described in wrong:
        replaced = {name: described[name] for name in after}
        if replaced not in before:
            before.append(replaced)
    return before


async def newer(tx: Transaction, requests: Collection[Request]) -> Corrections:
    """For a batch just received there are usually none, at the cost of one query."""
    describing = [request for request in requests if isinstance(request, RequestForSeats)]
    if not describing:
        return Corrections()
    earliest = min(request.received_at for request in describing)
    if not await tx.scalar(_ANY_NEWER, {"moment": earliest}):
        return Corrections()
    return await newer_than(
        tx, dict.fromkeys((agent for request in describing for agent in request.agent_keys), earliest)
    )


async def newer_than(tx: Transaction, moments: Mapping[AgentKey, datetime]) -> Corrections:
    parameters = {
        "issuers": [agent.issuer for agent in moments],
        "agents": [agent.agent_id for agent in moments],
        "moments": list(moments.values()),
    }
    return Corrections(
        Correction(AgentKey(row.issuer, row.agent_id), row.received_at, row.after)
        for row in await tx.execute(_NEWER, parameters)
    )


async def described_since(tx: Transaction, agent: AgentKey, moment: datetime) -> Mapping[str, str]:
    """Return an agent's description by their newest granted request after a moment.

    Moves describe nobody. Group requests do not count: their sender knows less about each agent than a
    correction's author.
    """
    parameters = {**agent._asdict(), "moment": moment, "kind": SeatRequest.__name__}
    return await tx.scalar(_DESCRIBED_SINCE, parameters) or {}


async def last_of_address(tx: Transaction, agent: AgentKey, since: datetime) -> Mapping[str, str] | None:
    """Return the author, the time and the request of the last correction of the address, or None.

    A correction by staff comes before later ones, because staff have seen the address. Only organisers have
    a name here, the others a role. The notifier's log of reads names support, by the request's id.
    """
    parameters = {**agent._asdict(), "since": since, "the_agent": THE_AGENT, "services": f"{OWN_SOURCES}%"}
    row = (await tx.execute(_LAST_OF_ADDRESS, parameters)).one_or_none()
    if row is None:
        return None
    request = CorrectionRequest(row.request_source, row.request_id, row.received_at, author=row.author)
    return {
        "address_corrected_by": request.author or request.by.value,
        "address_corrected_at": request.at.isoformat(),
        "address_corrected_request": str(request.request_id),
    }


async def last_address(tx: Transaction, agent: AgentKey) -> str | None:
    """Return the address that the last correction put, or None."""
    address: str | None = await tx.scalar(_LAST_ADDRESS, agent._asdict())
    return address


async def keep(
    tx: Transaction,
    agent: AgentKey,
    requested: CorrectionRequest,
    *,
    before: list[dict[str, str]],
    after: Mapping[str, str],
) -> None:
    """Store a correction, and clear the agent's bad address mark.

    An ineffective correction is stored too: an earlier request may still wait for its decision.
    """
    row = {
        "request_id": requested.request_id,
        "request_source": requested.source,
        **agent._asdict(),
        "received_at": requested.at,
        "author": requested.author,
        "before": before,
        "after": dict(after),
    }
    await tx.execute(insert(CorrectionRow).values(row))
    if before:
        await tx.execute(
            delete(BadAddressRow).where(
                col(BadAddressRow.issuer) == agent.issuer, col(BadAddressRow.agent_id) == agent.agent_id
            )
        )


_SESSIONS_OF = text(
    "SELECT DISTINCT session_id "
    "FROM unnest(CAST(:issuers AS text[]), CAST(:agents AS text[])) AS corrected (issuer, agent_id) "
    "JOIN enrolment USING (issuer, agent_id)"
)
_ANY_NEWER = text("SELECT EXISTS (SELECT FROM correction WHERE received_at > :moment)")
_NEWER = text(
    "SELECT issuer, agent_id, received_at, after FROM correction "
    "JOIN unnest(CAST(:issuers AS text[]), CAST(:agents AS text[]), CAST(:moments AS timestamptz[])) "
    "AS asking (issuer, agent_id, moment) USING (issuer, agent_id) "
    "WHERE received_at > moment ORDER BY received_at"
)
_DESCRIBED_SINCE = text(
    "SELECT agent FROM enrolment JOIN request USING (request_id) "
    "WHERE enrolment.issuer = :issuer AND enrolment.agent_id = :agent_id AND enrolment.received_at > :moment "
    "AND request.source = enrolment.request_source AND request.kind = :kind AND enrolment.state <> 'refused' "
    "ORDER BY enrolment.received_at DESC, request.number DESC LIMIT 1"
)
_LAST_OF_ADDRESS = text(
    "SELECT author, received_at, request_id, request_source FROM correction "
    "WHERE issuer = :issuer AND agent_id = :agent_id AND received_at >= :since "
    "AND jsonb_exists(after, 'email') AND before <> '[]' "
    "ORDER BY author IS DISTINCT FROM :the_agent "
    "AND (author IS NOT NULL OR request_source LIKE :services) DESC, received_at DESC LIMIT 1"
)
_LAST_ADDRESS = text(
    "SELECT after ->> 'email' FROM correction WHERE issuer = :issuer AND agent_id = :agent_id "
    "AND jsonb_exists(after, 'email') AND before <> '[]' ORDER BY received_at DESC LIMIT 1"
)
_WRONG = text(
    "SELECT DISTINCT agent FROM enrolment WHERE issuer = :issuer AND agent_id = :agent_id "
    "AND NOT agent @> CAST(:after AS jsonb)"
)
_CORRECT = text(
    "UPDATE enrolment SET agent = CAST(described.after AS jsonb), sought = described.sought "
    "FROM unnest(CAST(:wrong AS text[]), CAST(:right AS text[]), CAST(:sought AS text[])) "
    "AS described (before, after, sought) "
    "WHERE issuer = :issuer AND agent_id = :agent_id AND agent = CAST(described.before AS jsonb)"
)
