"""Sessions in and out as CSV or as a workbook: a line that names a session changes it (rule 20)."""

import asyncio
import csv
import io
import re
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.catalogue.pages.site import FILES
from services.catalogue.service import sessions
from services.catalogue.store.sessions import lock
from shared.database import Database
from shared.events.catalogue import SessionChanged
from shared.events.vocabulary import Format
from shared.rates import Rate
from shared.web import workbooks
from tests.conftest import Ask, SecurityLines
from tests.integration.catalogue.browsing import HttpBrowser, hidden, organiser, upload
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    an_offer,
    audited,
    change,
    drafted,
    kinds,
    listed,
    problem,
    published,
    shown,
)

__all__ = ["organiser"]


HEADER = "Référence;Offre;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\r\n"
LINE = "{reference};essai;Un;30/03/2027 09:30;2027-03-30 17:00;2027-03-01 09:00;{places};{lieu}\r\n"


def sheet(*references: str, places: object = 5, lieu: str = "Rennes") -> bytes:
    lines = [LINE.format(reference=reference, places=places, lieu=lieu) for reference in references]
    return (HEADER + "".join(lines)).encode()


async def imported(ask: Ask, content: bytes | str, *, by: str = BRETAGNE, **fields: Any) -> httpx.Response:
    encoded = content.encode() if isinstance(content, str) else content
    return await ask("POST", "/sessions/import", by=by, content=encoded, **fields)


async def outcomes(ask: Ask, content: bytes | str, *, by: str = BRETAGNE, **fields: Any) -> list[str]:
    answer = await imported(ask, content, by=by, **fields)
    assert answer.is_success, answer.text
    return [line["outcome"] for line in answer.json()["lines"]]


async def faults(
    ask: Ask, content: bytes | str, *, by: str = BRETAGNE, **fields: Any
) -> list[tuple[int, str, str | None]]:
    answer = (await imported(ask, content, by=by, **fields)).json()
    assert (answer["lines"], answer["created"]) == ([], [])
    return [(fault["line"], fault["code"], fault["column"]) for fault in answer["faults"]]


DRY = {"dry_run": "true"}
PLACE = "Identifiant;Lieu\n{};{}\n"


async def venues(ask: Ask, by: str = BRETAGNE) -> list[str]:
    return sorted(item["venue"] for item in await listed(ask, by=by))


