"""How agents are written to, corrected: a letter takes what is right when its turn comes (``claims``)."""

from sqlalchemy import text

from shared.database import Transaction
from shared.events.enrolment import AgentDetailsCorrected
from shared.events.vocabulary import AgentKey


async def apply(tx: Transaction, corrected: AgentDetailsCorrected) -> None:
    """Correct how an agent is written to about each enrolment."""
    parameters = {
        "issuer": corrected.issuer,
        "agent_id": corrected.agent_id,
        "address": corrected.email,
        "given_name": corrected.given_name,
        "family_name": corrected.family_name,
    }
    await keep_former_address(tx, AgentKey(corrected.issuer, corrected.agent_id), corrected.email)
    await tx.execute(_ENROLMENTS, parameters)


async def keep_former_address(tx: Transaction, agent: AgentKey, address: str | None) -> None:
    """Keep what an agent's address was before it becomes this one; None: it stays.

    Called before the rows change. An erasure needs it as long as letters may stand under it, to find what is
    known of the address alone, such as that it failed.
    """
    if address is not None:
        await tx.execute(_FORMER, {**agent._asdict(), "address": address})


_FORMER = text(
    """
    INSERT INTO former_address (issuer, agent_id, address)
    SELECT issuer, agent_id, lower(address) FROM enrolment
     WHERE issuer = :issuer AND agent_id = :agent_id AND lower(address) <> lower(:address)
     UNION
    SELECT issuer, agent_id, lower(address) FROM subscriber
     WHERE issuer = :issuer AND agent_id = :agent_id AND lower(address) <> lower(:address)
        ON CONFLICT (issuer, agent_id, address) DO UPDATE SET since = now()"""
)
_ENROLMENTS = text(
    "UPDATE enrolment SET address = coalesce(:address, address), "
    "given_name = coalesce(:given_name, given_name), family_name = coalesce(:family_name, family_name) "
    "WHERE issuer = :issuer AND agent_id = :agent_id"
)
