from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, select, text
from sqlmodel import col

from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.links import EnrolmentNow
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.roster_lines import sought_of
from services.enrolment.rules.states import State
from services.enrolment.store import changes, sessions
from services.enrolment.store.sessions import session_of
from services.enrolment.tables import EnrolmentRow, RequestRow, SessionRow
from shared.database import Row, Statement, Transaction
from shared.events.reasons import Reason
from shared.events.vocabulary import LATEST, Agent, AgentKey, Employer
from shared.messaging.portals.registry import OWN_ISSUER, Portal
from shared.statements import insertion, next_to, once

LIVE = [state.value for state in State if state.is_live]


async def find(tx: Transaction, enrolment_id: UUID, *, lock: bool = False) -> EnrolmentInSession | None:
    """Return the enrolment with its session, or None.

    ``lock`` locks the session's row first, so that the enrolment cannot change until the transaction ends.
    """
    if lock:
        await lock_session_of(tx, enrolment_id)
    enrolment = await tx.get(EnrolmentRow, enrolment_id, populate_existing=lock)
    session = (
        None if enrolment is None else await tx.get(SessionRow, enrolment.session_id, populate_existing=lock)
    )
    if enrolment is None or session is None:
        return None
    return EnrolmentInSession(enrolment_of(enrolment), session_of(session))


async def lock_session_of(tx: Transaction, enrolment_id: UUID, others: Collection[UUID] = ()) -> None:
    """Lock the sessions' rows in the order of their ids."""
    await tx.execute(_LOCK_SESSION_OF, {"id": enrolment_id, "others": list(others)})


async def agent_of(tx: Transaction, enrolment_id: UUID) -> Agent | None:
    """Return None without the enrolment. Its session may be unknown."""
    enrolment = await tx.get(EnrolmentRow, enrolment_id)
    return None if enrolment is None else enrolment_of(enrolment).agent


async def has_other_address(tx: Transaction, agent: Agent) -> bool:
    """Return whether another enrolment of the agent has another address."""
    return bool(await tx.scalar(_HAS_OTHER_ADDRESS, {**agent.key._asdict(), "address": agent.email}))


async def employers_of_organiser(tx: Transaction, organiser: str | None) -> list[Employer]:
    """Return each SIRET once, from at most 50 enrolments of each of the 100 last sessions.

    ``organiser`` None means any.
    """
    rows = await tx.scalars(_EMPLOYERS_OF_ORGANISER, {"organiser": organiser})
    return [Employer.model_validate(employer) for employer in rows]


async def named(tx: Transaction, session_id: UUID, addresses: Collection[str]) -> Sequence[Row]:
    """Return address, names and state of the enrolments with these addresses, a live one last."""
    parameters = {"session": session_id, "addresses": [address.lower() for address in addresses]}
    return (await tx.execute(_NAMED, parameters | {"live": LIVE})).all()


async def agents(tx: Transaction, session_id: UUID, enrolment_ids: Collection[UUID]) -> dict[UUID, Agent]:
    rows = select(EnrolmentRow).where(
        col(EnrolmentRow.enrolment_id).in_(enrolment_ids), col(EnrolmentRow.session_id) == session_id
    )
    return {row.enrolment_id: enrolment_of(row).agent for row in await tx.scalars(rows)}


