"""Replays, dossiers and communities: published once, corrected as a new version, and notified once."""

import asyncio
import re
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.catalogue.offer_files.reading import OFFER
from services.catalogue.rules.offers import loaded_resource_id, loaded_session_id
from shared.database import Database
from shared.events.catalogue import ReplayPublished, ResourcePublished, ResourceWithdrawn
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, error_of, log_in, organiser, send
from tests.integration.catalogue.conftest import (
    ADMIN,
    AS_OF,
    BRETAGNE,
    CORSE,
    RENNES,
    EventsOf,
    drafted,
    in_days,
    problem,
    published,
)
from tests.integration.catalogue.test_loading import edited
from tests.support.catalogue import load

__all__ = ["organiser"]

REPLAY = {"title": "Replay : l'IA à Rennes", "url": "https://replays.example.org/rennes"}


@pytest.fixture
async def recorded(an_empty_offer: str, ask: Ask) -> str:
    """A session of Bretagne that has begun."""
    began = {
        "enrolment_opens_at": in_days(-9).isoformat(),
        "starts_at": in_days(-0.1).isoformat(),
        "ends_at": in_days(0.2).isoformat(),
    }
    return await published(ask, an_empty_offer, **began)


async def test_a_replay_is_open_to_everyone_and_told(recorded: str, ask: Ask, events_of: EventsOf) -> None:
    answer = await ask("POST", "/replays", by=BRETAGNE, session_id=recorded, themes=["enjeux-ia"], **REPLAY)
    assert answer.status_code == 201
    replay = answer.json()
    (event,) = await events_of(replay["resource_id"])
    assert isinstance(event, ReplayPublished)
    assert (event.session_id, event.organiser, event.version) == (UUID(recorded), "bretagne", 1)
    assert (await ask("GET", "/resources", kind="replay")).json()["items"][0] == replay


async def test_the_same_replay_is_published_once(recorded: str, ask: Ask, events_of: EventsOf) -> None:
    first = await ask("POST", "/replays", by=BRETAGNE, session_id=recorded, **REPLAY)
    again = await ask("POST", "/replays", by=BRETAGNE, session_id=recorded, **REPLAY)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(await events_of(first.json()["resource_id"])) == 1
    other = await ask(
        "POST", "/replays", by=BRETAGNE, session_id=recorded, **REPLAY | {"title": "Autre titre"}
    )
    problem(other, 409)
    problem(await ask("POST", "/replays", by=BRETAGNE, **REPLAY), 409)  # the same, without its session


async def test_there_is_no_replay_of_what_has_not_begun(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    for session_id in (
        await published(ask, an_empty_offer),
        (await drafted(ask, an_empty_offer))["session_id"],
    ):
        problem(await ask("POST", "/replays", by=BRETAGNE, session_id=session_id, **REPLAY), 409)
    assert not [event for event in await events_of() if isinstance(event, ReplayPublished)]


async def test_a_replay_needs_no_session_but_never_somebody_elses(offer: object, ask: Ask) -> None:
    alone = await ask("POST", "/replays", by=BRETAGNE, **REPLAY)
    assert (alone.status_code, alone.json()["session_id"]) == (201, None)
    problem(await ask("POST", "/replays", by=CORSE, session_id=str(RENNES), **REPLAY), 404)
    problem(await ask("POST", "/replays", by=BRETAGNE, session_id=str(uuid4()), **REPLAY), 404)
    problem(await ask("POST", "/replays", by=CORSE, organiser="bretagne", **REPLAY), 403)
    assert problem(await ask("POST", "/replays", by=ADMIN, **REPLAY), 422) == ["body.organiser"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://x"}, "body.url"),
        ({"title": ""}, "body.title"),
        ({"themes": ["É"]}, "body.themes.0"),
        ({"session_id": "abc"}, "body.session_id"),
        ({"couleur": "bleu"}, "body.couleur"),
    ],
)
async def test_a_replay_that_is_not_valid_is_refused_by_field(
    look: Ask, changes: dict[str, Any], field: str
) -> None:
    assert problem(await look("POST", "/replays", by=BRETAGNE, **REPLAY | changes), 422) == [field]


