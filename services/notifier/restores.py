"""Holds all mails while the database is older than the events that it has published.

A database restored from a backup does not know which letters left since, and would send them again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import cast

from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from services.notifier.service import restores
from shared import clock
from shared.database import Database, is_temporary
from shared.events.cloudevents import Received
from shared.events.notifier import MailEnd
from shared.events.topics import Topic
from shared.messaging import cluster, history, outbox
from shared.messaging.broker import KafkaSettings
from shared.messaging.history import HistoryCut

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
_NEWEST = 50
"""Several records are read, because the last ones of a partition may be transaction markers."""

HELD = Gauge(
    "parcours_mails_held", "1 while no mail is sent, since the database is older than what it published."
)


async def wait_until_reconciled(
    database: Database, settings: KafkaSettings, stopping: asyncio.Event, *, every: float = LOOK_SECONDS
) -> None:
    """Return once the database has all ends of mails that the newest records in Kafka report, or at the stop.

    Records older than the outbox keeps its events are ignored. ``every`` is in seconds.
    """
    if cluster.is_embedded():  # an embedded broker keeps no events
        return
    newest = await _newest(settings, stopping)
    has_warned = False
    while not stopping.is_set() and await _has_forgotten(database, newest):
        HELD.set(1)
        if not has_warned:
            log.error(
                "No mail is sent: this database is older than what it published, as after a restore. Wait "
                "until all is read, then run 'python -m services.notifier mails reconcile --since <time of "
                "the backup>'; see docs/operations.md"
            )
            has_warned = True
        await clock.pause(stopping, every)
    HELD.set(0)


async def read_ended(settings: KafkaSettings, since: datetime) -> list[Received[MailEnd]]:
    """Return every end of a mail published at ``since`` or later. Raises ``KafkaError``, ``HistoryCut``."""
    return [received async for received in _ended(settings, since=since)]


async def _newest(settings: KafkaSettings, stopping: asyncio.Event) -> list[Received[MailEnd]]:
    oldest = clock.now() - outbox.KEPT
    while not stopping.is_set():
        try:
            newest = {
                received.record.partition: received async for received in _ended(settings, newest=_NEWEST)
            }
        except (KafkaError, OSError, HistoryCut) as error:
            log.warning("What was published of mails cannot be read (%s): tried again", type(error).__name__)
            await clock.pause(stopping, LOOK_SECONDS)
        else:
            return [received for received in newest.values() if received.received_at > oldest]
    return []


async def _ended(
    settings: KafkaSettings, *, since: datetime | None = None, newest: int | None = None
) -> AsyncIterator[Received[MailEnd]]:
    async for deliveries in history.read(settings, [Topic.NOTIFIER_DELIVERIES], since=since, newest=newest):
        for delivery in deliveries:
            if isinstance(delivery, Received) and isinstance(delivery.event, MailEnd):
                yield cast("Received[MailEnd]", delivery)


async def _has_forgotten(database: Database, newest: list[Received[MailEnd]]) -> bool:
    try:
        async with database.quiet_transaction() as tx:
            return await restores.has_forgotten(tx, newest)
    except Exception as error:
        if not is_temporary(error):
            raise
        log.warning("The database does not say what it has published (%s)", type(error).__name__)
        return True
