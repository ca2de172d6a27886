"""Imports say the same thing twice once (rule 20): a line that names a session changes it; API and page."""

import asyncio
import logging
import re
from typing import Any
from uuid import UUID, uuid5

import pytest
from sqlalchemy import text

from services.catalogue.pages.site import FILES
from services.catalogue.service import sessions, sheet_lines
from services.catalogue.store.sessions import lock
from shared import security_log
from shared.database import Database
from shared.events.catalogue import SessionChanged
from shared.events.vocabulary import Format
from shared.limits import Rate
from tests.conftest import Ask
from tests.integration.catalogue.browsing import organiser
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    an_offer,
    drafted,
    kinds,
    problem,
    published,
)
from tests.integration.catalogue.importing import faults, imported, outcomes, sheet, stored

__all__ = ["organiser"]


async def test_a_line_with_a_known_reference_changes_its_session_and_says_what(
    an_empty_offer: str, ask: Ask
) -> None:
    first = await imported(ask, sheet("BRE-1", "BRE-2"))
    assert first.status_code == 201
    tried = await imported(ask, sheet("BRE-2", places=9, lieu="Brest"), dry_run="true")
    assert [line["outcome"] for line in tried.json()["lines"]] == ["changed"]
    assert {item["venue"] for item in await stored(ask)} == {"Rennes"}
    second = await imported(ask, sheet("BRE-2", "BRE-3", places=9, lieu="Brest"))
    assert second.status_code == 201
    changed, new = second.json()["lines"]
    assert changed == {
        "line": 2,
        "outcome": "changed",
        "session_id": first.json()["created"][1],
        "reference": "BRE-2",
        "changed": ["capacity", "venue"],
    }
    assert [new["session_id"]] == second.json()["created"]
    places = {item["reference"]: (item["capacity"], item["venue"]) for item in await stored(ask)}
    assert places == {"BRE-1": (5, "Rennes"), "BRE-2": (9, "Brest"), "BRE-3": (9, "Brest")}
    (latest, *_) = (await ask("GET", f"/sessions/{changed['session_id']}/history", by=BRETAGNE)).json()[
        "items"
    ]
    assert (latest["action"], latest["changes"]["capacity"]) == ("changed", [5, 9])


@pytest.mark.parametrize("references", [("BRE-1", "BRE-2"), ("", "")], ids=["referenced", "unnamed"])
async def test_the_second_import_of_one_file_does_nothing(
    references: tuple[str, str], an_empty_offer: str, ask: Ask, database: Database
) -> None:
    content = sheet(*references)
    tried = await imported(ask, content, dry_run="true")
    assert [(line["outcome"], line["session_id"]) for line in tried.json()["lines"]] == [
        ("created", None)
    ] * 2
    first = await imported(ask, content)
    state = text("SELECT count(*), sum(version), (SELECT count(*) FROM audit_log) FROM session")
    for _ in range(2):
        second = await imported(ask, content)
        assert (second.status_code, second.json()["created"]) == (200, [])
        lines = [(line["outcome"], line["session_id"]) for line in second.json()["lines"]]
        assert lines == [("unchanged", session_id) for session_id in first.json()["created"]]
        async with database.quiet_transaction() as tx:
            assert tuple((await tx.execute(state)).one()) == (2, 2, 2)


