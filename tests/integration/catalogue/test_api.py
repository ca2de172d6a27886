"""The JSON API: what everyone may read, what organisers may do, and the problems of what they may not."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from shared.database import Database
from shared.events.catalogue import (
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
    SessionState,
)
from shared.events.vocabulary import Format
from tests.conftest import Ask
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    PORTAL,
    RENNES,
    EventsOf,
    a_draft_of,
    drafted,
    in_days,
    kinds,
    problem,
    published,
)

AN_OFFER = "ia-et-territoires"
# ---------------------------------------------------------------------------------------------- reading


async def test_a_session_is_shown_with_the_whole_state_of_the_contract(look: Ask) -> None:
    shown = (await look("GET", f"/sessions/{RENNES}")).json()
    assert set(SessionState.model_fields) | {"occupancy"} <= set(shown)
    state = SessionState.model_validate(shown)
    assert (state.organiser, state.capacity, state.status) == ("bretagne", 120, "published")
    assert shown["starts_at"].endswith("Z")


async def test_a_session_that_is_not_there_is_not_found(look: Ask) -> None:
    problem(await look("GET", f"/sessions/{uuid4()}"), 404)


async def test_the_offers_come_with_their_terms_and_their_source(look: Ask) -> None:
    listed = (await look("GET", "/offers")).json()
    assert listed["next"] is None
    assert {item["format"] for item in listed["items"]} == set(Format)
    assert {item["source"] for item in listed["items"]} == {"communique"}
    inet = next(item for item in listed["items"] if item["format"] == "inet")
    assert inet["terms"]["audience"]["functions"] == ["encadrant", "chef_de_service", "dirigeant"]


@pytest.mark.parametrize("path", ["/sessions", "/offers", "/resources"])
@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_the_pages_of_a_list_hold_everything_once_in_order(look: Ask, path: str, limit: int) -> None:
    whole = (await look("GET", path, limit=200)).json()["items"]
    assert len(whole) > 5
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await look("GET", path, limit=limit, **cursor)).json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert items == whole


async def test_sessions_come_by_start_and_resources_by_date_newest_first(look: Ask) -> None:
    starts = [item["starts_at"] for item in (await look("GET", "/sessions", limit=200)).json()["items"]]
    assert starts == sorted(starts)
    dates = [item["published_at"] for item in (await look("GET", "/resources")).json()["items"]]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    ("wanted", "field", "value"),
    [
        ({"format": "webinar"}, "format", "webinar"),
        ({"delegation": "mayotte"}, "organiser", "mayotte"),
        ({"offer_id": "mooc-fondamentaux-ia"}, "offer_id", "mooc-fondamentaux-ia"),
        ({"enrolment": "open"}, "enrolment", "open"),
        ({"enrolment": "closed"}, "enrolment", "closed"),
        ({"enrolment": "not_yet_open"}, "enrolment", "not_yet_open"),
        ({"status": "published"}, "status", "published"),
    ],
)
async def test_a_filter_keeps_exactly_what_it_says(
    look: Ask, wanted: dict[str, str], field: str, value: str
) -> None:
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    kept = (await look("GET", "/sessions", limit=200, **wanted)).json()["items"]
    assert kept == [item for item in whole if item[field] == value]
    assert kept


async def test_the_start_may_be_bounded_on_both_sides(look: Ask) -> None:
    whole = (await look("GET", "/sessions", limit=200)).json()["items"]
    first, last = whole[3]["starts_at"], whole[10]["starts_at"]
    kept = (await look("GET", "/sessions", limit=200, starts_after=first, starts_before=last)).json()["items"]
    assert kept == [item for item in whole if first <= item["starts_at"] < last]


async def test_resources_can_be_had_by_kind_and_by_theme(look: Ask) -> None:
    replays = (await look("GET", "/resources", kind="replay")).json()["items"]
    assert [item["kind"] for item in replays] == ["replay", "replay"]
    themed = (await look("GET", "/resources", theme="transition-ecologique")).json()["items"]
    assert len(themed) == 3
    assert all("transition-ecologique" in item["themes"] for item in themed)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/sessions", {"format": "cours"}),
        ("/sessions", {"delegation": "atlantide"}),
        ("/sessions", {"limit": 0}),
        ("/sessions", {"limit": 201}),
        ("/sessions", {"limit": "beaucoup"}),
        ("/sessions", {"cursor": "abc"}),
        ("/sessions", {"cursor": "W10"}),
        ("/sessions", {"cursor": "é"}),
        ("/sessions", {"starts_after": "2025-03-20"}),
        ("/sessions", {"starts_after": "0001-01-01T00:00:00+14:00"}),
        ("/sessions", {"starts_before": "9999-12-31T23:59:59-14:00"}),
        ("/sessions", {"couleur": "bleu"}),
        ("/sessions", {"offer_id": "a\0b"}),
        ("/sessions/abc", {}),
        ("/offers", {"cursor": "IjEi!"}),
        ("/resources", {"kind": "livre"}),
        ("/resources", {"theme": "É"}),
    ],
)
async def test_a_question_that_is_not_valid_is_answered_with_what_is_wrong(
    look: Ask, path: str, wanted: dict[str, Any]
) -> None:
    assert problem(await look("GET", path, **wanted), 422)


# --------------------------------------------------------------------------------------------- who may


async def test_a_draft_is_seen_by_its_delegation_and_by_admins_alone(an_empty_offer: str, ask: Ask) -> None:
    session_id = (await drafted(ask, an_empty_offer))["session_id"]
    for by, seen in ((None, False), (CORSE, False), (BRETAGNE, True), (ADMIN, True)):
        shown = await ask("GET", f"/sessions/{session_id}", by=by)
        assert shown.status_code == (200 if seen else 404)
        assert len((await ask("GET", "/sessions", by=by)).json()["items"]) == seen
        assert len((await ask("GET", "/sessions", by=by, status="draft")).json()["items"]) == seen


async def test_a_bespoke_session_is_never_shown_to_the_public(offer: object, ask: Ask) -> None:
    alone = {"sirets": ["21350238800019"]}
    session_id = await published(ask, "sur-mesure-enjeux-ia", audience=alone)
    problem(await ask("GET", f"/sessions/{session_id}"), 404)
    assert (await ask("GET", "/sessions", format="bespoke")).json()["items"] == []
    assert len((await ask("GET", "/sessions", format="bespoke", by=BRETAGNE)).json()["items"]) == 1


MANAGEMENT: list[tuple[str, str]] = [
    ("PATCH", f"/sessions/{RENNES}"),
    ("POST", f"/sessions/{RENNES}/publish"),
    ("POST", f"/sessions/{RENNES}/cancel"),
]


@pytest.mark.parametrize(("method", "path"), [*MANAGEMENT, ("POST", "/sessions"), ("POST", "/replays")])
async def test_managing_needs_a_token_of_the_right_role(look: Ask, method: str, path: str) -> None:
    unknown = await look(method, path)
    problem(unknown, 401)
    assert unknown.headers["www-authenticate"] == "Bearer"
    problem(await look(method, path, by="nobody"), 401)
    problem(await look(method, path, by=PORTAL), 403)


async def test_a_token_that_organises_nothing_reads_what_everyone_reads(
    an_empty_offer: str, ask: Ask
) -> None:
    await drafted(ask, an_empty_offer)
    public = await published(ask, an_empty_offer)
    listed = (await ask("GET", "/sessions", by=PORTAL)).json()["items"]
    assert [item["session_id"] for item in listed] == [public]


async def test_a_wrong_token_is_refused_where_none_is_needed(look: Ask) -> None:
    problem(await look("GET", "/sessions", by="nobody"), 401)


@pytest.mark.parametrize(("method", "path"), MANAGEMENT)
async def test_what_belongs_to_another_delegation_does_not_exist(
    offer: object, ask: Ask, events_of: EventsOf, method: str, path: str
) -> None:
    before = await events_of()
    problem(await ask(method, path, by=CORSE), 404)
    assert await events_of() == before


async def test_a_delegation_does_not_draft_for_another(look: Ask) -> None:
    answer = await look("POST", "/sessions", by=CORSE, **a_draft_of(AN_OFFER, organiser="bretagne"))
    problem(answer, 403)


async def test_an_admin_says_for_which_delegation(an_empty_offer: str, ask: Ask) -> None:
    answer = await ask("POST", "/sessions", by=ADMIN, **a_draft_of(an_empty_offer))
    assert problem(answer, 422) == ["body.organiser"]
    assert (await drafted(ask, an_empty_offer, by=ADMIN, organiser="corse"))["organiser"] == "corse"


# ----------------------------------------------------------------------------------------------- drafts


async def test_a_draft_has_the_terms_of_its_offer_and_is_told_to_nobody(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    answer = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of(an_empty_offer, capacity=None))
    draft = answer.json()
    assert answer.headers["location"] == f"/api/v1/sessions/{draft['session_id']}"
    assert (draft["status"], draft["version"], draft["organiser"]) == ("draft", 1, "bretagne")
    assert (draft["format"], draft["title"]) == ("local_event", "Un essai")
    assert (draft["waiting_list"], draft["capacity"]) == ("automatic", None)
    assert draft["source"] is None
    assert await events_of() == []


async def test_enrolment_closes_as_the_offer_says_unless_the_draft_does(
    an_empty_offer: str, ask: Ask
) -> None:
    dates = {"starts_at": "2027-03-30T07:30:00Z", "ends_at": "2027-03-30T15:00:00Z"}
    draft = await drafted(ask, an_empty_offer, enrolment_opens_at="2027-03-01T08:00:00Z", **dates)
    # Five days before, at the same hour in Paris, on the other side of the clock change of 28 March 2027.
    assert draft["enrolment_closes_at"] == "2027-03-25T08:30:00Z"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ends_at": "2027-01-01T00:00:00Z", "starts_at": "2027-01-01T01:00:00Z"}, "body.ends_at"),
        ({"enrolment_closes_at": "2099-01-01T00:00:00Z"}, "body.enrolment_closes_at"),
        ({"capacity": -1}, "body.capacity"),
        ({"capacity": 10**12}, "body.capacity"),
        ({"capacity": 1.5}, "body.capacity"),
        ({"quota_per_authority": 0}, "body.quota_per_authority"),
        ({"minimum": 0}, "body.minimum"),
        ({"minimum": 10**12}, "body.minimum"),
        ({"minimum": 1.5}, "body.minimum"),
        ({"minimum": 13, "capacity": 12}, "body.minimum"),
        ({"offer_id": "inconnue"}, "body.offer_id"),
        ({"organiser": "atlantide"}, "body.organiser"),
        ({"timezone": "Europe/Atlantide"}, "body.timezone"),
        ({"title": "Deux\nlignes"}, "body.title"),
        ({"title": ""}, "body.title"),
        ({"title": None}, "body.title"),
        ({"starts_at": "demain"}, "body.starts_at"),
        ({"starts_at": "2027-01-01T00:00:00"}, "body.starts_at"),
        ({"starts_at": "9999-12-31T23:59:59-14:00"}, "body.starts_at"),
        ({"join_url": "javascript:alert(1)"}, "body.join_url"),
        ({"couleur": "bleu"}, "body.couleur"),
        ({"audience": {"sirets": ["123"]}}, "body.audience.sirets.0"),
        ({"audience": {"delegations": ["atlantide"]}}, "body.audience.delegations.0"),
        (
            {
                "modules": [
                    {"title": "M", "starts_at": "1999-12-31T23:30:00Z", "ends_at": "2027-01-01T00:00:00Z"}
                ]
            },
            "body.modules.0.starts_at",
        ),
    ],
)
async def test_a_draft_that_is_not_valid_is_refused_by_field(
    look: Ask, changes: dict[str, Any], field: str
) -> None:
    answer = await look("POST", "/sessions", by=BRETAGNE, **a_draft_of(AN_OFFER) | changes)
    assert field in problem(answer, 422)


# ------------------------------------------------------------------------- publish, change, cancel


async def test_publishing_a_draft_tells_everyone(an_empty_offer: str, ask: Ask, events_of: EventsOf) -> None:
    session_id = await published(ask, an_empty_offer)
    events = await events_of(session_id)
    assert kinds(events) == [SessionScheduled, SessionOpened]
    shown = (await ask("GET", f"/sessions/{session_id}")).json()
    assert (shown["status"], shown["enrolment"], shown["version"]) == ("published", "open", 3)


async def test_a_change_is_told_with_a_new_version(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
    answer = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, capacity=12, venue="Brest")
    assert (answer.status_code, answer.json()["version"]) == (200, 4)
    changed = (await events_of(session_id))[-1]
    assert isinstance(changed, SessionChanged)
    assert (changed.version, changed.capacity, changed.venue) == (4, 12, "Brest")


async def test_null_lifts_the_limit_and_leaving_out_keeps_it(an_empty_offer: str, ask: Ask) -> None:
    session_id = await published(ask, an_empty_offer)
    assert (await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, title="A")).json()["capacity"] == 30
    lifted = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, capacity=None)
    assert lifted.json()["capacity"] is None


async def test_a_change_that_changes_nothing_is_told_to_nobody_and_leaves_no_line(
    an_empty_offer: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    before = await events_of(session_id)
    for fields in ({}, {"capacity": 30}):
        answer = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, **fields)
        assert answer.json()["version"] == 3
    assert await events_of(session_id) == before
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM audit_log WHERE action = 'changed'")) == 0


async def test_the_past_cannot_be_changed(an_empty_offer: str, ask: Ask, events_of: EventsOf) -> None:
    session_id = await published(ask, an_empty_offer)
    before = await events_of(session_id)
    answer = await ask(
        "PATCH", f"/sessions/{session_id}", by=BRETAGNE, enrolment_opens_at=in_days(1).isoformat()
    )
    assert problem(answer, 409) == ["body.enrolment_opens_at"]
    assert await events_of(session_id) == before


@pytest.mark.parametrize(
    "fields", [{"offer_id": "autre"}, {"organiser": "corse"}, {"status": "draft"}, {"version": 9}]
)
async def test_what_is_not_the_plans_cannot_be_changed(look: Ask, fields: dict[str, Any]) -> None:
    answer = await look("PATCH", f"/sessions/{RENNES}", by=BRETAGNE, **fields)
    assert problem(answer, 422) == [f"body.{name}" for name in fields]


async def test_a_cancellation_is_told_and_final(an_empty_offer: str, ask: Ask, events_of: EventsOf) -> None:
    session_id = await published(ask, an_empty_offer)
    answer = await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert kinds(await events_of(session_id))[-1] is SessionCancelled
    for method, path in (("POST", "/cancel"), ("POST", "/publish"), ("PATCH", "")):
        fields = {"venue": "Brest"} if method == "PATCH" else {}
        problem(await ask(method, f"/sessions/{session_id}{path}", by=BRETAGNE, **fields), 409)
    assert (await ask("GET", f"/sessions/{session_id}")).json()["status"] == "cancelled"
    assert (await ask("GET", "/sessions", enrolment="open")).json()["items"] == []


async def test_the_reason_of_a_cancellation_is_public_and_in_the_history(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
    too_long = await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE, reason="x" * 501)
    assert problem(too_long, 422) == ["body.reason"]
    answer = await ask("POST", f"/sessions/{session_id}/cancel", by=BRETAGNE, reason=" Salle fermée. ")
    assert answer.json()["cancellation_reason"] == "Salle fermée."
    cancelled = (await events_of(session_id))[-1]
    assert isinstance(cancelled, SessionCancelled)
    assert cancelled.cancellation_reason == "Salle fermée."
    assert (await ask("GET", f"/sessions/{session_id}")).json()["cancellation_reason"] == "Salle fermée."
    history = (await ask("GET", f"/sessions/{session_id}/history", by=BRETAGNE)).json()["items"]
    assert history[0]["changes"]["cancellation_reason"] == [None, "Salle fermée."]


# ------------------------------------------------------------------------------------------- questions

QUESTIONS: list[dict[str, Any]] = [
    {"kind": "adjustment"},
    {"question_id": "repas", "kind": "choice", "label": "Quel repas ?", "choices": ["a", "b"]},
]


async def test_what_a_session_asks_is_public_so_that_portals_ask_it_and_is_published_and_copied(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer, questions=QUESTIONS)
    questions = (await ask("GET", f"/sessions/{session_id}")).json()["questions"]
    assert [(question["question_id"], question["kept_days"]) for question in questions] == [
        ("amenagement", 30),
        ("repas", 30),
    ]
    [*_, newest] = await events_of(session_id)
    assert newest.model_dump(mode="json")["questions"] == questions
    copied = await ask(
        "POST", f"/sessions/{session_id}/duplicate", by=BRETAGNE, starts_at="2027-06-01T08:00:00Z"
    )
    assert copied.json()["questions"] == questions


async def test_what_is_wrong_with_a_question_is_named_and_eleven_are_too_many(
    an_empty_offer: str, ask: Ask
) -> None:
    session_id = await published(ask, an_empty_offer)

    async def changed(*questions: dict[str, Any]) -> httpx.Response:
        return await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, questions=questions)

    required = await changed({"kind": "adjustment", "required": True})
    assert [(error["field"], error["code"]) for error in required.json()["errors"]] == [
        ("body.questions.0.required", "adjustment_is_voluntary")
    ]
    number = {"kind": "number", "label": "Combien ?"}
    problem(await changed(*(number | {"question_id": f"q-{place}"} for place in range(11))), 422)
    assert (
        await changed(*(number | {"question_id": f"q-{place}"} for place in range(10)))
    ).status_code == 200


# ---------------------------------------------------------------------------------------- prerequisite


async def test_what_a_session_requires_is_public_with_the_title_of_the_offer_and_is_published(
    an_empty_offer: str, a_bespoke_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    given = {"offer_id": a_bespoke_offer, "title": "Un autre titre"}
    session_id = await published(ask, an_empty_offer, prerequisite=given)
    required = (await ask("GET", f"/sessions/{session_id}")).json()["prerequisite"]
    assert required == {"offer_id": a_bespoke_offer, "title": "Un essai"}
    [*_, newest] = await events_of(session_id)
    assert newest.model_dump(mode="json")["prerequisite"] == required
    lifted = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, prerequisite=None)
    assert lifted.json()["prerequisite"] is None


@pytest.mark.parametrize(("required", "code"), [("rien", None), ("essai", "requires_itself")])
async def test_a_session_requires_another_offer_that_exists(
    an_empty_offer: str, ask: Ask, required: str, code: str | None
) -> None:
    session_id = await published(ask, an_empty_offer)
    prerequisite = {"offer_id": required}
    refused = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, prerequisite=prerequisite)
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert (error["field"], error.get("code")) == ("body.prerequisite", code)
