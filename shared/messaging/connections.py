"""Connections to Kafka: set up in bounded time, verified, and closed when lost.

aiokafka waits 40 s for a connection and makes the connections of a client one after the other. When a
connection is lost it expects ``OSError``, but uvloop raises ``RuntimeError`` until the loop has reported the
loss (aiokafka's issue 1038, uvloop's 506). Then the task that keeps the client's metadata could end unseen,
and the client received nothing any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared import certificates, clock

SETUP_SECONDS = 10.0
"""The set-up may take as long as in Apache Kafka's clients."""

KEPT = timedelta(days=1)
"""The metrics keep the certificate of an unused broker this long."""

_last_used: dict[str, datetime] = {}

Verify = Callable[[AIOKafkaConnection], Awaitable[None]]
"""Called with each new connection. Raises ``KafkaConnectionError`` if the connection must not be used."""


def use(verify: Verify) -> None:
    """Make aiokafka use :class:`Connection`, and verify each new connection."""
    Connection.verify = staticmethod(verify)
    aiokafka.conn.AIOKafkaConnection = Connection


def forget_brokers(now: datetime) -> None:
    """Remove the certificates of brokers unused for a day from the metrics."""
    for broker, used_at in [*_last_used.items()]:
        if used_at < now - KEPT:
            del _last_used[broker]
            certificates.forget(broker)


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka left it untyped
    """Verifies itself, and closes when it is lost."""

    verify: Verify

    async def connect(self) -> Any:
        """Raises ``TimeoutError``, ``OSError``, ``KafkaError``."""
        try:
            async with asyncio.timeout(SETUP_SECONDS):
                streams = await super().connect()
                presented = streams[1].get_extra_info("peercert")
                _last_used[self._in_metrics] = clock.now()
                certificates.presented(self._in_metrics, presented)
                await self.verify(self)
                return streams
        except BaseException:
            self.close()
            raise

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Return an awaitable of the answer. Raises ``KafkaError``."""
        return self._unless_lost(super().send, request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        return self._unless_lost(super()._send_sasl_token, payload, expect_response)

    @property
    def _in_metrics(self) -> str:
        return f"kafka {self.host}:{self.port}"

    def _unless_lost(self, send: Callable[..., Any], *arguments: Any) -> Any:
        _last_used[self._in_metrics] = clock.now()
        try:
            return send(*arguments)
        except KafkaError:
            raise
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"the connection to {self.host}:{self.port} is lost") from error
