"""Accepts by SMTP everything that a real server would accept, and delivers nothing."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MAIL_BYTES = 32 * 2**20
_PLAIN_PATH = re.compile(r"<(?P<address>[^\s<>@\"\\,:;()]+@[^\s<>@\"\\,:;()\[\]]+)>(?P<rest>(?: .*)?)")
_MAX_LINE_BYTES = 998  # RFC 5321, 4.5.3.1.6


@dataclass(frozen=True)
class MailHandler:
    """`keep` takes a mail with its envelope's fields, and returns the name of its file."""

    keep: Callable[[bytes], str]

    async def handle_EHLO(  # noqa: N802 aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, host: str, responses: list[str]
    ) -> list[str]:
        session.host_name = host
        return [responses[0], "250-PIPELINING", *responses[1:]]


class Reception(SMTP):
    line_length_limit = 2**16  # despite its name, the size of the reading buffer

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 aiosmtpd's name
        """Read a mail up to the lone dot (RFC 5321, 4.1.1.4)."""
        if await self.check_helo_needed():
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._body()
        if content is None:
            await self.push("552 5.3.4 Error: too much mail data")
        elif _has_a_long_line(content):
            await self.push("500 5.6.0 Line too long (see RFC 5321, 4.5.3.1.6)")
        else:
            await self.push(self._keep(self.envelope, content))
        self.envelope = self._create_envelope()  # the transaction is over, whether it failed or not

    def _keep(self, envelope: Envelope, content: bytearray) -> str:
        head = [f"Return-Path: <{envelope.mail_from or ''}>"]
        head += [f"Delivered-To: {to}" for to in envelope.rcpt_tos]
        fields = "".join(f"{line}\r\n" for line in head).encode(errors="surrogateescape")
        try:
            name = self.event_handler.keep(fields + content)
        except OSError as error:
            return f"452 4.3.1 The mailbox could not write the mail: {error.strerror}"
        return f"250 2.0.0 OK: kept as {name}"

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A fast expression parses plain addresses, the library's slow grammar all others."""
        if (plain := _PLAIN_PATH.fullmatch(arg)) is not None:
            return plain["address"], plain["rest"]
        address: tuple[str | None, str | None] = super()._getaddr(arg)
        return address

    async def _body(self) -> bytearray | None:
        """Remove the final dot and doubled dots. Return None for a mail that is too large."""
        body, searched, too_big = bytearray(b"\r\n"), 0, False  # the first line may be the lone dot
        while (end := body.find(b"\r\n.\r\n", searched)) < 0:
            if len(body) > MAX_MAIL_BYTES:
                too_big = True
                del body[:-4]
            searched = max(0, len(body) - 4)
            body += await self._reader.read(MAX_MAIL_BYTES)  # a closed connection cancels this task
        self._reader.feed_data(body[end + 5 :])  # commands that came with the mail
        return None if too_big or end > MAX_MAIL_BYTES else body[: end + 2].replace(b"\r\n.", b"\r\n")[2:]


def _has_a_long_line(content: bytearray) -> bool:
    start = 0
    while len(content) - start > _MAX_LINE_BYTES:
        end = content.rfind(b"\r\n", start, start + _MAX_LINE_BYTES + 2)
        if end < 0:
            return True
        start = end + 2
    return False


def reception(keep: Callable[[bytes], str]) -> Callable[[], asyncio.Protocol]:
    return lambda: Reception(
        MailHandler(keep),
        data_size_limit=MAX_MAIL_BYTES,
        enable_SMTPUTF8=True,
        hostname="localhost",  # otherwise it asks the DNS at each connection
        ident="Parcours mailbox",
        loop=asyncio.get_running_loop(),
    )
