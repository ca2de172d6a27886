"""A name server that answers what it was given, by UDP and, where that is too small, by TCP."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from dns import message, rcode, rdatatype, rrset

from local.ports import LOOPBACK, free_port

Zone = Mapping[tuple[str, str], Sequence[str]]
"""The records of a name and a type: ``("example.fr", "TXT")``."""
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


def _answer(zone: Zone, data: bytes) -> bytes:
    question = message.from_wire(data)
    asked = question.question[0]
    name, kind = asked.name.to_text(omit_final_dot=True), rdatatype.to_text(asked.rdtype)
    answer = message.make_response(question)
    if not any(known == name for known, _ in zone):
        answer.set_rcode(rcode.NXDOMAIN)
    if found := zone.get((name, kind)):
        answer.answer.append(rrset.from_text_list(asked.name, 60, "IN", kind, found))
    return answer.to_wire()
