"""A sheet says the same thing twice once (rule 20): a line that names a session changes it."""

import asyncio
import logging
from uuid import UUID, uuid5

import pytest

from services.catalogue.pages.site import FILES
from services.catalogue.service import sessions, sheet_lines
from services.catalogue.store.sessions import lock
from shared import security_log
from shared.database import Database
from shared.events.catalogue import SessionChanged
from shared.events.vocabulary import Format
from shared.limits import Rate
from tests.conftest import Ask
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
from tests.integration.catalogue.importing import faults, imported, outcomes, sheet

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


async def test_a_sheet_of_equal_lines_takes_one_digest_for_each(
    an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[str] = []

    def counted(namespace: UUID, name: str) -> UUID:
        digests.append(name)
        return uuid5(namespace, name)

    monkeypatch.setattr(sheet_lines, "uuid5", counted)
    assert await outcomes(ask, sheet(*[""] * 100), **DRY) == ["created"] * 100
    assert len(digests) == len(set(digests)) == 100


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
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
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
    for venue, outcome in ((b"Rennes", "unchanged"), (b"", "unchanged"), (b"Brest", "changed")):
        assert await outcomes(ask, exported.replace(b"Rennes", venue)) == [outcome]
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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (sheet("BRE-8", "BRE-9", "BRE-8"), [(4, "reference_twice", "reference")]),
        (sheet("BRE-1", "BRE-1"), [(3, "session_twice", None)]),
        (sheet("BRE-1").replace(b";essai;", b";autre;"), [(2, "offer_id_fixed", "offer_id")]),
        (PLACE.format("rien", "Brest"), [(2, "invalid", "session_id")]),
        (PLACE.format(UUID(int=7), "Brest"), [(2, "unknown_session", "session_id")]),
        ("Référence;Offre\nBRE-9;essai\n", [(2, "invalid", column) for column in REQUIRED]),
        ("Offre;Lieu\nessai;Brest\n", [(1, "column_missing", column) for column in REQUIRED]),
    ],
)
async def test_a_line_is_refused(
    an_empty_offer: str, ask: Ask, content: bytes, expected: list[tuple[int, str, str | None]]
) -> None:
    await imported(ask, sheet("BRE-1", "BRE-2"))
    assert sorted(await faults(ask, content), key=str) == expected


@pytest.mark.parametrize("reference", ["=1+1", "@x", "BRE 1", "été", "A" * 65, ".a", "A;B", "A\u200b"])
async def test_a_reference_is_short_and_nothing_that_a_spreadsheet_runs(
    reference: str, an_empty_offer: str, ask: Ask
) -> None:
    found = await faults(ask, sheet(f'"{reference}"'))
    assert [(line, column) for line, _, column in found] == [(2, "reference")]


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
    an_empty_offer: str, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = await published(ask, an_empty_offer, by=CORSE)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    for session_id in (theirs, UUID(int=0)):
        problem(await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Brest"), 404)
    events = [vars(line)["event"] for line in caplog.records if line.name == security_log.LOGGER]
    assert events.count("right") == 1


async def test_a_reference_is_the_organisers_own_and_used_once(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer, reference="BRE-1")
    path = f"/sessions/{session_id}"
    seen = {by: (await shown(ask, path, by=by))["reference"] for by in (BRETAGNE, ADMIN, CORSE, None)}
    assert seen == {BRETAGNE: "BRE-1", ADMIN: "BRE-1", CORSE: None, None: None}
    await drafted(ask, an_empty_offer, by=CORSE, reference="BRE-1")
    other = (await drafted(ask, an_empty_offer, reference="BRE-2"))["session_id"]
    again = await ask("PATCH", f"/sessions/{other}", by=BRETAGNE, reference="BRE-1")
    assert problem(again, 409) == ["body.reference"]
    tag = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    assert (await change(ask, session_id, reference=None))["reference"] is None
    problem(await ask("PATCH", path, by=BRETAGNE, if_match=tag, venue="Brest"), 412)
    assert (await change(ask, other, reference="BRE-1"))["reference"] == "BRE-1"


async def test_the_example_can_be_imported(ask: Ask, database: Database) -> None:
    await an_offer(database, "ia-et-territoires", kind=Format.LOCAL_EVENT, closes_days_before=5)
    for outcome in ("created", "unchanged"):
        assert await outcomes(ask, (FILES / "exemple-sessions.csv").read_bytes()) == [outcome] * 3
