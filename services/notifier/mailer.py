"""SMTP: a pool of connections to the relay, and what its answers mean.

aiosmtplib raises the same error whether a connection fell before or after the final dot, and takes a 2xx
other than 250 for a failure; so the commands are sent one by one, and the mark that DATA begins is asked for
between them. Nothing is known here of the queue. Sources: RFC 5321 (4.2.1 replies, 4.5.3.2 time limits).
"""

import asyncio
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import aiosmtplib
from aiosmtplib import SMTPException, SMTPTimeoutError
from prometheus_client import Counter, Gauge

from services.notifier import bounces
from services.notifier.render import Outgoing
from services.notifier.settings import Relay, Tls

log = logging.getLogger(__name__)

CONNECTIONS = Gauge("parcours_smtp_connections", "Open connections to the relay.")
CONNECT_FAILURES = Counter(
    "parcours_smtp_connect_failures_total", "Times the relay could not be reached, or took no mail of ours."
)


class Verdict(StrEnum):
    """What an attempt came to."""

    SENT = "sent"
    RETRY = "retry"
    """Surely not accepted; may be later."""
    FAILED = "failed"
    """Surely not accepted, and never will be."""
    AMBIGUOUS = "ambiguous"
    """DATA had begun and no answer came: the relay may have it."""
    NOT_OURS = "not_ours"
    """The mark was refused: somebody else has the mail now. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, the relay's code if it gave one, and its words or ours. Never an address.

    ``bad_address`` is the RFC 3463 code with which the relay refused the recipient, where that says that the
    address is bad, and not that this mail is.
    """

    verdict: Verdict
    code: int | None
    answer: str
    bad_address: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait. Short ones after the final dot make duplicates (RFC 5321, 4.5.3.2.6)."""

    connect: float = 30
    command: float = 60
    data: float = 120
    final: float = 600
    idle: float = 30
    """A connection unused for longer is not trusted any more: a firewall may have forgotten it."""


_ABOUT_THE_CONNECTION = {530, 534, 535, 538}
"""Authentication is wanted, or failed (RFC 4954, 6): nothing is wrong with the mail."""


class RelayUnreachable(Exception):
    """No usable connection to the relay; says why, with the relay's code if it gave one."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


Begin = Callable[[], Awaitable[bool]]
"""Stores durably that DATA is about to be sent; False forbids it."""


class Mailer:
    """Hands mails to the relay. Each call of :meth:`send` has a connection to itself while it lasts."""

    def __init__(self, relay: Relay, *, size: int, patience: Patience | None = None) -> None:
        self._relay = relay
        self._patience = patience or Patience()
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Connection] = []
        self._outage = _Outage()
        self._turned_away = False
        """Whether the relay let us in and then took no mail: an open connection proves nothing then, nor
        a yes to MAIL: it is over when the relay has judged a mail."""
        self._in_turn = asyncio.Lock()

    def pause(self) -> float:
        """Seconds to leave the relay alone, because it could not be reached; 0 when it can."""
        return self._outage.pause()

    def has_failed(self) -> bool:
        """Whether the last connection was not to be had, or no mail was judged since the relay took none."""
        return self._outage.failures > 0

    async def try_relay(self) -> bool:
        """Open one connection and keep it for the next mail. Whether there is one."""
        try:
            connection, _ = await self._connection()
        except RelayUnreachable:
            return False
        self._take_back(connection)
        return True

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """To be held around :meth:`send`: one mail at a time, while the relay is known to take none.

        Ask for :meth:`pause` inside: the mail before may have found the relay still closed.
        """
        if self._turned_away:
            async with self._in_turn:
                if self._turned_away:
                    yield
                    return
        yield

    async def send(self, mail: Outgoing, begin: Begin) -> Outcome:
        """Try once.

        Raises only what ``begin`` raises, nothing having been sent then, and ``CancelledError``.
        """
        async with self._slots:
            while True:
                begun = time.monotonic()
                try:
                    connection, reused = await self._connection()
                except RelayUnreachable as error:
                    return Outcome(Verdict.RETRY, error.code, str(error))
                turned_away = self._turned_away
                try:
                    outcome = await connection.send(mail, begin)
                    if turned_away and outcome.code not in (None, 421):
                        self._turned_away = False
                        self._outage.over()
                    return outcome
                except RelayUnreachable as error:
                    self._turned_away = True
                    self._drop_idle()
                    self._failed(begun)
                    return Outcome(Verdict.RETRY, error.code, str(error))
                except _Stale as error:
                    # A connection that the relay closed while it lay idle says nothing about the mail.
                    if not reused:
                        return Outcome(Verdict.RETRY, error.code, str(error))
                finally:
                    self._take_back(connection)

    async def close(self) -> None:
        """Say goodbye to the relay on every idle connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _connection(self) -> tuple["_Connection", bool]:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh():
                return connection, True
            connection.drop()
        connection = _Connection(self._relay, self._patience)
        begun = time.monotonic()
        try:
            await connection.open()
            if self._turned_away:
                await connection.knock()
        except RelayUnreachable:
            self._failed(begun)
            raise
        if not self._turned_away:
            self._outage.over()
        return connection, False

    def _failed(self, begun: float) -> None:
        CONNECT_FAILURES.inc()
        self._outage.failed(begun)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().drop()

    def _take_back(self, connection: "_Connection") -> None:
        if connection.is_fresh():
            self._idle.append(connection)
        else:
            connection.drop()


class _Outage:
    """How long to leave a relay alone: half a second after the first failure, doubled each time, at most 30.

    Connections that were under way when one failed tell of the same moment: they are not counted again, or
    many lanes would make a long pause of a short break.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._known_at = 0.0
        self._not_before = 0.0

    def pause(self) -> float:
        return max(0.0, self._not_before - time.monotonic())

    def failed(self, begun: float) -> None:
        """A connection, begun at this monotonic time, was not to be had."""
        if self.failures and begun <= self._known_at:
            return
        self.failures += 1
        self._known_at = time.monotonic()
        self._not_before = self._known_at + min(30.0, 0.25 * 2 ** min(self.failures, 10))

    def over(self) -> None:
        self.failures = 0
        self._not_before = 0.0


