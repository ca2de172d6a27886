"""A TCP proxy between two parts: it delays what it hands on, stalls, cuts connections or resets them."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from local.kafka import KafkaBroker
from local.ports import LOOPBACK, free_port

_RESET = struct.pack("ii", 1, 0)
"""Close without waiting: the other end gets a reset."""


class TcpProxy:
    """Hands on what comes to ``port``, unless it is told otherwise. ``target`` returns the port behind it.

    ``delay``: seconds before it hands on what comes from now on.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self.port = free_port()
        self.target = target
        self.delay = 0.0
        self.stalled_ways: frozenset[bool] = frozenset()
        """Of True, the way to the server, and False, the way back."""
        self.ends: set[_ProxyEnd] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ProxyEnd(self, forth=True), LOOPBACK, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()

    @asynccontextmanager
    async def stalled(self, *, forth: bool = True, back: bool = True) -> AsyncIterator[None]:
        """Keep all connections, take new ones, and hand nothing on in these directions."""
        self._stall(frozenset([True] * forth + [False] * back))
        try:
            yield
        finally:
            self._stall(frozenset())

    def reset(self) -> None:
        for end in list(self.ends):
            end.reset()

    def cut_after(self, content: int) -> None:
        """End each connection of now once it has handed on so many bytes in a direction."""
        for end in self.ends:
            end.left = content

    def _stall(self, ways: frozenset[bool]) -> None:
        self.stalled_ways = ways
        for end in self.ends:
            end.look()


class _ProxyEnd(asyncio.Protocol):
    """One end of a connection. What it receives goes to the ``other`` end."""

    def __init__(self, proxy: TcpProxy, *, forth: bool) -> None:
        self.left: int | None = None
        self._proxy = proxy
        self._forth = forth
        self._transport: asyncio.Transport | None = None
        self._other: _ProxyEnd | None = None
        self._later: deque[bytes] = deque()
        self._other_is_full = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.ends.add(self)
        self.look()
        if self._other is None:
            self._connecting = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self._later or self._proxy.delay:
            self._later.append(data)
            asyncio.get_running_loop().call_later(self._proxy.delay, self._hand_on_next)
        else:
            self._hand_on(data)

    def eof_received(self) -> bool:
        self.data_received(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        self.data_received(b"")

    def pause_writing(self) -> None:
        self._set_other_full(full=True)

    def resume_writing(self) -> None:
        self._set_other_full(full=False)

    def look(self) -> None:
        """Read if what is read can be handed on."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._other is None or self._other_is_full or self._forth in self._proxy.stalled_ways:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            if connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    async def _connect(self) -> None:
        other = _ProxyEnd(self._proxy, forth=False)
        other._other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: other, LOOPBACK, self._proxy.target())
        except OSError:
            self.reset()
        else:
            self._other = other
            self.look()

    def _hand_on_next(self) -> None:
        self._hand_on(self._later.popleft())

    def _hand_on(self, data: bytes) -> None:
        if self._other is None:
            return
        if self.left is not None and len(data) >= self.left:
            self._other.write(data[: self.left] if self.left else b"")
            self.reset()
            return
        if self.left is not None:
            self.left -= len(data)
        self._other.write(data)

    def _set_other_full(self, *, full: bool) -> None:
        if self._other is not None:
            self._other._other_is_full = full
            self._other.look()


class ProxiedKafka(KafkaBroker):
    """A broker that tells those who come by the port ``behind_proxy`` to come by that of the proxy."""

    behind_proxy, proxy = 0, 0

    def properties(self) -> str:
        return super().properties() + _LISTENERS.format(
            host=LOOPBACK,
            port=self.port,
            controller_port=self._controller_port,
            behind_proxy=self.behind_proxy,
            proxy=self.proxy,
        )


@contextmanager
def proxied_kafka(proxy_port: int, behind_proxy: int) -> Iterator[KafkaBroker]:
    with TemporaryDirectory(prefix="parcours-stalls-") as folder:
        kafka = ProxiedKafka(Path(folder))
        kafka.proxy, kafka.behind_proxy = proxy_port, behind_proxy
        with kafka.start():
            yield kafka


_LISTENERS = """
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},PROXIED://{host}:{behind_proxy}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},PROXIED://{host}:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
"""
