"""Reads topics without a consumer group, databases in read-only sessions, and mails."""

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from local.mailbox.reading import ReadMail, first_fields, open_mail

READ_TOPICS = {
    "catalogue": ("portal.bespoke", "portal.agents", "enrolment.occupancy"),
    "enrolment": (
        *("portal.enrolments", "portal.bespoke", "portal.agents", "catalogue.sessions"),
        *("catalogue.bespoke", "notifier.deliveries", "requests.outcomes"),
    ),
    "notifier": (
        *("enrolment.decisions", "enrolment.notices", "portal.agents", "agents.erased"),
        *("catalogue.sessions", "catalogue.resources", "catalogue.bespoke", "catalogue.trainers"),
    ),
}
"""By service. Its consumer groups are `<service>.<topic>`."""

Take = Callable[[str, datetime, Any], None]
"""Called with an event's type without owner and version, its time, and its data."""


@contextlib.asynccontextmanager
async def following(topic: str, connection: Mapping[str, Any], take: Take) -> AsyncIterator[None]:
    """Call `take` with each event of a topic from its beginning, once for each event id.

    `connection` has aiokafka's options.
    """
    consumer = AIOKafkaConsumer(topic, **connection, auto_offset_reset="earliest")
    await consumer.start()
    reading = asyncio.create_task(_read(consumer, take))
    try:
        yield
    finally:
        reading.cancel()
        await _end_of(reading)
        # If the broker is gone, aiokafka cancels the tasks that it awaits, and so its own stop.
        await _end_of(asyncio.create_task(consumer.stop()))


async def _end_of(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _read(consumer: AIOKafkaConsumer, take: Take) -> None:
    seen: set[bytes] = set()
    async for record in consumer:
        headers = dict(record.headers)
        if headers["ce_id"] not in seen:
            seen.add(headers["ce_id"])
            name = headers["ce_type"].decode().split(".")[-2]
            take(name, datetime.fromisoformat(headers["ce_time"].decode()), json.loads(record.value))


@dataclass(frozen=True)
class Letter:
    path: Path
    address: str
    message_id: str
    subject: str

    @property
    def came_at(self) -> datetime:
        return datetime.strptime(self.path.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)

    def read(self) -> ReadMail:
        return open_mail(self.path.read_bytes())


class Mailbox:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known = self._names()
        self.letters: list[Letter] = []

    def look(self) -> int:
        for name in sorted(self._names() - self._known):
            if name.endswith(".eml"):
                self._known.add(name)
                path = self._directory / name
                fields = first_fields(path.read_bytes())
                self.letters.append(
                    Letter(path, fields["delivered-to"], fields.get("message-id", ""), fields["subject"])
                )
        return len(self.letters)

    def _names(self) -> set[str]:
        # Far quicker than Path.iterdir, with thousands of files and several reads a second.
        return set(os.listdir(self._directory))  # noqa: PTH208

    def by_address(self) -> Counter[str]:
        return Counter(letter.address for letter in self.letters)

    def to(self, address: str) -> list[Letter]:
        self.look()
        return [letter for letter in self.letters if letter.address == address]

    def link_to(self, address: str, page: str) -> str | None:
        for letter in reversed(self.to(address)):
            found = re.search(rf"https?://\S+{re.escape(page)}/\S+", letter.read().text or "")
            if found is not None:
                return found.group()
        return None


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        url.replace("postgresql+asyncpg://", "postgresql://"),
        server_settings={"default_transaction_read_only": "on"},
    )
    try:
        yield connection
    finally:
        await connection.close()


async def all_is_read(connection: Mapping[str, Any]) -> bool:
    """Return whether every consumer group has read its topics to the end.

    Only then can a record that was sent twice have shown its effect.
    """
    async with contextlib.AsyncExitStack() as connections:
        admin = AIOKafkaAdminClient(**connection)
        connections.push_async_callback(admin.close)
        await admin.start()
        consumer = await connections.enter_async_context(AIOKafkaConsumer(**connection))
        topics = sorted({topic for topics in READ_TOPICS.values() for topic in topics})
        partitions = {
            described["topic"]: [
                TopicPartition(described["topic"], partition["partition"])
                for partition in described["partitions"]
            ]
            for described in await admin.describe_topics(topics)
        }
        ends = await consumer.end_offsets([each for of_topic in partitions.values() for each in of_topic])
        for group, topic in [(service, topic) for service, read in READ_TOPICS.items() for topic in read]:
            of_topic = partitions[topic]
            read = await admin.list_consumer_group_offsets(f"{group}.{topic}", partitions=of_topic)
            committed = {partition: max(read[partition].offset, 0) for partition in of_topic}
            behind = {partition: at for partition, at in committed.items() if at < ends[partition]}
            if behind and await _holds_records(consumer, behind):
                return False
    return True


async def _holds_records(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> bool:
    """Return whether records follow these offsets. Markers of transactions do not count."""
    consumer.assign(list(offsets))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    return bool(await consumer.getmany(timeout_ms=1_000))
