"""What is kept for some time and then deleted."""

from datetime import datetime, timedelta

from services.catalogue.store import bespoke
from shared.database import Transaction
from shared.web import logins


async def forget(tx: Transaction, now: datetime, *, bespoke_kept: timedelta) -> None:
    """Forget whom bespoke requests named, ``bespoke_kept`` after they last changed; and expired logins."""
    await bespoke.forget(tx, now - bespoke_kept)
    await logins.purge(tx, now)
