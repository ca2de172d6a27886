"""Inputs made to take long: the most that is let in takes no second, and twice as much not thrice as long.

The tests read a fourth and an eighth of it.
"""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from services.catalogue import api as catalogue
from services.enrolment.render import certificates, typesetting
from services.enrolment.service import sheet_lines as enrolment_sheets
from shared import clock
from shared.auth import Tokens
from shared.database import Database, Transaction
from shared.events.cloudevents_http import record_of
from shared.events.corrections import Correction, Corrections
from shared.events.faults import sentence_of
from shared.events.portal import GroupEnrolmentRequested
from shared.events.vocabulary import AgentKey
from shared.messaging.mentions import agents_in, as_read_by, mentions
from shared.messaging.portals.admission import Rejected, admit_by_token
from shared.messaging.portals.registry import Portal
from shared.personal_data import Subject
from shared.web import forms, sentences, spreadsheets
from shared.web.spreadsheets import UnreadableSheet
from tests.support.builders import an_agent
from tests.support.guards import a_guard
from tests.unit.enrolment.test_certificates import a_certificate, module, render

MOST = spreadsheets.BOUNDS.bytes - 100
HEADING = b"rank;agent_id;family_name\n"
COLUMNS = (enrolment_sheets.RANK, enrolment_sheets.AGENT)

