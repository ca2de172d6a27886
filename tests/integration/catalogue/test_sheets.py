"""Sessions as CSV, by the API: all lines count or none does, and an export can be read again."""

import csv
import io

import pytest
from sqlalchemy import text

from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    audited,
    drafted,
    in_days,
    listed,
    problem,
)
from tests.integration.catalogue.importing import faults, imported, outcomes

HEADER = "Offre;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\r\n"
GOOD = "essai;Un {n};2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;{n};Rennes\r\n"


def sheet(*lines: str) -> bytes:
    return (HEADER + "".join(lines)).encode()


async def test_each_line_of_a_sheet_becomes_a_draft(
    an_empty_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    content = sheet(*(GOOD.format(n=n) for n in range(1, 4)))
    assert await outcomes(ask, content, dry_run="true") == ["created"] * 3
    assert await listed(ask, by=BRETAGNE) == []
    done = await imported(ask, content)
    assert done.status_code == 201
    items = await listed(ask, by=BRETAGNE)
    assert {item["session_id"] for item in items} == set(done.json()["created"])
    assert sorted(item["capacity"] for item in items) == [1, 2, 3]
    # Half past nine in Paris in summer; five days before, as the offer says, on the other side of the change.
    same = [(item["starts_at"], item["enrolment_closes_at"], item["organiser"]) for item in items]
    assert same == [("2027-03-30T07:30:00Z", "2027-03-25T08:30:00Z", "bretagne")] * 3
    assert await events_of() == []
    assert [line[:2] for line in await audited(database, items[0]["session_id"])] == [(BRETAGNE, "imported")]


FAULTY = [
    ("rien;T;2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;5;Rennes", "offer_id"),
    ("essai;T;demain;2027-03-30 17:00;2027-03-01 09:00;5;Rennes", "starts_at"),
    ("essai;T;2027-03-30 09:30;2027-03-30 08:00;2027-03-01 09:00;5;Rennes", "ends_at"),
    ("essai;T;2027-03-30 09:30;2027-03-30 17:00;2027-03-29 09:00;5;Rennes", "enrolment_closes_at"),
    ("essai;T;2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;-1;Rennes", "capacity"),
    ("essai;T;2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;beaucoup;Rennes", "capacity"),
    ("essai;T;2027-03-30 09:30;2027-03-30 17:00", None),
    ("essai;T;1999-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;5;Rennes", "starts_at"),
    ("essai;T;;2027-03-30 17:00;2027-03-01 09:00;5;Rennes", "starts_at"),
]


async def test_every_fault_of_every_line_is_named_and_nothing_is_created(
    an_empty_offer: str, ask: Ask
) -> None:
    lines = [line for faulty, _ in FAULTY for line in (GOOD.format(n=1), f"{faulty}\r\n")]
    found = await faults(ask, sheet(*lines))
    expected = [(3 + 2 * number, column) for number, (_, column) in enumerate(FAULTY)]
    assert [(line, column) for line, _, column in found] == expected
    assert await listed(ask, by=BRETAGNE) == []


async def test_a_long_sheet_is_read_to_its_last_line_and_drafted_in_one_transaction(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    lines = [GOOD.format(n=n) for n in range(1, 1_102)]  # more than are stored at once
    wrong = [*lines[:-1], lines[-1].replace(";1101;", ";beaucoup;")]
    assert [line for line, _, _ in await faults(ask, sheet(*wrong))] == [1_102]
    assert len(await outcomes(ask, sheet(*lines))) == 1_101
    async with database.quiet_transaction() as tx:
        stored = await tx.execute(text("SELECT count(*), count(DISTINCT xmin::text) FROM session"))
    assert tuple(stored.one()) == (1_101, 1)


@pytest.mark.parametrize("content", [b"", b"a;b\n1;2", b"PK\x03\x04"])
async def test_a_file_that_is_no_sheet_is_refused_with_its_reason(look: Ask, content: bytes) -> None:
    assert await faults(look, content)
    problem(await look("POST", "/sessions/import", content=content), 401)


async def test_a_sheet_that_is_too_large_is_not_read(look: Ask) -> None:
    problem(await look("POST", "/sessions/import", by=BRETAGNE, content=b"a" * (10 * 1024**2 + 1)), 413)


async def test_an_export_has_the_delegations_own_sessions_and_can_be_read_again(
    an_empty_offer: str, ask: Ask
) -> None:
    formula = '=HYPERLINK("x")'
    await drafted(ask, an_empty_offer, title=formula, capacity=None, minimum=12, summary="Deux\nlignes")
    later = {"starts_at": in_days(41).isoformat(), "ends_at": in_days(42).isoformat()}
    people = ["Une juriste", "Un élu"]
    await drafted(ask, an_empty_offer, by=CORSE, experts=people, timezone="Indian/Reunion", **later)
    ours, every = [await ask("GET", "/sessions/export", by=by) for by in (BRETAGNE, ADMIN)]
    assert ours.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(every.content.decode("utf-8-sig")), delimiter=";"))
    assert [row["Délégation"] for row in rows] == ["bretagne", "corse"]
    assert ours.content.decode().count("essai;") == 1
    assert rows[0]["Titre"].startswith("'=")  # which no spreadsheet runs
    assert (rows[0]["Places"], rows[0]["Minimum"]) == ("illimité", "12")
    problem(await ask("GET", "/sessions/export"), 401)

    assert await outcomes(ask, every.content, by=ADMIN) == ["unchanged", "unchanged"]
    originals = await listed(ask, by=ADMIN)
    unnamed = every.content.replace(b"Identifiant", b"Autre")
    assert await outcomes(ask, unnamed, by=ADMIN) == ["created", "created"]
    copies = [item for item in await listed(ask, by=ADMIN) if item not in originals]
    kept = ("title", "organiser", "capacity", "summary", "experts", "timezone", "waiting_list", "venue")
    contents = [
        sorted(
            # To the minute, as a sheet has it.
            (str([item[name] for name in kept]), item["starts_at"][:16])
            for item in items
        )
        for items in (originals, copies)
    ]
    assert contents[0] == contents[1]
