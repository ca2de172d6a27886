"""What letters to an agent say of them, corrected."""

from sqlalchemy import text

from shared.database import Transaction
from shared.events.enrolment import AgentDetailsCorrected


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
    for statement in (_ENROLMENTS, _LETTERS):
        await tx.execute(statement, parameters)


_CORRECTED = (
    "address = coalesce(:address, address), given_name = coalesce(:given_name, given_name), "
    "family_name = coalesce(:family_name, family_name)"
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
