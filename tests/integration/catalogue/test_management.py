"""What organisers do by the API: not over each other, by the copy, by the sheet, and traceably."""

import asyncio
import base64
import csv
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.catalogue.service import occupancy
from shared.database import Database
from shared.events import Event
from shared.events.catalogue import ResourcePublished
from shared.events.enrolment import SessionOccupancyChanged
from tests.integration.catalogue.conftest import Ask, a_draft_of, in_days
from tests.integration.catalogue.test_api import ADMIN, BRETAGNE, CORSE, RENNES, drafted, problem, published

Told = Callable[..., Awaitable[list[Event]]]

# ----------------------------------------------------------------------------------- two changes at once


def decided(answer: httpx.Response) -> str:
    """What of a tag changes by decisions alone."""
    tag: str = answer.headers["etag"]
    return tag.strip('"').partition(".")[0]


async def filled(database: Database, session_id: str, enrolled: int) -> None:
    said = SessionOccupancyChanged(
        session_id=UUID(session_id), version=1, capacity=30, enrolled=enrolled, waiting=0, offered=0
    )
    async with database.transaction() as tx:
        await occupancy.record(tx, [said])


async def test_who_has_a_session_gets_304_until_anything_of_it_changes(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}"
    first = await ask("GET", path)
    assert first.headers["cache-control"] == "no-cache"
    again = await ask("GET", path, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    await filled(database, session_id, 18)
    fuller = await ask("GET", path, if_none_match=first.headers["etag"])
    assert (fuller.status_code, fuller.json()["occupancy"]["enrolled"]) == (200, 18)
    assert fuller.headers["etag"] != first.headers["etag"]


async def test_nobodys_change_is_refused_because_an_agent_enrolled_meanwhile(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    await filled(database, session_id, 18)
    assert (await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=12)).status_code == 200
    problem(await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=13), 412)


@pytest.mark.parametrize("path", ["/sessions", f"/sessions/{RENNES}", "/offers", "/resources"])
async def test_head_is_get_without_the_body(look: Ask, path: str) -> None:
    got, asked = await look("GET", path), await look("HEAD", path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == got.headers["content-length"]
    assert (await look("HEAD", f"/sessions/{UUID(int=0)}")).status_code == 404


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer)
    read = (await ask("GET", f"/sessions/{session_id}", by=BRETAGNE)).headers["etag"]
    path = f"/sessions/{session_id}"
    first = await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=12)
    second = await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=99)
    assert first.status_code == 200
    problem(second, 412)
    assert decided(second) == decided(first)
    assert decided(first) not in read
    assert (await ask("GET", path)).json()["capacity"] == 12
    again = await ask("PATCH", path, by=BRETAGNE, if_match=first.headers["etag"], capacity=99)
    assert again.json()["capacity"] == 99


async def test_of_many_changes_at_once_one_is_made(an_empty_offer: str, ask: Ask) -> None:
    draft = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of(an_empty_offer))
    path, tag = f"/sessions/{draft.json()['session_id']}", draft.headers["etag"]
    answers = await asyncio.gather(
        *(ask("PATCH", path, by=BRETAGNE, if_match=tag, capacity=40 + n) for n in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412, 412]


@pytest.mark.parametrize("action", ["publish", "cancel"])
async def test_a_decision_is_about_what_was_read(an_empty_offer: str, ask: Ask, action: str) -> None:
    made = drafted if action == "publish" else published
    session: Any = await made(ask, an_empty_offer)
    path = f"/sessions/{session if action == 'cancel' else session['session_id']}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    await ask("PATCH", path, by=ADMIN, summary="Ce que l'on y fera.")
    problem(await ask("POST", f"{path}/{action}", by=BRETAGNE, if_match=read), 412)
    now = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    assert now != read
    assert (await ask("POST", f"{path}/{action}", by=BRETAGNE, if_match=now)).status_code == 200


async def test_if_match_is_read_as_the_standard_says(an_empty_offer: str, ask: Ask) -> None:
    draft = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of(an_empty_offer))
    path, tag = f"/sessions/{draft.json()['session_id']}", draft.headers["etag"]
    for pattern, status in (
        ("*", 200),
        (tag, 200),
        (f'"{decided(draft)}"', 200),  # as a 412 gives it
        (f'"autre", {tag}', 200),
        (f"W/{tag}", 412),
        ('"autre"', 412),
        ("{", 412),
        ("", 412),
    ):
        # The same again, so that the tag stays.
        answer = await ask("PATCH", path, by=BRETAGNE, if_match=pattern, capacity=30)
        assert (answer.status_code, decided(answer)) == (status, decided(draft)), pattern


