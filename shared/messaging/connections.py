"""Connections to Kafka: each is set up in time, leads to the right cluster, and says when it is lost.

aiokafka waits 40 s for a connection, and makes all of a client one after the other. It expects an ``OSError``
where a connection is lost, and uvloop raises a ``RuntimeError``, until the loop has reported the loss
(aiokafka's issue 1038, uvloop's 506): so after a broker's end the task that keeps a client's metadata could
end unseen, and the client heard nothing any more.
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
"""How long setting a connection up may take: as long as by Apache Kafka's clients."""

KEPT = timedelta(days=1)
"""How long the metrics still have the certificate of a broker to which nothing is sent any more."""

_last_used: dict[str, datetime] = {}
"""When each broker was last connected to, or sent something; by its name in the metrics."""

Verify = Callable[[AIOKafkaConnection], Awaitable[None]]
"""Asked about each new connection before it is used. Raises ``KafkaConnectionError`` where it must not be."""


def use(verify: Verify) -> None:
    """Have aiokafka make its connections of :class:`Connection`, and each be verified."""
    Connection.verify = staticmethod(verify)
    aiokafka.conn.AIOKafkaConnection = Connection


def forget_brokers(now: datetime) -> None:
    """Take the certificates of brokers out of the metrics to which nothing was sent for a day."""
    for broker, used_at in [*_last_used.items()]:
        if used_at < now - KEPT:
            del _last_used[broker]
            certificates.forget(broker)


class Connection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka left it untyped
    """A connection to one broker."""

    verify: Verify

    async def connect(self) -> Any:
        """Connect, log in and verify the other side. Raises ``TimeoutError``, ``OSError``, ``KafkaError``."""
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
        """Send a request; returns what awaits its answer. Raises ``KafkaError``."""
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
