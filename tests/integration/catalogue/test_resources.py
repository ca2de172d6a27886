"""Replays, dossiers and communities: published once, corrected as a new version, withdrawn for good."""

import asyncio
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.catalogue.offer_files.reading import OFFER
from services.catalogue.rules.offers import loaded_resource_id, loaded_session_id
from shared.database import Database
from shared.events.catalogue import ReplayPublished, ResourcePublished, ResourceWithdrawn
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, log_in, organiser, send, wrong_fields
from tests.integration.catalogue.conftest import (
    ADMIN,
    AS_OF,
    BRETAGNE,
    CORSE,
    RENNES,
    EventsOf,
    audited,
    begun,
    edited,
    kinds,
    listed,
    problem,
    published,
    shown,
)
from tests.support.catalogue import load

__all__ = ["organiser"]


REPLAY = {"title": "Replay : l'IA à Rennes", "url": "https://replays.example.org/rennes"}
OTHER_URL = "https://replays.example.org/brest"
DOSSIER = {"kind": "dossier", "title": "L'IA à l'école", "url": "https://ressources.example.org/ecole"}
OF_THE_FILES = loaded_resource_id("dossier-ia-et-action-publique-locale")


@pytest.fixture
async def recorded(an_empty_offer: str, ask: Ask) -> str:
    return await published(ask, an_empty_offer, **begun())


async def published_replay(ask: Ask, **fields: str) -> str:
    answer = await ask("POST", "/replays", by=BRETAGNE, **REPLAY | fields)
    assert answer.status_code == 201, answer.text
    resource_id: str = answer.json()["resource_id"]
    return resource_id


# ------------------------------------------------------------------------------------------- published


async def test_a_replay_is_published_once_and_open_to_everyone(
    recorded: str, ask: Ask, events_of: EventsOf
) -> None:
    replay = {"session_id": recorded, "themes": ["enjeux-ia"], **REPLAY}
    first, again = [await ask("POST", "/replays", by=BRETAGNE, **replay) for _ in range(2)]
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert await listed(ask, "/resources", kind="replay") == [first.json()]
    (event,) = await events_of(first.json()["resource_id"])
    assert isinstance(event, ReplayPublished)
    assert (event.session_id, event.organiser, event.version) == (UUID(recorded), "bretagne", 1)
    for other in ({"title": "Autre titre"}, {"session_id": None}):
        problem(await ask("POST", "/replays", by=BRETAGNE, **replay | other), 409)


REFUSED: dict[str, tuple[str, dict[str, Any], int]] = {
    "not begun": (BRETAGNE, {"session_id": str(RENNES)}, 409),
    "of others": (CORSE, {"session_id": str(RENNES)}, 404),
    "unknown": (BRETAGNE, {"session_id": str(UUID(int=7))}, 404),
    "for others": (CORSE, {"organiser": "bretagne"}, 403),
    "for nobody": (ADMIN, {}, 422),
    "unknown theme": (BRETAGNE, {"themes": ["inconnu"]}, 422),
}


async def test_a_replay_is_refused(look: Ask) -> None:
    for by, fields, status in REFUSED.values():
        problem(await look("POST", "/replays", by=by, **REPLAY | fields), status)