async def test_a_sheet_of_equal_lines_takes_a_digest_for_each_and_no_more(
    an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[str] = []

    def counted(namespace: UUID, name: str) -> UUID:
        digests.append(name)
        return uuid5(namespace, name)

    monkeypatch.setattr(sheet_lines, "uuid5", counted)
    tried = await imported(ask, sheet(*[""] * 500), dry_run="true")
    assert (tried.json()["rows"], tried.json()["faults"]) == (500, [])
    assert len(digests) == len(set(digests)) == 500


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
    await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Vannes")
    assert await outcomes(ask, sheet("")) == ["unchanged"]
    assert [item["venue"] for item in await stored(ask)] == ["Vannes"]
    assert await outcomes(ask, sheet("", lieu="Quimper")) == ["created"]


async def test_a_published_session_is_told_as_changed_once_and_by_the_rules_of_a_change(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
    before = len(await events_of())
    sheets = "Identifiant;Lieu;Places\n{};{};\n"
    assert await outcomes(ask, sheets.format(session_id, "Brest")) == ["changed"]
    assert await outcomes(ask, sheets.format(session_id, "Brest")) == ["unchanged"]
    assert kinds((await events_of())[before:]) == [SessionChanged]
    past = f"Identifiant;Ouverture des inscriptions\n{session_id};2026-01-01 09:00\n"
    assert await faults(ask, past) == [(2, "in_the_past", "enrolment_opens_at")]
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    assert await outcomes(ask, sheets.format(session_id, "Brest")) == ["unchanged"]
    assert await faults(ask, sheets.format(session_id, "Vannes")) == [(2, "already_cancelled", None)]


async def test_a_published_session_that_was_changed_too_often_is_not_changed_by_a_sheet_either(
    an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CHANGES", Rate(2, 3600))
    session_id = await published(ask, an_empty_offer)
    sheets = "Identifiant;Lieu\n{};{}\n"
    assert await outcomes(ask, sheets.format(session_id, "Brest")) == ["changed"]
    await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Rennes")
    assert await faults(ask, sheets.format(session_id, "Brest")) == [(2, "changed_too_often", None)]
    assert await outcomes(ask, sheets.format(session_id, "Rennes")) == ["unchanged"]


async def test_a_sheet_that_is_tried_or_refused_uses_up_no_change_of_its_sessions(
    an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CHANGES", Rate(1, 3600))
    spent, other = await published(ask, an_empty_offer), await published(ask, an_empty_offer)
    changed = await ask("PATCH", f"/sessions/{spent}", by=BRETAGNE, venue="Vannes")
    assert changed.is_success
    both = f"Identifiant;Lieu\n{other};Brest\n{spent};Brest\n"
    too_often = [(3, "changed_too_often", None)]
    assert await faults(ask, both) == too_often
    tried = (await imported(ask, both, dry_run="true")).json()
    assert [(fault["line"], fault["code"], fault["column"]) for fault in tried["faults"]] == too_often
    alone = f"Identifiant;Lieu\n{other};Brest\n"
    assert (await imported(ask, alone, dry_run="true")).json()["faults"] == []
    assert await outcomes(ask, alone) == ["changed"]


async def test_an_empty_cell_or_one_as_it_was_exported_leaves_what_is_there(
    an_empty_offer: str, ask: Ask
) -> None:
    dates = {
        "enrolment_opens_at": "2027-09-01T08:00:00Z",
        "starts_at": "2027-10-31T01:30:20Z",  # the second half past two of that night
        "ends_at": "2027-10-31T05:00:00Z",
    }
    session = await drafted(ask, an_empty_offer, summary=" Deux\n\nlignes ", experts=["Une juriste"], **dates)
    exported = (await ask("GET", "/sessions/export", by=BRETAGNE)).content
    assert await outcomes(ask, exported) == ["unchanged"]
    assert await outcomes(ask, exported.replace(b"Rennes", b"")) == ["unchanged"]
    assert await outcomes(ask, exported.replace(b"Rennes", b"Brest")) == ["changed"]
    now = (await ask("GET", f"/sessions/{session['session_id']}", by=BRETAGNE)).json()
    changed = {name for name in now if now[name] != session[name]}
    assert changed == {"venue", "version"}


async def test_other_clocks_make_other_instants_of_the_same_figures(an_empty_offer: str, ask: Ask) -> None:
    assert await outcomes(ask, sheet("BRE-1")) == ["created"]
    moved = sheet("BRE-1").decode().replace("Places", "Fuseau horaire").replace(";5;", ";Indian/Reunion;")
    assert await outcomes(ask, moved) == ["changed"]
    dates = [(item["starts_at"], item["ends_at"]) for item in await stored(ask)]
    assert dates == [("2027-03-30T05:30:00Z", "2027-03-30T13:00:00Z")]


async def test_a_line_of_an_export_is_refused_where_its_session_has_changed_since(
    an_empty_offer: str, ask: Ask
) -> None:
    session = await drafted(ask, an_empty_offer, summary="Ancienne")
    exported = (await ask("GET", "/sessions/export", by=BRETAGNE)).content
    await ask("PATCH", f"/sessions/{session['session_id']}", by=BRETAGNE, summary="Nouvelle")
    assert await faults(ask, exported) == [(2, "stale", "tag")]
    assert [item["summary"] for item in await stored(ask)] == ["Nouvelle"]
    without = exported.replace(b"Empreinte", b"Autre")
    assert await outcomes(ask, without) == ["changed"]


async def test_a_session_is_given_another_reference_by_its_id_and_is_found_by_it(
    an_empty_offer: str, ask: Ask
) -> None:
    session = await drafted(ask, an_empty_offer)
    content = f"Identifiant;Référence\n{session['session_id']};BRE-7\n"
    assert await outcomes(ask, content) == ["changed"]
    assert await outcomes(ask, content) == ["unchanged"]
    assert await outcomes(ask, "Référence;Lieu\nBRE-7;Brest\n") == ["changed"]
    other = await drafted(ask, an_empty_offer)
    taken = f"Identifiant;Référence\n{other['session_id']};BRE-7\n"
    assert await faults(ask, taken) == [(2, "reference_taken", "reference")]


async def test_two_lines_about_one_session_are_refused(an_empty_offer: str, ask: Ask) -> None:
    assert await faults(ask, sheet("BRE-1", "BRE-2", "BRE-1")) == [(4, "reference_twice", "reference")]
    await imported(ask, sheet("BRE-1", "BRE-2"))
    assert await faults(ask, sheet("BRE-1", "BRE-1")) == [(3, "session_twice", None)]
    (session_id,) = [item["session_id"] for item in await stored(ask) if item["reference"] == "BRE-1"]
    both = f"Identifiant;Référence;Lieu\n{session_id};;Brest\n;BRE-1;Vannes\n"
    assert await faults(ask, both) == [(3, "session_twice", None)]


async def test_what_another_delegation_has_is_not_there_for_a_line(an_empty_offer: str, ask: Ask) -> None:
    theirs = (await imported(ask, sheet("X-1"), by=CORSE)).json()["created"][0]
    unknown = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
    answers = [await imported(ask, f"Identifiant;Lieu\n{named};Brest\n") for named in (theirs, unknown)]
    bodies = [answer.text.replace(theirs, "").replace(unknown, "") for answer in answers]
    assert bodies[0] == bodies[1]
    assert answers[0].json()["faults"][0]["code"] == "unknown_session"
    assert await outcomes(ask, sheet("X-1")) == ["created"]
    assert await faults(
        ask, sheet("X-1").replace(b"Places", "Délégation".encode()).replace(b";5;", b";corse;")
    ) == [(2, "not_yours", "organiser")]
    assert [item["venue"] for item in await stored(ask, CORSE)] == ["Rennes"]
    # Who acts everywhere says which of the two is meant.
    assert await faults(ask, sheet("X-1"), by=ADMIN) == [(2, "invalid", "organiser")]
    meant = "Référence;Délégation;Lieu\nX-1;corse;Bastia\nX-1;bretagne;Brest\n"
    assert await outcomes(ask, meant, by=ADMIN) == ["changed", "changed"]
    assert [item["venue"] for item in await stored(ask, CORSE)] == ["Bastia"]


async def test_nobody_waits_for_a_session_of_others_nor_keeps_it_locked(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    theirs, ours = await published(ask, an_empty_offer, by=CORSE), await published(ask, an_empty_offer)
    path = f"/sessions/{theirs}"
    both = f"Identifiant;Lieu\n{theirs};Brest\n{ours};Brest\n"
    async with database.quiet_transaction() as tx, asyncio.timeout(20):
        await lock(tx, [UUID(theirs)])
        for tried in ("true", "false"):
            answer = (await imported(ask, both, dry_run=tried)).json()
            assert [(fault["line"], fault["code"]) for fault in answer["faults"]] == [(2, "unknown_session")]
        problem(await ask("PATCH", path, by=BRETAGNE, venue="Brest"), 404)
        problem(await ask("POST", f"{path}/cancel", by=BRETAGNE), 404)
        problem(await ask("DELETE", path, by=BRETAGNE), 404)
    # Who acts everywhere changes it.
    assert await outcomes(ask, both, by=ADMIN) == ["changed", "changed"]


async def test_that_a_change_was_of_anothers_session_stands_in_the_security_log(
    an_empty_offer: str, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = await published(ask, an_empty_offer, by=CORSE)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    for session_id in (theirs, UUID(int=0)):
        problem(await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Brest"), 404)
    events = [vars(line)["event"] for line in caplog.records if line.name == security_log.LOGGER]
    assert events.count("right") == 1


async def test_what_never_changes_of_a_session_is_refused_by_its_column(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    await an_offer(database, "autre", kind=Format.LOCAL_EVENT, closes_days_before=5)
    await imported(ask, sheet("BRE-1"))
    assert await faults(ask, sheet("BRE-1").replace(b";essai;", b";autre;")) == [
        (2, "offer_id_fixed", "offer_id")
    ]
    (session_id,) = [item["session_id"] for item in await stored(ask)]
    moved = f"Identifiant;Délégation\n{session_id};corse\n"
    assert await faults(ask, moved, by=ADMIN) == [(2, "organiser_fixed", "organiser")]


BAD_REFERENCES = ["=1+1", "+33", "-1", "@x", "BRE 1", "été", "A" * 65, "/a", ".a", "A;B", "a\tb", "A\u200b"]


@pytest.mark.parametrize("reference", BAD_REFERENCES)
async def test_a_reference_is_short_and_nothing_that_a_spreadsheet_runs(
    reference: str, an_empty_offer: str, ask: Ask
) -> None:
    answer = await imported(ask, sheet(f'"{reference}"'))
    assert [(fault["line"], fault["column"]) for fault in answer.json()["faults"]] == [(2, "reference")]
    assert await faults(ask, "Identifiant;Lieu\nrien;Brest\n") == [(2, "invalid", "session_id")]


async def test_a_new_session_needs_its_columns_also_in_a_file_that_names_sessions(
    an_empty_offer: str, ask: Ask
) -> None:
    found = await faults(ask, "Référence;Offre;Lieu\nBRE-1;essai;Brest\n")
    assert {line for line, _, _ in found} == {2}
    assert {column for _, _, column in found} == {"enrolment_opens_at", "starts_at", "ends_at"}
    missing = await faults(ask, "Offre;Lieu\nessai;Brest\n")
    assert {(line, code) for line, code, _ in missing} == {(1, "column_missing")}


async def test_a_reference_by_the_api_is_the_organisers_own(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer, reference="BRE-1")
    path = f"/sessions/{session_id}"
    seen = {by: (await ask("GET", path, by=by)).json()["reference"] for by in (BRETAGNE, ADMIN, CORSE, None)}
    assert seen == {BRETAGNE: "BRE-1", ADMIN: "BRE-1", CORSE: None, None: None}
    refused = await ask("POST", "/sessions", by=BRETAGNE, **await a_twin(ask, session_id))
    assert problem(refused, 409) == ["body.reference"]
    await drafted(ask, an_empty_offer, by=CORSE, reference="BRE-1")
    other = await drafted(ask, an_empty_offer, reference="BRE-2")
    assert problem(
        await ask("PATCH", f"/sessions/{other['session_id']}", by=BRETAGNE, reference="BRE-1"), 409
    )
    tag = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    without = await ask("PATCH", path, by=BRETAGNE, if_match=tag, reference=None)
    assert without.json()["reference"] is None
    assert problem(await ask("PATCH", path, by=BRETAGNE, if_match=tag, venue="Brest"), 412) == []
    assert (await ask("PATCH", f"/sessions/{other['session_id']}", by=BRETAGNE, reference="BRE-1")).is_success


async def a_twin(ask: Ask, session_id: str) -> dict[str, Any]:
    body = (await ask("GET", f"/sessions/{session_id}", by=BRETAGNE)).json()
    return {
        name: body[name] for name in ("offer_id", "reference", "starts_at", "ends_at", "enrolment_opens_at")
    }


# ------------------------------------------------------------------------------------------------ pages


def changes_in(page: str) -> list[tuple[str, str, str]]:
    """What the page says of each field that is changed: its name, before, after."""
    text = re.sub(r"<span[^>]*>[^<]*</span>", "", page)
    return re.findall(r"<dt>([^<]*)</dt>\s*<dd>\s*(\S*)\s*<strong>([^<]*)</strong>", text)


async def test_the_example_can_be_imported(an_empty_offer: str, ask: Ask, database: Database) -> None:
    await an_offer(database, "ia-et-territoires", kind=Format.LOCAL_EVENT, closes_days_before=5)
    assert await outcomes(ask, (FILES / "exemple-sessions.csv").read_bytes()) == ["created"] * 3
    assert await outcomes(ask, (FILES / "exemple-sessions.csv").read_bytes()) == ["unchanged"] * 3
