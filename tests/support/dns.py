"""A name server that answers what it was given, by UDP and, where that is too small, by TCP."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from local.ports import LOOPBACK, free_port

Zone = Mapping[tuple[str, str], Sequence[str]]
"""The records of a name and a type: ``("example.fr", "TXT")``."""
_TYPES = {15: "MX", 16: "TXT"}
_MOST_BY_UDP = 512


@asynccontextmanager
async def name_server(zone: Zone, *, silent: bool = False, garbage: bool = False) -> AsyncIterator[int]:
    """Serve a zone for as long as the block; gives the port. ``silent``: it answers nothing."""
    port = free_port()

    class Questions(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
            answer = data[:2] + b"\xff" if garbage else _answer(zone, data)
            if len(answer) > _MOST_BY_UDP:
                answer = data[:2] + b"\x83\x00" + data[4:]  # truncated
            if not silent:
                self.transport.sendto(answer, address)

    async def by_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        [length] = struct.unpack(">H", await reader.readexactly(2))
        answer = _answer(zone, await reader.readexactly(length))
        writer.write(struct.pack(">H", len(answer)) + answer)
        await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Questions, local_addr=(LOOPBACK, port))
    server = await asyncio.start_server(by_tcp, LOOPBACK, port)
    try:
        yield port
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


def _answer(zone: Zone, question: bytes) -> bytes:
    labels, place = [], 12
    while length := question[place]:
        labels.append(question[place + 1 : place + 1 + length].decode())
        place += length + 1
    [kind] = struct.unpack_from(">H", question, place + 1)
    name = ".".join(labels)
    found = zone.get((name, _TYPES[kind]), ())
    is_known = any(known == name for known, _ in zone)
    head = question[:2] + struct.pack(">HHHHH", 0x8180 if is_known else 0x8183, 1, len(found), 0, 0)
    return head + question[12:] + b"".join(_record(kind, text) for text in found)


def _record(kind: int, text: str) -> bytes:
    if _TYPES[kind] == "TXT":
        parts = [text[start : start + 255].encode() for start in range(0, len(text), 255)]
        data = b"".join(bytes([len(part)]) + part for part in parts)
    else:
        preference, host = text.split()
        data = struct.pack(">H", int(preference)) + bytes([len(host)]) + host.encode() + b"\xc0\x0c"
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
