"""The dead letters that mention a person, and how much of a rejected record is kept."""

import json
from collections.abc import Sequence

import pytest

from shared import clock
from shared.database import Database
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import AgentKey
from shared.messaging import dead_letters, dead_letters_of_people
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


async def test_dead_letters_that_mention_a_person_are_found_whatever_they_hold_and_in_whatever_state(
    database: Database,
) -> None:
    await reject(database, {"agent_id": "x"}, b'{"agent_id": "Z-1", broken', {"agent_id": "Z-1"})
    await reject(database, {"agent_id": "Z-1"}, portal="ouest", first=50)
    await reject(database, {"agent_id": "Z-1", "issuer": "ouest"}, portal=None, first=51)
    await reject(database, {"email": " ZOE@exemple.fr"}, portal="ouest", first=52)
    value = b"\xff" + b" x" * 100_000 + b" Z-1"
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(value, offset=60), None, "no JSON")])

    found = await about(database, ZOE)

    assert [letter.record.offset for letter in found] == [1, 2, 52, 60]
    assert found[-1].record.value == value
    async with database.transaction() as tx:
        await dead_letters.empty(tx, [letter.id for letter in found])
    assert await about(database, ZOE) == []


async def test_a_rejected_record_that_is_too_large_is_cut_behind_a_whole_word(database: Database) -> None:
    address = b"zoe@exemple.fr"
    value = b"\xff".ljust(dead_letters.REJECTED_BYTES - 9) + address
    header = b" ".ljust(1024 - 9) + address
    record = a_record(value, (("x", header), ("y" * 1025, b"")))
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [Rejected(record, RejectionCode.INVALID, (), portal="iel")])

    [kept] = await all_of(database, "rejected")

    assert kept.record.value == value.removesuffix(address)
    assert kept.record.headers == (("x", header.removesuffix(address)),)


async def test_the_senders_type_and_source_are_cut_and_end_with_the_content(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = "zoe@exemple.fr" + "x" * 500_000
    known = [Rejected(a_record(), RejectionCode.INVALID, (), "iel", None, typed, "/portals/iel")]
    unknown = [
        Rejected(a_record(offset=offset), RejectionCode.UNKNOWN_PORTAL, (), None, None, typed, typed)
        for offset in (1, 2)
    ]
    monkeypatch.setattr(dead_letters, "MAX_REJECTED", 1)
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [*known, *unknown])
    kept = {letter.record.offset: letter for letter in await all_of(database, "rejected")}

    assert {offset: len(letter.event_type or "") for offset, letter in kept.items()} == {0: 300, 1: 0, 2: 300}
    assert len(kept[2].source or "") == 300

    async with database.transaction() as tx:
        await dead_letters.empty(tx, [letter.id for letter in kept.values()])
    ended = [(letter.event_type, letter.source) for letter in await all_of(database, "rejected")]

    assert ended == [(None, "/portals/iel"), (None, None), (None, None)]


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
