"""From raw Kafka records to typed values, one per record, without ever raising.

FastStream parses outside the handler: an exception there loses the record, and its whole batch with it,
whatever the acknowledgement policy. So the parser here touches nothing that can fail, and what cannot be
read becomes a value of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaMessage

from shared import clock
from shared.events import Event, cloudevents

LOG_APPEND_TIME = 1

E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it came, and when it was received.

    ``received_at`` is the broker's word where it stamps (LogAppendTime); else the time of reading, since
    the sender's clock is not to be trusted.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """An event that was read, with what its envelope says."""

    record: Record
    envelope: cloudevents.Envelope[E_co]

    @property
    def event(self) -> E_co:
        return self.envelope.data

    @property
    def id(self) -> UUID:
        """The CloudEvents id: the same each time the event is delivered."""
        return self.envelope.id

    @property
    def topic(self) -> str:
        return self.record.topic

    @property
    def received_at(self) -> datetime:
        return self.record.received_at


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that is not an event of its topic, and why: to be parked."""

    record: Record
    reason: str
    event_type: str | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A well-formed event of a type that is not known here."""

    type: str


Delivery = Received[Event] | Undecodable | Ignored


def decode(record: Record) -> Delivery:
    """Read one record."""
    headers = _readable_headers(record)
    event_type = headers.get("ce_type")
    try:
        envelope = cloudevents.decode(headers, record.value, structured=record.topic.startswith("portal."))
    except cloudevents.Unreadable as error:
        return Undecodable(record, str(error), event_type)
    if isinstance(envelope, cloudevents.UnknownType):
        return Ignored(envelope.type)
    if record.topic != envelope.data.TOPIC:
        reason = f"{envelope.data.TYPE} belongs on {envelope.data.TOPIC}, not on {record.topic}"
        return Undecodable(record, reason, envelope.data.TYPE)
    return Received(record, envelope)


def record_of(raw: "ConsumerRecord[Any, Any]", read_at: datetime) -> Record:
    """What we keep of aiokafka's record."""
    stamped = raw.timestamp_type == LOG_APPEND_TIME and raw.timestamp > 0
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        headers=tuple(raw.headers),
        received_at=datetime.fromtimestamp(raw.timestamp / 1000, UTC) if stamped else read_at,
    )


def _readable_headers(record: Record) -> dict[str, str]:
    """The headers that are text; a null or one that is not UTF-8 counts as absent."""
    headers = {}
    for name, value in record.headers:
        if value is not None:
            try:
                headers[name.lower()] = value.decode()
            except UnicodeDecodeError:
                continue
    return headers


async def tolerant_parser(
    records: tuple["ConsumerRecord[Any, Any]", ...],
    original: Callable[[tuple["ConsumerRecord[Any, Any]", ...]], Awaitable[KafkaMessage]],
) -> KafkaMessage:
    """FastStream's parser, kept away from headers, which it decodes without care."""
    bare = replace(records[0], headers=())
    message = await original((bare,))
    message.raw_message = records
    return message


async def decode_batch(message: KafkaMessage, _original: Callable[..., Awaitable[Any]]) -> list[Delivery]:
    """FastStream's decoder: one delivery per record, in order."""
    read_at = clock.now()
    records = cast("Sequence[ConsumerRecord[Any, Any]]", message.raw_message)
    return [decode(record_of(raw, read_at)) for raw in records]
