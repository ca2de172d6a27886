"""The JSON API of sessions, offers and resources: reading, access, and the effect of each command."""

from typing import Any
from uuid import uuid4

import pytest

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
    audited,
    change,
    drafted,
    in_days,
    kinds,
    listed,
    problem,
    published,
    shown,
)

AN_OFFER = "ia-et-territoires"

# ---------------------------------------------------------------------------------------------- reading


async def test_a_session_is_shown_with_the_whole_state_of_the_contract(look: Ask) -> None:
    session = await shown(look, f"/sessions/{RENNES}")
    state = SessionState.model_validate(session)
    assert set(SessionState.model_fields) | {"occupancy"} <= set(session)
    assert (state.organiser, state.capacity, state.status) == ("bretagne", 120, "published")
    problem(await look("GET", f"/sessions/{uuid4()}"), 404)


async def test_the_offers_come_with_their_terms_and_their_source(look: Ask) -> None:
    offers = await listed(look, "/offers")
    assert {offer["format"] for offer in offers} == set(Format)
    assert {offer["source"] for offer in offers} == {"communique"}
    [functions] = [
        offer["terms"]["audience"]["functions"] for offer in offers if offer["format"] == Format.INET
    ]
    assert functions == ["encadrant", "chef_de_service", "dirigeant"]


@pytest.mark.parametrize(
    ("path", "field", "newest_first"),
    [
        ("/sessions", "starts_at", False),
        ("/offers", "offer_id", False),
        ("/resources", "published_at", True),
    ],
)
async def test_the_pages_of_a_list_hold_everything_once_in_order(
    look: Ask, path: str, field: str, *, newest_first: bool
) -> None:
    whole = await listed(look, path, limit=200)
    order = [item[field] for item in whole]
    assert order == sorted(order, reverse=newest_first)
    page = await shown(look, path, limit=3)
    items = page["items"]
    while page["next"] is not None:
        page = await shown(look, path, limit=3, cursor=page["next"])
        assert len(page["items"]) <= 3
        items += page["items"]
    assert items == whole


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
    kept = await listed(look, limit=200, **wanted)
    assert kept == [item for item in await listed(look, limit=200) if item[field] == value] != []


async def test_sessions_are_bounded_by_their_start_and_resources_filtered(look: Ask) -> None:
    whole = await listed(look, limit=200)
    first, last = whole[3]["starts_at"], whole[10]["starts_at"]
    kept = await listed(look, limit=200, starts_after=first, starts_before=last)
    assert kept == [item for item in whole if first <= item["starts_at"] < last]
    resources = await listed(look, "/resources")
    for wanted in ({"kind": "replay"}, {"theme": "transition-ecologique"}):
        found = [item for item in resources if {item["kind"], *item["themes"]} & set(wanted.values())]
        assert await listed(look, "/resources", **wanted) == found != []


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/sessions", {"delegation": "atlantide"}),
        ("/sessions", {"limit": 201}),
        ("/sessions", {"cursor": "abc"}),
        ("/sessions", {"cursor": "W10"}),
        ("/sessions", {"cursor": "é"}),
        ("/sessions", {"starts_after": "0001-01-01T00:00:00+14:00"}),
        ("/sessions", {"couleur": "bleu"}),
        ("/sessions", {"offer_id": "a\0b"}),
        ("/offers", {"cursor": "IjEi!"}),
    ],
)
async def test_a_query_that_is_not_valid_is_refused(look: Ask, path: str, wanted: dict[str, Any]) -> None:
    assert problem(await look("GET", path, **wanted), 422)


# ---------------------------------------------------------------------------------------------- access


async def test_a_draft_is_seen_by_its_delegation_and_by_admins_alone(an_empty_offer: str, ask: Ask) -> None:
    session_id = (await drafted(ask, an_empty_offer))["session_id"]
    for by, seen in ((None, False), (PORTAL, False), (CORSE, False), (BRETAGNE, True), (ADMIN, True)):
        assert (await ask("GET", f"/sessions/{session_id}", by=by)).status_code == (200 if seen else 404)
        assert [len(await listed(ask, by=by)), len(await listed(ask, by=by, status="draft"))] == [seen] * 2


async def test_a_bespoke_session_is_never_shown_to_the_public(a_bespoke_offer: str, ask: Ask) -> None:
    session_id = await published(ask, a_bespoke_offer, audience={"sirets": ["21350238800019"]})
    problem(await ask("GET", f"/sessions/{session_id}"), 404)
    assert await listed(ask, format="bespoke") == []
    assert len(await listed(ask, format="bespoke", by=BRETAGNE)) == 1


