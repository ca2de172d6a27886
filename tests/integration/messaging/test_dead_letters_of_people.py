"""Which dead letters are read for a person: those that may name them, however many others there are."""

import dataclasses
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from shared import clock
from shared.database import Database
from shared.events.cloudevents import Record
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import AgentKey
from shared.messaging import dead_letters, dead_letters_of_people, mentions
from shared.messaging.dead_letters import DeadLetter, Parked
from shared.messaging.portals.admission import Rejected
from shared.personal_data import Subject
from tests.integration.messaging.test_dead_letters import a_record, all_of

ZOE = Subject(
    agent=AgentKey("iel", "Z-1"),
    until=clock.now(),
    addresses=frozenset({"zoe@exemple.fr"}),
    sources_of_others=frozenset({"/portals/ouest"}),
)
HEADERS = (("ce_type", b"x"),)
ISSUERS = {"iel": "iel", "ouest": "ouest"}


@dataclasses.dataclass(slots=True)
class ReadRecords:
    """The records in which a person was looked for, and in which threads."""

    records: list[Record] = dataclasses.field(default_factory=list)
    threads: set[int] = dataclasses.field(default_factory=set)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> ReadRecords:
    read = ReadRecords()

    def counted(record: Record, *who: Any) -> bool:
        read.records.append(record)
        read.threads.add(threading.get_ident())
        return mentions.mentions(record, *who)

    monkeypatch.setattr(dead_letters_of_people, "mentions", counted)
    return read


async def reject(database: Database, *values: object, portal: str | None = "iel", first: int = 0) -> None:
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(
            tx,
            [
                Rejected(
                    a_record(_raw(value), HEADERS, offset=offset), RejectionCode.INVALID, (), portal=portal
                )
                for offset, value in enumerate(values, first)
            ],
        )


def _raw(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


async def about(database: Database, subject: Subject) -> Sequence[DeadLetter]:
    async with database.transaction() as tx:
        return [letter async for letter in dead_letters_of_people.about(tx, subject, ISSUERS.get)]


async def test_of_many_rejected_records_only_those_that_may_name_the_agent_are_read_and_in_a_thread(
    database: Database, reading: ReadRecords
) -> None:
    of_others = [{"agents": [{"agent_id": f"x{number}-{at}"} for number in range(100)]} for at in range(20)]
    rubbish = [b'{"agent_id": "x%d", broken' % number for number in range(20)]
    await reject(database, *of_others, *rubbish, b'{"agent_id": "Z-1", broken', {"agent_id": "Z-1"})
    await reject(database, {"agent_id": "Z-1"}, portal="ouest", first=50)
    await reject(database, {"agent_id": "Z-1", "issuer": "ouest"}, portal=None, first=51)
    await reject(database, {"email": " ZOE@exemple.fr"}, portal="ouest", first=52)

    found = await about(database, ZOE)

    assert [letter.record.offset for letter in found] == [40, 41, 52]
    assert len(reading.records) == 4  # one says itself that it is of another issuer's agent
    assert reading.threads.isdisjoint({threading.get_ident()})


async def test_of_a_rejected_record_with_thousands_of_names_or_none_that_can_be_read_the_beginning_is_kept(
    database: Database, reading: ReadRecords
) -> None:
    many = _raw({"agents": [{"agent_id": f"x{number}"} for number in range(mentions.MAX_NAMES + 1)]})
    await reject(database, many, b"Z-1 \xff" + b" x" * 100_000)

    assert [(letter.record.value or b"")[:4] for letter in await all_of(database)] == [many[:4], b"Z-1 "]
    assert all(4080 < len(letter.record.value or b"") <= 4096 for letter in await all_of(database))
    assert [letter.record.offset for letter in await about(database, ZOE)] == [1]
    assert len(reading.records) == 1


async def test_what_is_cut_ends_with_a_whole_word_so_that_no_half_of_an_address_stays(
    database: Database,
) -> None:
    value = b"\xff".ljust(4_096 - 9) + b"zoe@exemple.fr"
    header = b"mail:zoe@exemple.fr".rjust(256 + 5)
    record = a_record(value, (("x", header), ("y" * 300, b"")))
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [Rejected(record, RejectionCode.INVALID, (), portal="iel")])

    [kept] = await all_of(database, "rejected")

    assert kept.record.value == value[: 4_096 - 9]
    assert kept.record.headers == (("x", header[:-14]),)


async def test_a_parked_record_that_nobody_can_read_is_whole_and_always_read(
    database: Database, reading: ReadRecords
) -> None:
    value = b"\xff" + b" x" * 100_000 + b" Z-1"
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(value), None, "no JSON")])

    [letter] = await about(database, ZOE)

    assert letter.record.value == value
    async with database.transaction() as tx:
        await dead_letters.empty(tx, [letter.id])
    assert await about(database, ZOE) == []
    assert len(reading.records) == 1


async def test_of_a_portals_rejected_records_the_newest_keep_their_content_and_all_their_place(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_REJECTED", 2)
    await reject(database, {"n": 10}, portal=None, first=10)
    for number in range(4):
        await reject(database, {"n": number}, first=number)
    await reject(database, {"n": 0})  # it comes again

    kept = {letter.record.offset: letter.record for letter in await all_of(database, "rejected")}

    assert {offset: record.value for offset, record in kept.items()} == {
        0: None,
        1: None,
        2: b'{"n": 2}',
        3: b'{"n": 3}',
        10: b'{"n": 10}',
    }
    assert (kept[0].key, kept[0].headers) == (None, ())
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM dead_letter WHERE names = '[]'")) == 2
