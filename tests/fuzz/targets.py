"""What reads hostile bytes first, as functions of bytes. Each may refuse in its way, and raises nothing else.

`tests/unit/test_fuzzed_inputs.py` reads the corpus; ``make fuzz`` looks for inputs that are not in it.
"""

import asyncio
import contextlib
import io
import json
import logging
import re
import struct
import zipfile
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import UUID

from aiokafka.record.util import calc_crc32c
from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from uvicorn.server import ServerState

from services.notifier.delivery import results
from services.notifier.letters import addresses, bounces
from services.notifier.return_path import ReturnPath
from shared.auth import bearer_token
from shared.events import cloudevents, cloudevents_http, fields
from shared.events.cloudevents import Received, Unreadable
from shared.events.vocabulary import EARLIEST, LATEST, AgentKey, Format
from shared.http import Problem, is_from_here
from shared.messaging import fetched
from shared.messaging.consumer import read as read_delivery
from shared.messaging.mentions import mentions
from shared.messaging.portals.admission import Rejected, admit_by_token
from shared.messaging.portals.registry import Portal
from shared.personal_data import Subject
from shared.process.clients import ImpatientProtocol
from shared.process.server import Server
from shared.web import calendars, forms, networks, paging, sentences, spreadsheets, workbooks
from shared.web.calendars import CalendarEvent, Details, Person
from shared.web.links import Expired, Forged, Links, Purpose
from shared.web.logins.browsers import browser_of
from shared.web.spreadsheets import Column, UnreadableSheet

CORPUS = Path(__file__).parent / "corpus"

Target = Callable[[bytes], None]

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PORTAL = Portal(portal="iel", issuer="iel", contact="equipe@portail.example")
COLUMNS = (Column("rang", "Rang"), Column("identifiant", "Identifiant"), Column("nom", "Nom", required=False))
ZOE = Subject(agent=AgentKey("iel", "A-1"), until=NOW, addresses=frozenset({"zoe@a.fr"}))
RETURNS = ReturnPath("retours@cnfpt.example", ["k" * 32])
RETURNED = RETURNS.of(UUID("d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90"))
LINKS = Links(["k" * 32], dict.fromkeys(Purpose, "https://formations.example"))
POSITIONS: TypeAdapter[Any] = TypeAdapter(tuple[datetime, UUID])


def corpus_of(name: str) -> list[bytes]:
    """A line for each input: a JSON text whose characters are its bytes."""
    lines = (CORPUS / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line).encode("latin-1") for line in lines]


def at_once(work: Coroutine[Any, Any, object]) -> None:
    """Run what never waits."""
    with contextlib.suppress(StopIteration):
        work.send(None)
        raise AssertionError("it waits")


def a_request(headers: list[tuple[bytes, bytes]], body: bytes = b"") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    address = ("127.0.0.1", 1)
    return Request(
        {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers,
         "app": None, "client": address, "server": address, "scheme": "http"},
        receive,
    )  # fmt: skip


class _Loop:
    """Starts no request, and no time passes."""

    def time(self) -> float:
        return 0.0

    def call_later(self, _seconds: float, _callback: Callable[..., object]) -> Mock:
        return Mock()

    def create_task(self, request: Coroutine[Any, Any, object]) -> Mock:
        request.close()
        return Mock()


class _Connection(asyncio.Transport):
    is_closed = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def pause_reading(self) -> None:
        pass


class _Reading(ImpatientProtocol):
    """Keeps the requests, whose headers are complete."""

    def __init__(self) -> None:
        super().__init__(SERVED, ServerState(), {}, _Loop())  # type: ignore[arg-type]  # of a loop only that
        self.logger = SILENT
        self.requests: list[tuple[str, bytes, list[tuple[bytes, bytes]], int]] = []

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        scope, headers = self.scope, self.headers
        self.requests.append((scope["method"], scope["raw_path"], headers, len(headers)))


SERVED = Server(FastAPI(), proxies="127.0.0.1").config
SILENT = logging.getLogger("tests.fuzz")
SILENT.setLevel(logging.CRITICAL)


def requests_in(data: bytes, size: int) -> list[tuple[str, bytes, list[tuple[bytes, bytes]], int]]:
    """Return the requests that are read from the data in pieces of this size."""
    connection, reading = _Connection(), _Reading()
    reading.connection_made(connection)
    for place in range(0, len(data), size):
        if not connection.is_closed:
            reading.data_received(data[place : place + size])
    return reading.requests


def read_connection(data: bytes) -> None:
    """What a packet holds and the trailers change no request."""
    whole = requests_in(data, len(data) or 1)
    assert all(len(headers) == number for _, _, headers, number in whole)
    assert b"upgrade" in data.lower() or requests_in(data, 1) == whole


def read_calendar(data: bytes) -> None:
    """A text adds no line to a calendar."""

    def names(text: str) -> list[str]:
        who = Person(text, "zoe@a.fr")
        details = Details(Format.WEBINAR, NOW, NOW, "Europe/Paris", text, text, None, text, organiser=who)
        event = CalendarEvent("1", 1, NOW, details, who)
        written = calendars.write([event], product="-", method="PUBLISH", name=text).decode()
        lines = written.replace("\r\n ", "").split("\r\n")
        return [re.split("[:;]", line)[0] for line in lines]

    assert names(data.decode(errors="replace")) == names("x")


def read_workbook(data: bytes) -> None:
    with contextlib.suppress(UnreadableSheet):
        workbooks.as_csv(data)


