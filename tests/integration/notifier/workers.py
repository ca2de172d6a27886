"""Work of the notifier in processes of their own, to be stopped and killed by the dozen.

They share nothing with the test but the database and the relay.
"""

import asyncio
from collections.abc import Callable, Coroutine

from services.notifier import jobs
from services.notifier.delivery.deliverer import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.settings import SmtpServer
from shared.database import Database
from tests.integration.notifier.conftest import until_idle
from tests.unit.notifier.builders import a_renderer

NAME = "worker"
"""What the database calls their connections."""


def deliver(url: str, port: int) -> None:
    """Send what is due, one mail after the other."""

    async def work(database: Database) -> None:
        pool = SmtpPool(SmtpServer("127.0.0.1", port), size=1)
        await until_idle(Deliverer(database, pool, a_renderer(), workers=1, message_domain="x.example"))

    _run(work, url)


def fan_out(url: str, most: int) -> None:
    """Put all fan-outs into the queue, ``most`` agents at a time."""

    async def work(database: Database) -> None:
        while await jobs.fan_out(database) is not None:
            pass

    jobs.SLICE = most
    _run(work, url)


def _run(work: Callable[[Database], Coroutine[None, None, None]], url: str) -> None:
    async def whole() -> None:
        database = Database(url, application_name=NAME)
        await work(database)
        await database.close()

    asyncio.run(whole())
