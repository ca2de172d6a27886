"""A batch that was taken in, and whose offsets cannot be committed: its group has changed."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError, KafkaError
from faststream import ContextRepo
from faststream.message import AckStatus

from shared.messaging.faststream import _ConsumerMiddleware


class Message:
    """A batch of nothing, whose commit fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.committed: AckStatus | None = None

    async def decode(self) -> list[Any]:
        return []

    async def ack(self) -> None:
        raise self.error


class Taking:
    """A consumer that takes everything in."""

    subscription = SimpleNamespace(topic="portal.enrolments", awaited=True)

    def __init__(self) -> None:
        self.taken_until: dict[int, Any] = {}

    async def take(self, _deliveries: object, _handler: object) -> None:
        return None


async def scope(message: Any) -> None:
    """Take a batch in; of the message and the consumer it uses no more than these have."""
    consumer: Any = Taking()
    middleware = _ConsumerMiddleware(message, context=ContextRepo(), consumer=consumer)
    await middleware.consume_scope(lambda _: None, message)  # type: ignore[arg-type, return-value]  # as above


async def test_who_lost_its_partitions_meanwhile_says_so_in_a_line_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = Message(CommitFailedError())
    with caplog.at_level(logging.INFO):
        await scope(message)
    assert message.committed is AckStatus.ACKED
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "portal.enrolments: the group changed" in caplog.text


async def test_whatever_else_fails_at_a_commit_is_not_kept_quiet() -> None:
    message = Message(KafkaError())
    with pytest.raises(KafkaError):
        await scope(message)
    assert message.committed is None