class _Stale(Exception):
    """The connection ended before DATA began; the mail is untouched."""

    def __init__(self, answer: str, code: int | None = None) -> None:
        super().__init__(answer)
        self.code = code


class _Connection:
    """One connection, between mails always outside of a transaction."""

    def __init__(self, relay: Relay, patience: Patience) -> None:
        self._patience = patience
        self._relay = relay
        self._client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.username or None,
            password=relay.password or None,
            # Named, so that the library does not look it up for seconds; and never opportunistic TLS.
            local_hostname=socket.gethostname() or "localhost",
            use_tls=relay.tls is Tls.IMPLICIT,
            start_tls=relay.tls is Tls.STARTTLS,
            timeout=patience.command,
        )
        self._used_at = 0.0
        self._open = False

    async def open(self) -> None:
        """Connect, say hello, start TLS and log in, as the settings say. Raises :class:`RelayUnreachable`."""
        try:
            await self._client.connect(timeout=self._patience.connect)
            if self._client.is_ehlo_or_helo_needed:
                await self._client.ehlo()
        except (SMTPException, OSError, ValueError) as error:
            self._client.close()
            raise RelayUnreachable(_words(error)) from error
        except BaseException:
            self._client.close()
            raise
        self._open = True
        CONNECTIONS.inc()
        self._used_at = time.monotonic()

    def is_fresh(self) -> bool:
        """Whether it can take another mail."""
        return (
            self._open
            and self._client.is_connected
            and time.monotonic() - self._used_at < self._patience.idle
        )

    def drop(self) -> None:
        """Close it without a word."""
        if self._open:
            self._open = False
            CONNECTIONS.dec()
        self._client.close()

    async def quit(self) -> None:
        """Close it politely."""
        try:
            await self._client.quit(timeout=1)
        except (SMTPException, OSError):
            pass
        finally:
            self.drop()

    async def knock(self) -> None:
        """Ask whether the relay takes mails at all, with none in hand. Raises :class:`RelayUnreachable`."""
        try:
            if await self._say(b"MAIL FROM:<>") is None:
                await self._reset()
        except (_Stale, SMTPException, OSError) as error:
            self.drop()
            raise RelayUnreachable(_words(error)) from error
        except BaseException:
            self.drop()
            raise

    async def send(self, mail: Outgoing, begin: Begin) -> Outcome:
        """One transaction.

        Raises :class:`_Stale` when the connection had ended before it, and :class:`RelayUnreachable` when the
        relay takes no mail of ours, nothing having been sent.

        A relay that answers MAIL and then hangs, or hangs at it, has something against this mail: on another
        connection it would do so again.
        """
        parameters = b""
        if not mail.recipient.isascii():
            if not self._client.supports_extension("smtputf8"):
                return Outcome(
                    Verdict.FAILED, None, "the address needs SMTPUTF8, which the relay does not offer"
                )
            parameters = b" SMTPUTF8"
        answered = begun = False
        try:
            refused = await self._say(b"MAIL FROM:<" + mail.sender.encode() + b">" + parameters)
            answered = True
            if refused is not None:
                return refused
            refused = await self._say(b"RCPT TO:<" + mail.recipient.encode() + b">")
            if refused is not None:
                return replace(refused, bad_address=bounces.bad_address_in(refused.answer))
            if not await begin():
                await self._reset()
                return Outcome(Verdict.NOT_OURS, None, "the claim was lost before DATA")
            begun = True
            return await self._data(mail.content)
        except _Stale as error:
            self.drop()
            if not answered:
                raise
            return Outcome(Verdict.RETRY, error.code, str(error))
        except (SMTPException, OSError) as error:
            self.drop()
            if begun:
                return Outcome(Verdict.AMBIGUOUS, None, f"no answer after DATA: {_words(error)}")
            if answered or isinstance(error, SMTPTimeoutError):
                return Outcome(Verdict.RETRY, None, _words(error))
            raise _Stale(_words(error)) from error
        except BaseException:
            self.drop()  # cancelled, or the mark could not be stored: who knows where the dialogue stands
            raise
        finally:
            self._used_at = time.monotonic()

    async def _say(self, command: bytes) -> Outcome | None:
        """MAIL or RCPT; what the relay has against it.

        Raises :class:`_Stale` when it says goodbye, :class:`RelayUnreachable` when it has nothing against the
        mail but takes none of ours.
        """
        response = await self._client.execute_command(command, timeout=self._patience.command)
        if response.code == 421:
            raise _Stale(_answer(response), response.code)
        if 200 <= response.code < 300:
            return None
        _about_the_mail(response)
        await self._reset()
        return _negative(response)

    async def _data(self, content: bytes) -> Outcome:
        """DATA, the message, the final dot; what the relay says of them."""
        response = await self._client.execute_command(b"DATA", timeout=self._patience.data)
        if response.code != 354:
            if 200 <= response.code < 400:
                self.drop()  # it does not speak SMTP, but it has no message either
                return Outcome(Verdict.RETRY, response.code, _answer(response))
            _about_the_mail(response)
            await self._reset()
            return _negative(response)
        protocol = self._client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("the relay closed the connection after 354")
        protocol.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        response = await protocol.read_response(timeout=self._patience.final)
        if 200 <= response.code < 300:
            return Outcome(Verdict.SENT, response.code, _answer(response))
        if response.code == 421:
            self.drop()
        if 400 <= response.code < 600:
            return _negative(response)
        self.drop()
        return Outcome(Verdict.AMBIGUOUS, response.code, f"no answer that SMTP knows: {_answer(response)}")

    async def _reset(self) -> None:
        """Back to before MAIL; a connection that cannot is closed."""
        try:
            response = await self._client.execute_command(b"RSET", timeout=self._patience.command)
            if response.code != 250:
                self.drop()
        except (SMTPException, OSError):
            self.drop()


def _about_the_mail(response: aiosmtplib.SMTPResponse) -> None:
    """A refusal is about the mail, or this raises :class:`RelayUnreachable`."""
    if response.code in _ABOUT_THE_CONNECTION:
        raise RelayUnreachable(_answer(response), response.code)


def _negative(response: aiosmtplib.SMTPResponse) -> Outcome:
    """A refusal: for good when the code begins with 5 (RFC 5321, 4.2.1), else to be tried again."""
    verdict = Verdict.FAILED if 500 <= response.code < 600 else Verdict.RETRY
    return Outcome(verdict, response.code, _answer(response))


def _answer(response: aiosmtplib.SMTPResponse) -> str:
    return _discreet(response.message)


def _words(error: BaseException) -> str:
    return _discreet(str(error)) or type(error).__name__


def _discreet(words: str) -> str:
    """On one line, storable, and without the address that relays like to quote."""
    shown = "".join(char if char.isprintable() else " " for char in words)
    return _ADDRESS.sub("(address)", " ".join(shown.split())).encode(errors="replace").decode()


_ADDRESS = re.compile(r"\S+@\S+")
