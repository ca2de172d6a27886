"""Sessions by the JSON API: reading, access, the effect of each command, and changes at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from services.catalogue import api
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.service import sessions
from services.catalogue.store import session_lists
from shared import clock
from shared.auth import Tokens
from shared.database import Database
from shared.events.catalogue import (
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
    SessionState,
)
from shared.rates import Rate
from tests.conftest import Ask
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    PORTAL,
    RENNES,
    EventsOf,
    a_draft_of,
    audited,
    change,
    drafted,
    kinds,
    listed,
    problem,
    published,
    seats_taken,
    shown,
)
from tests.support.guards import a_guard

AN_OFFER = "ia-et-territoires"


# ---------------------------------------------------------------------------------------------- reading


async def test_a_session_is_shown_with_the_whole_state_of_the_contract(look: Ask) -> None:
    session = await shown(look, f"/sessions/{RENNES}")
    state = SessionState.model_validate(session)
    assert set(SessionState.model_fields) | {"occupancy"} <= set(session)
    assert (state.organiser, state.capacity, state.status) == ("bretagne", 120, "published")
    problem(await look("GET", f"/sessions/{uuid4()}"), 404)


@pytest.mark.parametrize(
    ("path", "field", "newest_first"),
    [("/sessions", "starts_at", False), ("/offers", "offer_id", False), ("/resources", "published_at", True)],
    ids=["sessions", "offers", "resources"],
)
async def test_the_pages_of_a_list_hold_everything_once_in_order(
    look: Ask, path: str, field: str, *, newest_first: bool
) -> None:
    whole = await listed(look, path, limit=200)
    order = [item[field] for item in whole]
    assert order == sorted(order, reverse=newest_first)
    page = await shown(look, path, limit=5)
    items = page["items"]
    while page["next"] is not None:
        page = await shown(look, path, limit=5, cursor=page["next"])
        assert len(page["items"]) <= 5
        items += page["items"]
    assert items == whole


FILTERS = [
    ("format", "webinar", "format"),
    ("delegation", "mayotte", "organiser"),
    ("offer_id", "mooc-fondamentaux-ia", "offer_id"),
    *(("enrolment", window, "enrolment") for window in ("open", "closed", "not_yet_open")),
    ("status", "published", "status"),
]


async def test_a_filter_keeps_exactly_what_it_says(look: Ask) -> None:
    whole = await listed(look, limit=200)
    for name, value, field in FILTERS:
        kept = await listed(look, limit=200, **{name: value})
        assert kept == [item for item in whole if item[field] == value] != [], (name, value)


async def test_sessions_are_bounded_by_their_start_and_resources_filtered(look: Ask) -> None:
    whole, resources = await listed(look, limit=200), await listed(look, "/resources")
    first, last = whole[3]["starts_at"], whole[10]["starts_at"]
    kept = await listed(look, limit=200, starts_after=first, starts_before=last)
    assert kept == [item for item in whole if first <= item["starts_at"] < last]
    for name, value in (("kind", "replay"), ("theme", "transition-ecologique")):
        found = [item for item in resources if value in (item["kind"], *item["themes"])]
        assert await listed(look, "/resources", **{name: value}) == found != []


WRONG_QUERIES: list[tuple[str, str, object]] = [
    ("/sessions", "delegation", "atlantide"),
    ("/sessions", "limit", 201),
    ("/sessions", "cursor", "abc"),
    ("/sessions", "cursor", "W10"),
    ("/sessions", "cursor", "é"),
    ("/sessions", "starts_after", "0001-01-01T00:00:00+14:00"),
    ("/sessions", "couleur", "bleu"),
    ("/sessions", "offer_id", "a\0b"),
    ("/offers", "cursor", "IjEi!"),
]


async def test_a_query_that_is_not_valid_is_refused(look: Ask) -> None:
    for path, name, value in WRONG_QUERIES:
        assert problem(await look("GET", path, **{name: value}), 422), (name, value)


# ---------------------------------------------------------------------------------------------- access


async def test_a_draft_is_seen_by_its_delegation_and_by_admins_alone(draft_id: str, ask: Ask) -> None:
    for by, seen in ((None, False), (PORTAL, False), (CORSE, False), (BRETAGNE, True), (ADMIN, True)):
        assert (await ask("GET", f"/sessions/{draft_id}", by=by)).status_code == (200 if seen else 404)
        assert [len(await listed(ask, by=by)), len(await listed(ask, by=by, status="draft"))] == [seen] * 2


async def test_a_bespoke_session_is_never_shown_to_the_public(a_bespoke_offer: str, ask: Ask) -> None:
    session_id = await published(ask, a_bespoke_offer, audience={"sirets": ["21350238800019"]})
    problem(await ask("GET", f"/sessions/{session_id}"), 404)
    assert [len(await listed(ask, format="bespoke", by=by)) for by in (None, BRETAGNE)] == [0, 1]


MANAGEMENT: list[tuple[str, str]] = [
    ("PATCH", f"/sessions/{RENNES}"),
    ("POST", f"/sessions/{RENNES}/publish"),
    ("POST", f"/sessions/{RENNES}/cancel"),
    ("POST", f"/sessions/{RENNES}/duplicate"),
    ("GET", f"/sessions/{RENNES}/history"),
    ("DELETE", f"/sessions/{RENNES}"),
]


async def test_managing_needs_a_token_of_the_right_role(look: Ask) -> None:
    problem(await look("GET", "/sessions", by="nobody"), 401)  # where none is needed
    for method, path in (*MANAGEMENT, ("POST", "/sessions"), ("POST", "/replays")):
        unknown = await look(method, path)
        problem(unknown, 401)
        assert unknown.headers["www-authenticate"] == "Bearer", (method, path)
        problem(await look(method, path, by="nobody"), 401)
        problem(await look(method, path, by=PORTAL), 403)


async def test_a_session_of_another_delegation_does_not_exist(look: Ask) -> None:
    for method, path in MANAGEMENT:
        fields = {"starts_at": "2027-04-05T07:00:00Z"} if "duplicate" in path else {}
        problem(await look(method, path, by=CORSE, **fields), 404)


async def test_an_organiser_drafts_for_their_delegation_and_an_admin_says_for_which(
    an_empty_offer: str, ask: Ask
) -> None:
    theirs = a_draft_of(an_empty_offer, organiser="bretagne")
    problem(await ask("POST", "/sessions", by=CORSE, **theirs), 403)
    assert problem(await ask("POST", "/sessions", by=ADMIN, **a_draft_of(an_empty_offer)), 422) == [
        "body.organiser"
    ]
    assert (await ask("POST", "/sessions", by=ADMIN, **theirs)).json()["organiser"] == "bretagne"


# ----------------------------------------------------------------------------------------------- drafts


WRONG_DRAFTS: list[tuple[dict[str, Any], str]] = [
    ({"ends_at": "2027-01-01T00:00:00Z", "starts_at": "2027-01-01T01:00:00Z"}, "body.ends_at"),
    ({"enrolment_closes_at": "2099-01-01T00:00:00Z"}, "body.enrolment_closes_at"),
    ({"capacity": -1}, "body.capacity"),
    ({"capacity": 10**12}, "body.capacity"),
    ({"quota_per_authority": 0}, "body.quota_per_authority"),
    ({"minimum": 0}, "body.minimum"),
    ({"minimum": 10**12}, "body.minimum"),
    ({"minimum": 13, "capacity": 12}, "body.minimum"),
    ({"offer_id": "inconnue"}, "body.offer_id"),
    ({"organiser": "atlantide"}, "body.organiser"),
    ({"timezone": "Europe/Atlantide"}, "body.timezone"),
    ({"title": "Deux\nlignes"}, "body.title"),
    ({"title": None}, "body.title"),
    ({"starts_at": "2027-01-01T00:00:00"}, "body.starts_at"),
    ({"starts_at": "9999-12-31T23:59:59-14:00"}, "body.starts_at"),
    ({"join_url": "javascript:alert(1)"}, "body.join_url"),
    ({"couleur": "bleu"}, "body.couleur"),
    ({"audience": {"sirets": ["21350238800018"]}}, "body.audience.sirets.0"),
    ({"audience": {"delegations": ["atlantide"]}}, "body.audience.delegations.0"),
    ({"questions": [{"kind": "adjustment", "required": True}]}, "body.questions.0.required"),
    (
        {"questions": [{"kind": "number", "label": f"Combien de {n} ?"} for n in "abcdefghijk"]},
        "body.questions",
    ),
    ({"prerequisite": {"offer_id": "rien"}}, "body.prerequisite"),
    ({"prerequisite": {"offer_id": AN_OFFER}}, "body.prerequisite"),
]


async def test_a_draft_that_is_not_valid_is_refused_by_field(look: Ask) -> None:
    for changes, field in WRONG_DRAFTS:
        answer = await look("POST", "/sessions", by=BRETAGNE, **a_draft_of(AN_OFFER) | changes)
        assert field in problem(answer, 422), changes


# ------------------------------------------------------------------------- publish, change, cancel


async def test_a_published_session_is_announced_and_so_is_each_change_that_matters_elsewhere(
    session_id: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    session = await shown(ask, f"/sessions/{session_id}")
    assert (session["status"], session["enrolment"], session["version"]) == ("published", "open", 3)
    shown_alone: dict[str, Any] = {"summary": "Une journée.", "experts": ["Une sociologue"]}
    right = shown_alone | {"capacity": None, "venue": "Brest"}
    for _ in range(2):  # the same again changes nothing
        assert await change(ask, session_id, **right) == session | right | {"version": 4}
    await change(ask, session_id, summary=None, experts=[])
    scheduled, opened, changed = await events_of(session_id)
    assert kinds([scheduled, opened]) == [SessionScheduled, SessionOpened]
    assert isinstance(changed, SessionChanged)
    assert (changed.version, changed.capacity, changed.venue) == (4, None, "Brest")
    actions = [action for _, action, _, _ in await audited(database, session_id)]
    assert actions == ["created", "published", "changed", "changed"]


async def test_a_cancellation_is_announced_with_its_reason_and_final(
    session_id: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    path = f"/sessions/{session_id}"
    too_long = await ask("POST", f"{path}/cancel", by=BRETAGNE, reason="x" * 501)
    assert problem(too_long, 422) == ["body.reason"]
    answer = await ask("POST", f"{path}/cancel", by=BRETAGNE, reason=" Salle fermée. ")
    assert answer.status_code == 200
    session = await shown(ask, path)
    assert (session["status"], session["cancellation_reason"]) == ("cancelled", "Salle fermée.")
    cancelled = (await events_of(session_id))[-1]
    assert isinstance(cancelled, SessionCancelled)
    assert cancelled.cancellation_reason == "Salle fermée."
    changes = {"status": ["published", "cancelled"], "cancellation_reason": [None, "Salle fermée."]}
    assert (await audited(database, session_id))[-1] == (BRETAGNE, "cancelled", 4, changes)
    for method, end in (("POST", "/cancel"), ("POST", "/publish"), ("PATCH", ""), ("DELETE", "")):
        problem(await ask(method, path + end, by=BRETAGNE, **({"venue": "Brest"} if end == "" else {})), 409)
    assert await listed(ask, enrolment="open") == []


async def test_questions_and_the_required_offer_are_public_published_and_copied(
    an_empty_offer: str, a_bespoke_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    choice = {"question_id": "repas", "kind": "choice", "label": "Quel repas ?", "choices": ["a", "b"]}
    required = {"offer_id": a_bespoke_offer, "title": "Un autre titre"}
    given: dict[str, Any] = {"questions": [{"kind": "adjustment"}, choice], "prerequisite": required}
    session_id = await published(ask, an_empty_offer, **given)
    session = await shown(ask, f"/sessions/{session_id}")
    asked = [(question["question_id"], question["kept_days"]) for question in session["questions"]]
    assert asked == [("amenagement", 30), ("repas", 30)]
    assert session["prerequisite"] == {"offer_id": a_bespoke_offer, "title": "Un essai"}
    later = {"starts_at": "2027-06-01T08:00:00Z"}
    copied = await ask("POST", f"/sessions/{session_id}/duplicate", by=BRETAGNE, **later)
    newest = (await events_of(session_id))[-1].model_dump(mode="json")
    for same in (newest, copied.json()):
        assert (same["questions"], same["prerequisite"]) == (session["questions"], session["prerequisite"])
    assert (await change(ask, session_id, prerequisite=None))["prerequisite"] is None


# ----------------------------------------------------------------------------------- two changes at once


def decided(answer: httpx.Response) -> str:
    """The part of a tag that only decisions change."""
    tag: str = answer.headers["etag"]
    return tag.strip('"').partition(".")[0]


async def test_how_full_a_session_is_changes_its_tag_and_keeps_nobody_from_changing_it(
    session_id: str, ask: Ask, database: Database
) -> None:
    path = f"/sessions/{session_id}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    again = await ask("GET", path, by=BRETAGNE, if_none_match=read)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", read)
    await seats_taken(database, session_id, 18)
    fuller = await ask("GET", path, by=BRETAGNE, if_none_match=read)
    assert (fuller.status_code, fuller.json()["occupancy"]["enrolled"]) == (200, 18)
    assert (await ask("PATCH", path, by=BRETAGNE, if_match=read, capacity=12)).status_code == 200


async def test_of_many_changes_at_once_one_is_made(draft_id: str, ask: Ask) -> None:
    path = f"/sessions/{draft_id}"
    tag = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    changes = (ask("PATCH", path, by=BRETAGNE, if_match=tag, capacity=40 + n) for n in range(4))
    assert sorted(answer.status_code for answer in await asyncio.gather(*changes)) == [200] + [412] * 3


@pytest.mark.parametrize(
    ("made", "method", "action"),
    [
        (drafted, "POST", "/publish"),
        (published, "POST", "/cancel"),
        (published, "PATCH", ""),
        (drafted, "DELETE", ""),
    ],
    ids=["publish", "cancel", "change", "delete"],
)
async def test_a_decision_is_about_the_version_that_was_read(
    an_empty_offer: str, ask: Ask, made: Callable[..., Awaitable[Any]], method: str, action: str
) -> None:
    session = await made(ask, an_empty_offer)
    path = f"/sessions/{session if made is published else session['session_id']}"
    read = (await ask("GET", path, by=BRETAGNE)).headers["etag"]
    now = await ask("PATCH", path, by=ADMIN, summary="Une journée.")
    stale = await ask(method, path + action, by=BRETAGNE, if_match=read)
    problem(stale, 412)
    assert decided(stale) == decided(now)
    assert (await ask(method, path + action, by=BRETAGNE, if_match=now.headers["etag"])).is_success


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


async def test_head_is_get_without_the_body(look: Ask) -> None:
    for path in ("/sessions", f"/sessions/{RENNES}", "/offers", "/resources"):
        got, head = await look("GET", path), await look("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


async def test_a_published_session_is_changed_so_often_in_an_hour_and_a_draft_without_limit(
    session_id: str, draft_id: str, ask: Ask, events_of: EventsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CHANGES", Rate(1, 3600))
    for number, changed in enumerate((draft_id, draft_id, session_id)):
        await change(ask, changed, venue=f"Salle {number}")
    before = await events_of(session_id)
    refused = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, venue="Brest")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "changed_too_often")
    await change(ask, session_id, summary="Une journée.")  # which is no letter
    assert await events_of(session_id) == before


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


async def test_the_history_has_each_change_the_newest_first(session_id: str, ask: Ask) -> None:
    await change(ask, session_id, by=ADMIN, capacity=12, summary="Une journée.")
    path = f"/sessions/{session_id}/history"
    first = await shown(ask, path, by=BRETAGNE, limit=2)
    (rest,) = await listed(ask, path, by=BRETAGNE, limit=2, cursor=first["next"])
    lines = [(line["actor"], line["action"]) for line in (*first["items"], rest)]
    assert lines == [(ADMIN, "changed"), (BRETAGNE, "published"), (BRETAGNE, "created")]
    assert first["items"][0]["changes"] == {"capacity": [30, 12], "summary": [None, "Une journée."]}


# ------------------------------------------------------------------------------------------- the transaction


async def drafted_over(database: Database, tokens: Path, offer_id: str, seen: list[str]) -> int:
    web = api.build(database, Tokens(tokens), a_guard(database))

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            seen.append(message["type"])
            await send(message)

        await web(scope, receive, noted)

    transport = httpx.ASGITransport(app=watched, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {BRETAGNE}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://x/api/v1", headers=headers) as client:
        return (await client.post("/sessions", json=a_draft_of(offer_id))).status_code


async def test_a_change_is_committed_before_it_is_answered(
    database: Database, tokens_file: Path, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    monkeypatch.setattr(database, "after_commit", lambda: happened.append("committed"))
    assert await drafted_over(database, tokens_file, an_empty_offer, happened) == 201
    assert happened[:2] == ["committed", "http.response.start"]


async def test_a_commit_that_fails_is_never_answered_as_a_success(
    database: Database, tokens_file: Path, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the commit failed")

    monkeypatch.setattr(database, "after_commit", fail)
    assert await drafted_over(database, tokens_file, an_empty_offer, []) == 500


async def test_a_delegation_without_an_open_session_says_when_the_next_one_opens(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    now = clock.now()
    opening = [now.replace(microsecond=0) + timedelta(days=days) for days in (3, 5)]
    closes = {"enrolment_closes_at": (now + timedelta(days=9)).isoformat()}
    dates = {
        "starts_at": (now + timedelta(days=20)).isoformat(),
        "ends_at": (now + timedelta(days=21)).isoformat(),
    }
    ids = [
        await published(ask, an_empty_offer, enrolment_opens_at=opens.isoformat(), **closes, **dates)
        for opens in opening
    ]
    for session_id, expected in zip(ids, opening, strict=True):
        async with database.quiet_transaction() as tx:
            found = await session_lists.groups(tx, SessionSearch(now=now), by="organiser")
        assert (found["bretagne"].open, found["bretagne"].opens_at) == (0, expected)
        assert (await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)).is_success
