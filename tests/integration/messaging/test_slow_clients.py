"""The bounds of a connection, tried with sockets: slow clients, long heads, trailers, unclear lengths."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from shared.auth import bearer_token
from shared.http import new_api
from shared.process.clients import ImpatientProtocol, Patience
from shared.process.server import Server, listen
from shared.rates import Rate
from tests.conftest import Eventually, SecurityLines
from tests.support.guards import a_guard

SOON = Patience(
    head_seconds=0.1, body_seconds=0.1, bytes_per_second=1_000_000, head_bytes=1000, answer_seconds=0.1
)


LARGE = 20_000_000
SMALL, KERNEL = 80_000, 8_192
"""A response of which uvicorn keeps less than 64 KiB, and the bytes that the kernel buffers of it."""


class Hasty(ImpatientProtocol):
    patience = SOON


def an_api() -> FastAPI:
    guard = a_guard()
    api = new_api("test", "Tests.", guard)

    @api.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @api.post("/answered-before")
    async def answered_before() -> PlainTextResponse:
        return PlainTextResponse("no")

    @api.post("/limited")
    async def limited(request: Request) -> str | None:
        await request.body()
        guard.take_here(request, "read", Rate.parse("2/day"))
        return bearer_token(request)

    @api.get("/large")
    async def large() -> PlainTextResponse:
        return PlainTextResponse("x" * LARGE)

    @api.get("/small")
    async def small() -> PlainTextResponse:
        return PlainTextResponse("x" * SMALL)

    return api


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, int]]:
    """A server and its port."""
    listener = listen("127.0.0.1", 0, "TEST_PORT", SOON)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
    server = Server(an_api(), proxies="127.0.0.1", protocol=Hasty)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield server, listener.getsockname()[1]
    server.stop()
    await serving


@pytest.fixture
def port(served: tuple[Server, int]) -> int:
    return served[1]


async def sent(port: int, *pieces: bytes) -> bytes:
    """Send these and nothing more; return what came until the connection was closed, or reset."""
    loop = asyncio.get_running_loop()
    answer = b""
    with socket.socket() as client, contextlib.suppress(ConnectionError):
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        for piece in pieces:
            await loop.sock_sendall(client, piece)
        async with asyncio.timeout(20):
            while part := await loop.sock_recv(client, 65_536):
                answer += part
    return answer


HEAD = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((b"",), b""),
        ((b"\r\n\r\n",), b""),
        ((b"GET /body HTTP/1.1\r\nhost:",), b"408"),
        ((b"GET /body HTTP/1.1\r\n", b"x: y\r\n"), b"408"),
        ((HEAD,), b"408"),
        ((HEAD, b"12345"), b"408"),
        ((HEAD.replace(b"content-length: 10", b"transfer-encoding: chunked"), b"5\r\n12"), b"408"),
        ((HEAD, b"1234567890", b"GET /body HTTP/1.1\r\nhost:"), b"200"),
        ((HEAD.replace(b"/body", b"/answered-before"), b"12345"), b"200"),
        ((b"GET /body HTTP/1.1\r\nx: " + b"x" * 999, b"x" * 999, b"x" * 999), b"431"),
    ],
)
async def test_a_client_that_sends_half_a_request_is_cut_off(
    port: int, pieces: tuple[bytes, ...], status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await sent(port, *pieces)
    assert answer[9:12] == status, answer
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


CHUNKED = HEAD.replace(b"content-length: 10", b"transfer-encoding: chunked")
BODY = b"5\r\n12345\r\n0\r\n"


async def test_a_trailer_names_neither_the_visitor_nor_a_token(
    port: int, security_lines: SecurityLines
) -> None:
    head = CHUNKED.replace(b"/body", b"/limited")
    forged = b"x-forwarded-for: 198.51.%d.1\r\nauthorization: Bearer secret\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(head + BODY + forged % number for number in range(3))
    assert (await reader.readuntil(b"HTTP/1.1 429 ")).count(b"\r\n\r\nnull") == 2
    writer.close()
    [line] = security_lines()
    assert line["address"] == a_guard().digest("network", "127.0.0.0/24").hex()[:16]


@pytest.mark.parametrize(
    "beside", [b"0\r\n" + b"x: y\r\n" * 200, b"0\r\nx: " + b"y" * 1000, b"1;" + b"y" * 1000]
)
async def test_trailers_and_sizes_of_chunks_have_as_many_bytes_as_a_head(port: int, beside: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED.replace(b"host: x", b"host: x\r\nexpect: 100-continue"))
    await reader.readuntil(b"100 Continue\r\n\r\n")
    writer.write(beside)
    assert (await reader.read())[9:12] == b"431"
    writer.close()


async def test_a_connection_stays_open_after_trailers(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = CHUNKED + BODY + b"x-digest: y\r\n\r\n"
    for requests in (1, 2):
        writer.write(request * requests)
        for _ in range(requests):
            assert (await reader.readuntil(b"\r\n\r\n5")).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_no_answer_says_which_program_serves(port: int) -> None:
    answer = await sent(port, HEAD.replace(b"host: x", b"host: x\r\nconnection: close"), b"1234567890")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"uvicorn" not in answer


async def test_line_ends_after_an_answer_do_not_keep_a_connection_open(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"1234567890")
    await reader.readuntil(b"10")
    writer.write(b"\r\n")
    async with asyncio.timeout(3):  # less than uvicorn's own wait
        await reader.read()
    writer.close()


async def test_a_body_that_comes_slowly_and_steadily_is_taken(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD.replace(b"10", b"1500000"))
    for _ in range(3):
        writer.write(b"x" * 500_000)  # earns half a second
        await writer.drain()
        await asyncio.sleep(SOON.body_seconds / 2)
    assert b"1500000" in await asyncio.wait_for(reader.read(10_000), 20)
    writer.close()


@pytest.mark.parametrize("answer", [b"/large", b"/small"])
async def test_a_client_that_does_not_take_an_answer_away_is_cut_off(
    served: tuple[Server, int], eventually: Eventually, answer: bytes
) -> None:
    server, port = served
    loop = asyncio.get_running_loop()

    async def cut_off() -> bool:
        return not server.server_state.connections

    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % answer)
        assert await loop.sock_recv(client, 12) == b"HTTP/1.1 200"
        await eventually(cut_off, "the connection is closed, though its client has not gone")


async def test_many_slow_clients_keep_nobody_from_being_served(port: int) -> None:
    slow = asyncio.gather(*(sent(port, HEAD, b"1") for _ in range(100)))
    quick = await sent(port, HEAD.replace(b"host", b"connection: close\r\nhost"), b"1234567890")
    assert quick[9:12] == b"200"
    assert {answer[9:12] for answer in await slow} == {b"408"}


@pytest.mark.parametrize(
    "lengths",
    [
        b"content-length: 4\r\ntransfer-encoding: chunked",
        b"content-length: 4\r\ncontent-length: 5",
        b"transfer-encoding: xchunked",
        b"transfer-encoding: chunked, identity",
        b"host: y\r\nconnection: close\r\ncontent-length: 0",
    ],
)
async def test_a_request_that_can_be_read_in_two_ways_is_refused(port: int, lengths: bytes) -> None:
    hidden = b"0\r\n\r\nGET /large HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await sent(port, b"POST /body HTTP/1.1\r\nhost: x\r\n" + lengths + b"\r\n\r\n" + hidden)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(("waiting", "statuses"), [(20, [b"404"] * 21), (21, [b"400"])])
async def test_a_connection_keeps_few_requests_that_wait(
    port: int, waiting: int, statuses: list[bytes]
) -> None:
    """Each takes a hundred times the memory of its bytes."""
    requests = b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n" * (waiting + 1)
    answer = await sent(port, requests)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == statuses