Made = Callable[[int], bytes]
"""An input of about so many bytes."""
SHEETS: dict[str, Made] = {
    "semicolons": lambda size: b";" * size,
    "empty lines": lambda size: b"\n" * size,
    "quotes": lambda size: b'"' * size,
    "a heading that grows when it is compared": lambda size: "ﷺ".encode() * (size // 3),
    "lines of empty cells": lambda size: HEADING + b";;\n" * (size // 3),
    "half-quoted lines": lambda size: HEADING + b'"\n' * (size // 2),
    "lines that close a quote too soon": lambda size: HEADING + b'"a"b\n' * (size // 5),
    "a cell of many lines": lambda size: HEADING + b'"' + b"\n" * size,
    "wide rows": lambda size: HEADING + (b"1;a;b" + b";" * 500 + b"\n") * (size // 506),
    "apostrophes": lambda size: HEADING + (b"'" * 490 + b"=;a;b\n") * (size // 496),
    "long rows": lambda size: HEADING + (b"1;a;" + b"b" * 500 + b"\n") * (size // 505),
}


def seconds(work: Callable[[], object]) -> float:
    """Processor time: what others do on the machine at the same time does not count."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def count() -> None:
    """Take a hundredth of a second on an idle machine. A busy one counts more slowly, too."""
    for _ in range(500_000):
        pass


def is_quick(half: Callable[[], object], whole: Callable[[], object], hundredths: float = 25) -> bool:
    """Return whether twice the input takes less than thrice as long, and less than these hundredths.

    Less than a hundredth is quick whatever half of it takes. What else the machine does makes a measure
    longer, never shorter, so the shortest counts, of twelve at most.
    """
    of_half = of_whole = hundredth = float("inf")
    for _ in range(12):
        of_half, of_whole = min(of_half, seconds(half)), min(of_whole, seconds(whole))
        hundredth = min(hundredth, seconds(count))
        if of_whole < max(hundredth, min(hundredths * hundredth, 3 * of_half)):
            return True
    return False


def test_no_certificate_costs_more_than_150_ordinary_ones_whatever_its_names_are_made_of() -> None:
    """An ordinary one takes 8 ms. Seconds would also measure what else the machine does."""
    rare = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    dear = a_certificate(
        given_name=rare[:100],
        family_name=rare[100:200],
        employer=rare[200:500],
        session_title=rare[500:800],
        modules=tuple(module(rare[at : at + 300], 18) for at in range(800, 8_000, 300)),
    )

    def render_anew(certificate: certificates.Certificate, times: int) -> None:
        for _ in range(times):
            typesetting._shown.cache_clear()
            render(certificate)

    ordinary = seconds(lambda: render_anew(a_certificate(), 15))
    assert seconds(lambda: render_anew(dear, 1)) < 10 * ordinary


MANY = 2 * 1024 * 1024 - 100
BODIES: dict[str, Made] = {
    "brackets": lambda size: b"[" * size,
    "one name many times": lambda size: b"{" + b'"a":1,' * (size // 7) + b'"a":1}',
    "one number": lambda size: b'{"a":' + b"1" * (size - 10) + b"}",
    "many agents that are none": lambda size: b'{"agents":[' + b"{}," * (size // 3 - 10) + b"{}]}",
    "many texts for agents": lambda size: b'{"agents":["' + b'","' * (size // 3 - 10) + b'"]}',
}


def read_sheet(content: bytes) -> None:
    with suppress(UnreadableSheet):
        spreadsheets.read(content, COLUMNS)


def read_form(body: bytes) -> None:
    with suppress(HTTPException):
        forms.parsed(body)


def admit(body: bytes) -> None:
    portal = Portal(portal="iel", issuer="iel", contact="equipe@portail.example")
    headers = {
        b"ce-specversion": b"1.0",
        b"ce-id": b"5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11",
        b"ce-source": b"/portals/iel",
        b"ce-type": b"fr.cnfpt.portal.GroupEnrolmentRequested.v1",
        b"content-type": b"application/json",
    }
    assert isinstance(admit_by_token(record_of(list(headers.items()), body, clock.now()), portal), Rejected)


FORMS: list[Made] = [
    lambda size: b"&" * size,
    lambda size: b"=&" * (size // 2),
    lambda size: b"%41" * (size // 3),
]
LANGUAGES = ["en;q=0.5,", ",", "fr;", "-"]
READERS: dict[str, tuple[Callable[[Any], object], Callable[[int], Any], int]] = {
    **{f"sheet: {name}": (read_sheet, made, MOST) for name, made in SHEETS.items()},
    **{f"form: {made(3)!r}": (read_form, made, forms.LARGEST_FORM) for made in FORMS},
    **{
        f"header: {part}": (sentences.language_of, partial(mul, part), 30_000 // len(part))
        for part in LANGUAGES
    },
    **{f"event: {name}": (admit, made, MANY) for name, made in BODIES.items()},
}


@pytest.mark.parametrize(("reader", "made", "most"), READERS.values(), ids=READERS)
def test_the_most_that_is_read_takes_no_second_and_no_more_than_in_proportion(
    reader: Callable[[Any], object], made: Callable[[int], Any], most: int
) -> None:
    assert is_quick(partial(reader, made(most // 8)), partial(reader, made(most // 4)))


TEXTS: dict[str, Made] = {
    "addresses": lambda size: json.dumps({"x": "zoe@a.fr " * (size // 9 - 10)}).encode(),
    "addresses within others": lambda size: json.dumps({"x": "zoe@a.fr" * (size // 8 - 10)}).encode(),
    "what is nearly an address": lambda size: json.dumps({"x": "a" * (size - 20) + "@a.fr"}).encode(),
    "identifiers within others": lambda size: json.dumps({"x": "A-1" * (size // 3 - 10)}).encode(),
    "issuers": lambda size: b'{"x":1' + b',"issuer":"x"' * (size // 13 - 10) + b"}",
    "objects with an address": lambda size: b"[" + b'{"x":"zoe@a.fr"},' * (size // 18) + b"1]",
}


@pytest.mark.parametrize("made", (BODIES | TEXTS).values(), ids=BODIES | TEXTS)
def test_to_find_whom_a_record_mentions_takes_no_second_and_no_more_than_in_proportion(made: Made) -> None:
    zoe = Subject(agent=AgentKey("iel", "A-1"), until=clock.now(), addresses=frozenset({"zoe@a.fr"}))
    half, whole = made(MANY // 8), made(MANY // 4)
    half_record, record = (record_of([], body, clock.now()) for body in (half, whole))
    assert is_quick(partial(mentions, half_record, zoe, None), partial(mentions, record, zoe, None))
    assert is_quick(partial(agents_in, half, None, "zoe@a.fr"), partial(agents_in, whole, None, "zoe@a.fr"))
    assert is_quick(partial(as_read_by, half, zoe, None), partial(as_read_by, whole, zoe, None), 50)


def test_a_list_that_is_too_long_is_told_of_once_and_its_items_are_not() -> None:
    with pytest.raises(ValidationError) as caught:
        GroupEnrolmentRequested.model_validate({"agents": [{}] * 501})
    sentences_by_place = {fault["loc"]: sentence_of(fault) for fault in caught.value.errors()}
    assert sentences_by_place[("agents",)] == "Tuple should have at most 500 items after validation, not 501"
    assert not [where for where in sentences_by_place if len(where) > 1 and where[0] == "agents"]


NAMES = b"{" + b",".join(b'"%d":1' % number for number in range(180_000)) + b"}"
CHANGES = "/api/v1/sessions/6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"


class Idle(Database):
    """A database that is there: its transactions are opened, and no statement runs in them."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        yield cast("Transaction", None)


@pytest.mark.parametrize(
    "body",
    [NAMES, b'{"audience": {"sirets": [' + b'"x",' * 400_000 + b'"x"]}}', b"[" * MANY],
    ids=["names", "a long list", "brackets"],
)
async def test_no_body_of_staff_takes_a_second(body: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    digest = hashlib.sha256(b"siege").hexdigest()
    file.write_text(json.dumps([{"name": "siege", "role": "admin", "sha256": digest}]))
    database = Idle("postgresql://nobody@localhost/nothing", application_name="")
    transport = httpx.ASGITransport(app=catalogue.build(database, Tokens(file), a_guard()))
    headers = {"authorization": "Bearer siege", "content-type": "application/json", "accept-language": "fr"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        begun = time.process_time()
        answer = await client.patch(CHANGES, content=body)
        taken = time.process_time() - begun
    assert answer.status_code in (400, 422)
    assert len(answer.content) < 1_000_000
    assert taken < 100 * seconds(count)


def correcting(agents: int, each: int, asked: int) -> Callable[[], None]:
    """Return a function that applies to each agent what was corrected, so many times."""
    described = [an_agent(f"IEL-{number}") for number in range(agents)]
    now = clock.now()
    given = [
        Correction(agent.key, now + timedelta(seconds=number), {"email": f"nouvelle.{number}@exemple.fr"})
        for number in range(each)
        for agent in described
    ]

    def apply() -> None:
        corrections = Corrections(given)
        for _ in range(asked):
            for agent in described:
                assert corrections.apply(agent, now - timedelta(seconds=1)) != agent

    return apply


@pytest.mark.parametrize(
    ("half", "whole"),
    [((625, 1, 1), (1_250, 1, 1)), ((1, 2_500, 625), (1, 5_000, 1_250)), ((500, 1, 5), (500, 1, 10))],
    ids=["everybody corrected once", "somebody corrected always", "groups of the same agents"],
)
def test_no_corrections_take_a_second_or_more_than_in_proportion(
    half: tuple[int, int, int], whole: tuple[int, int, int]
) -> None:
    assert is_quick(correcting(*half), correcting(*whole))
