"""A relay that says when the broker has acknowledged, and never gets to mark it: to be killed then."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from shared.database import Database, Transaction
from shared.messaging.broker import KafkaSettings
from shared.messaging.relay import Relay
from shared.messaging.sending import SendResult


class HangingRelay(Relay):
    """Stops between the acknowledgement and the mark."""

    acknowledged: Path

    async def _finish(
        self, tx: Transaction, result: SendResult, fenced: Sequence[str], settled: Sequence[int]
    ) -> None:
        self.acknowledged.touch()
        await asyncio.Event().wait()


def run(url: str, bootstrap_servers: str, acknowledged: Path) -> None:
    """Publish what is unsent, make the file ``acknowledged``, and hang."""

    async def publish() -> None:
        settings = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers)
        relay = HangingRelay(Database(url, application_name="hanging relay"), settings, "test")
        relay.acknowledged = acknowledged
        await relay.start()
        await relay.publish_unsent()

    asyncio.run(publish())
