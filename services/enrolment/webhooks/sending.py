"""A client of HTTP/1.1 for webhooks: it knows POST and the status of the answer, and keeps its connections.

httpcore takes twenty times the CPU for an event (ADR 0072).
"""

import asyncio
import socket
import ssl
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import httptools

from services.enrolment.rules.webhooks import WebhookFailure
from shared import clock
from shared.events.cloudevents import STRUCTURED
from shared.messaging.portals.registry import Webhook
from shared.messaging.portals.webhooks import headers

LONGEST_SECONDS = 15.0
"""From the begin of an attempt to the end of its answer."""
_LONGEST_ANSWER = 64 * 1024
_WITH_IPV4 = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Addresses of IPv6 that end with one of IPv4: the last networks are those of SIIT and NAT64."""


class PrivateAddress(ConnectionError):
    """The host of a webhook is no public address."""


class WebhookSender:
    """Sends to one portal. Redirects are failures.

    With ``private_too``, on a trial, the address may lead into a private network.
    """

    def __init__(self, *, private_too: bool = False) -> None:
        self._private_too = private_too
        self._tls = ssl.create_default_context()
        self._kept: list[_Connection] = []
        self._looking_up = asyncio.Lock()

    def close(self) -> None:
        for connection in self._kept:
            connection.close()
        self._kept.clear()

    async def send(self, webhook: Webhook, event_id: UUID, body: bytes) -> WebhookFailure | None:
        """Return None if the portal has taken the event: it answered 2xx."""
        place = urlsplit(webhook.url)
        sent = {
            "Host": place.netloc,
            "Content-Type": STRUCTURED,
            "Content-Length": len(body),
            "User-Agent": "Parcours",
            **headers(webhook.keys, event_id, int(clock.now().timestamp()), body),
        }
        lines = [f"{name}: {value}\r\n" for name, value in sent.items()]
        path = (place.path or "/") + (f"?{place.query}" if place.query else "")
        request = f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                status = await self._post(place, request)
        except TimeoutError:
            return WebhookFailure(f"no answer within {LONGEST_SECONDS:g} s")
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return WebhookFailure(_printable(f"{type(error).__name__}: {error}")[:200])
        if 200 <= status < 300:
            return None
        return WebhookFailure(f"status {status}", gone=status == HTTPStatus.GONE)

    async def _post(self, place: SplitResult, request: bytes) -> int:
        while self._kept:
            connection = self._kept.pop()
            if connection.place != place.netloc:  # the registry has another address by now
                connection.close()
                continue
            try:
                return await self._ask(connection, request)
            except _Closed:
                continue  # the portal ended it while it was idle
        return await self._ask(await self._connect(place), request)

    async def _ask(self, connection: "_Connection", request: bytes) -> int:
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if answer.may_go_on:
            self._kept.append(connection)
        else:
            connection.close()
        return answer.status

    async def _connect(self, place: SplitResult) -> "_Connection":
        """Connect to the address that was judged: a second look-up could give another one.

        Look up one at a time: a look-up takes a thread of those that all of the process shares.
        """
        secure, host = place.scheme == "https", place.hostname or ""
        port = place.port or (443 if secure else 80)
        async with self._looking_up:
            looked_up = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(found[4][0]) for found in looked_up]
        if not self._private_too and not all(map(is_public, addresses)):
            raise PrivateAddress(f"{host} is in a private network")
        streams = await asyncio.open_connection(
            addresses[0], port, ssl=self._tls if secure else None, server_hostname=host if secure else None
        )
        return _Connection(place.netloc, *streams)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def is_public(address: str) -> bool:
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.is_site_local:
            return False
        if any(found in network for network in _WITH_IPV4):
            found = IPv4Address(found.packed[-4:])
    return found.is_global and not found.is_multicast


class _Closed(ConnectionError):
    """The portal ended the connection before it answered anything."""


class _Answer:
    """What the parser of httptools calls."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.may_go_on = False
        self.is_whole = False

    def on_headers_complete(self) -> None:
        if not self.is_whole:
            self.status = self.parser.get_status_code()

    def on_message_complete(self) -> None:
        """The answer follows a status below 200. Another one after it belongs to no event."""
        if self.status >= HTTPStatus.OK:
            self.may_go_on = not self.is_whole and self.parser.should_keep_alive()
            self.is_whole = True


class _Connection:
    def __init__(self, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.place = place
        self._reader = reader
        self._writer = writer

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> _Answer:
        answer, length = _Answer(), 0
        self._writer.write(request)
        while not answer.is_whole:
            try:
                part = await self._reader.read(_LONGEST_ANSWER)
            except ConnectionError as error:
                raise (error if length else _Closed(str(error))) from error
            length += len(part)
            if not part and answer.status >= HTTPStatus.OK:
                break  # the end of the connection may be that of the body, which says nothing
            if not part:
                raise _Closed("no answer") if not length else ConnectionError("half an answer")
            if length > _LONGEST_ANSWER:
                raise ConnectionError("the answer is too long")
            answer.parser.feed_data(part)
        return answer