async def test_what_is_shown_of_a_session_can_change_and_is_told_to_no_service(
    an_empty_offer: str, ask: Ask, told: Told
) -> None:
    session_id = await published(ask, an_empty_offer)
    before = await told()
    shown = {"summary": "Une journée.", "experts": ["Une sociologue"]}
    answer = (await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, **shown)).json()
    assert (answer["summary"], answer["experts"], answer["version"]) == (
        "Une journée.",
        ["Une sociologue"],
        3,
    )
    cleared = (await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, summary=None, experts=[])).json()
    assert (cleared["summary"], cleared["experts"]) == (None, [])
    assert await told() == before


# ----------------------------------------------------------------------------------------- taking back


async def test_a_draft_is_deleted_and_the_audit_keeps_what_it_was(
    database: Database, an_empty_offer: str, ask: Ask, told: Told
) -> None:
    draft = await drafted(ask, an_empty_offer, title="Un essai", summary="Pour voir.")
    path = f"/sessions/{draft['session_id']}"
    answer = await ask("DELETE", path, by=BRETAGNE)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await ask("GET", path, by=BRETAGNE), 404)
    problem(await ask("DELETE", path, by=BRETAGNE), 404)
    async with database.quiet_transaction() as tx:
        query = text("SELECT actor, action, version, changes FROM audit_log WHERE subject = :id ORDER BY id")
        created, deleted = (await tx.execute(query, {"id": UUID(draft["session_id"])})).all()
    assert (created.action, deleted.action, deleted.actor, deleted.version) == (
        "created",
        "deleted",
        BRETAGNE,
        1,
    )
    assert deleted.changes == {name: value[::-1] for name, value in created.changes.items()}
    assert deleted.changes["title"] == ["Un essai", None]
    assert await told() == []


async def test_a_draft_of_others_is_not_there_to_delete(an_empty_offer: str, ask: Ask) -> None:
    path = f"/sessions/{(await drafted(ask, an_empty_offer))['session_id']}"
    problem(await ask("DELETE", path, by=CORSE), 404)
    problem(await ask("DELETE", path), 401)
    assert (await ask("GET", path, by=BRETAGNE)).status_code == 200
    assert (await ask("DELETE", path, by=ADMIN)).status_code == 204


async def test_what_was_published_is_not_deleted_not_even_once_cancelled(
    an_empty_offer: str, ask: Ask, told: Told
) -> None:
    path = f"/sessions/{await published(ask, an_empty_offer)}"
    for cancelled in (False, True):
        if cancelled:
            await ask("POST", f"{path}/cancel", by=BRETAGNE)
        before = await told()
        answer = await ask("DELETE", path, by=BRETAGNE)
        problem(answer, 409)
        assert answer.json()["errors"][0]["code"] == "announced"
        assert await told() == before
    assert (await ask("GET", path)).json()["status"] == "cancelled"


async def test_a_draft_that_changed_since_it_was_read_is_not_deleted(an_empty_offer: str, ask: Ask) -> None:
    draft = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of(an_empty_offer))
    path, read = f"/sessions/{draft.json()['session_id']}", draft.headers["etag"]
    now = (await ask("PATCH", path, by=ADMIN, capacity=12)).headers["etag"]
    problem(await ask("DELETE", path, by=BRETAGNE, if_match=read), 412)
    assert (await ask("DELETE", path, by=BRETAGNE, if_match=now)).status_code == 204


# ------------------------------------------------------------------------------------------- the copy


async def test_a_copy_has_all_of_a_session_but_its_time_and_its_history(
    an_empty_offer: str, ask: Ask, told: Told
) -> None:
    plan = a_draft_of(
        an_empty_offer,
        starts_at="2027-03-22T08:00:00Z",
        ends_at="2027-03-22T15:00:00Z",
        enrolment_opens_at="2027-02-01T08:00:00Z",
        modules=[{"title": "Matin", "starts_at": "2027-03-22T08:00:00Z", "ends_at": "2027-03-22T11:00:00Z"}],
        reserved_seats=[{"delegation": "bretagne", "seats": 5, "release_at": "2027-03-01T23:00:00Z"}],
        quota_per_authority=2,
        summary="Une journée.",
        capacity=40,
    )
    first = (await ask("POST", "/sessions", by=BRETAGNE, **plan)).json()
    before = await told()
    answer = await ask(
        "POST", f"/sessions/{first['session_id']}/duplicate", by=BRETAGNE, starts_at="2027-04-05T07:00:00Z"
    )
    copy = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/sessions/{copy['session_id']}"
    assert copy["session_id"] != first["session_id"]
    # 14 days later at the same hour in Paris, on the other side of the clock change of 28 March 2027.
    assert copy["ends_at"] == "2027-04-05T14:00:00Z"
    assert copy["modules"][0]["ends_at"] == "2027-04-05T10:00:00Z"
    assert copy["reserved_seats"][0]["release_at"] == "2027-03-15T23:00:00Z"
    same = ("title", "capacity", "quota_per_authority", "summary", "venue", "waiting_list", "organiser")
    assert [copy[name] for name in same] == [first[name] for name in same]
    assert (copy["status"], copy["version"]) == ("draft", 1)
    assert await told() == before


