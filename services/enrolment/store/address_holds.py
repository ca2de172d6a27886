"""Addresses that agents had before a correction, until their readers confirm it or a day has passed."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, text
from sqlmodel import col, select

from services.enrolment.tables import AddressHoldRow
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.statements import insert_many


async def held(tx: Transaction, agent: AgentKey, now: datetime) -> frozenset[str]:
    """Return the former addresses, in lower case, whose readers have not confirmed a correction yet."""
    found = select(AddressHoldRow.address).where(
        col(AddressHoldRow.issuer) == agent.issuer,
        col(AddressHoldRow.agent_id) == agent.agent_id,
        col(AddressHoldRow.until) > now,
    )
    return frozenset(await tx.scalars(found))


async def begin(tx: Transaction, agent: AgentKey, addresses: Collection[str], until: datetime) -> None:
    if not addresses:
        return
    rows = [{**agent._asdict(), "address": address, "until": until} for address in sorted(addresses)]
    await insert_many(
        tx,
        AddressHoldRow,
        rows,
        then="ON CONFLICT (issuer, agent_id, address) DO UPDATE SET until = excluded.until",
    )


async def end(tx: Transaction, agent: AgentKey, addresses: Collection[str]) -> None:
    await tx.execute(
        delete(AddressHoldRow).where(
            col(AddressHoldRow.issuer) == agent.issuer,
            col(AddressHoldRow.agent_id) == agent.agent_id,
            col(AddressHoldRow.address).in_(addresses),
        )
    )


async def is_unreachable(tx: Transaction, agent: AgentKey, *, since: datetime) -> bool:
    """Return whether mails come back from the one address that the agent has had since a moment.

    The mark of a bad address does not say which address it is about. So it counts only if all enrolments of
    the agent have one address and no correction has changed it.
    """
    return bool(await tx.scalar(_UNREACHABLE, {**agent._asdict(), "since": since}))


_UNREACHABLE = text(
    "SELECT EXISTS (SELECT FROM bad_address WHERE issuer = :issuer AND agent_id = :agent_id) "
    "AND NOT EXISTS (SELECT FROM correction WHERE issuer = :issuer AND agent_id = :agent_id "
    "AND received_at >= :since AND before <> '[]' AND jsonb_exists(after, 'email')) "
    "AND (SELECT count(DISTINCT lower(agent ->> 'email')) = 1 FROM enrolment "
    "WHERE issuer = :issuer AND agent_id = :agent_id)"
)
