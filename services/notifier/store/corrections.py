"""What letters to an agent say of them, corrected."""

from sqlalchemy import text

from shared.database import Transaction
from shared.events.enrolment import AgentDetailsCorrected
from shared.events.vocabulary import AgentKey


async def apply(tx: Transaction, corrected: AgentDetailsCorrected) -> None:
    """Correct where an agent stands, and the letters that nobody is sending just now.

    One that is being sent has the old address; should it come back, the new one is not affected.
    """
    parameters = {
        "issuer": corrected.issuer,
        "agent_id": corrected.agent_id,
        "address": corrected.email,
        "given_name": corrected.given_name,
        "family_name": corrected.family_name,
    }
    await keep_former_address(tx, AgentKey(corrected.issuer, corrected.agent_id), corrected.email)
    for statement in (_ENROLMENTS, _LETTERS):
        await tx.execute(statement, parameters)


async def keep_former_address(tx: Transaction, agent: AgentKey, address: str | None) -> None:
    """Keep what an agent's address was before it becomes this one; None: it stays.

    Called before the rows change. An erasure needs it as long as letters may stand under it, to find what is
    known of the address alone, such as that it failed.
    """
    if address is not None:
        await tx.execute(_FORMER, {**agent._asdict(), "address": address})


_CORRECTED = (
    "address = coalesce(:address, address), given_name = coalesce(:given_name, given_name), "
    "family_name = coalesce(:family_name, family_name)"
)
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
    f"UPDATE enrolment SET {_CORRECTED} WHERE issuer = :issuer AND agent_id = :agent_id"  # noqa: S608 our own columns
)
# In one order: delivery locks rows in that of their ids too. Mails of a subscription go to its own address.
_LETTERS = text(
    f"""
    WITH letters AS (
         SELECT mail_id FROM mail
          WHERE issuer = :issuer AND recipient = :agent_id AND enrolment_id IS NOT NULL
            AND state IN ('pending', 'retry')
          ORDER BY mail_id FOR UPDATE)
    UPDATE mail SET {_CORRECTED} FROM letters WHERE mail.mail_id = letters.mail_id"""  # noqa: S608 as above
)