async def test_of_many_publications_at_one_address_one_is_new(ask: Ask, events_of: EventsOf) -> None:
    answers = await asyncio.gather(*(ask("POST", "/replays", by=BRETAGNE, **REPLAY) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert kinds(await events_of()) == [ReplayPublished]


# ------------------------------------------------------------------------------------------- corrected


async def test_a_correction_is_a_new_version_and_the_same_again_is_none(
    recorded: str, ask: Ask, events_of: EventsOf, database: Database
) -> None:
    resource_id = await published_replay(ask, session_id=recorded, summary="Une journé.")
    path = f"/resources/{resource_id}"
    right = {"title": "Replay : l'IA à Brest", "url": OTHER_URL, "summary": None}
    answers = [await ask("PATCH", path, by=BRETAGNE, **fields) for fields in (right, right, {})]
    assert [answer.json() for answer in answers] == [await shown(ask, path)] * 3
    first, second = await events_of(resource_id)
    assert second == first.model_copy(update=right | {"version": 2})
    _, line = await audited(database, resource_id)
    wrong = REPLAY | {"summary": "Une journé."}
    assert line == (BRETAGNE, "changed", 2, {name: [wrong[name], value] for name, value in right.items()})


async def test_a_colleagues_correction_is_not_overwritten(ask: Ask) -> None:
    made = await ask("POST", "/replays", by=BRETAGNE, **REPLAY)
    path, read = f"/resources/{made.json()['resource_id']}", made.headers["etag"]
    assert (await ask("GET", path, if_none_match=read)).status_code == 304
    first = await ask("PATCH", path, by=ADMIN, if_match=read, title="A")
    stale = await ask("PATCH", path, by=BRETAGNE, if_match=read, title="B")
    problem(stale, 412)
    assert stale.headers["etag"] == first.headers["etag"]


async def test_a_corrected_address_is_the_resources_and_the_wrong_one_is_free(ask: Ask) -> None:
    corrected = await published_replay(ask)
    await ask("PATCH", f"/resources/{corrected}", by=BRETAGNE, url=OTHER_URL)
    same = await ask("POST", "/replays", by=BRETAGNE, **REPLAY | {"url": OTHER_URL})
    assert (same.status_code, same.json()["resource_id"]) == (200, corrected)
    other = await published_replay(ask)
    assert other != corrected
    problem(await ask("PATCH", f"/resources/{other}", by=BRETAGNE, url=OTHER_URL), 409)


async def test_of_two_corrections_to_one_address_one_is_refused(ask: Ask) -> None:
    paths = [f"/resources/{await published_replay(ask, url=f'{OTHER_URL}/{name}')}" for name in "ab"]
    for attempt in range(1, 4):
        same = {"url": f"{OTHER_URL}/{attempt}"}
        answers = await asyncio.gather(*(ask("PATCH", path, by=BRETAGNE, **same) for path in paths))
        assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_two_resources_that_want_each_others_address_are_both_refused(ask: Ask) -> None:
    here, there = await published_replay(ask), await published_replay(ask, url=OTHER_URL)
    answers = await asyncio.gather(
        ask("PATCH", f"/resources/{here}", by=BRETAGNE, url=OTHER_URL),
        ask("PATCH", f"/resources/{there}", by=BRETAGNE, url=REPLAY["url"]),
    )
    for answer, other in zip(answers, (there, here), strict=True):
        problem(answer, 409)
        assert f"correct that one, resource {other}." in answer.json()["detail"]


async def test_a_resource_is_published_at_an_address_that_another_is_just_leaving(
    ask: Ask, database: Database
) -> None:
    left = await published_replay(ask)
    async with database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE resource SET url = :url, version = 2"), {"url": OTHER_URL})
        waiting = asyncio.ensure_future(ask("POST", "/replays", by=BRETAGNE, **REPLAY))
        await published_replay(ask, url=f"{OTHER_URL}/2")
    assert (await waiting).json()["url"] == REPLAY["url"]
    again = await ask("POST", "/replays", by=BRETAGNE, **REPLAY)
    assert (again.json()["url"], again.json()["resource_id"] == left) == (REPLAY["url"], False)


async def test_a_resource_of_the_files_is_not_corrected_here(look: Ask) -> None:
    answer = await look("PATCH", f"/resources/{OF_THE_FILES}", by=ADMIN, title="A")
    problem(answer, 409)
    assert answer.json()["errors"][0]["code"] == "of_the_files"


async def test_a_theme_that_the_offer_has_no_more_may_stay(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    path = f"/resources/{await published_replay(ask)}"
    async with database.quiet_transaction() as tx:
        await tx.execute(text("UPDATE resource SET themes = '[\"ancien\"]'"))
    for themes, status in ((["ancien", "enjeux-ia"], 200), (["inconnu"], 422)):
        assert (await ask("PATCH", path, by=BRETAGNE, themes=themes)).status_code == status


async def test_a_loads_change_of_a_resource_is_published_and_in_its_history(
    offer: object, database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    resource_id = loaded_resource_id("replay-enjeux-pour-les-collectivites")
    session_id = str(loaded_session_id("webinaires-acculturation-ia", "enjeux-pour-les-collectivites"))
    session = "\n    session: webinaires-acculturation-ia/enjeux-pour-les-collectivites"
    dated = "]\n    published_at: 2025-03-07 10:00\n    organiser: inset-nancy"
    files = edited(tmp_path, "resources.yaml", dated + session, ", usages-service-public" + dated)
    assert (await load(database, files, as_of=AS_OF)).resources_published == 1
    first, second = await events_of(resource_id)
    themes = (["enjeux-ia"], ["enjeux-ia", "usages-service-public"])
    changed = {"version": 2, "themes": tuple(themes[1]), "session_id": None}
    assert second == first.model_copy(update=changed)
    _, line = await audited(database, resource_id)
    assert line == ("load-offer", "changed", 2, {"themes": [*themes], "session_id": [session_id, None]})


# -------------------------------------------------------------------------------------------- withdrawn


async def test_a_withdrawn_resource_is_gone_for_good_and_its_words_are_forgotten(
    ask: Ask, recorded: str, visit: HttpBrowser, events_of: EventsOf, database: Database
) -> None:
    resource_id = await published_replay(ask, session_id=recorded, summary="Avec Anne Martin.")
    path, pages = f"/resources/{resource_id}", ("/", "/ressources", f"/sessions/{recorded}", "/replays.atom")
    assert all([REPLAY["url"] in (await visit.get(page)).text for page in pages])
    for by, tag, status in ((CORSE, None, 404), (None, None, 401), (BRETAGNE, '"7"', 412)):
        problem(await ask("POST", f"{path}/withdraw", by=by, if_match=tag), status)
    answer = await ask("POST", f"{path}/withdraw", by=BRETAGNE, if_match='"1"')
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    problem(await ask("GET", path), 410)
    assert await listed(ask, "/resources") == []
    assert not any([REPLAY["url"] in (await visit.get(page)).text for page in pages])
    for again in (await ask("POST", f"{path}/withdraw", by=BRETAGNE), await ask("PATCH", path, by=BRETAGNE)):
        problem(again, 409)
    last = (await events_of(resource_id))[-1]
    assert isinstance(last, ResourceWithdrawn)
    assert set(last.model_dump()) == {"resource_id", "version", "withdrawn_at"}
    async with database.quiet_transaction() as tx:
        row = (await tx.execute(text("SELECT title, summary, search_vector FROM resource"))).one()
    assert (row.title, row.summary) == ("", None)
    assert not {"renn", "martin"} & set(re.findall(r"'(\w+)'", row.search_vector))
    assert (await audited(database, resource_id))[-1] == (BRETAGNE, "withdrawn", 2, {})


async def test_of_many_withdrawals_at_once_one_is_made_and_the_address_is_free(
    ask: Ask, events_of: EventsOf
) -> None:
    resource_id = await published_replay(ask)
    path = f"/resources/{resource_id}/withdraw"
    answers = await asyncio.gather(*(ask("POST", path, by=BRETAGNE) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 3
    assert kinds(await events_of(resource_id)) == [ReplayPublished, ResourceWithdrawn]
    assert await published_replay(ask) != resource_id


@pytest.mark.usefixtures("offer")
async def test_a_withdrawn_resource_of_the_files_stays_so_when_they_are_loaded_again(
    ask: Ask, events_of: EventsOf, database: Database, tmp_path: Path
) -> None:
    assert (await ask("POST", f"/resources/{OF_THE_FILES}/withdraw", by=ADMIN)).is_success
    changed = edited(tmp_path, "resources.yaml", "choisis par les documentalistes", "bien choisis")
    for files in (OFFER, changed):
        assert (await load(database, files, as_of=AS_OF)).resources_published == 0
    assert kinds(await events_of(OF_THE_FILES)) == [ResourcePublished, ResourceWithdrawn]
    problem(await ask("GET", f"/resources/{OF_THE_FILES}"), 410)


# --------------------------------------------------------------------------------------------- by a form

NEW = "/gestion/ressources/nouvelle"


@pytest.mark.parametrize("kind", ["replay", "dossier", "community"])
async def test_each_kind_is_put_online_once_by_a_form_and_corrected_there(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, kind: str
) -> None:
    fields = {"resource_kind": kind, "title": "Ensemble", "url": OTHER_URL, "summary": ""}
    made, again = [await send(organiser, NEW, **fields, **{"themes-enjeux-ia": "oui"}) for _ in range(2)]
    path = made.headers["location"].removesuffix("?fait=ressource")
    assert again.headers["location"] == f"{path}?fait=connue"
    for named, expected in ((kind, True), ("dossier", kind == "dossier"), ("rien", True)):
        assert (path in (await organiser.get(f"/gestion/ressources?type={named}")).text) is expected
    assert (await send(organiser, path, title="Autre", url=OTHER_URL)).status_code == 303
    (resource,) = await listed(ask, "/resources", kind=kind)
    assert (resource["title"], resource["summary"], resource["themes"]) == ("Autre", None, [])


async def test_an_error_of_a_new_resource_stands_beside_its_field(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    await published_replay(ask)
    await log_in(visit, ADMIN)
    right = {"resource_kind": "replay", "organiser": "bretagne", "title": "Autre", "url": OTHER_URL}
    for field, wrong in (
        ("resource_kind", "film"),
        ("organiser", ""),
        ("organiser", "nationale"),  # which publishes no replay
        ("title", ""),
        ("url", REPLAY["url"]),
    ):
        assert wrong_fields(await send(visit, NEW, **right | {field: wrong})) == [field], wrong


async def test_the_resources_of_others_are_neither_listed_nor_shown(visit: HttpBrowser, ask: Ask) -> None:
    resource_id = await published_replay(ask)
    path = f"/gestion/ressources/{resource_id}"
    for by, query, is_listed in (
        (CORSE, "", False),
        (ADMIN, "", True),
        (ADMIN, "recherche=rennes&delegation=bretagne", True),
        (ADMIN, "recherche=Mayotte", False),
        (ADMIN, "delegation=corse", False),
    ):
        await log_in(visit, by)
        page = (await visit.get(f"/gestion/ressources?{query}")).text
        assert (f'href="{path}"' in page) is is_listed, (by, query)
        assert (await visit.get(path)).status_code == (404 if by == CORSE else 200)


async def test_an_organiser_for_all_publishes_a_dossier_of_no_delegation(
    visit: HttpBrowser, ask: Ask, events_of: EventsOf
) -> None:
    fields = {"title": "L’IA à l’accueil", "url": "https://ressources.example.org/accueil"}
    problem(await ask("POST", "/resources", by=ADMIN, kind="dossier", **fields), 422)
    await log_in(visit, ADMIN)
    made = await send(visit, NEW, resource_kind="dossier", organiser="nationale", **fields)
    assert made.headers["location"].endswith("fait=ressource")
    again = await ask("POST", "/resources", by=ADMIN, kind="dossier", organiser=None, **fields)
    assert (again.status_code, again.json()["organiser"]) == (200, None)
    assert kinds(await events_of()) == [ResourcePublished]