DOSSIER = {"kind": "dossier", "title": "L'IA à l'école", "url": "https://ressources.example.org/ecole"}


async def test_a_dossier_is_open_to_everyone_and_told_once(
    an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    first = await ask("POST", "/resources", by=BRETAGNE, themes=["enjeux-ia"], **DOSSIER)
    again = await ask("POST", "/resources", by=BRETAGNE, themes=["enjeux-ia"], **DOSSIER)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    (event,) = await events_of()
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


# ------------------------------------------------------------------------------------------- corrected

OTHER_URL = "https://replays.example.org/brest"


async def published_replay(ask: Ask, **fields: str) -> str:
    answer = await ask("POST", "/replays", by=BRETAGNE, **REPLAY | fields)
    assert answer.status_code == 201, answer.text
    resource_id: str = answer.json()["resource_id"]
    return resource_id


async def test_a_replay_is_corrected_as_a_new_version_of_the_same(
    recorded: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    resource_id = await published_replay(ask, session_id=recorded, summary="Une journé.")
    right = {"title": "Replay : l'IA à Brest", "url": OTHER_URL, "summary": None}
    answer = await ask("PATCH", f"/resources/{resource_id}", by=BRETAGNE, **right)
    assert answer.status_code == 200, answer.text
    first, second = await events_of(resource_id)
    assert isinstance(first, ReplayPublished)
    assert isinstance(second, ReplayPublished)
    assert second == first.model_copy(update=right | {"version": 2})
    shown = (await ask("GET", f"/resources/{resource_id}")).json()
    assert shown == answer.json()
    assert (shown["version"], shown["published_at"]) == (2, answer.json()["published_at"])
    assert (await ask("GET", "/resources")).json()["items"] == [shown]
    async with database.quiet_transaction() as tx:
        query = text("SELECT actor, action, version, changes FROM audit_log WHERE subject = :id ORDER BY id")
        _, line = (await tx.execute(query, {"id": UUID(resource_id)})).all()
    assert (line.actor, line.action, line.version) == (BRETAGNE, "changed", 2)
    assert line.changes == {
        "title": [REPLAY["title"], right["title"]],
        "url": [REPLAY["url"], OTHER_URL],
        "summary": ["Une journé.", None],
    }


async def test_what_is_left_out_stays_and_the_same_again_is_no_version(ask: Ask, events_of: EventsOf) -> None:
    resource_id = await published_replay(ask, summary="Une journée.")
    for fields in ({}, {"summary": "Une journée."}):
        answer = await ask("PATCH", f"/resources/{resource_id}", by=BRETAGNE, **fields)
        assert (answer.json()["version"], answer.json()["summary"]) == (1, "Une journée.")
    assert len(await events_of(resource_id)) == 1


async def test_what_somebody_else_corrected_meanwhile_is_not_overwritten(ask: Ask) -> None:
    made = await ask("POST", "/replays", by=BRETAGNE, **REPLAY)
    path, read = f"/resources/{made.json()['resource_id']}", made.headers["etag"]
    assert (await ask("GET", path)).headers["etag"] == read
    assert (await ask("GET", path, if_none_match=read)).status_code == 304
    first = await ask("PATCH", path, by=ADMIN, if_match=read, title="A")
    stale = await ask("PATCH", path, by=BRETAGNE, if_match=read, title="B")
    problem(stale, 412)
    assert stale.headers["etag"] == first.headers["etag"] != read
    again = await ask("PATCH", path, by=BRETAGNE, if_match=first.headers["etag"], title="B")
    assert (again.status_code, again.json()["version"]) == (200, 3)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"title": None}, "title"), ({"url": "ftp://x"}, "url"), ({"kind": "dossier"}, "kind")],
)
async def test_a_correction_that_is_not_valid_is_refused_by_field(
    ask: Ask, change: dict[str, str], field: str
) -> None:
    path = f"/resources/{await published_replay(ask)}"
    assert problem(await ask("PATCH", path, by=BRETAGNE, **change), 422) == [f"body.{field}"]


