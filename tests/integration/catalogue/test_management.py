"""What organisers do by the API: not over each other, by the copy, by the sheet, and traceably."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.catalogue.service import occupancy
from shared.database import Database
from shared.events.enrolment import SessionOccupancyChanged
from tests.conftest import Ask
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    RENNES,
    EventsOf,
    a_draft_of,
    drafted,
    problem,
    published,
)

# ----------------------------------------------------------------------------------- two changes at once


def decided(answer: httpx.Response) -> str:
    """What of a tag changes by decisions alone."""
    tag: str = answer.headers["etag"]
    return tag.strip('"').partition(".")[0]


async def filled(database: Database, session_id: str, enrolled: int) -> None:
    event = SessionOccupancyChanged(
        session_id=UUID(session_id), version=1, capacity=30, enrolled=enrolled, waiting=0, offered=0
    )
    async with database.transaction() as tx:
        await occupancy.record(tx, [event])


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


async def test_a_published_session_is_changed_ten_times_an_hour_and_a_draft_as_often_as_one_likes(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    draft = (await drafted(ask, an_empty_offer))["session_id"]
    session_id = await published(ask, an_empty_offer)

    async def changed(session_id: str, number: int) -> httpx.Response:
        return await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue=f"Salle {number}")

    assert [(await changed(draft, number)).status_code for number in range(11)] == [200] * 11
    assert [(await changed(session_id, number)).status_code for number in range(10)] == [200] * 10
    before = await events_of(session_id)
    refused = await changed(session_id, 11)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "changed_too_often")
    assert await events_of(session_id) == before
    # What changes nothing, or is on the page alone, is no letter.
    assert (await changed(session_id, 9)).status_code == 200
    assert (await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, summary="Voici.")).status_code == 200


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
    got, head = await look("GET", path), await look("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
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


@pytest.mark.parametrize(
    ("made", "method", "action"),
    [(drafted, "POST", "/publish"), (published, "POST", "/cancel"), (drafted, "DELETE", "")],
    ids=["publish", "cancel", "delete"],
)
async def test_a_decision_is_about_what_was_read(
    an_empty_offer: str, ask: Ask, made: Callable[..., Awaitable[Any]], method: str, action: str
) -> None:
    session = await made(ask, an_empty_offer)
    path = f"/sessions/{session if made is published else session['session_id']}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    now = (await ask("PATCH", path, by=ADMIN, summary="Ce que l'on y fera.")).headers["etag"]
    assert now != read
    problem(await ask(method, path + action, by=BRETAGNE, if_match=read), 412)
    assert (await ask(method, path + action, by=BRETAGNE, if_match=now)).is_success


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
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
    before = await events_of()
    shown = {"summary": "Une journée.", "experts": ["Une sociologue"]}
    answer = (await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, **shown)).json()
    assert (answer["summary"], answer["experts"], answer["version"]) == (
        "Une journée.",
        ["Une sociologue"],
        3,
    )
    cleared = (await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, summary=None, experts=[])).json()
    assert (cleared["summary"], cleared["experts"]) == (None, [])
    assert await events_of() == before


# ----------------------------------------------------------------------------------------- taking back


async def test_a_draft_is_deleted_and_the_audit_keeps_what_it_was(
    database: Database, an_empty_offer: str, ask: Ask, events_of: EventsOf
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
    assert await events_of() == []


async def test_a_draft_of_others_is_not_there_to_delete(an_empty_offer: str, ask: Ask) -> None:
    path = f"/sessions/{(await drafted(ask, an_empty_offer))['session_id']}"
    problem(await ask("DELETE", path, by=CORSE), 404)
    problem(await ask("DELETE", path), 401)
    assert (await ask("GET", path, by=BRETAGNE)).status_code == 200
    assert (await ask("DELETE", path, by=ADMIN)).status_code == 204


async def test_what_was_published_is_not_deleted_not_even_once_cancelled(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    path = f"/sessions/{await published(ask, an_empty_offer)}"
    for cancelled in (False, True):
        if cancelled:
            await ask("POST", f"{path}/cancel", by=BRETAGNE)
        before = await events_of()
        answer = await ask("DELETE", path, by=BRETAGNE)
        problem(answer, 409)
        assert answer.json()["errors"][0]["code"] == "announced"
        assert await events_of() == before
    assert (await ask("GET", path)).json()["status"] == "cancelled"


# ------------------------------------------------------------------------------------------- the copy


async def test_a_copy_has_all_of_a_session_but_its_time_and_its_history(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    plan = a_draft_of(
        an_empty_offer,
        starts_at="2027-03-22T08:00:00Z",
        ends_at="2027-03-22T15:00:00Z",
        enrolment_opens_at="2027-02-01T08:00:00Z",
        modules=[{"title": "Matin", "starts_at": "2027-03-22T08:00:00Z", "ends_at": "2027-03-22T11:00:00Z"}],
        reserved_seats=[{"delegation": "bretagne", "seats": 5, "release_at": "2027-03-01T23:00:00Z"}],
        quota_per_authority=2,
        minimum=12,
        summary="Une journée.",
        capacity=40,
    )
    first = (await ask("POST", "/sessions", by=BRETAGNE, **plan)).json()
    before = await events_of()
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
    same = (
        "title",
        "capacity",
        "minimum",
        "quota_per_authority",
        "summary",
        "venue",
        "waiting_list",
        "organiser",
    )
    assert [copy[name] for name in same] == [first[name] for name in same]
    assert (copy["status"], copy["version"]) == ("draft", 1)
    assert await events_of() == before


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
    await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    path = f"/sessions/{session_id}/history"
    first = (await ask("GET", path, by=BRETAGNE, limit=2)).json()
    rest = (await ask("GET", path, by=BRETAGNE, limit=2, cursor=first["next"])).json()
    lines = first["items"] + rest["items"]
    assert [(line["actor"], line["action"]) for line in lines] == [
        (BRETAGNE, "cancelled"),
        (ADMIN, "changed"),
        (BRETAGNE, "published"),
        (BRETAGNE, "created"),
    ]
    assert lines[0]["changes"] == {"status": ["published", "cancelled"]}
    assert lines[1]["changes"] == {"capacity": [30, 12], "summary": [None, "Une journée."]}
    assert rest["next"] is None


@pytest.mark.parametrize("line", [0, -1, 2**63, 10**30, 1.5, "x"])
async def test_a_cursor_of_the_history_that_we_did_not_make_is_refused(look: Ask, line: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(line).encode()).decode().rstrip("=")
    problem(await look("GET", f"/sessions/{RENNES}/history", by=BRETAGNE, cursor=cursor), 422)