async def last_begun(
    tx: Transaction,
    session_id: UUID,
    limit: int,
    *,
    after: tuple[datetime, UUID] | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> Sequence[Enrolment]:
    """Return the enrolments received last, newest first.

    The index of rosters has all that the search for them reads.
    """
    place = col(EnrolmentRow.received_at), col(EnrolmentRow.enrolment_id)
    found = select(col(EnrolmentRow.enrolment_id)).where(col(EnrolmentRow.session_id) == session_id)
    last = next_to(found, place, after, before, descending=True).limit(limit)
    rows = select(EnrolmentRow).where(col(EnrolmentRow.enrolment_id).in_(last))
    by_place = rows.order_by(*(column.desc() for column in place))
    return [enrolment_of(row) for row in await tx.scalars(by_place)]


async def of_request(tx: Transaction, request: RequestRow, moved: Collection[UUID]) -> dict[UUID, str]:
    parameters = {
        "sessions": sessions_of_request(request),
        "request": request.request_id,
        "source": request.source,
    }
    if request.agent_id is None:
        rows = await tx.execute(_OF_GROUP, parameters)
    else:
        agent = {"issuer": request.issuer, "agent": request.agent_id, "moved": list(moved)}
        rows = await tx.execute(_OF_REQUEST, parameters | agent)
    return {row.enrolment_id: row.state for row in rows}


def sessions_of_request(request: RequestRow) -> list[UUID]:
    to_session_id = (request.facts or {}).get("to_session_id")
    return [request.session_id, *([UUID(to_session_id)] if to_session_id else [])]


async def page_of_agent(
    tx: Transaction,
    agent_id: str,
    portal: Portal | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[tuple[Enrolment, int | None, datetime]]:
    """Return enrolments, newest first.

    A portal gets its issuer's agents whose employers are within its limits.
    """
    received_at, enrolment_id = after or (LATEST, UUID(int=0))
    rows = await tx.execute(
        _OF_AGENT,
        {
            "agent": agent_id,
            "issuer": portal and portal.issuer,
            "delegations": None if portal is None else _listed(portal.delegations),
            "sirets": None if portal is None else _listed(portal.sirets),
            "received": received_at,
            "id": enrolment_id,
            "limit": limit,
        },
    )
    return [(enrolment_of(row), row.position, row.updated_at) for row in rows]


async def of_agent(tx: Transaction, agent: Agent, most: int) -> list[EnrolmentNow]:
    parameters = {**agent.key._asdict(), "address": agent.email, "most": most}
    rows = list(await tx.execute(_OF_ONE_AGENT, parameters))
    known = await sessions.states(tx, {row.session_id for row in rows})
    changed = await changes.past_changes(tx, [row.enrolment_id for row in rows])
    return [
        EnrolmentNow(
            EnrolmentInSession(enrolment_of(row), known[row.session_id]),
            known[row.session_id].numbered_modules,
            changed[row.enrolment_id],
            row.position,
            row.updated_at,
            row.taken,
        )
        for row in rows
        if row.session_id in known
    ]


async def known_by_hand(tx: Transaction, agent: Agent) -> str | None:
    names = {"email": agent.email, "given": agent.given_name, "family": agent.family_name}
    found: str | None = await tx.scalar(_KNOWN_BY_HAND, names | {"issuer": OWN_ISSUER})
    return found


async def live_of_agent(tx: Transaction, agent: AgentKey, until: datetime) -> list[UUID]:
    """Return the enrolments requested by ``until``, sorted by session."""
    parameters = {**agent._asdict(), "until": until, "live": LIVE}
    return list(await tx.scalars(_LIVE_OF_AGENT, parameters))


async def agents_of(tx: Transaction, session_id: UUID, agent_ids: Collection[str]) -> list[AgentKey]:
    rows = await tx.execute(_AGENTS_OF, {"session": session_id, "agents": list(agent_ids)})
    return [AgentKey(row.issuer, row.agent_id) for row in rows]


async def lapsing(tx: Transaction, now: datetime, until: datetime) -> tuple[int, float]:
    """Return the number of offers, and by how many seconds the oldest is overdue."""
    row = (await tx.execute(_LAPSING, {"now": now, "until": until})).one()
    return int(row.to_come), float(row.overdue)


async def states(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, tuple[int, State]]:
    rows = await tx.execute(_STATES, {"ids": list(ids)})
    return {row.enrolment_id: (row.version, State(row.state)) for row in rows}


async def raise_versions(tx: Transaction, versions: Mapping[UUID, int]) -> None:
    await tx.execute(_RAISE_VERSIONS, {"ids": list(versions), "versions": list(versions.values())})


def insertions(enrolments: Sequence[Enrolment], now: datetime) -> list[Statement]:
    """Return the statement that inserts or updates the enrolments, if there are any."""
    if not enrolments:
        return []
    statement = insertion(
        EnrolmentRow,
        {
            "enrolment_id": [enrolment.enrolment_id for enrolment in enrolments],
            "version": [enrolment.version for enrolment in enrolments],
            "session_id": [enrolment.session_id for enrolment in enrolments],
            "issuer": once([enrolment.agent.issuer for enrolment in enrolments]),
            "agent_id": [enrolment.agent.agent_id for enrolment in enrolments],
            "agent": [enrolment.agent.model_dump_json() for enrolment in enrolments],
            "sought": [sought_of(enrolment.agent) for enrolment in enrolments],
            "state": [enrolment.state.value for enrolment in enrolments],
            "reason": once([enrolment.reason for enrolment in enrolments]),
            "ticket": [enrolment.ticket for enrolment in enrolments],
            "priority": once([enrolment.priority for enrolment in enrolments]),
            "hold_until": once([enrolment.hold_until for enrolment in enrolments]),
            "waits_together": once([enrolment.waits_together for enrolment in enrolments]),
            "request_id": [enrolment.request_key.request_id for enrolment in enrolments],
            "request_source": once([enrolment.request_key.source for enrolment in enrolments]),
            "received_at": [enrolment.received_at for enrolment in enrolments],
            "updated_at": now,
        },
        then="ON CONFLICT (enrolment_id) DO UPDATE SET version = excluded.version, "
        "sought = excluded.sought, state = excluded.state, reason = excluded.reason, "
        "ticket = excluded.ticket, priority = excluded.priority, hold_until = excluded.hold_until, "
        "updated_at = excluded.updated_at",
    )
    return [statement]


def enrolment_of(row: EnrolmentRow | Row) -> Enrolment:
    return Enrolment(
        enrolment_id=row.enrolment_id,
        version=row.version,
        session_id=row.session_id,
        agent=Agent.model_validate(row.agent),
        state=State(row.state),
        reason=Reason(row.reason) if row.reason else None,
        ticket=row.ticket,
        request_key=RequestKey(row.request_source, row.request_id),
        received_at=row.received_at,
        hold_until=row.hold_until,
        priority=row.priority,
        waits_together=row.waits_together,
    )


def _listed(limits: Collection[str] | None) -> list[str] | None:
    return None if limits is None else sorted(limits)


async def read(tx: Transaction, statement: TextClause, **parameters: Any) -> Iterable[Enrolment]:
    return map(enrolment_of, await tx.execute(statement, parameters))


_EMPLOYERS_OF_ORGANISER = text(
    "SELECT DISTINCT ON (employer ->> 'siret') employer FROM (SELECT session_id FROM session "
    "WHERE CAST(:organiser AS text) IS NULL OR state ->> 'organiser' = :organiser "
    "ORDER BY state ->> 'starts_at' DESC LIMIT 100) AS own, LATERAL (SELECT agent -> 'employer' AS employer "
    "FROM enrolment WHERE enrolment.session_id = own.session_id LIMIT 50) AS of_session "
    "ORDER BY employer ->> 'siret', employer ->> 'name'"
)
_NAMED = text(
    "SELECT agent ->> 'email' AS email, agent ->> 'given_name' AS given_name, "
    "agent ->> 'family_name' AS family_name, state FROM enrolment "
    "WHERE session_id = :session AND lower(agent ->> 'email') = ANY(CAST(:addresses AS text[])) "
    "ORDER BY state = ANY(CAST(:live AS text[])), received_at"
)
_LOCK_SESSION_OF = text(
    "SELECT session_id FROM session "
    "WHERE session_id = (SELECT session_id FROM enrolment WHERE enrolment_id = :id) "
    "OR session_id = ANY(CAST(:others AS uuid[])) ORDER BY session_id FOR UPDATE"
)
_OF_REQUEST = text(
    "SELECT enrolment_id, state FROM enrolment "
    "WHERE session_id = ANY(CAST(:sessions AS uuid[])) AND agent_id = :agent AND issuer = :issuer "
    "AND (request_id = :request AND request_source = :source OR enrolment_id = ANY(CAST(:moved AS uuid[])))"
)
_OF_GROUP = text(
    "SELECT enrolment_id, state FROM enrolment WHERE session_id = ANY(CAST(:sessions AS uuid[])) "
    "AND request_id = :request AND request_source = :source"
)
_WITH_POSITION = (
    "SELECT enrolment.*, CASE WHEN state = 'waitlisted' THEN (SELECT count(*) + 1 FROM enrolment AS first "
    "WHERE first.session_id = enrolment.session_id AND first.state = 'waitlisted' "
    "AND (-first.priority, first.ticket) < (-enrolment.priority, enrolment.ticket)) "
    # A group is one place.
    "- (SELECT count(*) - count(DISTINCT ticket) FROM enrolment AS companion "
    "WHERE companion.session_id = enrolment.session_id AND companion.state = 'waitlisted' "
    "AND companion.waits_together "
    "AND (-companion.priority, companion.ticket) < (-enrolment.priority, enrolment.ticket)) END AS position, "
    "(SELECT enrolled + offered FROM session WHERE session.session_id = enrolment.session_id) AS taken "
    "FROM enrolment"
)
_OF_ONE_AGENT = text(
    f"{_WITH_POSITION} WHERE agent_id = :agent_id AND issuer = :issuer "
    "AND lower(agent ->> 'email') = lower(:address) "
    "ORDER BY received_at DESC, enrolment_id DESC LIMIT :most"
)
_HAS_OTHER_ADDRESS = text(
    "SELECT EXISTS (SELECT FROM enrolment WHERE agent_id = :agent_id AND issuer = :issuer "
    "AND lower(agent ->> 'email') <> lower(:address))"
)
_OF_AGENT = text(
    f"{_WITH_POSITION} WHERE agent_id = :agent "
    "AND (CAST(:issuer AS text) IS NULL OR issuer = :issuer) "
    "AND coalesce(agent->'employer'->>'delegation' = ANY(CAST(:delegations AS text[])), true) "
    "AND coalesce(agent->'employer'->>'siret' = ANY(CAST(:sirets AS text[])), true) "
    "AND (received_at, enrolment_id) < (:received, CAST(:id AS uuid)) "
    "ORDER BY received_at DESC, enrolment_id DESC LIMIT :limit"
)
_KNOWN_BY_HAND = text(
    "SELECT agent_id FROM enrolment WHERE issuer = 'cnfpt' AND issuer = :issuer "
    "AND lower(agent ->> 'email') = lower(:email) AND lower(agent ->> 'given_name') = lower(:given) "
    "AND lower(agent ->> 'family_name') = lower(:family) ORDER BY received_at DESC LIMIT 1"
)
_LAPSING = text(
    "SELECT count(*) FILTER (WHERE hold_until > :now) AS to_come, "
    "coalesce(extract(epoch FROM :now - min(hold_until) FILTER (WHERE hold_until <= :now)), 0) AS overdue "
    "FROM enrolment WHERE state = 'offered' AND hold_until <= :until"
)
_LIVE_OF_AGENT = text(
    "SELECT enrolment_id FROM enrolment WHERE issuer = :issuer AND agent_id = :agent_id "
    "AND received_at <= :until AND state = ANY(CAST(:live AS text[])) ORDER BY session_id"
)
_AGENTS_OF = text(
    "SELECT DISTINCT issuer, agent_id FROM enrolment "
    "WHERE session_id = :session AND agent_id = ANY(CAST(:agents AS text[]))"
)
_STATES = text(
    "SELECT enrolment_id, version, state FROM enrolment WHERE enrolment_id = ANY(CAST(:ids AS uuid[]))"
)
_RAISE_VERSIONS = text(
    "UPDATE enrolment SET version = published.version "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS integer[])) AS published (id, version) "
    "WHERE enrolment.enrolment_id = published.id AND enrolment.version < published.version"
)