def read_parts_of_a_workbook(data: bytes) -> None:
    """The parts follow each other after a NUL each, which none of them may have."""
    names = ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, part in zip(names, data.split(b"\0", 2), strict=False):
            archive.writestr(zipfile.ZipInfo(name), part)
    with contextlib.suppress(UnreadableSheet):
        content = workbooks.as_csv(packed.getvalue())
        assert len(content) <= 4 * 10 * 1024 * 1024
        spreadsheets.read(content, COLUMNS)


def read_sheet(data: bytes) -> None:
    with contextlib.suppress(UnreadableSheet):
        sheet = spreadsheets.read(data, COLUMNS)
        rows = [[row.cells[column.name] for column in COLUMNS] for row in sheet.rows]
        again = spreadsheets.read(spreadsheets.write(COLUMNS, rows), COLUMNS)
        kept = [row for row in rows if any(row)]
        assert [[row.cells[column.name] for column in COLUMNS] for row in again.rows] == kept


def read_form(data: bytes) -> None:
    with contextlib.suppress(HTTPException):
        form = forms.parsed(data)
        for name in form:
            forms.number_in(form.typed(name), 100)
            with contextlib.suppress(ValueError):
                forms.moment_in(form.typed(name), "Europe/Paris")


def read_form_with_file(data: bytes) -> None:
    kind = b"multipart/form-data; boundary=b"
    with contextlib.suppress(HTTPException):
        at_once(forms.read_form(a_request([(b"content-type", kind)], data), with_file=True))


def read_headers(data: bytes) -> None:
    """A line for each header, as `h11` and `httptools` give them: without line ends and NULs."""
    lines = [line.partition(b":") for line in data.replace(b"\0", b"").splitlines()]
    request = a_request([(name.strip().lower(), value.strip()) for name, _, value in lines])
    sentences.language_of(request.headers.get("accept-language"))
    cloudevents.traceparent_of(request.headers.get("traceparent"))
    browser_of(request.headers.get("user-agent", ""))
    bearer_token(request)
    is_from_here(request.headers, "https://formations.example")
    request.scope["client"] = (request.headers.get("x-forwarded-for", ""), 0)
    networks.network_of(request)
    networks.visitor_of(request)
    assert all(isinstance(value, str) for value in request.cookies.values())


def read_event(data: bytes) -> None:
    """The first line says how the event is sent; binary mode has its headers in lines, then an empty one."""
    kind, _, rest = data.partition(b"\n")
    try:
        if cloudevents_http.is_batch(kind.decode("latin-1")):
            records = cloudevents_http.records_of_batch(rest, NOW)
        else:
            head, _, body = rest.partition(b"\n\n")
            lines = [line.partition(b":") for line in head.splitlines()]
            headers = [(name.lower(), value.strip()) for name, _, value in lines]
            records = [cloudevents_http.record_of([(b"content-type", kind), *headers], body, NOW)]
    except (Unreadable, cloudevents_http.OtherFormat, cloudevents_http.TooMany):
        return
    for record in records:
        assert isinstance(admit_by_token(record, PORTAL), Received | Rejected | None)
        read_delivery(record)
        mentions(record, ZOE, None)


def a_batch(attributes: int, count: int, records: bytes) -> bytes:
    """A batch with a right checksum: another would be refused at once."""
    checked = struct.pack(">hiqqqhii", attributes, max(count - 1, 0), 0, 0, -1, -1, -1, count) + records
    return struct.pack(">qiibI", 0, len(checked) + 9, 0, 2, calc_crc32c(checked)) + checked


def read_batch(data: bytes) -> None:
    """The first byte has the compression, and the second the number of records."""
    if len(data) < 2:
        return
    fetch = fetched._Records(a_batch(data[0], data[1], data[2:]))
    while fetch.has_next():
        batch = fetch.next_batch()
        if batch is not None and not batch.is_control_batch:
            for record in batch:
                _ = record.offset, record.key, record.value, list(record.headers)


def read_report(data: bytes) -> None:
    bounce = bounces.read(b"Delivered-To: " + RETURNED.encode() + b"\r\n" + data, RETURNS)
    if bounce is not None:
        addresses.canonical(bounce.recipient)
    bounces.read(data, RETURNS)


def read_reply(data: bytes) -> None:
    """aiosmtplib gives replies with lone surrogates."""
    text = data.decode("utf-8", "surrogateescape")
    reply = results._without_addresses(text)
    assert reply.isprintable() or not reply
    bounces.bad_address_in(reply)


def read_address(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    if fields.is_address(text):
        canonical = addresses.canonical(text)
        assert addresses.canonical(canonical) == canonical
        assert not any(character.isspace() for character in canonical)
        assert addresses.folded(addresses.folded(text)) == addresses.folded(text)
        bounces.digest_of(text, b"k")
    fields.is_agent_id(text)
    fields.is_issuer(text)


def read_link(data: bytes) -> None:
    text = data.decode("latin-1")
    for purpose in (Purpose.WITHDRAW, Purpose.CONFIRM):
        with contextlib.suppress(Forged, Expired):
            LINKS.read(purpose, text, NOW)


def read_cursor(data: bytes) -> None:
    text = data.decode("latin-1")
    with contextlib.suppress(Problem):
        paging.position(text[:500], POSITIONS)
    found = paging.read_position(text)
    if found is not None and EARLIEST <= found[0] < LATEST:
        assert paging.read_position(paging.written(found)) == found


TARGETS: Mapping[str, Target] = {
    "connection": read_connection,
    "calendar": read_calendar,
    "workbook": read_workbook,
    "workbook-parts": read_parts_of_a_workbook,
    "sheet": read_sheet,
    "form": read_form,
    "form-with-file": read_form_with_file,
    "headers": read_headers,
    "event": read_event,
    "batch": read_batch,
    "report": read_report,
    "reply": read_reply,
    "address": read_address,
    "link": read_link,
    "cursor": read_cursor,
}