MANAGEMENT: list[tuple[str, str]] = [
    ("PATCH", f"/sessions/{RENNES}"),
    ("POST", f"/sessions/{RENNES}/publish"),
    ("POST", f"/sessions/{RENNES}/cancel"),
    ("POST", f"/sessions/{RENNES}/duplicate"),
    ("GET", f"/sessions/{RENNES}/history"),
    ("DELETE", f"/sessions/{RENNES}"),
]


@pytest.mark.parametrize(("method", "path"), [*MANAGEMENT, ("POST", "/sessions"), ("POST", "/replays")])
async def test_managing_needs_a_token_of_the_right_role(look: Ask, method: str, path: str) -> None:
    unknown = await look(method, path)
    problem(unknown, 401)
    assert unknown.headers["www-authenticate"] == "Bearer"
    problem(await look(method, path, by="nobody"), 401)
    problem(await look(method, path, by=PORTAL), 403)


async def test_a_wrong_token_is_refused_where_none_is_needed(look: Ask) -> None:
    problem(await look("GET", "/sessions", by="nobody"), 401)


@pytest.mark.parametrize(("method", "path"), MANAGEMENT)
async def test_a_session_of_another_delegation_does_not_exist(look: Ask, method: str, path: str) -> None:
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


async def test_a_draft_has_the_terms_of_its_offer_and_no_event(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    answer = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of(an_empty_offer, capacity=None))
    draft = answer.json()
    assert answer.headers["location"] == f"/api/v1/sessions/{draft['session_id']}"
    expected = {
        "status": "draft",
        "version": 1,
        "organiser": "bretagne",
        "format": "local_event",
        "title": "Un essai",
        "waiting_list": "automatic",
        "capacity": None,
        "source": None,
    }
    assert {name: draft[name] for name in expected} == expected
    assert await events_of() == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
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
    ],
)
async def test_a_draft_that_is_not_valid_is_refused_by_field(
    look: Ask, changes: dict[str, Any], field: str
) -> None:
    answer = await look("POST", "/sessions", by=BRETAGNE, **a_draft_of(AN_OFFER) | changes)
    assert field in problem(answer, 422)


# ------------------------------------------------------------------------- publish, change, cancel


async def test_a_published_session_is_announced_and_so_is_each_change_of_it(
    an_empty_offer: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
    assert kinds(await events_of(session_id)) == [SessionScheduled, SessionOpened]
    session = await shown(ask, f"/sessions/{session_id}")
    assert (session["status"], session["enrolment"], session["version"]) == ("published", "open", 3)
    right: dict[str, Any] = {"capacity": None, "venue": "Brest"}
    for fields in (right, right, {}):
        assert await change(ask, session_id, **fields) == session | right | {"version": 4}
    *_, changed = await events_of(session_id)
    assert isinstance(changed, SessionChanged)
    assert len(await events_of(session_id)) == 3
    assert (changed.version, changed.capacity, changed.venue) == (4, None, "Brest")
    assert [action for _, action, _, _ in await audited(database, session_id)] == [
        "created",
        "published",
        "changed",
    ]


async def test_the_past_cannot_be_changed(an_empty_offer: str, ask: Ask, events_of: EventsOf) -> None:
    session_id = await published(ask, an_empty_offer)
    before = await events_of(session_id)
    moved = {"enrolment_opens_at": in_days(1).isoformat()}
    answer = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, **moved)
    assert problem(answer, 409) == ["body.enrolment_opens_at"]
    assert await events_of(session_id) == before


@pytest.mark.parametrize("field", ["offer_id", "organiser", "status", "version"])
async def test_a_field_that_is_not_the_plans_cannot_be_changed(look: Ask, field: str) -> None:
    answer = await look("PATCH", f"/sessions/{RENNES}", by=BRETAGNE, **{field: "draft"})
    assert problem(answer, 422) == [f"body.{field}"]


async def test_a_cancellation_is_announced_with_its_reason_and_final(
    an_empty_offer: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    session_id = await published(ask, an_empty_offer)
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
    for method, end in (("POST", "/cancel"), ("POST", "/publish"), ("PATCH", "")):
        fields = {"venue": "Brest"} if method == "PATCH" else {}
        problem(await ask(method, path + end, by=BRETAGNE, **fields), 409)
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
