"""What reads hostile bytes reads as much as its bound allows, and refuses one more, and a thousand more.

The list of `docs/security.md` has the bounds. Here an input stays, and its bound is set to what it has, and
to less, so that no test needs ten megabytes.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, MutableMapping
from functools import partial
from types import ModuleType
from typing import Any

import cramjam
import pytest
from aiosmtplib.protocol import SMTPProtocol
from joserfc import jwt
from joserfc.errors import ExceededSizeError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.notifier.letters import bounces
from shared import http
from shared.events import cloudevents, cloudevents_http
from shared.events.fields import is_address, is_valid
from shared.http import new_api
from shared.messaging import fetched, uncompressing
from shared.messaging.fetched import Unread
from shared.messaging.portals import admission
from shared.messaging.portals.admission import Rejected
from shared.web import forms, spreadsheets, workbooks
from shared.web.paging import Cursor
from shared.web.spreadsheets import Bounds, UnreadableSheet
from tests.fuzz.targets import COLUMNS, NOW, PORTAL, RETURNED, RETURNS, a_batch, a_request, at_once, corpus_of
from tests.support.guards import a_guard
from tests.unit.messaging.test_fetched import a_fetch
from tests.unit.notifier.reports import a_report
from tests.unit.web.test_workbooks import BOOK, MAIN, SHARED, SHEET, a_workbook, packed

IsRead = Callable[[int], bool]
"""Whether an input is read where this is the bound."""


def bounded_by(module: ModuleType, name: str, is_read: Callable[[], bool]) -> IsRead:
    def with_bound(bound: int) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, bound)
            return is_read()

    return with_bound


API = new_api("test", "Tests.", a_guard())


def is_answered(body: bytes, kind: bytes = b"", query: bytes = b"") -> bool:
    """Call the middleware that bounds requests, with a body in pieces and no length."""
    pieces = [body[:7], body[7:]]
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await send({"status": 200})

    request = a_request([(b"content-type", kind)] if kind else [])
    scope = {**request.scope, "app": API, "raw_path": b"/", "query_string": query}
    try:
        at_once(http._BoundedBodies(read)(scope, receive, send))
    except HTTPException as error:
        statuses.append(error.status_code)
    assert statuses[0] in (200, 413, 415, 431)
    return statuses[0] == 200


def is_form(body: bytes, kind: bytes) -> bool:
    try:
        at_once(forms.read_form(a_request([(b"content-type", kind)], body), with_file=True))
    except HTTPException as error:
        return error.status_code != 413
    return True


def fields_are_read(bound: int) -> bool:
    try:
        forms.parsed(b"a=1&" * 1_001 + b"a=1", bound)
    except HTTPException:
        return False
    return True


def is_workbook(content: bytes) -> bool:
    try:
        workbooks.as_csv(content)
    except UnreadableSheet:
        return False
    return True


def is_sheet(content: bytes, bounds: Bounds) -> bool:
    try:
        spreadsheets.read(content, COLUMNS, bounds=bounds)
    except UnreadableSheet:
        return False
    return True


ROWS = b"rang;identifiant" + b";" * 1_100 + b"x\n" + (b"1;A" + b";" * 1_101 + b"\n") * 1_100
TWO_COLUMNS = {BOOK: "<w/>", SHARED: "<s></s>", SHEET: f'<w {MAIN}><row><c r="B1"/></row></w>'}
DIRECTORY = sum(46 + len(name) for name in TWO_COLUMNS)
SHARED_BY_ALL = a_workbook('<row><c t="s"><v>0</v></c></row>' * 20, f"<si><t>{'x' * 500}</t></si>")


def of_two_columns(name: str) -> IsRead:
    return bounded_by(workbooks, name, lambda: is_workbook(packed(TWO_COLUMNS)))


EVENT = corpus_of("event")[4].partition(b"\n")[2] + b" " * 1_000
HEAD, _, VALUE = EVENT.partition(b"\n\n")
HEADERS = [
    (name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in HEAD.splitlines())
]


def is_admitted() -> bool:
    record = cloudevents_http.record_of([(b"content-type", b"application/json"), *HEADERS], VALUE, NOW)
    return not isinstance(admission.admit_by_token(record, PORTAL), Rejected)


def is_batch_of_events() -> bool:
    try:
        cloudevents_http.records_of_batch(b"[" + b"{}," * 1_001 + b"{}]", NOW)
    except cloudevents_http.TooMany:
        return False
    return True


def is_batch_of_values() -> bool:
    try:
        cloudevents_http.records_of_batch(b"[[" + b"0," * 1_100 + b"0]]", NOW)
    except cloudevents.Unreadable:
        return False
    return True


RECORDS = corpus_of("batch")[0][2:] * 600
"""The length of each is in itself, so they may follow each other."""
LONG = a_fetch([(b"long" * 1_000, [])])[fetched._HEADER :]
COMPRESSED = {
    1: bytes(cramjam.gzip.compress(LONG)),
    2: bytes(cramjam.snappy.compress_raw(LONG)),
    3: bytes(cramjam.lz4.compress(LONG)),
    4: bytes(cramjam.zstd.compress(LONG)),
}


def is_batch(codec: int, records: bytes = RECORDS, number: int = 1_200) -> bool:
    batch = fetched._Records(a_batch(codec, number, records)).next_batch()
    assert batch is not None
    return not any(isinstance(record.value, Unread) for record in batch)


REPORT = a_report(RETURNED)


def is_report() -> bool:
    return bounces.read(REPORT, RETURNS) is not None


BOUNDS: dict[str, tuple[int, IsRead]] = {
    "head": (1_101, bounded_by(http, "MAX_HEAD_BYTES", lambda: is_answered(b"", query=b"x" * 1_100))),
    "content type": (9, bounded_by(http, "MAX_CONTENT_TYPE", lambda: is_answered(b"", b"text/html"))),
    "body": (1_100, bounded_by(http, "MAX_BODY_BYTES", lambda: is_answered(b"x" * 1_100))),
    "body of a batch": (
        1_100,
        bounded_by(
            http, "MAX_BATCH_BYTES", lambda: is_answered(b"x" * 1_100, cloudevents_http.BATCH.encode())
        ),
    ),
    "file": (1_100, bounded_by(http, "MAX_FILE_BYTES", lambda: is_answered(b"x" * 1_100, b"text/csv"))),
    "form": (
        1_100,
        bounded_by(
            forms, "LARGEST_FORM", lambda: is_form(b"a=" + b"x" * 1_098, b"application/x-www-form-urlencoded")
        ),
    ),
    "fields of a form": (1_002, fields_are_read),
    "events of a batch": (1_002, bounded_by(cloudevents_http, "MAX_IN_BATCH", is_batch_of_events)),
    "values of a batch": (1_100, bounded_by(cloudevents, "MAX_VALUES", is_batch_of_values)),
    "value of a record": (len(VALUE), bounded_by(admission, "MAX_BYTES", is_admitted)),
    "values of a record": (VALUE.count(b","), bounded_by(admission, "MAX_VALUES", is_admitted)),
    "records of a batch": (1_200, bounded_by(fetched, "MAX_RECORDS", lambda: is_batch(0))),
    "headers of a record": (3, bounded_by(fetched, "MAX_HEADERS", lambda: is_batch(0))),
    **{
        f"uncompressed by codec {codec}": (
            len(LONG),
            bounded_by(uncompressing, "MAX_BYTES", partial(is_batch, codec, COMPRESSED[codec], 1)),
        )
        for codec in COMPRESSED
    },
    "bytes of a sheet": (len(ROWS), lambda bound: is_sheet(ROWS, Bounds(bound, 2_000, 2_000))),
    "rows of a sheet": (1_100, lambda bound: is_sheet(ROWS, Bounds(len(ROWS), bound, 2_000))),
    "columns of a sheet": (1_102, lambda bound: is_sheet(ROWS, Bounds(len(ROWS), 2_000, bound))),
    "directory of a workbook": (DIRECTORY, of_two_columns("_LARGEST_DIRECTORY")),
    "part of a workbook": (len(TWO_COLUMNS[SHEET]), of_two_columns("_LARGEST")),
    "parts of a workbook": (sum(map(len, TWO_COLUMNS.values())), of_two_columns("_LARGEST_TOGETHER")),
    "text of a workbook": (20 * 501, bounded_by(workbooks, "_LARGEST", lambda: is_workbook(SHARED_BY_ALL))),
    "tags of a workbook": (8, of_two_columns("_MOST_TAGS")),
    "names of a workbook": (5, of_two_columns("_MOST_NAMES")),
    "columns of a workbook": (2, of_two_columns("_MOST_COLUMNS")),
    "head of a report": (REPORT.index(b"\r\n\r\n") + 4, bounded_by(bounces, "LARGEST_HEAD", is_report)),
    "parts of a report": (1, bounded_by(bounces, "MAX_PARTS", is_report)),
}  # fmt: skip


@pytest.mark.parametrize(("amount", "is_read"), BOUNDS.values(), ids=BOUNDS)
def test_as_much_as_a_bound_allows_is_read_and_one_or_a_thousand_more_is_not(
    amount: int, is_read: IsRead
) -> None:
    assert is_read(amount)
    assert not is_read(amount - 1)
    assert not is_read(amount - 1_000)


def is_part(headers: bytes) -> bool:
    """``headers`` stand in a part of a form, before the header that every part has."""
    part = b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'
    request = a_request([(b"content-type", b"multipart/form-data; boundary=b")], b"--b\r\n" + headers + part)
    try:
        at_once(forms.read_form(request, with_file=True))
    except HTTPException:
        return False
    return True


def is_cell(length: int) -> bool:
    return not spreadsheets.read(b"rang;identifiant\n1;" + b"A" * length + b"\n", COLUMNS).faults


def is_reply(reply: bytes) -> bool:
    """Whether aiosmtplib takes it, in pieces as a socket gives them."""
    loop = asyncio.new_event_loop()
    protocol = SMTPProtocol(loop=loop)
    protocol.connection_made(asyncio.Transport())
    waiter = protocol._response_waiter
    assert waiter is not None
    for place in range(0, len(reply), 1_000):
        protocol.data_received(reply[place : place + 1_000])
    loop.close()
    return waiter.done() and waiter.exception() is None


def a_reply(size: int) -> bytes:
    """A reply of many lines, whose last one is the longest."""
    lines, rest = divmod(size - 1_006, 6)
    return b"250-x\n" * lines + b"250 " + b"x" * (rest + 1_001) + b"\n"


def is_token(header_length: int) -> bool:
    """Whether joserfc reads the header: the key is asked for only then."""
    header = json.dumps({"alg": "RS256", "x": ""})
    filled = header.replace('""', f'"{"x" * (header_length * 3 // 4 - len(header))}"')
    token = urlsafe_b64encode(filled.encode()).rstrip(b"=").ljust(header_length, b"A").decode()
    try:
        jwt.decode(f"{token}.e30.AA", KeySet([]), registry=JWSRegistry(algorithms=["RS256"]))
    except ExceededSizeError:
        return False
    except (JoseError, ValueError):
        return True
    raise AssertionError("a token without a signature is believed")


OF_OTHERS: dict[str, tuple[int, Callable[[int], bool]]] = {
    "headers of a part": (7, lambda number: is_part(b"x: y\r\n" * number)),
    "header of a part": (4_224, lambda size: is_part(b"x: " + b"y" * (size - 3) + b"\r\n")),
    "cell of a sheet": (131_072, is_cell),
    "line of a reply": (8_192, lambda size: is_reply(b"250 " + b"x" * (size - 5) + b"\n")),
    "reply": (32_768, lambda size: is_reply(a_reply(size))),
    "header of a token": (512, is_token),
    "cursor": (500, lambda length: is_valid(TypeAdapter(Cursor), "x" * length)),
    "address": (254, lambda length: is_address("a@" + ("b" * 60 + ".") * 4 + "c" * (length - 246))),
    "name in an address": (64, lambda length: is_address("a" * length + "@ville.example")),
}
"""The bounds of the libraries that read first: a version without one is found out here."""


@pytest.mark.parametrize(("most", "is_read"), OF_OTHERS.values(), ids=OF_OTHERS)
def test_the_libraries_that_read_first_have_their_bounds(most: int, is_read: Callable[[int], bool]) -> None:
    assert is_read(most)
    assert not is_read(most + 1)
    assert not is_read(most + 1_000)
