"""The gateway of Compose and a service read a request alike, or the request is refused.

HAProxy runs with the file of `deploy`, in front of a server with the application of a service.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from local import ports
from shared.http import new_api
from shared.process.server import Server
from tests.support.guards import a_guard
from tests.support.lacking import program
from tests.support.processes import ROOT

FILE = ROOT / "deploy" / "gateway" / "haproxy.cfg"
HEAD_SECONDS = 0.2
VISITOR = "127.0.0.2"
"""The address of the client. The gateway is 127.0.0.1, which the service believes."""
ANSWER = re.compile(rb"^HTTP/1\.1 ([2-5]\d\d) ", re.MULTILINE)
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n"
HTTP_2 = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
    b"\0\0\0\4\0\0\0\0\0"  # SETTINGS
    b"\0\0\x09\1\5\0\0\0\1\x82\x86\4\2/x\1\1a"  # GET http://a/x
)
LAST = b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


@dataclass
class Edge:
    """A service and the gateway in front of it, by their ports, and the requests that the service read."""

    service: int
    gateway: int
    readings: list[str] = field(default_factory=list)

    async def exchange(self, port: int, *pieces: bytes) -> tuple[int | None, list[str]]:
        """Send a request in pieces, and once it is answered a last one.

        Return the status of the first answer, and what the service read but the last request.
        """
        self.readings.clear()
        answer = b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(VISITOR, 0))
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                while not ANSWER.search(answer) and (part := await reader.read(65_536)):
                    answer += part
                writer.write(LAST)
                answer += await reader.read()
        writer.close()
        found = ANSWER.search(answer)
        readings = [reading for reading in self.readings if "/last" not in reading]
        return None if found is None else int(found[1]), readings


def configured(folder: Path, port: int, service: int) -> Path:
    """Write the gateway's file, with a server of this machine in place of Docker's."""
    text = FILE.read_text()
    shared, separator, _ = text.partition("listen catalogue\n")
    assert separator
    shared, found = re.subn(r"resolvers docker\n(?:    .*\n)+", "", shared)
    assert found
    shared = shared.replace(" resolvers docker init-addr none", "")
    shared = shared.replace("http-request 10s", f"http-request {int(HEAD_SECONDS * 1000)}ms")
    listen = f"listen service\n    bind 127.0.0.1:{port}\n    server service 127.0.0.1:{service}\n"
    file = folder / "haproxy.cfg"
    file.write_text(shared + listen)
    return file


def recording(readings: list[str]) -> FastAPI:
    api = new_api("test", "Tests.", a_guard())

    @api.get("/health/ready")
    async def is_ready() -> None:
        """HAProxy asks each second."""

    @api.api_route("/{path:path}", methods=["GET", "POST", "OPTIONS"])
    async def read(request: Request) -> None:
        """Note what decides in a service: path, Host, visitor, token, and the body."""
        body = (await request.body()).decode()
        assert request.client is not None
        noted = [request.method, request.scope["path"], request.url.query, request.headers.get("host")]
        noted += [request.client.host, request.headers.get("authorization"), body]
        readings.append(" ".join(str(part) for part in noted if part))

    return api


@pytest.fixture(scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    haproxy = program("haproxy", package="haproxy")
    listener = socket.create_server(("127.0.0.1", 0))
    edge = Edge(listener.getsockname()[1], ports.free_port())
    server = Server(recording(edge.readings), proxies="127.0.0.1")
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    file = configured(tmp_path_factory.mktemp("gateway"), edge.gateway, edge.service)
    gateway = await asyncio.create_subprocess_exec(haproxy, "-q", "-db", "-f", file)
    try:
        async with asyncio.timeout(20):
            while ports.is_free(edge.gateway):
                assert gateway.returncode is None, "the gateway has ended"
                await asyncio.sleep(0.02)
        yield edge
    finally:
        gateway.terminate()
        await gateway.wait()
        server.stop()
        await serving


def get(target: str = "/x", *headers: str) -> bytes:
    return "\r\n".join((f"GET {target} HTTP/1.1", "host: a", *headers, "", "")).encode("latin-1")


def post(*headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join(("POST /x HTTP/1.1", "host: a", *headers, "", "")).encode("latin-1") + body


def chunked(body: bytes) -> bytes:
    return post("transfer-encoding: chunked", body=body)


GET, POST = f"GET /x a {VISITOR}", f"POST /x a {VISITOR} hi"
READ_ALIKE: dict[str, tuple[bytes, str]] = {
    "a body by its length": (post("content-length: 2", body=b"hi"), POST),
    "a body in chunks": (chunked(b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"), POST),
    "an extension of a chunk": (chunked(b'2;a="b"\r\nhi\r\n0;c\r\n\r\n'), POST),
    "a size with zeros": (chunked(b"0000000000000000000002\r\nhi\r\n0\r\n\r\n"), POST),
    "trailers": (chunked(b"2\r\nhi\r\n0\r\nx-forwarded-for: 1.2.3.4\r\nauthorization: t\r\n\r\n"), POST),
    "a length with GET": (get("/x", "content-length: 2") + b"hi", GET + " hi"),
    "100-continue": (post("expect: 100-continue", "content-length: 2", body=b"hi"), POST),
    "another expectation": (post("expect: tea", "content-length: 2", body=b"hi"), POST),
    "a visitor who names another": (get("/x", "x-forwarded-for: 1.2.3.4"), GET),
    "a visitor who names the proxy": (get("/x", "x-forwarded-for: 127.0.0.1"), GET),
    "a visitor who names two": (get("/x", "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 127.0.0.1"), GET),
    "a name that is nearly the proxy's": (get("/x", "x_forwarded_for: 1.2.3.4"), GET),
    "other headers of proxies": (
        get("/x", "forwarded: for=1.2.3.4;host=b", "x-real-ip: 1.2.3.4", "x-forwarded-host: b"),
        GET,
    ),
    "headers that say another path": (get("/x", "x-original-url: /y", "x-rewrite-url: /y"), GET),
    "headers to be dropped": (get("/x", "connection: x-forwarded-for, host"), GET),
    "another protocol": (get("/x", "connection: upgrade", "upgrade: x"), GET),
    "HTTP/2 without TLS": (get("/x", "connection: upgrade, http2-settings", "upgrade: h2c"), GET),
    "slashes": (get("//x//y"), f"GET //x//y a {VISITOR}"),
    "a folder above": (get("/y/../x"), f"GET /y/../x a {VISITOR}"),
    "a folder above, encoded": (get("/y/%2e%2e/x"), f"GET /y/../x a {VISITOR}"),
    "a slash, encoded": (get("/x%2fy"), f"GET /x/y a {VISITOR}"),
    "a NUL, encoded": (get("/x%00y"), f"GET /x\0y a {VISITOR}"),
    "an escape that is none": (get("/x%zz"), f"GET /x%zz a {VISITOR}"),
    "a backslash": (get("/x\\y"), f"GET /x\\y a {VISITOR}"),
    "a semicolon": (get("/x;y?a=1;b=2"), f"GET /x;y a=1;b=2 a {VISITOR}"),
    "two spaces": (get(" /x"), GET),
    "line ends before": (b"\r\n\r\n" + get(), GET),
}


@pytest.mark.parametrize(("request_bytes", "reading"), READ_ALIKE.values(), ids=READ_ALIKE)
async def test_the_gateway_and_the_service_read_a_request_alike(
    edge: Edge, request_bytes: bytes, reading: str
) -> None:
    assert await edge.exchange(edge.gateway, request_bytes) == (200, [reading])
    assert await edge.exchange(edge.service, request_bytes) == (200, [reading])


READ_IN_TWO_WAYS: dict[str, tuple[bytes, str | None]] = {
    "a length twice": (post("content-length: 2", "content-length: 2", body=b"hi"), POST),
    "a list of lengths": (post("content-length: 2, 2", body=b"hi"), POST),
    "two lengths": (post("content-length: 2", "content-length: 3", body=b"hi" + HIDDEN), None),
    "a length with a sign": (post("content-length: +2", body=b"hi"), None),
    "a hexadecimal length": (post("content-length: 0x2", body=b"hi"), None),
    "no length": (post("content-length: ", body=HIDDEN), None),
    "a length and chunks": (
        post("content-length: 5", "transfer-encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
        f"POST /x a {VISITOR}",
    ),
    "chunks and a length": (
        post("transfer-encoding: chunked", "content-length: 5", body=b"0\r\n\r\n" + HIDDEN),
        f"POST /x a {VISITOR}",
    ),
    "nearly chunks": (post("transfer-encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN), None),
    "chunks, then none": (post("transfer-encoding: chunked, identity", body=b"0\r\n\r\n" + HIDDEN), None),
    "chunks twice": (post("transfer-encoding: chunked, chunked", body=b"0\r\n\r\n" + HIDDEN), None),
    "chunks after a tab": (post("transfer-encoding: \x0bchunked", body=b"0\r\n\r\n" + HIDDEN), None),
    "a space after a name": (post("transfer-encoding : chunked", body=b"0\r\n\r\n" + HIDDEN), None),
    "a folded name": (post("transfer-encoding:", " chunked", body=b"2\r\nhi\r\n0\r\n\r\n"), POST),
    "a folded header": (get("/x", "x: y", " z"), GET),
    "a folded first header": (b"GET /x HTTP/1.1\r\n x: y\r\nhost: a\r\n\r\n", None),
    "a size that is long": (chunked(b"10000000000000002\r\nhi\r\n0\r\n\r\n" + HIDDEN), None),
    "a size below 0": (chunked(b"-2\r\nhi\r\n0\r\n\r\n" + HIDDEN), None),
    "a size with a prefix": (chunked(b"0x2\r\nhi\r\n0\r\n\r\n" + HIDDEN), None),
    "a space after a size": (chunked(b"2 \r\nhi\r\n0\r\n\r\n"), POST),
    "an extension that ends early": (chunked(b'2;a="\nhi\r\n0\r\n\r\n'), POST),
    "a chunk that is longer": (chunked(b"2\r\nhi!\r\n0\r\n\r\n" + HIDDEN), None),
    "lines of chunks that end early": (chunked(b"2\nhi\n0\n\n"), POST),
    "lines that end early": (b"GET /x HTTP/1.1\nhost: a\n\n", GET),
    "a carriage return": (get("/x", "x: y\rx-forwarded-for: 1.2.3.4"), None),
    "two Hosts": (get("/x", "host: b"), None),
    "line ends, encoded": (get("/x%0d%0ahost:%20b"), None),
    "a space in a name": (get("/x", "x y: z"), None),
    "no name": (get("/x", ": z"), None),
    "a header without colon": (get("/x", "xyz"), None),
    "a NUL": (get("/x", "x: y\0z"), None),
    "a letter beyond ASCII in a name": (get("/x", "xé: z"), None),
    "a letter beyond ASCII in a path": (get("/é"), None),
    "a space in a path": (get("/x y"), None),
    "a path without slash": (get("x"), None),
    "CONNECT": (b"CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n", None),
    "CONNECT with a path": (b"CONNECT /x HTTP/1.1\r\nhost: a\r\n\r\n", None),
    "TRACE": (b"TRACE /x HTTP/1.1\r\nhost: a\r\n\r\n", None),
    "a method in small letters": (b"get /x HTTP/1.1\r\nhost: a\r\n\r\n", None),
    "a method that is none": (b"FOO /x HTTP/1.1\r\nhost: a\r\n\r\n", None),
    "tabs": (b"GET\t/x\tHTTP/1.1\r\nhost: a\r\n\r\n", GET),
    "a version that is none": (b"GET /x HTTP/01.1\r\nhost: a\r\n\r\n", None),
    "HTTP/2 at once": (HTTP_2, None),
    "a long head": (get("/x", "x: " + "y" * 40_000), None),
    "many headers": (get("/x", *["x: y"] * 7_000), None),
    "a long path": (get("/" + "y" * 40_000), None),
}


@pytest.mark.parametrize(("request_bytes", "reading"), READ_IN_TWO_WAYS.values(), ids=READ_IN_TWO_WAYS)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_or_made_plain_by_the_gateway(
    edge: Edge, request_bytes: bytes, reading: str | None
) -> None:
    """HAProxy writes what it understood anew, so the service never gets the original."""
    for port, readable in ((edge.gateway, reading), (edge.service, None)):
        status, readings = await edge.exchange(port, request_bytes)
        assert readings in ([], [readable])
        assert readings or status is None or status >= 400


READ_BY_THE_SERVICE_ALONE: dict[str, tuple[bytes, str]] = {
    "another Host in the address": (get("http://b/x"), GET),
    "another Host in the address, with a name": (get("http://c@b:8001/x"), GET),
    "a fragment": (get("/x#y?z"), GET),
}


@pytest.mark.parametrize(
    ("request_bytes", "reading"), READ_BY_THE_SERVICE_ALONE.values(), ids=READ_BY_THE_SERVICE_ALONE
)
async def test_what_the_service_alone_can_read_is_refused_by_the_gateway(
    edge: Edge, request_bytes: bytes, reading: str
) -> None:
    assert await edge.exchange(edge.gateway, request_bytes) == (400, [])
    assert await edge.exchange(edge.service, request_bytes) == (200, [reading])


ASKING = ("connection: upgrade", "upgrade: x")


@pytest.mark.parametrize(
    "head",
    [post(*ASKING, f"content-length: {len(HIDDEN)}"), post(*ASKING, "transfer-encoding: chunked")],
    ids=["length", "chunks"],
)
async def test_the_body_of_a_request_for_another_protocol_is_no_request(edge: Edge, head: bytes) -> None:
    """The service's parser ends such a message with its head."""
    body = HIDDEN if b"length" in head else b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    assert await edge.exchange(edge.service, head, body) == (400, [])
    _, readings = await edge.exchange(edge.gateway, head, body)
    assert [reading.partition("\r")[0] for reading in readings] in (
        [],
        [f"POST /x a {VISITOR} GET /hidden HTTP/1.1"],
    )


async def test_half_a_head_ends_at_the_gateway(edge: Edge) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.gateway)
    writer.write(b"GET /x HTTP/1.1\r\nhost:")
    assert (await asyncio.wait_for(reader.read(), 20))[9:12] == b"408"
    writer.close()
