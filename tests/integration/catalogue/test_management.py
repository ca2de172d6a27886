"""Organisers who change the same session do not overwrite each other; drafts are deleted, sessions copied."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    RENNES,
    EventsOf,
    a_draft_of,
    audited,
    change,
    drafted,
    problem,
    published,
    seats_taken,
    shown,
)

# ----------------------------------------------------------------------------------- two changes at once


def decided(answer: httpx.Response) -> str:
    """The part of a tag that only decisions change."""
    tag: str = answer.headers["etag"]
    return tag.strip('"').partition(".")[0]


async def test_how_full_a_session_is_changes_its_tag_and_keeps_nobody_from_changing_it(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/sessions/{session_id}"
    first = await ask("GET", path, by=BRETAGNE)
    read = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = await ask("GET", path, by=BRETAGNE, if_none_match=read)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", read)
    await seats_taken(database, session_id, 18)
    fuller = await ask("GET", path, by=BRETAGNE, if_none_match=read)
    assert (fuller.status_code, fuller.json()["occupancy"]["enrolled"]) == (200, 18)
    assert fuller.headers["etag"] != read
    assert (await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=12)).status_code == 200


async def test_a_colleagues_change_is_not_overwritten(an_empty_offer: str, ask: Ask) -> None:
    path = f"/sessions/{await published(ask, an_empty_offer)}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    first = await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=12)
    second = await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=99)
    problem(second, 412)
    assert decided(second) == decided(first)
    assert (await shown(ask, path))["capacity"] == 12
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
async def test_a_decision_is_about_the_version_that_was_read(
    an_empty_offer: str, ask: Ask, made: Callable[..., Awaitable[Any]], method: str, action: str
) -> None:
    session = await made(ask, an_empty_offer)
    path = f"/sessions/{session if made is published else session['session_id']}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    now = (await ask("PATCH", path, by=ADMIN, summary="Une journée.")).headers["etag"]
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


@pytest.mark.parametrize("path", ["/sessions", f"/sessions/{RENNES}", "/offers", "/resources"])
async def test_head_is_get_without_the_body(look: Ask, path: str) -> None:
    got, head = await look("GET", path), await look("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_a_published_session_is_changed_ten_times_an_hour_and_a_draft_without_limit(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    draft = (await drafted(ask, an_empty_offer))["session_id"]
    session_id = await published(ask, an_empty_offer)
    for number in range(11):
        await change(ask, draft, venue=f"Salle {number}")
    for number in range(10):
        await change(ask, session_id, venue=f"Salle {number}")
    before = await events_of(session_id)
    refused = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Salle 11")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "changed_too_often")
    assert await events_of(session_id) == before
    for without_letter in ({"venue": "Salle 9"}, {"summary": "Une journée."}):
        await change(ask, session_id, **without_letter)


async def test_the_presentation_of_a_session_changes_without_an_event(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
    before = await events_of()
    for summary, experts in (("Une journée.", ["Une sociologue"]), (None, [])):
        session = await change(ask, session_id, summary=summary, experts=experts)
        assert (session["summary"], session["experts"], session["version"]) == (summary, experts, 3)
    assert await events_of() == before


# ------------------------------------------------------------------------------------------- deleted


async def test_a_draft_is_deleted_and_its_history_keeps_what_it_was(
    database: Database, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    draft = await drafted(ask, an_empty_offer, title="Un essai", summary="Pour voir.")
    path = f"/sessions/{draft['session_id']}"
    problem(await ask("DELETE", path, by=CORSE), 404)
    assert (await ask("DELETE", path, by=BRETAGNE)).status_code == 204
    problem(await ask("GET", path, by=BRETAGNE), 404)
    problem(await ask("DELETE", path, by=BRETAGNE), 404)
    created, deleted = await audited(database, draft["session_id"])
    emptied = {name: value[::-1] for name, value in created[3].items()}
    assert deleted == (BRETAGNE, "deleted", 1, emptied)
    assert await events_of() == []


async def test_a_published_session_is_not_deleted_not_even_once_cancelled(
    an_empty_offer: str, ask: Ask
) -> None:
    path = f"/sessions/{await published(ask, an_empty_offer)}"
    problem(await ask("DELETE", path, by=BRETAGNE), 409)
    await ask("POST", f"{path}/cancel", by=BRETAGNE)
    problem(await ask("DELETE", path, by=BRETAGNE), 409)
    assert (await shown(ask, path))["status"] == "cancelled"


# ------------------------------------------------------------------------------------------- the copy


async def test_a_copy_has_all_of_a_session_but_its_time_and_its_history(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    dates = {"starts_at": "2027-03-22T08:00:00Z", "ends_at": "2027-03-22T15:00:00Z"}
    first = await drafted(
        ask,
        an_empty_offer,
        **dates,
        enrolment_opens_at="2027-02-01T08:00:00Z",
        modules=[{"title": "Matin", **dates}],
        reserved_seats=[{"delegation": "bretagne", "seats": 5, "release_at": "2027-03-01T23:00:00Z"}],
        quota_per_authority=2,
        minimum=12,
        summary="Une journée.",
        trainers=[{"name": "Zoé Durand", "email": "zoe.durand@exemple.fr"}],
    )
    later = {"starts_at": "2027-04-05T07:00:00Z"}
    answer = await ask("POST", f"/sessions/{first['session_id']}/duplicate", by=BRETAGNE, **later)
    copy = answer.json()
    assert answer.headers["location"] == f"/api/v1/sessions/{copy['session_id']}"
    # 14 days later at the same hour in Paris, on the other side of the clock change of 28 March 2027.
    moved = later | {"ends_at": "2027-04-05T14:00:00Z"}
    assert copy == first | moved | {
        "session_id": copy["session_id"],
        "enrolment_opens_at": copy["enrolment_opens_at"],
        "enrolment_closes_at": copy["enrolment_closes_at"],
        "modules": [{"title": "Matin", **moved}],
        "reserved_seats": [first["reserved_seats"][0] | {"release_at": "2027-03-15T23:00:00Z"}],
        "trainer_ids": copy["trainer_ids"],
        "trainers": [first["trainers"][0] | {"trainer_id": copy["trainers"][0]["trainer_id"]}],
    }
    assert copy["session_id"] != first["session_id"]
    assert copy["trainers"][0]["trainer_id"] != first["trainers"][0]["trainer_id"]
    assert await events_of() == []


# ---------------------------------------------------------------------------------------- the history


async def test_the_history_has_each_change_the_newest_first(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer)
    await change(ask, session_id, by=ADMIN, capacity=12, summary="Une journée.")
    path = f"/sessions/{session_id}/history"
    first = await shown(ask, path, by=BRETAGNE, limit=2)
    rest = await shown(ask, path, by=BRETAGNE, limit=2, cursor=first["next"])
    lines = first["items"] + rest["items"]
    assert [(line["actor"], line["action"]) for line in lines] == [
        (ADMIN, "changed"),
        (BRETAGNE, "published"),
        (BRETAGNE, "created"),
    ]
    assert lines[0]["changes"] == {"capacity": [30, 12], "summary": [None, "Une journée."]}
    assert rest["next"] is None


@pytest.mark.parametrize("line", [0, 2**63, 1.5, "x"])
async def test_a_cursor_of_the_history_that_we_did_not_make_is_refused(look: Ask, line: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(line).encode()).decode().rstrip("=")
    problem(await look("GET", f"/sessions/{RENNES}/history", by=BRETAGNE, cursor=cursor), 422)
