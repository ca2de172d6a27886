"""Accepts by SMTP everything that a real server would accept, and delivers nothing."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

MAX_MAIL_BYTES = 32 * 2**20
_PLAIN_PATH = re.compile(r"<(?P<address>[^\s<>@\"\\,:;()]+@[^\s<>@\"\\,:;()\[\]]+)>(?P<rest>(?: .*)?)")
_MAX_LINE_BYTES = 998  # RFC 5321, 4.5.3.1.6


class Reception(SMTP):
    """The handler takes a mail with its envelope's fields, and returns the name of its file."""

    line_length_limit = MAX_MAIL_BYTES  # despite its name, the size of the reading buffer

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
        elif max(map(len, content.split(b"\r\n"))) > _MAX_LINE_BYTES:
            await self.push("500 5.6.0 Line too long (see RFC 5321, 4.5.3.1.6)")
        else:
            await self.push(self._keep(self.envelope, content))
        self.envelope = self._create_envelope()  # the transaction is over, whether it failed or not

    def _keep(self, envelope: Envelope, content: bytes) -> str:
        head = [f"Return-Path: <{envelope.mail_from or ''}>"]
        head += [f"Delivered-To: {to}" for to in envelope.rcpt_tos]
        fields = "".join(f"{line}\r\n" for line in head).encode(errors="surrogateescape")
        try:
            name = self.event_handler(fields + content)
        except OSError as error:
            return f"452 4.3.1 The mailbox could not write the mail: {error.strerror}"
        return f"250 2.0.0 OK: kept as {name}"

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A fast expression parses plain addresses, the library's slow grammar all others."""
        if (plain := _PLAIN_PATH.fullmatch(arg)) is not None:
            return plain["address"], plain["rest"]
        address: tuple[str | None, str | None] = super()._getaddr(arg)
        return address

    async def _body(self) -> bytes | None:
        """Remove the final dot and doubled dots. Return None for a mail that is too large."""
        body, too_big = bytearray(), False
        while True:
            try:
                # Other lines may end like this. Only a line with nothing else ends the mail.
                body += await self._reader.readuntil(b".\r\n")
            except asyncio.LimitOverrunError as overrun:
                await self._reader.readexactly(overrun.consumed)
                too_big = True
            if body == b".\r\n" or body.endswith(b"\r\n.\r\n"):
                break
            if len(body) > MAX_MAIL_BYTES:
                too_big = True
                del body[:-4]
        if too_big:
            return None
        content = bytes(body[:-3])
        if content.startswith(b"."):
            content = content[1:]
        return content.replace(b"\r\n.", b"\r\n")


def reception(keep: Callable[[bytes], str]) -> Callable[[], asyncio.Protocol]:
    settings: dict[str, Any] = {
        "data_size_limit": MAX_MAIL_BYTES,
        "enable_SMTPUTF8": True,
        "decode_data": False,  # offers 8BITMIME
        "hostname": "localhost",  # otherwise it asks the DNS at each connection
        "ident": "Parcours mailbox",
    }
    return lambda: Reception(keep, loop=asyncio.get_running_loop(), **settings)
