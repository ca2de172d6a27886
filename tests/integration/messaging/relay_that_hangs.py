"""A relay that says when the broker has acknowledged, and never gets to mark it: to be killed then."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from shared.database import Database
from shared.messaging.broker import KafkaSettings
from shared.messaging.relay import Relay


class HangingRelay(Relay):
    """Stops between the acknowledgement and the mark."""

    async def _send(self, rows: Sequence[Row[Any]]) -> None:
        await super()._send(rows)
        sys.stdout.write("acknowledged\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def main(url: str, bootstrap_servers: str) -> None:
    relay = HangingRelay(
        Database(url, application_name="hanging relay"),
        KafkaSettings(kafka_bootstrap_servers=bootstrap_servers),
        "test",
    )
    await relay.start()
    await relay.publish_unsent()


asyncio.run(main(*sys.argv[1:]))
