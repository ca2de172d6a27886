"""An SMTP relay with a script: it answers anything to any command, hangs, or closes the connection.

It keeps every message that it took, whatever it answered then: what counts is how often an agent gets it.
"""

import asyncio
import ssl
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser

_DOT = b".\r\n"
_LONGEST = 2**24


@dataclass(frozen=True)
class Reply:
    """Give this answer instead of the usual one. After DOT, 2xx means that the message was taken."""

    line: str


@dataclass(frozen=True)
class Drop:
    """Close the connection without an answer. After DOT the message was taken."""


@dataclass
class Hang:
    """Do not answer until ``release`` is set; then go on as usual."""

    release: asyncio.Event = field(default_factory=asyncio.Event, repr=False)  # in ids of tests: no address


SmtpAction = Reply | Drop | Hang


@dataclass(frozen=True)
class Taken:
    """A message that the relay took."""

    sender: str
    recipient: str
    content: bytes
    connection: int

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def message_id(self) -> str:
        return str(BytesHeaderParser().parsebytes(self.content)["Message-ID"])


class ScriptedRelay:
    """Listens on 127.0.0.1. Points of a dialogue: CONNECT, EHLO, MAIL, RCPT, DATA, BODY, DOT, RSET, QUIT.

    ``offers`` are words of its EHLO answer, kept or not; ``tls`` makes it speak TLS from the first byte.
    """

    def __init__(self, *, offers: tuple[str, ...] = (), tls: ssl.SSLContext | None = None) -> None:
        self.taken: list[Taken] = []
        self.commands: list[str] = []
        self.connections = 0
        self.port = 0
        self._offers = offers
        self._tls = tls
        self._script: dict[str, deque[SmtpAction]] = defaultdict(deque)
        self._reached: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def script(self, point: str, *actions: SmtpAction) -> None:
        """The next times that a dialogue comes to ``point``, do these, one each; then as usual again."""
        self._script[point].extend(actions)

    async def reached(self, point: str, seconds: float = 30) -> None:
        """Wait until a dialogue has come to ``point``."""
        await asyncio.wait_for(self._reached[point].wait(), seconds)

    def per_message_id(self) -> Counter[str]:
        """How often each message was taken."""
        return Counter(taken.message_id for taken in self.taken)

    async def drop_all(self) -> None:
        """Close every connection, as a relay does with idle ones."""
        writers = list(self._writers)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", port, ssl=self._tls, limit=_LONGEST
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self.drop_all()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._converse(_Line(reader, writer, self.connections))
        except (ConnectionError, asyncio.IncompleteReadError, _Dropped):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _converse(self, line: "_Line") -> None:
        sender = recipient = ""
        await self._answer(line, "CONNECT", "220 relay.example ESMTP")
        while True:
            command = await line.read()
            self.commands.append(command)
            verb = command.split(" ")[0].split(":")[0].upper()
            match verb:
                case "EHLO" | "HELO":
                    extensions = ["relay.example", *self._offers, "8BITMIME"]
                    lines = [f"250-{word}" for word in extensions[:-1]] + [f"250 {extensions[-1]}"]
                    await self._answer(line, "EHLO", "\r\n".join(lines))
                case "MAIL":
                    sender = command[len("MAIL FROM:<") :].partition(">")[0]
                    await self._answer(line, "MAIL", "250 ok")
                case "RCPT":
                    recipient = command[len("RCPT TO:<") :].partition(">")[0]
                    await self._answer(line, "RCPT", "250 ok")
                case "DATA":
                    if await self._answer(line, "DATA", "354 go on"):
                        await self._take(line, sender, recipient)
                case "RSET":
                    await self._answer(line, "RSET", "250 ok")
                case "QUIT":
                    await self._answer(line, "QUIT", "221 bye")
                    return
                case _:
                    await line.say("502 not known")

    async def _take(self, line: "_Line", sender: str, recipient: str) -> None:
        content = await line.reader.readuntil(b"\r\n")
        if content != _DOT:
            await self._act(line, "BODY")
        while not (b"\r\n" + content).endswith(b"\r\n" + _DOT):
            content += await line.reader.readuntil(_DOT)
        content = (b"\r\n" + content[: -len(_DOT)]).replace(b"\r\n.", b"\r\n")[2:]
        taken = Taken(sender, recipient, content, line.number)
        action = self._next("DOT")
        if not isinstance(action, Reply) or action.line.startswith("2"):
            self.taken.append(taken)
        await self._do(line, "DOT", action, "250 taken")

    async def _answer(self, line: "_Line", point: str, usual: str) -> bool:
        """Do what the script says at ``point``. Whether that was as usual."""
        action = self._next(point)
        await self._do(line, point, action, usual)
        return not isinstance(action, Reply)

    async def _act(self, line: "_Line", point: str) -> None:
        action = self._next(point)
        self._reached[point].set()
        if isinstance(action, Drop):
            raise _Dropped
        if isinstance(action, Hang):
            await action.release.wait()

    async def _do(self, line: "_Line", point: str, action: SmtpAction | None, usual: str) -> None:
        self._reached[point].set()
        match action:
            case Drop():
                raise _Dropped
            case Hang(release):
                await release.wait()
                await line.say(usual)
            case Reply(text):
                await line.say(text)
                if text.startswith("421"):
                    raise _Dropped
            case None:
                await line.say(usual)

    def _next(self, point: str) -> SmtpAction | None:
        script = self._script[point]
        return script.popleft() if script else None


class _Dropped(Exception):
    pass


@dataclass(frozen=True)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def read(self) -> str:
        raw = await self.reader.readuntil(b"\r\n")
        return raw.decode(errors="surrogateescape").rstrip("\r\n")

    async def say(self, text: str) -> None:
        self.writer.write(f"{text}\r\n".encode())
        await self.writer.drain()


@asynccontextmanager
async def scripted_relay(
    *, offers: tuple[str, ...] = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedRelay]:
    """A relay that runs as long as the block."""
    relay = ScriptedRelay(offers=offers, tls=tls)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
