"""Sessions as CSV, by the API: all lines count or none does, and an export can be read again."""

import csv
import io

import pytest
from sqlalchemy import text

from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE, EventsOf, drafted, in_days, problem

HEADER = "Offre;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\r\n"
GOOD = "essai;Un {n};2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;{n};Rennes\r\n"


def sheet(*lines: str) -> bytes:
    return (HEADER + "".join(lines)).encode()


async def test_each_line_of_a_sheet_becomes_a_draft(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    content = sheet(*(GOOD.format(n=n) for n in range(1, 4)))
    tried = await ask("POST", "/sessions/import", by=BRETAGNE, content=content, dry_run="true")
    assert (tried.status_code, tried.json()["rows"], tried.json()["faults"]) == (200, 3, [])
    assert (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"] == []
    done = await ask("POST", "/sessions/import", by=BRETAGNE, content=content)
    assert done.status_code == 201
    items = (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]
    assert {item["session_id"] for item in items} == set(done.json()["created"])
    assert sorted(item["capacity"] for item in items) == [1, 2, 3]
    # Half past nine in Paris in summer; five days before, as the offer says, on the other side of the change.
    assert {item["starts_at"] for item in items} == {"2027-03-30T07:30:00Z"}
    assert {item["enrolment_closes_at"] for item in items} == {"2027-03-25T08:30:00Z"}
    assert {item["organiser"] for item in items} == {"bretagne"}
    assert await events_of() == []
    history = await ask("GET", f"/sessions/{items[0]['session_id']}/history", by=BRETAGNE)
    assert [line["action"] for line in history.json()["items"]] == ["imported"]


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


async def test_every_fault_of_every_line_is_told_and_nothing_is_created(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    lines: list[str] = []
    for line, _ in FAULTY:
        lines += [GOOD.format(n=1), line + "\r\n"]
    answer = await ask("POST", "/sessions/import", by=BRETAGNE, content=sheet(*lines))
    assert answer.status_code == 422
    faults = answer.json()["faults"]
    expected = [(3 + 2 * number, column) for number, (_, column) in enumerate(FAULTY)]
    assert [(fault["line"], fault["column"]) for fault in faults] == expected
    assert all(fault["message"] and fault["code"] for fault in faults)
    assert answer.json()["created"] == []
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM session")) == 0


async def test_two_thousand_lines_are_read_to_the_last_and_drafted_in_one_transaction(
    an_empty_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    lines = [GOOD.format(n=n) for n in range(1, 2_001)]
    faulty = {3: lines[1].replace("17:00", "08:00"), 2_001: lines[-1].replace(";2000;", ";beaucoup;")}
    wrong = [faulty.get(number, line) for number, line in enumerate(lines, 2)]
    refused = (await ask("POST", "/sessions/import", by=BRETAGNE, content=sheet(*wrong))).json()
    assert [fault["line"] for fault in refused["faults"]] == [3, 2_001]
    stored = text(
        "SELECT count(*), count(DISTINCT xmin::text), (SELECT count(*) FROM audit_log) FROM session"
    )
    for tried, counted in (("true", (0, 0, 0)), ("false", (2_000, 1, 2_000))):
        answer = await ask("POST", "/sessions/import", by=BRETAGNE, content=sheet(*lines), dry_run=tried)
        assert (answer.is_success, answer.json()["rows"]) == (True, 2_000)
        async with database.quiet_transaction() as tx:
            assert tuple((await tx.execute(stored)).one()) == counted
    assert await events_of() == []


async def test_nobody_imports_for_another_delegation(an_empty_offer: str, ask: Ask) -> None:
    content = (
        "Offre;Délégation;Début;Fin;Ouverture des inscriptions\n"
        "essai;corse;30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00\n"
    ).encode("cp1252")
    refused = await ask("POST", "/sessions/import", by=BRETAGNE, content=content)
    assert [fault["column"] for fault in refused.json()["faults"]] == ["organiser"]
    assert (await ask("POST", "/sessions/import", by=CORSE, content=content)).status_code == 201


@pytest.mark.parametrize("content", [b"", b"a;b\n1;2", b"\xff\xfe\x00", b"PK\x03\x04", b"\0" * 100])
async def test_what_is_no_sheet_is_refused_with_its_reason(look: Ask, content: bytes) -> None:
    answer = await look("POST", "/sessions/import", by=BRETAGNE, content=content)
    assert answer.status_code == 422
    assert answer.json()["faults"]
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
    ours = await ask("GET", "/sessions/export", by=BRETAGNE)
    every = await ask("GET", "/sessions/export", by=ADMIN)
    assert ours.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(every.content.decode("utf-8-sig")), delimiter=";"))
    assert [row["Délégation"] for row in rows] == ["bretagne", "corse"]
    assert ours.content.decode().count("essai;") == 1
    assert rows[0]["Titre"].startswith("'=")  # which no spreadsheet runs
    assert (rows[0]["Places"], rows[0]["Minimum"]) == ("illimité", "12")
    problem(await ask("GET", "/sessions/export"), 401)

    same = await ask("POST", "/sessions/import", by=ADMIN, content=every.content)
    assert [line["outcome"] for line in same.json()["lines"]] == ["unchanged", "unchanged"]
    unnamed = every.content.replace(b"Identifiant", b"Autre")
    again = await ask("POST", "/sessions/import", by=ADMIN, content=unnamed)
    assert again.status_code == 201, again.text
    items = (await ask("GET", "/sessions", by=ADMIN)).json()["items"]
    created = [item for item in items if item["session_id"] in again.json()["created"]]
    originals = [item for item in items if item["session_id"] not in again.json()["created"]]
    kept = ("title", "organiser", "capacity", "summary", "experts", "timezone", "waiting_list", "venue")
    by_place = [
        sorted(([item[name] for name in kept] for item in some), key=str) for some in (created, originals)
    ]
    assert by_place[0] == by_place[1]
    starts = [sorted(item["starts_at"][:16] for item in some) for some in (created, originals)]
    assert starts[0] == starts[1]  # to the minute, as a sheet has it
