"""What the sender keeps from one pass of the relay to the next."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from shared.messaging import sending
from shared.messaging.producer import OutgoingRecord
from shared.messaging.sending import Sending


def an_event(number: int, data: str = "{}") -> Any:
    """A row of the outbox, with a key of its own."""
    return SimpleNamespace(
        id=number,
        topic="a-topic",
        key=f"key {number}",
        data=data,
        is_behind=False,
        event_id=uuid4(),
        type="type",
        source="/services/enrolment",
        created_at=datetime(2030, 1, 1, tzinfo=UTC),
        traceparent=None,
        misrouted=False,
    )


class Batches:
    """A producer whose batch is refused as a whole where it has several records and one of them is large."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def unusable(self, topics: Collection[str]) -> dict[str, KafkaError]:
        del topics
        return {}

    async def send(self, records: Sequence[OutgoingRecord]) -> list[BaseException | None]:
        self.sizes.append(len(records))
        refused = len(records) > 1 and any(record.value == b"large" for record in records)
        return [MessageSizeTooLargeError() if refused else None for _ in records]


@pytest.mark.parametrize(("most", "sizes"), [(1_000, [2, 1, 2]), (1, [2, 1, 1, 1])])
async def test_what_another_process_sent_is_suspect_no_more_once_little_waits(
    monkeypatch: pytest.MonkeyPatch, most: int, sizes: list[int]
) -> None:
    """While more waits than a pass takes, the suspects may only be in another bucket."""
    monkeypatch.setattr(sending, "PASS", most)
    producer: Any = Batches()
    sender = Sending(None)
    large, small, other = an_event(1, "large"), an_event(2), an_event(3)

    await sender.send(producer, [large, small])
    await sender.send(producer, [other])
    await sender.send(producer, [large, small])

    assert producer.sizes == sizes
