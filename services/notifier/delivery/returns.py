"""The mailbox of returned mails, read over IMAP.

A report is marked as seen after it is stored. If the process ends between the two, the store recognises the
report when it is read again.
"""

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from services.notifier.letters import bounces
from services.notifier.settings import ImapServer, Tls
from shared import certificates

MOST = 200
SECONDS = 30


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
            connection: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                server.host, server.port, ssl_context=context, timeout=SECONDS
            )
        else:
            connection = imaplib.IMAP4(server.host, server.port, timeout=SECONDS)
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
                found += [(number, piece[1]) for piece in pieces if isinstance(piece, tuple)]
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
