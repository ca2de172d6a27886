"""One connection to the relay, command by command.

aiosmtplib raises the same error whether a connection fell before or after the final dot, and treats a 2xx
other than 250 as a failure. So the commands are sent one by one, and the mark that DATA begins is stored
between them.
"""

import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import aiosmtplib
from aiosmtplib import SMTPException, SMTPTimeoutError
from prometheus_client import Gauge

from services.notifier.delivery.results import (
    MailResult,
    RelayUnreachable,
    Timeouts,
    Verdict,
    check_connection,
    message_of,
    refusal,
    reply_of,
)
from services.notifier.letters import bounces
from services.notifier.render import Outgoing
from services.notifier.settings import SmtpServer, Tls
from shared import certificates

CONNECTIONS = Gauge("parcours_smtp_connections", "Open connections to the relay.")

MarkDataStarted = Callable[[], Awaitable[bool]]
"""Stores durably that DATA is about to be sent. Returns False if it must not be sent."""


class StaleConnection(Exception):
    """The connection ended before DATA began. The mail was not sent."""

    def __init__(self, reply: str, code: int | None = None) -> None:
        super().__init__(reply)
        self.code = code


class SmtpConnection:
    """Between two mails the connection is in no SMTP transaction."""

    def __init__(self, relay: SmtpServer, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._relay = relay
        self._client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.username or None,
            password=relay.password or None,
            # Given, because looking the name up takes the library seconds. No opportunistic TLS.
            local_hostname=socket.gethostname() or "localhost",
            use_tls=relay.tls is Tls.IMPLICIT,
            start_tls=relay.tls is Tls.STARTTLS,
            timeout=timeouts.command,
        )
        self._used_at = 0.0
        self._open = False

    async def open(self) -> None:
        """Connect, greet, start TLS and log in. Raises :class:`RelayUnreachable`."""
        try:
            await self._client.connect(timeout=self._timeouts.connect)
            if self._client.is_ehlo_or_helo_needed:
                await self._client.ehlo()
        except (SMTPException, OSError, ValueError) as error:
            self._client.close()
            raise RelayUnreachable(message_of(error)) from error
        except BaseException:
            self._client.close()
            raise
        self._open = True
        certificates.presented("smtp", self.peer_certificate)
        CONNECTIONS.inc()
        self._used_at = time.monotonic()

    @property
    def peer_certificate(self) -> Mapping[str, Any] | None:
        """Return the result of :meth:`ssl.SSLSocket.getpeercert`, or None without TLS."""
        transport = self._client.transport
        return None if transport is None else transport.get_extra_info("peercert")

    def is_fresh(self) -> bool:
        return (
            self._open
            and self._client.is_connected
            and time.monotonic() - self._used_at < self._timeouts.idle
        )

    def drop(self) -> None:
        if self._open:
            self._open = False
            CONNECTIONS.dec()
        self._client.close()

    async def quit(self) -> None:
        try:
            await self._client.quit(timeout=1)
        except (SMTPException, OSError):
            pass
        finally:
            self.drop()

    async def probe(self) -> None:
        """Ask whether the relay takes mails. Raises :class:`RelayUnreachable` if not."""
        try:
            if await self._command(b"MAIL FROM:<>") is None:
                await self._reset()
        except (StaleConnection, SMTPException, OSError) as error:
            self.drop()
            raise RelayUnreachable(message_of(error)) from error
        except BaseException:
            self.drop()
            raise

    async def send(self, mail: Outgoing, mark_data_started: MarkDataStarted) -> MailResult:
        """Send one mail in one SMTP transaction.

        Raises :class:`StaleConnection` if the connection had ended before, and :class:`RelayUnreachable` if
        the relay takes no mail from us. In both cases nothing was sent.

        If the relay hangs at MAIL or later, only the mail is put off: it would hang on another connection
        too.
        """
        parameters = b""
        if not mail.recipient.isascii():
            if not self._client.supports_extension("smtputf8"):
                return MailResult(
                    Verdict.FAILED, None, "the address needs SMTPUTF8, which the relay does not offer"
                )
            parameters = b" SMTPUTF8"
        replied = begun = False
        try:
            refused = await self._command(b"MAIL FROM:<" + mail.sender.encode() + b">" + parameters)
            replied = True
            if refused is not None:
                return refused
            refused = await self._command(b"RCPT TO:<" + mail.recipient.encode() + b">")
            if refused is not None:
                return replace(refused, bad_address=bounces.bad_address_in(refused.reply))
            if not await mark_data_started():
                await self._reset()
                return MailResult(Verdict.NOT_OURS, None, "the claim was lost before DATA")
            begun = True
            return await self._data(mail.content)
        except StaleConnection as error:
            self.drop()
            if not replied:
                raise
            return MailResult(Verdict.RETRY, error.code, str(error))
        except (SMTPException, OSError) as error:
            self.drop()
            if begun:
                return MailResult(Verdict.AMBIGUOUS, None, f"no answer after DATA: {message_of(error)}")
            if replied or isinstance(error, SMTPTimeoutError):
                return MailResult(Verdict.RETRY, None, message_of(error))
            raise StaleConnection(message_of(error)) from error
        except BaseException:
            self.drop()  # cancelled, or the mark could not be stored: the state of the dialogue is unknown
            raise
        finally:
            self._used_at = time.monotonic()

    async def _command(self, command: bytes) -> MailResult | None:
        """Send MAIL or RCPT. Returns the refusal, or None if the relay accepts.

        Raises :class:`StaleConnection` if the relay closes the connection, and :class:`RelayUnreachable` if
        it refuses the connection instead of the mail.
        """
        response = await self._client.execute_command(command, timeout=self._timeouts.command)
        if response.code == 421:
            raise StaleConnection(reply_of(response), response.code)
        if 200 <= response.code < 300:
            return None
        check_connection(response)
        await self._reset()
        return refusal(response)

    async def _data(self, content: bytes) -> MailResult:
        response = await self._client.execute_command(b"DATA", timeout=self._timeouts.data)
        if response.code != 354:
            if 200 <= response.code < 400:
                self.drop()  # the server does not speak SMTP, and has no message
                return MailResult(Verdict.RETRY, response.code, reply_of(response))
            check_connection(response)
            await self._reset()
            return refusal(response)
        protocol = self._client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("the relay closed the connection after 354")
        protocol.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        response = await protocol.read_response(timeout=self._timeouts.final)
        if 200 <= response.code < 300:
            return MailResult(Verdict.SENT, response.code, reply_of(response))
        if response.code == 421:
            self.drop()
        if 400 <= response.code < 600:
            return refusal(response)
        self.drop()
        return MailResult(
            Verdict.AMBIGUOUS, response.code, f"no answer that SMTP knows: {reply_of(response)}"
        )

    async def _reset(self) -> None:
        """Close the connection if RSET fails."""
        try:
            response = await self._client.execute_command(b"RSET", timeout=self._timeouts.command)
            if response.code != 250:
                self.drop()
        except (SMTPException, OSError):
            self.drop()
