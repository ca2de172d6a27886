"""Agents' addresses and names are corrected, for all letters that have not left."""

from services.notifier.store import bounces, corrections
from shared.database import Transaction
from shared.events.enrolment import AgentDetailsCorrected


async def apply(tx: Transaction, corrected: AgentDetailsCorrected) -> None:
    """Correct what letters to an agent say; an address that mails came back from is tried again."""
    await corrections.apply(tx, corrected)
    if corrected.email is not None:
        await bounces.lift(tx, corrected.email)
