"""The mailbox of returned mails, read over IMAP.

A report is marked as seen after it is stored. If the process ends between the two, the store recognises the
report when it is read again.
"""

import imaplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Timer
from typing import Any

from services.notifier.letters import bounces
from services.notifier.settings import ImapServer, Tls
from shared import certificates

MOST = 200
SECONDS = 30
CONNECTION_SECONDS = 300
CONNECTION_BYTES = MOST * 2 * bounces.LARGEST
LEAST_OF_A_LINE = 1_000
"""A short line counts as so many bytes, since it costs as much memory and time."""


class _Bounded(imaplib.IMAP4):
    """Ends when the server sends too much, or for too long. ``SECONDS`` bounds the wait for the next byte."""

    def open(self, *address: Any, **options: Any) -> None:
        super().open(*address, **options)
        self._bytes_left = CONNECTION_BYTES
        self._end = Timer(CONNECTION_SECONDS, self._cut)
        self._end.daemon = True
        self._end.start()

    def read(self, size: int) -> bytes:
        self._count(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._count(max(len(line), LEAST_OF_A_LINE))
        return line

    def shutdown(self) -> None:
        self._end.cancel()
        super().shutdown()

    def _count(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise self.abort(f"the mailbox sends more than {CONNECTION_BYTES} bytes")

    def _cut(self) -> None:
        with suppress(OSError):  # the socket is closed already
            self.sock.shutdown(socket.SHUT_RDWR)


class _BoundedTls(_Bounded, imaplib.IMAP4_SSL):
    pass


@dataclass(frozen=True, slots=True)
class ReturnMailbox:
    """Its calls block: run them in a thread."""

    server: ImapServer

    @contextmanager
    def opened(self) -> Iterator[imaplib.IMAP4]:
        """Raises ``OSError`` and ``imaplib.IMAP4.error``."""
        server = self.server
        if server.tls is Tls.IMPLICIT:
            context = ssl.create_default_context()
            connection: imaplib.IMAP4 = _BoundedTls(
                server.host, server.port, ssl_context=context, timeout=SECONDS
            )
        else:
            connection = _Bounded(server.host, server.port, timeout=SECONDS)
        try:
            if server.tls is Tls.STARTTLS:
                connection.starttls(ssl.create_default_context())
            if isinstance(secured := connection.socket(), ssl.SSLSocket):
                certificates.presented("imap", secured.getpeercert())
            connection.login(server.username, server.password)
            _ok(connection.select(f'"{server.mailbox}"'))
            yield connection
        finally:
            try:
                connection.logout()
            except (OSError, imaplib.IMAP4.error):
                with suppress(OSError):  # the socket is closed already
                    connection.shutdown()

    def unseen(self) -> list[tuple[str, bytes]]:
        with self.opened() as connection:
            numbers = _ok(connection.uid("search", "UNSEEN"))[0]
            found: list[tuple[str, bytes]] = []
            for number in (numbers or b"").decode().split()[:MOST]:
                pieces = _ok(connection.uid("fetch", number, f"(BODY.PEEK[]<0.{bounces.LARGEST}>)"))
                found += [(number, piece[1]) for piece in pieces if isinstance(piece, tuple)][:1]
            return found

    def seen(self, numbers: list[str]) -> None:
        with self.opened() as connection:
            for number in numbers:
                _ok(connection.uid("store", number, "+FLAGS.SILENT", r"(\Seen)"))


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    status, data = answer
    if status != "OK":
        raise imaplib.IMAP4.error(f"the mailbox says {status}")
    return data
