"""What waits in this service alone, for the pages of operators."""

from collections.abc import Sequence

from services.enrolment.service import requests
from shared import clock
from shared.database import Transaction
from shared.messaging.lag import LATE
from shared.web.operations import ServiceLine


async def lines(tx: Transaction) -> Sequence[ServiceLine]:
    """The line of the requests whose session is not known yet."""
    waiting = await requests.waiting(tx, clock.now())
    tone = "few" if waiting.seconds > LATE.total_seconds() else "open"
    return (ServiceLine("undecided", waiting.number, tone, seconds=waiting.seconds),)