async def test_what_belongs_to_another_is_neither_copied_nor_looked_into(
    an_empty_offer: str, ask: Ask
) -> None:
    session_id = await published(ask, an_empty_offer)
    copy = await ask("POST", f"/sessions/{session_id}/duplicate", by=CORSE, starts_at="2027-04-05T07:00:00Z")
    problem(copy, 404)
    problem(await ask("GET", f"/sessions/{session_id}/history", by=CORSE), 404)
    problem(await ask("GET", f"/sessions/{session_id}/history"), 401)


async def test_the_history_says_who_changed_what_the_newest_first(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer)
    await ask("PATCH", f"/sessions/{session_id}", by=ADMIN, capacity=12, summary="Une journée.")
    path = f"/sessions/{session_id}/history"
    first = (await ask("GET", path, by=BRETAGNE, limit=2)).json()
    rest = (await ask("GET", path, by=BRETAGNE, limit=2, cursor=first["next"])).json()
    lines = first["items"] + rest["items"]
    assert [(line["actor"], line["action"]) for line in lines] == [
        (ADMIN, "changed"),
        (BRETAGNE, "published"),
        (BRETAGNE, "created"),
    ]
    assert lines[0]["changes"] == {"capacity": [30, 12], "summary": [None, "Une journée."]}
    assert rest["next"] is None


# -------------------------------------------------------------------------------------------- resources

DOSSIER = {"kind": "dossier", "title": "L'IA à l'école", "url": "https://ressources.example.org/ecole"}


async def test_a_dossier_is_open_to_everyone_and_told_once(an_empty_offer: str, ask: Ask, told: Told) -> None:
    first = await ask("POST", "/resources", by=BRETAGNE, themes=["enjeux-ia"], **DOSSIER)
    again = await ask("POST", "/resources", by=BRETAGNE, themes=["enjeux-ia"], **DOSSIER)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    (event,) = await told()
    assert isinstance(event, ResourcePublished)
    assert (await ask("GET", "/resources", kind="dossier")).json()["items"] == [first.json()]
    problem(await ask("POST", "/resources", by=BRETAGNE, **DOSSIER), 409)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"themes": ["inconnu"]}, "body.themes"),
        ({"kind": "replay"}, "body.kind"),
        ({"url": "javascript:alert(1)"}, "body.url"),
        ({"session_id": str(UUID(int=1))}, "body.session_id"),
    ],
)
async def test_a_resource_that_is_not_valid_is_refused_by_field(
    look: Ask, changes: dict[str, Any], field: str
) -> None:
    assert problem(await look("POST", "/resources", by=BRETAGNE, **DOSSIER | changes), 422) == [field]


# ----------------------------------------------------------------------------------------------- sheets

HEADER = "Offre;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\r\n"
GOOD = "essai;Un {n};2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;{n};Rennes\r\n"


def sheet(*lines: str) -> bytes:
    return (HEADER + "".join(lines)).encode()


async def test_each_line_of_a_sheet_becomes_a_draft(an_empty_offer: str, ask: Ask, told: Told) -> None:
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
    assert await told() == []
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
    expected = [(3 + 2 * place, column) for place, (_, column) in enumerate(FAULTY)]
    assert [(fault["line"], fault["column"]) for fault in faults] == expected
    assert all(fault["message"] and fault["code"] for fault in faults)
    assert answer.json()["created"] == []
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM session")) == 0


async def test_a_sheet_of_ten_thousand_lines_is_read_to_its_end(an_empty_offer: str, ask: Ask) -> None:
    lines = [GOOD.format(n=n if n % 1_000 else -1) for n in range(1, 10_001)]
    answer = await ask("POST", "/sessions/import", by=BRETAGNE, content=sheet(*lines), dry_run="true")
    assert (answer.status_code, answer.json()["rows"]) == (200, 10_000)
    assert [fault["line"] for fault in answer.json()["faults"]] == [
        1 + n for n in range(1_000, 10_001, 1_000)
    ]


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
    await drafted(ask, an_empty_offer, title='=HYPERLINK("x")', capacity=None, summary="Deux\nlignes")
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
    assert rows[0]["Places"] == "illimité"
    problem(await ask("GET", "/sessions/export"), 401)

    again = await ask("POST", "/sessions/import", by=ADMIN, content=every.content)
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


@pytest.mark.parametrize("line", [0, -1, 2**63, 10**30, 1.5, "x"])
async def test_a_cursor_of_the_history_that_we_did_not_make_is_refused(look: Ask, line: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(line).encode()).decode().rstrip("=")
    problem(await look("GET", f"/sessions/{RENNES}/history", by=BRETAGNE, cursor=cursor), 422)