async def test_a_corrected_address_is_the_one_that_a_resource_is_known_by(
    ask: Ask, events_of: EventsOf
) -> None:
    wrong, right = REPLAY["url"], OTHER_URL
    resource_id = await published_replay(ask)
    await ask("PATCH", f"/resources/{resource_id}", by=BRETAGNE, url=right)
    same = await ask("POST", "/replays", by=BRETAGNE, **REPLAY | {"url": right})
    assert (same.status_code, same.json()["resource_id"]) == (200, resource_id)
    # What is really at the address that was wrong can be published, once.
    both = await asyncio.gather(*(ask("POST", "/replays", by=BRETAGNE, **REPLAY) for _ in range(4)))
    assert sorted(answer.status_code for answer in both) == [200, 200, 200, 201]
    (other,) = {answer.json()["resource_id"] for answer in both}
    assert other != resource_id
    assert [event.url for event in await events_of(other) if isinstance(event, ReplayPublished)] == [wrong]
    problem(await ask("PATCH", f"/resources/{other}", by=BRETAGNE, url=right), 409)


async def test_of_two_corrections_to_one_address_one_is_told_that_it_is_taken(ask: Ask) -> None:
    paths = [
        f"/resources/{await published_replay(ask, url=url)}" for url in (REPLAY["url"], f"{OTHER_URL}/0")
    ]
    for attempt in range(1, 6):
        same = f"{OTHER_URL}/{attempt}"
        answers = await asyncio.gather(*(ask("PATCH", path, by=BRETAGNE, url=same) for path in paths))
        assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_two_resources_that_want_each_others_address_are_both_told(ask: Ask) -> None:
    here, there = await published_replay(ask), await published_replay(ask, url=OTHER_URL)
    answers = await asyncio.gather(
        ask("PATCH", f"/resources/{here}", by=BRETAGNE, url=OTHER_URL),
        ask("PATCH", f"/resources/{there}", by=BRETAGNE, url=REPLAY["url"]),
    )
    for answer, other in zip(answers, (there, here), strict=True):
        problem(answer, 409)
        assert f"correct that one, resource {other}." in answer.json()["detail"]


async def test_what_is_published_where_a_resource_is_just_leaving_is_published_there(
    ask: Ask, database: Database
) -> None:
    left = await published_replay(ask)
    async with database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE resource SET url = :url, version = 2"), {"url": OTHER_URL})
        answering = asyncio.ensure_future(ask("POST", "/replays", by=BRETAGNE, **REPLAY))
        meanwhile = await ask("POST", "/replays", by=BRETAGNE, **REPLAY | {"url": f"{OTHER_URL}/2"})
        assert meanwhile.status_code == 201
    answer = await answering
    assert answer.json()["url"] == REPLAY["url"]
    again = await ask("POST", "/replays", by=BRETAGNE, **REPLAY)
    assert (again.json()["url"], again.json()["resource_id"] == left) == (REPLAY["url"], False)


async def test_what_the_offers_files_give_is_corrected_in_them(
    offer: object, ask: Ask, events_of: EventsOf
) -> None:
    resource_id = loaded_resource_id("dossier-ia-et-action-publique-locale")
    answer = await ask("PATCH", f"/resources/{resource_id}", by=ADMIN, title="A")
    problem(answer, 409)
    assert answer.json()["errors"][0]["code"] == "of_the_files"
    assert [type(event) for event in await events_of(resource_id)] == [ResourcePublished]


