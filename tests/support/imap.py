"""A mailbox that speaks just enough IMAP to be read, also under TLS: log in, search, fetch, mark as seen."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ImapMailbox:
    """Messages by their number, and which of them were seen. ``refuses`` says no to every password.

    With ``starttls`` it offers to go on under TLS; ``commands`` are those that came, and whether under TLS.
    """

    def __init__(
        self, *messages: bytes, refuses: bool = False, starttls: ssl.SSLContext | None = None
    ) -> None:
        self.messages = dict(enumerate(messages, start=1))
        self.seen: set[int] = set()
        self.port = 0
        self.commands: list[tuple[str, bool]] = []
        self._refuses = refuses
        self._starttls = starttls

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        try:
            while line := await reader.readline():
                tag, _, command = line.decode().rstrip().partition(" ")
                secure = writer.get_extra_info("ssl_object") is not None
                self.commands.append((command.partition(" ")[0].upper(), secure))
                if command == "STARTTLS" and self._starttls is not None:
                    writer.write(f"{tag} OK go on\r\n".encode())
                    await writer.start_tls(self._starttls)
                    continue
                writer.write(self._answer(command))
                refused = self._refuses and command.startswith("LOGIN")
                writer.write(f"{tag} {'NO' if refused else 'OK'} done\r\n".encode())
                await writer.drain()
                if command.startswith("LOGOUT"):
                    break
        except (ConnectionError, ssl.SSLError):
            pass  # a client that does not trust us
        finally:
            writer.close()

    def _answer(self, command: str) -> bytes:
        if command.startswith("CAPABILITY"):
            offers = b"" if self._starttls is None else b" STARTTLS"
            return b"* CAPABILITY IMAP4rev1" + offers + b"\r\n"
        if command.startswith("SELECT"):
            return f"* {len(self.messages)} EXISTS\r\n".encode()
        if command.upper().startswith("UID SEARCH UNSEEN"):
            unseen = " ".join(str(number) for number in self.messages if number not in self.seen)
            return f"* SEARCH {unseen}\r\n".encode()
        if found := re.match(r"UID FETCH (\d+) \(BODY\.PEEK\[\]<0\.\d+>\)", command, re.IGNORECASE):
            content = self.messages[int(found[1])]
            head = f"* {found[1]} FETCH (UID {found[1]} BODY[]<0> {{{len(content)}}}\r\n".encode()
            return head + content + b")\r\n"
        if found := re.match(r"UID STORE (\d+) \+FLAGS\.SILENT", command, re.IGNORECASE):
            self.seen.add(int(found[1]))
        if command.startswith("LOGOUT"):
            return b"* BYE\r\n"
        return b""


@asynccontextmanager
async def mailbox(
    *messages: bytes,
    refuses: bool = False,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
) -> AsyncIterator[ImapMailbox]:
    """A mailbox on 127.0.0.1 as long as the block; with ``tls``, under TLS from the first byte."""
    box = ImapMailbox(*messages, refuses=refuses, starttls=starttls)
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0, ssl=tls)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
