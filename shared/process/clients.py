"""Limits the time of a client, and the bytes of its head and trailers (ADR 0036).

uvicorn has neither bound, so a few hundred clients that send half a request hold a process. uvicorn also adds
the trailers of a chunked request to its headers, so a client could forge the headers that a proxy writes. It
reads the body of a request with ``Upgrade`` as the next request. It keeps any number of requests that wait on
one connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for a client, and bytes for the head of its request.

    Trailers and the line of a chunk's size may have as many bytes as a head. A response that the client does
    not read for ``answer_seconds`` is given up. A body has ``body_seconds``, and a second more for each
    ``bytes_per_second`` received: a slow line is no attack, an occasional byte is.
    """

    head_seconds: float = 10
    body_seconds: float = 20
    bytes_per_second: int = 16 * 1024
    head_bytes: int = 32 * 1024
    answer_seconds: float = 60
    waiting_requests: int = 20
    """Requests that may follow on a connection before the first is answered."""


PATIENCE = Patience()


class BodyUnread(Exception):
    """The parser would read the body of this request as another request. The client hears 400."""


class TooManyWait(Exception):
    """The client hears 400, and its connection ends."""


class ImpatientProtocol(HttpToolsProtocol):
    patience = PATIENCE
    _timer: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _in_head = False
    _received = 0
    _since_body = 0
    """Bytes since the last byte of a body: of a head, of trailers, of the line with a chunk's size."""
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as h11 has it
        super().connection_made(transport)
        self._wait(self.patience.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self.loop.call_later(self.patience.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        self._since_body += len(data)
        super().data_received(data)
        if self._since_body > self.patience.head_bytes:
            self._cut_off(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._timer is None and self.timeout_keep_alive_task is None and self._is_answered():
            # Line ends before a head begin no message, but end uvicorn's own wait for one.
            self._wait(self.patience.head_seconds, self._head_is_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._wait(self.patience.head_seconds, self._head_is_late)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser reports trailers here too, and they are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._received, self._since_body = False, 0, 0
        self._since = self.loop.time()
        if self.parser.should_upgrade() and _has_body(self.headers):
            raise BodyUnread
        if len(self.pipeline) == self.patience.waiting_requests:
            raise TooManyWait
        self._wait(self.patience.body_seconds, self._body_is_late)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._since_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_waiting()
        self._received, self._since_body = 0, 0
        super().on_message_complete()

    def _wait(self, seconds: float, late: Callable[[], None]) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._cut_off(HTTPStatus.REQUEST_TIMEOUT)

    def _body_is_late(self) -> None:
        """Cut the client off, unless the body comes fast enough, or we do not read it."""
        allowed = self.patience.body_seconds + self._received / self.patience.bytes_per_second
        left = self._since + allowed - self.loop.time()
        if self.flow.read_paused:
            left = self.patience.body_seconds
        if left > 0:
            self._wait(left, self._body_is_late)
        else:
            self._cut_off(HTTPStatus.REQUEST_TIMEOUT)

    def _is_answered(self) -> bool:
        cycle = self._cycle()
        return cycle is None or cycle.response_complete

    def _may_say_why(self) -> bool:
        """Return whether an answer sent now would belong to the late head or body."""
        if self._in_head:
            return self._is_answered()
        cycle = self._cycle()
        return cycle is not None and not cycle.response_started

    def _cycle(self) -> RequestResponseCycle | None:
        """Return None before the first request, whatever uvicorn's types say."""
        return self.cycle

    def _cut_off(self, status: HTTPStatus) -> None:
        """Send the reason first, unless a response has begun."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self._may_say_why():
            first = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
            self.transport.write(first + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and int(value)) for name, value in headers
    )