async def test_whatever_a_load_changes_of_a_resource_is_in_its_history(
    visit: HttpBrowser, offer: object, database: Database, tmp_path: Path
) -> None:
    resource_id = loaded_resource_id("replay-enjeux-pour-les-collectivites")
    session_id = str(loaded_session_id("webinaires-acculturation-ia", "enjeux-pour-les-collectivites"))
    session = "\n    session: webinaires-acculturation-ia/enjeux-pour-les-collectivites"
    dated = "]\n    published_at: 2025-03-11 10:00\n    organiser: inset-nancy"
    then = edited(tmp_path, "resources.yaml", dated + session, ", usages-service-public" + dated)
    await load(database, then, as_of=AS_OF)
    async with database.quiet_transaction() as tx:
        query = text("SELECT changes FROM audit_log WHERE subject = :id AND action = 'changed'")
        (changes,) = await tx.scalars(query, {"id": resource_id})
    themes = [["enjeux-ia"], ["enjeux-ia", "usages-service-public"]]
    assert changes == {"themes": themes, "session_id": [session_id, None]}
    await log_in(visit, ADMIN)
    page = (await visit.get(f"/gestion/ressources/{resource_id}")).text
    history = _history(page)
    assert history.startswith("Modifiée")
    assert "par load-offer" in history
    assert "Thèmes Ajouté Usages de l’IA dans les services publics" in history
    assert f"Session enregistrée Avant : {session_id} → ; après : non renseigné" in history