async def test_a_line_with_a_known_reference_changes_its_session_and_says_what(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    first = (await imported(ask, sheet("BRE-1", "BRE-2"))).json()["created"]
    again = sheet("BRE-2", "BRE-3", places=9, lieu="Brest")
    assert await outcomes(ask, again, **DRY) == ["changed", "created"]
    assert await venues(ask) == ["Rennes", "Rennes"]
    changed, new = (await imported(ask, again)).json()["lines"]
    assert changed == {
        "line": 2,
        "outcome": "changed",
        "session_id": first[1],
        "reference": "BRE-2",
        "changed": ["capacity", "venue"],
    }
    assert (new["outcome"], new["reference"]) == ("created", "BRE-3")
    assert await venues(ask) == ["Brest", "Brest", "Rennes"]
    assert await outcomes(ask, sheet("bre-2", places=9, lieu="Brest")) == ["unchanged"]
    changes = {"capacity": [5, 9], "venue": ["Rennes", "Brest"]}
    assert (await audited(database, first[1]))[-1] == (BRETAGNE, "changed", 2, changes)


@pytest.mark.parametrize("references", [("BRE-1", "BRE-2"), ("", "")], ids=["referenced", "unnamed"])
async def test_the_second_import_of_one_file_does_nothing(
    references: tuple[str, str], an_empty_offer: str, ask: Ask
) -> None:
    assert await outcomes(ask, sheet(*references), **DRY) == ["created", "created"]
    first = (await imported(ask, sheet(*references))).json()["created"]
    before = await listed(ask, by=BRETAGNE)
    for _ in range(2):
        lines = (await imported(ask, sheet(*references))).json()["lines"]
        assert [(line["outcome"], line["session_id"]) for line in lines] == [
            ("unchanged", session_id) for session_id in first
        ]
        assert await listed(ask, by=BRETAGNE) == before


async def test_an_equal_line_after_one_that_names_the_session_is_another_session(
    an_empty_offer: str, ask: Ask
) -> None:
    (session_id,) = (await imported(ask, sheet(""))).json()["created"]
    heading, line = sheet("").decode().splitlines()
    content = f"Identifiant;{heading}\n{session_id};{line}\n;{line}\n;{line}\n"
    assert await outcomes(ask, content) == ["unchanged", "created", "created"]


async def test_a_draft_that_was_changed_by_hand_is_not_drafted_again_by_its_line(
    an_empty_offer: str, ask: Ask
) -> None:
    (session_id,) = (await imported(ask, sheet(""))).json()["created"]
    await change(ask, session_id, venue="Vannes")
    assert await outcomes(ask, sheet("")) == ["unchanged"]
    assert await venues(ask) == ["Vannes"]
    assert await outcomes(ask, sheet("", lieu="Quimper")) == ["created"]


async def test_a_published_session_changes_by_the_rules_of_any_change_with_one_event(
    session_id: str, ask: Ask, events_of: EventsOf
) -> None:
    before = len(await events_of())
    for outcome in ("changed", "unchanged"):
        assert await outcomes(ask, PLACE.format(session_id, "Brest")) == [outcome]
    assert kinds((await events_of())[before:]) == [SessionChanged]
    past = f"Identifiant;Ouverture des inscriptions\n{session_id};2026-01-01 09:00\n"
    assert await faults(ask, past) == [(2, "in_the_past", "enrolment_opens_at")]
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    assert await outcomes(ask, PLACE.format(session_id, "Brest")) == ["unchanged"]
    assert await faults(ask, PLACE.format(session_id, "Vannes")) == [(2, "already_cancelled", None)]


async def test_sheets_count_against_the_changes_of_a_session_unless_they_are_tried_or_refused(
    an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CHANGES", Rate(1, 3600))
    spent, other = await published(ask, an_empty_offer), await published(ask, an_empty_offer)
    assert await outcomes(ask, PLACE.format(spent, "Vannes")) == ["changed"]
    both = PLACE.format(other, "Brest") + f"{spent};Brest\n"
    for fields in ({}, DRY):
        assert await faults(ask, both, **fields) == [(3, "changed_too_often", None)]
    alone = PLACE.format(other, "Brest")
    for fields in (DRY, {}):
        assert await outcomes(ask, alone, **fields) == ["changed"]
    assert await outcomes(ask, PLACE.format(spent, "Vannes")) == ["unchanged"]


async def test_an_empty_cell_or_one_as_it_was_exported_leaves_the_field(
    an_empty_offer: str, ask: Ask
) -> None:
    dates = {
        "enrolment_opens_at": "2027-09-01T08:00:00Z",
        "starts_at": "2027-10-31T01:30:20Z",  # the second half past two of that night
        "ends_at": "2027-10-31T05:00:00Z",
    }
    session = await drafted(ask, an_empty_offer, summary=" Deux\n\nlignes ", experts=["Une juriste"], **dates)
    exported = (await ask("GET", "/sessions/export", by=BRETAGNE)).content
    for cell, typed, outcome in (
        (b"Rennes", b"Rennes", "unchanged"),
        (b"Rennes", b"", "unchanged"),
        (b"2027-10-31 02:30", b"31/10/2027 02:30", "unchanged"),
        (b"Rennes", b"Brest", "changed"),
    ):
        assert await outcomes(ask, exported.replace(cell, typed)) == [outcome], typed
    now = await shown(ask, f"/sessions/{session['session_id']}", by=BRETAGNE)
    assert now == session | {"venue": "Brest", "version": 2}


async def test_other_clocks_make_other_instants_of_the_same_figures(an_empty_offer: str, ask: Ask) -> None:
    moved = sheet("BRE-1").decode().replace("Places", "Fuseau horaire").replace(";5;", ";Indian/Reunion;")
    assert await outcomes(ask, sheet("BRE-1")) == ["created"]
    assert await outcomes(ask, moved) == ["changed"]
    (session,) = await listed(ask, by=BRETAGNE)
    assert (session["starts_at"], session["ends_at"]) == ("2027-03-30T05:30:00Z", "2027-03-30T13:00:00Z")


async def test_a_line_of_an_export_is_refused_where_its_session_has_changed_since(
    an_empty_offer: str, ask: Ask
) -> None:
    session = await drafted(ask, an_empty_offer, summary="Ancienne")
    exported = (await ask("GET", "/sessions/export", by=BRETAGNE)).content
    await change(ask, session["session_id"], summary="Nouvelle")
    assert await faults(ask, exported) == [(2, "stale", "tag")]
    assert await outcomes(ask, exported.replace(b"Empreinte", b"Autre")) == ["changed"]


async def test_a_session_is_given_a_reference_by_its_id_and_is_found_by_it(
    an_empty_offer: str, ask: Ask
) -> None:
    first, other = [(await drafted(ask, an_empty_offer))["session_id"] for _ in range(2)]
    content = "Identifiant;Référence\n{};BRE-7\n"
    for outcome in ("changed", "unchanged"):
        assert await outcomes(ask, content.format(first)) == [outcome]
    assert await outcomes(ask, "Référence;Lieu\nBRE-7;Brest\n") == ["changed"]
    assert await faults(ask, content.format(other)) == [(2, "reference_taken", "reference")]


REQUIRED = ("ends_at", "enrolment_opens_at", "starts_at")


REFUSED: list[tuple[bytes | str, list[tuple[int, str, str | None]]]] = [
    (sheet("BRE-8", "BRE-9", "bre-8"), [(4, "reference_twice", "reference")]),
    (sheet("BRE-1", "BRE-1"), [(3, "session_twice", None)]),
    (sheet("BRE-1").replace(b";essai;", b";autre;"), [(2, "offer_id_fixed", "offer_id")]),
    (PLACE.format("rien", "Brest"), [(2, "invalid", "session_id")]),
    (PLACE.format(UUID(int=7), "Brest"), [(2, "unknown_session", "session_id")]),
    ("Référence;Offre\nBRE-9;essai\n", [(2, "invalid", column) for column in REQUIRED]),
    ("Offre;Lieu\nessai;Brest\n", [(1, "column_missing", column) for column in REQUIRED]),
]


async def test_a_line_is_refused(an_empty_offer: str, ask: Ask) -> None:
    await imported(ask, sheet("BRE-1", "BRE-2"))
    for content, expected in REFUSED:
        assert sorted(await faults(ask, content), key=str) == expected


async def test_a_reference_is_short_and_nothing_that_a_spreadsheet_runs(
    an_empty_offer: str, ask: Ask
) -> None:
    wrong = ("=1+1", "@x", "BRE 1", "été", "A" * 65, ".a", "A;B", "A\u200b")
    found = await faults(ask, sheet(*(f'"{reference}"' for reference in wrong)))
    assert [(line, column) for line, _, column in found] == [(line, "reference") for line in range(2, 10)]


async def test_a_session_of_another_delegation_is_not_there_for_a_line(an_empty_offer: str, ask: Ask) -> None:
    theirs = (await imported(ask, sheet("X-1"), by=CORSE)).json()["created"][0]
    assert await faults(ask, PLACE.format(theirs, "Brest")) == [(2, "unknown_session", "session_id")]
    for_them = sheet("X-1").replace(b"Places", "Délégation".encode()).replace(b";5;", b";corse;")
    assert await faults(ask, for_them) == [(2, "not_yours", "organiser")]
    assert await outcomes(ask, sheet("X-1")) == ["created"]
    assert await venues(ask, CORSE) == ["Rennes"]
    # An organiser for all says which of the two is meant, and moves none to another delegation.
    assert await faults(ask, sheet("X-1"), by=ADMIN) == [(2, "invalid", "organiser")]
    meant = "Référence;Délégation;Lieu\nX-1;corse;Bastia\nX-1;bretagne;Brest\n"
    assert await outcomes(ask, meant, by=ADMIN) == ["changed", "changed"]
    assert await venues(ask, CORSE) == ["Bastia"]
    moved = f"Identifiant;Délégation\n{theirs};bretagne\n"
    assert await faults(ask, moved, by=ADMIN) == [(2, "organiser_fixed", "organiser")]


async def test_nobody_waits_for_a_session_of_others_nor_keeps_it_locked(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    theirs, ours = await published(ask, an_empty_offer, by=CORSE), await published(ask, an_empty_offer)
    path = f"/sessions/{theirs}"
    both = PLACE.format(theirs, "Brest") + f"{ours};Brest\n"
    async with database.quiet_transaction() as tx, asyncio.timeout(20):
        await lock(tx, [UUID(theirs)])
        for fields in (DRY, {}):
            assert await faults(ask, both, **fields) == [(2, "unknown_session", "session_id")]
        for method, end in (("PATCH", ""), ("POST", "/cancel"), ("DELETE", "")):
            problem(await ask(method, path + end, by=BRETAGNE), 404)
    assert await outcomes(ask, both, by=ADMIN) == ["changed", "changed"]


async def test_a_change_of_anothers_session_stands_in_the_security_log(
    an_empty_offer: str, ask: Ask, security_lines: SecurityLines
) -> None:
    theirs = await published(ask, an_empty_offer, by=CORSE)
    for session_id in (theirs, UUID(int=0)):
        problem(await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Brest"), 404)
    events = [line["event"] for line in security_lines()]
    assert events.count("right") == 1


async def test_a_reference_is_the_organisers_own_and_used_once(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer, reference="BRE-1")
    for by, seen in ((BRETAGNE, "BRE-1"), (ADMIN, "BRE-1"), (CORSE, None), (None, None)):
        assert (await shown(ask, f"/sessions/{session_id}", by=by))["reference"] == seen
    await drafted(ask, an_empty_offer, by=CORSE, reference="BRE-1")
    other = (await drafted(ask, an_empty_offer, reference="BRE-2"))["session_id"]
    for same in ("BRE-1", "bre-1"):
        again = await ask("PATCH", f"/sessions/{other}", by=BRETAGNE, reference=same)
        assert problem(again, 409) == ["body.reference"]
    await change(ask, session_id, reference=None)
    assert (await change(ask, other, reference="BRE-1"))["reference"] == "BRE-1"


async def test_the_example_can_be_imported(ask: Ask, database: Database) -> None:
    await an_offer(database, "ia-et-territoires", kind=Format.LOCAL_EVENT, closes_days_before=5)
    for outcome in ("created", "unchanged"):
        assert await outcomes(ask, (FILES / "exemple-sessions.csv").read_bytes()) == [outcome] * 3


# ------------------------------------------------------------------------------- new sessions, and all again


TITLES = "Offre;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\r\n"
GOOD = "essai;Un {n};2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;{n};Rennes\r\n"


def of_lines(*lines: str) -> bytes:
    return (TITLES + "".join(lines)).encode()


async def test_each_line_of_a_sheet_becomes_a_draft(
    an_empty_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    content = of_lines(*(GOOD.format(n=n) for n in range(1, 4)))
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
    found = await faults(ask, of_lines(*lines))
    expected = [(3 + 2 * number, column) for number, (_, column) in enumerate(FAULTY)]
    assert [(line, column) for line, _, column in found] == expected
    assert await listed(ask, by=BRETAGNE) == []


async def test_a_long_sheet_is_read_to_its_last_line_and_drafted_in_one_transaction(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    lines = [GOOD.format(n=n) for n in range(1, 1_102)]  # more than are stored at once
    wrong = [*lines[:-1], lines[-1].replace(";1101;", ";beaucoup;")]
    assert [line for line, _, _ in await faults(ask, of_lines(*wrong))] == [1_102]
    assert len(await outcomes(ask, of_lines(*lines))) == 1_101
    async with database.quiet_transaction() as tx:
        stored = await tx.execute(text("SELECT count(*), count(DISTINCT xmin::text) FROM session"))
    assert tuple(stored.one()) == (1_101, 1)


@pytest.mark.parametrize("content", [b"", b"a;b\n1;2", b"PK\x03\x04"])
async def test_a_file_that_is_no_sheet_is_refused_with_its_reason(look: Ask, content: bytes) -> None:
    assert await faults(look, content)
    for method, path in (("POST", "/sessions/import"), ("GET", "/sessions/export")):
        problem(await look(method, path, content=content), 401)


async def test_a_sheet_that_is_too_large_is_not_read(look: Ask) -> None:
    problem(await look("POST", "/sessions/import", by=BRETAGNE, content=b"a" * (10 * 1024**2 + 1)), 413)


async def test_an_export_has_the_delegations_own_sessions_and_can_be_read_again(
    an_empty_offer: str, ask: Ask
) -> None:
    formula = '=HYPERLINK("x")'
    await drafted(ask, an_empty_offer, title=formula, capacity=None, minimum=12, summary="Deux\nlignes")
    people = ["Une juriste", "Un élu"]
    await drafted(ask, an_empty_offer, by=CORSE, experts=people, timezone="Indian/Reunion", title="Z")
    ours, every = [await ask("GET", "/sessions/export", by=by) for by in (BRETAGNE, ADMIN)]
    assert ours.headers["content-type"] == "text/csv; charset=utf-8"
    assert (ours.text.count("essai;"), every.text.count("essai;")) == (1, 2)
    (row,) = csv.DictReader(io.StringIO(ours.content.decode("utf-8-sig")), delimiter=";")
    assert (row["Délégation"], row["Places"], row["Minimum"]) == ("bretagne", "illimité", "12")
    assert row["Titre"].startswith("'=")  # which no spreadsheet runs

    assert await outcomes(ask, every.content, by=ADMIN) == ["unchanged", "unchanged"]
    originals = await listed(ask, by=ADMIN)
    unnamed = every.content.replace(b"Identifiant", b"Autre")
    assert await outcomes(ask, unnamed, by=ADMIN) == ["created", "created"]
    copies = [item for item in await listed(ask, by=ADMIN) if item not in originals]
    kept = ("title", "organiser", "capacity", "summary", "experts", "timezone", "waiting_list", "venue")
    contents = [sorted(str([item[name] for name in kept]) for item in items) for items in (originals, copies)]
    assert contents[0] == contents[1]


# ----------------------------------------------------------------------------------------------------- pages


OF_A_TOWN = (
    "Offre;Début;Fin;Ouverture des inscriptions;Lieu\r\n"
    "essai;30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00;{town}\r\n"
)


def a_sheet(form: str, town: str = "Rennes") -> bytes:
    if form == "csv":
        return OF_A_TOWN.format(town=town).encode("cp1252")
    # A workbook may have its dates as numbers of days.
    with_numbers = OF_A_TOWN.replace("30/03/2027 09:30", "46476.395833333336").replace(
        "01/03/2027 09:00", "46447.375"
    )
    return workbooks.of_csv(with_numbers.format(town=town).encode())


@pytest.mark.usefixtures("an_empty_offer")
@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_a_file_is_tried_then_drafted_and_comes_out_again(
    organiser: HttpBrowser, ask: Ask, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalogue.pages.manage.sheets._LARGEST_KEPT", 0)
    content = a_sheet(form)
    tried = await upload(organiser, content, essai="oui")
    seen = {"empreinte": hidden(tried.text, "empreinte")}
    other = await upload(organiser, a_sheet(form, "Vannes"), **seen)
    assert "Ce n’est pas le fichier qui avait été essayé" in other.text
    assert await listed(ask, by=BRETAGNE) == []
    await upload(organiser, content, **seen)
    (item,) = await listed(ask, by=BRETAGNE)
    assert (item["organiser"], item["venue"], item["starts_at"], item["enrolment_opens_at"]) == (
        *("bretagne", "Rennes"),
        *("2027-03-30T07:30:00Z", "2027-03-01T08:00:00Z"),
    )
    exported = await organiser.get(f"/gestion/sessions.{form}")
    assert exported.headers["content-disposition"] == f'attachment; filename="sessions.{form}"'
    for same in (content, exported.content):
        assert "Rien n’a changé" in (await upload(organiser, same)).text


async def test_the_page_of_a_dry_run_keeps_the_file_and_saves_it(
    an_empty_offer: str, organiser: HttpBrowser, ask: Ask
) -> None:
    tried = (await upload(organiser, sheet("BRE-1"), essai="oui")).text
    form = {name: (None, hidden(tried, name)) for name in ("cle", "contenu")}
    wrong = form | {"contenu": (None, "é")}
    assert (await organiser.post("/gestion/sessions/importer", files=wrong)).status_code == 400
    assert await listed(ask, by=BRETAGNE) == []
    await organiser.post("/gestion/sessions/importer", files=form)
    assert [item["reference"] for item in await listed(ask, by=BRETAGNE)] == ["BRE-1"]
    assert 'name="contenu"' not in (await upload(organiser, b"Offre", essai="oui")).text


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_an_export_has_the_sessions_of_the_list_or_all_of_the_delegation(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, form: str
) -> None:
    draft = (await drafted(ask, an_empty_offer))["session_id"]
    ours, theirs = [await published(ask, an_empty_offer, by=by) for by in (BRETAGNE, CORSE)]

    async def exported(address: str) -> list[bool]:
        content = (await organiser.get(address)).content
        text = (workbooks.as_csv(content) if form == "xlsx" else content).decode()
        return [session_id in text for session_id in (draft, ours, theirs)]

    page = (await organiser.get("/gestion?etat=draft&tri=modifiees")).text
    (address,) = re.findall(rf'href="(/gestion/sessions\.{form}[^"]*)"', page)
    assert await exported(unescape(address)) == [True, False, False]
    assert await exported(f"/gestion/sessions.{form}") == [True, True, False]


async def test_a_file_comes_with_the_key_of_the_login(organiser: HttpBrowser) -> None:
    assert (await upload(organiser, b"Offre", key="autre")).status_code == 403
    key = hidden((await organiser.get("/gestion/sessions/importer")).text, "cle")
    assert (await organiser.post("/gestion/sessions/importer", data={"cle": key})).status_code == 400
