"""A lost connection to Kafka is told as one, also by uvloop, which says it in its own way for a moment."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, cast

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from shared import clock
from shared.messaging import connections
from shared.messaging.connections import Connection
from tests.support.certificates import Authority
from tests.support.metrics import metric

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, 0 s: what closes the socket resets the connection, as a killed broker's kernel does."""


class SilentBroker(asyncio.Protocol):
    """A server that says nothing, and resets a connection when it is told to."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._accepted: asyncio.Future[asyncio.Transport] = asyncio.Future()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        (await self._accepted).abort()
        self._server.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._accepted.set_result(cast("asyncio.Transport", transport))

    async def reset(self) -> None:
        transport = await self._accepted
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()


@pytest.fixture(autouse=True)
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_connection: object) -> None:
        pass

    monkeypatch.setattr(Connection, "verify", staticmethod(nothing), raising=False)


@pytest.fixture
def unversioned(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_connection: object) -> None:
        pass

    monkeypatch.setattr(Connection, "_do_version_lookup", nothing)


async def _send_until_lost(connection: AIOKafkaConnection, broker: SilentBroker) -> None:
    await broker.reset()
    async with asyncio.timeout(20):
        while True:
            answer = asyncio.ensure_future(connection.send(ApiVersionRequest()))
            await asyncio.sleep(0)
            answer.cancel()


@pytest.mark.usefixtures("unversioned")
@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_what_is_sent_over_a_connection_that_was_reset_fails_as_a_lost_connection(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def lose() -> None:
        async with SilentBroker() as broker:
            connection = Connection("127.0.0.1", broker.port)
            await connection.connect()
            with pytest.raises(KafkaConnectionError):
                await _send_until_lost(connection, broker)
            assert not connection.connected()

    run(lose())


async def test_a_connection_that_is_not_set_up_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SETUP_SECONDS", 0.01)
    async with SilentBroker() as broker:  # it never says which versions it speaks
        connection = Connection("127.0.0.1", broker.port)
        with pytest.raises(TimeoutError):
            await connection.connect()
    assert not connection.connected()


@pytest.mark.usefixtures("unversioned")
async def test_until_when_the_certificate_of_a_broker_is_valid_is_in_the_metrics_while_it_is_used(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    ours = ssl.create_default_context(cafile=authority.file)
    async with SilentBroker(authority.server("IP:127.0.0.1")) as broker:
        connection = Connection(
            "127.0.0.1", broker.port, security_protocol="SSL", ssl_context=ours, request_timeout_ms=5_000
        )
        await connection.connect()
        known_as = f"kafka 127.0.0.1:{broker.port}"
        assert metric("parcours_certificate_end_timestamp_seconds", certificate=known_as) > 0
        connections.forget_brokers(clock.now() + connections.KEPT + timedelta(minutes=1))
        assert metric("parcours_certificate_end_timestamp_seconds", certificate=known_as) == 0
        connection.close()
