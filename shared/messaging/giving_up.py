"""Gives up undecided dead letters in the end, and notifies their portals.

Operators are warned for a week before. Then only place and digest of the records are left.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy import text

from shared import clock
from shared.database import Database, Transaction
from shared.messaging import dead_letters, outcomes
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.outbox import Outbox
from shared.messaging.personal_data import UNDECIDED
from shared.messaging.router import Router

log = logging.getLogger(__name__)

GIVEN_UP = Counter("parcours_dead_letters_given_up_total", "Dead letters about which nobody decided.")

WARNED = timedelta(days=7)
"""Operators are warned this long before the end [choice]."""
ACTOR = "parcours"


async def give_up(tx: Transaction, router: Router, letters: Sequence[DeadLetter]) -> None:
    """Empty dead letters, and notify the portals that wait for an answer."""
    parked = [letter for letter in letters if letter.state == "parked"]
    await Outbox(router.service).publish(tx, outcomes.of_given_up(router, parked))
    await dead_letters.empty(tx, [letter.id for letter in letters])


async def end_undecided(database: Database, router: Router, days: int) -> float | None:
    """Give up some letters parked this many days ago. Returns 0 if more are left.

    Warns of letters that will be given up soon.
    """
    end = clock.now() - timedelta(days=days)
    async with database.transaction() as tx:
        letters = await dead_letters.lock_some(tx, text(UNDECIDED.over).bindparams(before=end))
        await give_up(tx, router, letters)
        for letter in letters:
            note = f"nobody decided within {days} days"
            await dead_letters.audit(tx, letter.id, action="discarded", actor=ACTOR, note=note)
        soon = await dead_letters.count_parked(tx, before=end + WARNED)
    if letters:
        GIVEN_UP.inc(len(letters))
        log.warning("%d dead letters are given up: nobody decided within %d days", len(letters), days)
        return 0
    if soon:
        log.warning(
            "%d dead letters are given up in %d days or less: decide about them (dead-letters list)",
            soon,
            WARNED.days,
        )
    return None