def _history(page: str) -> str:
    """The history that a page shows, as one reads it."""
    (history,) = re.findall(r'<ol class="timeline">.*?</ol>', page, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", history)).split())


# -------------------------------------------------------------------------------------------- withdrawal


async def test_what_was_published_by_mistake_is_withdrawn_for_good_and_nothing_of_it_is_said(
    ask: Ask, recorded: str, visit: HttpBrowser, events_of: EventsOf, database: Database
) -> None:
    resource_id = await published_replay(ask, session_id=recorded, summary="Avec Anne Martin.")
    path, pages = f"/resources/{resource_id}", ("/", "/ressources", f"/sessions/{recorded}", "/replays.atom")
    for page in pages:
        assert REPLAY["url"] in (await visit.get(page)).text, page
    problem(await ask("POST", f"{path}/withdraw", by=CORSE), 404)
    problem(await ask("POST", f"{path}/withdraw"), 401)
    problem(await ask("POST", f"{path}/withdraw", by=BRETAGNE, if_match='"7"'), 412)
    answer = await ask("POST", f"{path}/withdraw", by=BRETAGNE, if_match='"1"')
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert answer.json()["withdrawn_at"]
    problem(await ask("GET", path), 410)
    assert (await ask("GET", "/resources")).json()["items"] == []
    for page in pages:
        assert REPLAY["url"] not in (await visit.get(page)).text, page
    for again in (await ask("POST", f"{path}/withdraw", by=BRETAGNE), await ask("PATCH", path, by=BRETAGNE)):
        problem(again, 409)
        assert again.json()["errors"][0]["code"] == "already_withdrawn"
    last = (await events_of(resource_id))[-1]
    assert isinstance(last, ResourceWithdrawn)
    assert set(last.model_dump()) == {"resource_id", "version", "withdrawn_at"}
    # Whoever is named in it is named in what its history has of before, which ends.
    async with database.quiet_transaction() as tx:
        row = (await tx.execute(text("SELECT title, summary, search_vector FROM resource"))).one()
        query = text("SELECT changes FROM audit_log WHERE subject = :id AND action = 'withdrawn'")
        (changes,) = await tx.scalars(query, {"id": UUID(resource_id)})
    assert (row.title, row.summary) == ("", None)
    assert not {"renn", "martin"} & set(re.findall(r"'(\w+)'", row.search_vector))
    assert changes == {}


async def test_of_many_withdrawals_at_once_is_one(ask: Ask, events_of: EventsOf) -> None:
    resource_id = await published_replay(ask)
    path = f"/resources/{resource_id}/withdraw"
    answers = await asyncio.gather(*(ask("POST", path, by=BRETAGNE) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len(await events_of(resource_id)) == 2


async def test_what_is_published_where_something_was_withdrawn_is_another(
    ask: Ask, events_of: EventsOf
) -> None:
    resource_id = await published_replay(ask)
    await ask("POST", f"/resources/{resource_id}/withdraw", by=BRETAGNE)
    answer = await ask("POST", "/replays", by=BRETAGNE, **REPLAY)
    assert answer.status_code == 201
    assert answer.json()["resource_id"] != resource_id
    assert len(await events_of(answer.json()["resource_id"])) == 1


@pytest.mark.usefixtures("offer")
async def test_what_the_offers_files_give_is_withdrawn_and_stays_so_when_they_are_loaded_again(
    visit: HttpBrowser, ask: Ask, events_of: EventsOf, database: Database, tmp_path: Path
) -> None:
    resource_id = loaded_resource_id("dossier-ia-et-action-publique-locale")
    await log_in(visit, ADMIN)
    path = f"/gestion/ressources/{resource_id}"
    assert f'href="{path}/retirer"' in (await visit.get(path)).text
    assert "Elle vient de l’offre nationale" in (await visit.get(f"{path}/retirer")).text
    assert (await send(visit, f"{path}/retirer")).headers["location"] == f"{path}?fait=retiree"
    changed = edited(tmp_path, "resources.yaml", "choisis par les documentalistes", "bien choisis")
    for files in (OFFER, changed):
        summary = await load(database, files, as_of=AS_OF)
        assert summary.resources_published == 0
    assert [type(event) for event in await events_of(resource_id)] == [ResourcePublished, ResourceWithdrawn]
    problem(await ask("GET", f"/resources/{resource_id}"), 410)


# --------------------------------------------------------------------------------------------- by a form


async def test_a_dossier_is_put_online_once_by_a_form_and_its_themes_are_corrected(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    new = "/gestion/ressources/nouvelle"
    assert new in (await organiser.get("/gestion/ressources")).text
    fields = {"resource_kind": "dossier", "title": DOSSIER["title"], "url": DOSSIER["url"], "summary": ""}
    answer = await send(organiser, new, **fields, **{"themes-enjeux-ia": "oui"})
    path, _, done = answer.headers["location"].partition("?")
    assert done == "fait=ressource"
    assert "La ressource est en ligne." in (await organiser.get(answer.headers["location"])).text
    again = await send(organiser, new, **fields, **{"themes-enjeux-ia": "oui"})
    assert again.headers["location"] == f"{path}?fait=connue"
    (event,) = await events_of()
    assert isinstance(event, ResourcePublished)
    assert (event.kind, event.themes, event.summary) == ("dossier", ("enjeux-ia",), None)

    page = (await organiser.get(path)).text
    assert re.search(r'name="themes-enjeux-ia"[^>]* checked', page)
    assert (await send(organiser, path, title=DOSSIER["title"], url=DOSSIER["url"])).status_code == 303
    last = (await events_of())[-1]
    assert isinstance(last, ResourcePublished)
    assert (last.themes, last.version) == ((), 2)


@pytest.mark.parametrize("kind", ["replay", "community"])
async def test_each_kind_is_put_online_and_listed_by_its_kind(
    organiser: HttpBrowser, an_empty_offer: str, kind: str
) -> None:
    fields = {"resource_kind": kind, "title": "Ensemble", "url": OTHER_URL, "summary": "Pour tous."}
    answer = await send(organiser, "/gestion/ressources/nouvelle", **fields)
    path = answer.headers["location"].partition("?")[0]
    for listed, expected in ((kind, True), ("dossier", False), ("rien", True)):
        assert (path in (await organiser.get(f"/gestion/ressources?type={listed}")).text) is expected


async def test_what_is_wrong_with_a_new_resource_stands_beside_its_field(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    await log_in(visit, ADMIN)
    await published_replay(ask)
    new = "/gestion/ressources/nouvelle"
    right = {"resource_kind": "replay", "organiser": "bretagne", "title": "Autre", "url": OTHER_URL}
    for change, field, expected in (
        ({"resource_kind": "film"}, "resource_kind", "Choisissez une nature."),
        ({"resource_kind": ""}, "resource_kind", "Choisissez une nature."),
        ({"organiser": ""}, "organiser", "Choisissez la délégation"),
        ({"title": ""}, "title", "Le titre"),
        ({"url": "ici"}, "url", "Indiquez une adresse"),
        ({"url": REPLAY["url"]}, "url", "Une autre de vos ressources"),
    ):
        answer = await send(visit, new, **right | change)
        assert (answer.status_code, error_of(answer, field).startswith(expected)) == (422, True)
    assert len(await events_of()) == 1


async def test_a_theme_that_the_offer_has_no_more_stays_until_it_is_taken_away(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database
) -> None:
    resource_id = await published_replay(ask)
    path = f"/gestion/ressources/{resource_id}"
    async with database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE resource SET themes = '[\"ancien\"]'"))
    fields = {"title": "Mieux", "url": REPLAY["url"], "summary": ""}
    assert (await send(organiser, path, **fields, **{"themes-ancien": "oui"})).status_code == 303
    assert (await ask("GET", f"/resources/{resource_id}")).json()["themes"] == ["ancien"]
    problem(await ask("PATCH", f"/resources/{resource_id}", by=BRETAGNE, themes=["inconnu"]), 422)
    problem(await ask("PATCH", f"/resources/{resource_id}", by=BRETAGNE, themes=None), 422)
    assert (await send(organiser, path, **fields)).status_code == 303
    assert (await ask("GET", f"/resources/{resource_id}")).json()["themes"] == []


async def test_the_resources_of_others_are_neither_listed_nor_shown(
    visit: HttpBrowser, offer: object, ask: Ask
) -> None:
    resource_id = await published_replay(ask)
    await log_in(visit, CORSE)
    assert resource_id not in (await visit.get("/gestion/ressources")).text
    assert (await visit.get(f"/gestion/ressources/{resource_id}")).status_code == 404
    await log_in(visit, ADMIN)
    dossier = loaded_resource_id("dossier-ia-et-action-publique-locale")
    listed = (await visit.get("/gestion/ressources")).text
    assert all(str(published) in listed for published in (resource_id, dossier))
    shown = (await visit.get(f"/gestion/ressources/{dossier}")).text
    assert "se corrige dans les fichiers" in shown
    assert "Enregistrer les corrections" not in shown


async def test_who_acts_for_all_looks_for_a_resource_by_its_words_and_its_delegation(
    visit: HttpBrowser, recorded: str, ask: Ask
) -> None:
    found = await published_replay(ask, session_id=recorded)
    await log_in(visit, ADMIN)
    listed = "/gestion/ressources"
    for query, is_there in (
        ("recherche=rennes&delegation=bretagne", True),
        ("recherche=Mayotte", False),
        ("delegation=corse", False),
    ):
        page = (await visit.get(f"{listed}?{query}")).text
        assert (f'href="{listed}/{found}"' in page) is is_there, query
    page = (await visit.get(f"{listed}?delegation=corse")).text
    assert "Aucune ressource ne correspond à cette recherche." in page
    assert f'href="{listed}?type=dossier&amp;delegation=corse"' in page


async def test_who_acts_for_all_puts_a_dossier_online_that_is_of_no_delegation(
    visit: HttpBrowser, ask: Ask, events_of: EventsOf
) -> None:
    await log_in(visit, ADMIN)
    new = "/gestion/ressources/nouvelle"
    fields = {"title": "L’IA à l’accueil", "url": "https://ressources.example.org/accueil"}
    replay = await send(visit, new, resource_kind="replay", organiser="nationale", **fields)
    assert error_of(replay, "organiser")
    assert error_of(await send(visit, new, resource_kind="dossier", **fields), "organiser"), "not by default"
    problem(await ask("POST", "/resources", by=ADMIN, kind="dossier", **fields), 422)
    made = await send(visit, new, resource_kind="dossier", organiser="nationale", **fields)
    assert made.status_code == 303, made.text
    page = (await visit.get(made.headers["location"])).text
    assert "toutes les délégations" in page
    (event,) = [event for event in await events_of() if isinstance(event, ResourcePublished)]
    again = await ask("POST", "/resources", by=ADMIN, kind="dossier", organiser=None, **fields)
    assert again.status_code == 200, "it is known by its address"
    assert str(event.resource_id) in (await visit.get("/gestion/ressources")).text
    assert "L’IA à l’accueil" in (await visit.get("/ressources?recherche=accueil")).text
