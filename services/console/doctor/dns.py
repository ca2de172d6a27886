"""Asking a name server for the TXT and MX records of a name, which the standard library cannot (RFC 1035).

One question by UDP, asked again by TCP where the answer did not fit. What an answer names is only compared
and shown.
"""

import asyncio
import secrets
import struct
from pathlib import Path

_TYPES = {"MX": 15, "TXT": 16}
_SECONDS = 5.0
_PORT = 53
_RECURSION_WANTED, _TRUNCATED, _NO_SUCH_NAME = 0x0100, 0x0200, 3
_POINTER = 0xC0


class NoAnswer(Exception):
    """The name server did not answer, or not to what was asked; the message says why."""


def name_server(resolv: Path = Path("/etc/resolv.conf")) -> str:
    """Return the address of this machine's name server. Raises :class:`NoAnswer`."""
    try:
        lines = resolv.read_text().splitlines()
    except OSError as error:
        raise NoAnswer(f"{resolv} cannot be read: {error.strerror}") from error
    for line in lines:
        fields = line.split()
        if len(fields) > 1 and fields[0] == "nameserver":
            return fields[1]
    raise NoAnswer(f"{resolv} names no server")


async def records(name: str, kind: str, server: str, port: int = _PORT) -> list[str]:
    """Return the records of a name: the text of TXT, ``preference host`` of MX. Raises :class:`NoAnswer`."""
    question = _question(name, kind)
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await _by_udp(question, server, port)
            if struct.unpack_from(">H", answer, 2)[0] & _TRUNCATED:
                answer = await _by_tcp(question, server, port)
            return _read(answer, question, _TYPES[kind])
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        why = str(error) or type(error).__name__
        raise NoAnswer(f"the name server {server} did not answer ({why})") from error
    except (struct.error, IndexError) as error:
        raise NoAnswer(f"the name server {server} answered what cannot be read") from error


def _question(name: str, kind: str) -> bytes:
    head = struct.pack(">HHHHHH", secrets.randbits(16), _RECURSION_WANTED, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label for label in name.rstrip(".").encode("ascii").split(b"."))
    return head + labels + struct.pack(">BHH", 0, _TYPES[kind], 1)


class _Datagram(asyncio.DatagramProtocol):
    """The first answer that belongs to the question."""

    def __init__(self, question: bytes) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._id = question[:2]

    def datagram_received(self, data: bytes, _: object) -> None:
        if data[:2] == self._id and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def _by_udp(question: bytes, server: str, port: int) -> bytes:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagram(question), remote_addr=(server, port)
    )
    try:
        transport.sendto(question)
        return await protocol.answer
    finally:
        transport.close()


async def _by_tcp(question: bytes, server: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        writer.write(struct.pack(">H", len(question)) + question)
        [length] = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


def _read(answer: bytes, question: bytes, wanted: int) -> list[str]:
    """Return the records of the wanted type; an alias on the way is followed by the server."""
    flags, _, answers = struct.unpack_from(">HHH", answer, 2)
    if (code := flags & 0xF) == _NO_SUCH_NAME:
        return []
    if code:
        raise NoAnswer(f"the name server refused (code {code})")
    place = len(question)  # it begins with the question
    found = []
    for _ in range(answers):
        place = _after_name(answer, place)
        kind, _, _, length = struct.unpack_from(">HHIH", answer, place)
        place += 10
        if kind == wanted:
            end = place + length
            found.append(_text(answer, place, end) if kind == _TYPES["TXT"] else _exchange(answer, place))
        place += length
    return found


def _after_name(answer: bytes, place: int) -> int:
    while (length := answer[place]) and length < _POINTER:
        place += length + 1
    return place + (2 if length else 1)


def _text(answer: bytes, place: int, end: int) -> str:
    """Return the strings of a TXT record, one after the other (RFC 7208, 3.3)."""
    parts = []
    while place < end:
        parts.append(answer[place + 1 : place + 1 + answer[place]])
        place += 1 + answer[place]
    return b"".join(parts).decode("ascii", "replace")


def _exchange(answer: bytes, place: int) -> str:
    [preference] = struct.unpack_from(">H", answer, place)
    return f"{preference} {_name(answer, place + 2)}"


def _name(answer: bytes, place: int) -> str:
    labels: list[str] = []
    jumps = 0
    while length := answer[place]:
        if length >= _POINTER:
            place = struct.unpack_from(">H", answer, place)[0] & 0x3FFF
            jumps += 1
            if jumps > len(answer):
                raise IndexError("a name that leads to itself")
            continue
        labels.append(answer[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += length + 1
    return ".".join(labels)
