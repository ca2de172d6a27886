"""Corrected addresses and names. A letter takes them when its turn comes (``claims``).

The last value of each is kept for older events that are read later.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from services.notifier.tables import AgentDetailRow
from shared.database import Row, Transaction
from shared.events.corrections import Correction, Corrections
from shared.events.enrolment import AgentDetailsCorrected
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.statements import insert_many


async def lock(tx: Transaction, *, exclusive: bool) -> None:
    """Serialise decisions and corrections until the end of the transaction.

    Otherwise one transaction would not correct what the other adds. Decisions take the lock shared,
    corrections exclusively.
    """
    await tx.execute(_LOCK_EXCLUSIVE if exclusive else _LOCK_SHARED)


async def newer(
    tx: Transaction, topic: Topic, agents_and_moments: Iterable[tuple[AgentKey, datetime]]
) -> Corrections:
    """Only events of one topic have an order."""
    first: dict[AgentKey, datetime] = {}
    for agent, moment in agents_and_moments:
        first[agent] = min(first.get(agent, moment), moment)
    if not first:
        return Corrections()
    parameters = {
        "topic": topic.value,
        "issuers": [agent.issuer for agent in first],
        "agents": [agent.agent_id for agent in first],
        "moments": list(first.values()),
    }
    return Corrections(
        Correction(AgentKey(row.issuer, row.agent_id), row.stated_at, {row.name: row.value})
        for row in await tx.execute(_NEWER, parameters)
    )


async def keep(tx: Transaction, topic: Topic, corrections: Sequence[Correction]) -> None:
    newest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for agent, at, after in corrections:
        for name, value in after.items():
            key = (*agent, name)
            if key not in newest or newest[key]["stated_at"] <= at:
                newest[key] = {
                    **agent._asdict(),
                    "topic": topic.value,
                    "name": name,
                    "value": value,
                    "stated_at": at,
                }
    if newest:
        await insert_many(
            tx,
            AgentDetailRow,
            [newest[key] for key in sorted(newest)],
            then="ON CONFLICT (issuer, agent_id, topic, name) DO UPDATE SET value = excluded.value, "
            "stated_at = excluded.stated_at WHERE agent_detail.stated_at <= excluded.stated_at",
        )


async def apply(tx: Transaction, corrected: AgentDetailsCorrected, moment: datetime) -> None:
    """Leave out enrolments that a newer event describes."""
    parameters = {
        "issuer": corrected.issuer,
        "agent_id": corrected.agent_id,
        "address": corrected.email,
        "given_name": corrected.given_name,
        "family_name": corrected.family_name,
        "moment": moment,
    }
    await keep_former_address(tx, AgentKey(corrected.issuer, corrected.agent_id), corrected.email, moment)
    await tx.execute(_ENROLMENTS, parameters)


async def former_addressees(
    tx: Transaction, corrected: AgentDetailsCorrected, moment: datetime
) -> Sequence[Row]:
    """Return each address to be replaced, with its names and newest enrolment. Call before :func:`apply`."""
    parameters = {
        "issuer": corrected.issuer,
        "agent_id": corrected.agent_id,
        "address": corrected.email,
        "moment": moment,
    }
    return (await tx.execute(_FORMER_ADDRESSEES, parameters)).all()


async def keep_former_address(
    tx: Transaction, agent: AgentKey, address: str | None, moment: datetime
) -> None:
    """Call it before the rows change.

    An erasure needs the former address to find data stored by address alone, such as a suppression.
    """
    if address is not None:
        await tx.execute(_FORMER, {**agent._asdict(), "address": address, "moment": moment})


_LOCK_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(6_516_594)")  # "cor"
_LOCK_SHARED = text("SELECT pg_advisory_xact_lock_shared(6_516_594)")
_NEWER = text(
    "SELECT issuer, agent_id, name, value, stated_at FROM agent_detail "
    "JOIN unnest(CAST(:issuers AS text[]), CAST(:agents AS text[]), CAST(:moments AS timestamptz[])) "
    "AS statement (issuer, agent_id, moment) USING (issuer, agent_id) "
    "WHERE stated_at > moment AND topic = :topic"
)
_FORMER = text(
    """
    INSERT INTO former_address (issuer, agent_id, address)
    SELECT issuer, agent_id, lower(address) FROM enrolment
     WHERE issuer = :issuer AND agent_id = :agent_id AND lower(address) <> lower(:address)
       AND since <= :moment
     UNION
    SELECT issuer, agent_id, lower(address) FROM subscriber
     WHERE issuer = :issuer AND agent_id = :agent_id AND lower(address) <> lower(:address)
        ON CONFLICT (issuer, agent_id, address) DO UPDATE SET since = now()"""
)
_FORMER_ADDRESSEES = text(
    "SELECT DISTINCT ON (lower(address)) address, given_name, family_name, enrolment_id FROM enrolment "
    "WHERE issuer = :issuer AND agent_id = :agent_id "
    "AND lower(address) <> lower(CAST(:address AS varchar)) AND since <= :moment "
    "ORDER BY lower(address), since DESC"
)
_ENROLMENTS = text(
    "UPDATE enrolment SET address = coalesce(:address, address), "
    "given_name = coalesce(:given_name, given_name), family_name = coalesce(:family_name, family_name) "
    "WHERE issuer = :issuer AND agent_id = :agent_id AND since <= :moment"
)
