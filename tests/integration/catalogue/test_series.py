"""A series on pages: seen before it is made, all its sessions or none, once; and templates to begin from."""

import asyncio
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.catalogue.rules.series import SeriesSession
from services.catalogue.service import series, templates
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import SessionDraft
from services.catalogue.service.series import SeriesRow
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionOpened, SessionScheduled
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    created,
    error_of,
    hidden,
    log_in,
    organiser,
    send,
)
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    a_draft_of,
    drafted,
    in_days,
    time_is,
)
from tests.integration.catalogue.test_offers import NEW

__all__ = ["organiser"]

PAGE = "/gestion/sessions/serie"
KEY = UUID(int=1)


def a_series(offer_id: str, *towns: str, **changes: str) -> dict[str, str]:
    rows = {f"towns-{number}-town": town for number, town in enumerate(towns)}
    return a_form(offer_id, title="L’IA à {ville}") | rows | changes


async def seen(organiser: HttpBrowser, form: dict[str, str]) -> tuple[httpx.Response, dict[str, str]]:
    """The page that shows what would be made, and the form as a browser would send it from there."""
    page = await send(organiser, PAGE, **form)
    marks = {
        name: hidden(page.text, name) for name in ("cle", "formulaire", "apercu") if f'"{name}"' in page.text
    }
    return page, form | marks | {"confirmer": "oui"}


async def sessions_of(ask: Ask, by: str = BRETAGNE) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await ask("GET", "/sessions", by=by)).json()["items"]
    return items


async def test_a_series_is_seen_then_made_as_drafts(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    form = a_series(
        an_empty_offer, "Brest", "Quimper", **{"towns-1-capacity": "12", "towns-1-venue": "Mairie"}
    )
    page, confirmed = await seen(organiser, form)
    assert page.status_code == 200
    assert "Créer 2 sessions" in page.text
    assert "L’IA à Quimper" in page.text
    assert await sessions_of(ask) == []
    done = await organiser.post(PAGE, data=confirmed)
    listed = (await organiser.get(done.headers["location"])).text
    assert "2\u00a0sessions sont enregistrées, en brouillon" in listed
    assert all(title in unescape(listed) for title in ("L’IA à Brest", "L’IA à Quimper"))
    brest, quimper = sorted(await sessions_of(ask), key=lambda session: str(session["title"]))
    assert (brest["title"], brest["capacity"], brest["venue"]) == ("L’IA à Brest", 30, "Brest")
    assert (quimper["title"], quimper["capacity"], quimper["venue"]) == (
        "L’IA à Quimper",
        12,
        "Mairie, Quimper",
    )
    assert {brest["status"], quimper["status"], brest["organiser"]} == {"draft", "bretagne"}
    assert await events_of() == []
    history = (await ask("GET", f"/sessions/{brest['session_id']}/history", by=BRETAGNE)).json()["items"]
    assert [(line["actor"], line["action"]) for line in history] == [(BRETAGNE, "created")]


async def test_a_series_is_published_at_once_if_the_form_says_so(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    _, confirmed = await seen(organiser, a_series(an_empty_offer, "Brest", "Quimper", publier="oui"))
    done = await organiser.post(PAGE, data=confirmed)
    assert "2\u00a0sessions sont publiées." in (await organiser.get(done.headers["location"])).text
    sessions = await sessions_of(ask)
    assert {session["status"] for session in sessions} == {"published"}
    events = await events_of(sessions[0]["session_id"])
    assert [type(event) for event in events] == [SessionScheduled, SessionOpened]
    history = (await ask("GET", f"/sessions/{sessions[0]['session_id']}/history", by=BRETAGNE)).json()[
        "items"
    ]
    assert [line["action"] for line in history] == ["published", "created"]


async def test_one_row_that_may_not_be_keeps_all_from_being_made(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    past = {"towns-1-starts_at": in_days(-90).strftime("%Y-%m-%dT%H:%M")}
    page, confirmed = await seen(
        organiser, a_series(an_empty_offer, "Brest", "Quimper", publier="oui", **past)
    )
    assert page.status_code == 422
    assert error_of(page, "towns-1-starts_at").startswith("La session est terminée")
    assert "À corriger" in page.text
    assert "confirmer" not in page.text
    assert (await organiser.post(PAGE, data=confirmed)).status_code == 422
    assert await sessions_of(ask) == []


async def test_what_was_typed_after_the_preview_is_shown_again_first(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    _, confirmed = await seen(organiser, a_series(an_empty_offer, "Brest"))
    page = await organiser.post(PAGE, data=confirmed | {"towns-0-town": "Vannes"})
    assert page.status_code == 200
    assert "Le formulaire a changé depuis l’aperçu" in page.text
    assert await sessions_of(ask) == []
    done = await organiser.post(
        PAGE, data=confirmed | {"towns-0-town": "Vannes", "apercu": hidden(page.text, "apercu")}
    )
    assert done.status_code == 303
    assert [session["title"] for session in await sessions_of(ask)] == ["L’IA à Vannes"]


async def test_a_form_that_is_sent_twice_makes_its_sessions_once(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    _, confirmed = await seen(organiser, a_series(an_empty_offer, "Brest", "Quimper"))
    answers = await asyncio.gather(*(organiser.post(PAGE, data=confirmed) for _ in range(3)))
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(await sessions_of(ask)) == 2


async def test_of_a_form_that_made_a_series_already_only_the_other_rows_are_made(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    async def send_again(form: dict[str, str]) -> httpx.Response:
        page = await organiser.post(PAGE, data=form)
        await organiser.post(PAGE, data=form | {"apercu": hidden(page.text, "apercu")})
        return page

    _, form = await seen(organiser, a_series(an_empty_offer, "Brest", "Quimper"))
    assert (await organiser.post(PAGE, data=form)).status_code == 303
    brest = next(
        session["session_id"] for session in await sessions_of(ask) if session["title"].endswith("Brest")
    )
    # Back, a town more, another summary for all: those that are there stay as they are.
    more = form | {"towns-2-town": "Vannes", "summary": "Une journée.", "publier": "oui"}
    page = await send_again(more)
    assert page.text.count("Déjà créée<") == 2
    assert f'href="/gestion/sessions/{brest}"' in page.text
    assert "Créer 1 session<" in page.text.replace("\u00a0", " ")
    found = {session["title"]: session["status"] for session in await sessions_of(ask)}
    assert len(await sessions_of(ask)) == 3
    assert found == {"L’IA à Brest": "draft", "L’IA à Quimper": "draft", "L’IA à Vannes": "published"}
    page = await send_again(more | {"towns-1-capacity": "7"})
    assert (page.status_code, "il n’y a rien à créer" in page.text) == (200, True)
    for label in ("Quand", "Lieu", "Places"):  # what they are like now, their own pages say
        assert page.text.count(f'data-label="{label}">–<') == 3
    assert "confirmer" not in page.text
    assert len(await sessions_of(ask)) == 3
    # Elsewhere, or at another time, it is another session.
    moved = {"towns-0-venue": "Mairie", "towns-1-starts_at": in_days(50).strftime("%Y-%m-%dT%H:%M")}
    await send_again(more | moved)
    assert len(await sessions_of(ask)) == 5
    # Of another offer too.
    await ask("POST", "/offers", by=ADMIN, **NEW)
    await send_again(more | {"offer_id": "ia-et-finances", "join_url": "https://visio.example/finances"})
    assert [session["offer_id"] for session in await sessions_of(ask)].count("ia-et-finances") == 3
    # From a form that is opened anew too.
    _, anew = await seen(organiser, a_series(an_empty_offer, "Brest"))
    await organiser.post(PAGE, data=anew)
    assert len(await sessions_of(ask)) == 9


async def test_a_session_that_the_series_has_made_is_not_judged_again_as_a_new_one(
    an_empty_offer: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = Principal(name=BRETAGNE, role=Role.ORGANISER, delegation="bretagne")
    brest, quimper = (
        SeriesRow(SessionDraft.model_validate(a_draft_of(an_empty_offer, title=title)), in_days(days))
        for title, days in (("Brest", 50), ("Quimper", 90))
    )
    async with database.transaction() as tx:
        assert (await series.create(Acting(tx, who), [brest], key=KEY, published=True)).made
    async with time_is(monkeypatch, in_days(60)), database.transaction() as tx:
        made = await series.create(Acting(tx, who), [brest, quimper], key=KEY, published=True)
        alone = await series.create(Acting(tx, who), [brest], key=UUID(int=2), published=True)
    assert (made.made, alone.made) == (True, False)
    assert [session.exists for session in made.sessions if isinstance(session, SeriesSession)] == [
        True,
        False,
    ]


async def test_who_acts_for_all_makes_one_for_several_delegations_on_their_own_clocks(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    await log_in(visit, ADMIN)
    form = a_series(an_empty_offer, "Brest", "Cayenne", **{"towns-0-delegation": "bretagne"})
    page = await send(visit, PAGE, **form)
    assert error_of(page, "towns-1-delegation") == "Ce champ est obligatoire."
    _, confirmed = await seen(visit, form | {"towns-1-delegation": "guyane"})
    assert (await visit.post(PAGE, data=confirmed)).status_code == 303
    zones = {session["organiser"]: session["timezone"] for session in await sessions_of(ask, ADMIN)}
    assert zones == {"bretagne": "Europe/Paris", "guyane": "America/Cayenne"}


async def test_a_row_for_another_delegation_is_not_taken_from_who_is_of_one(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    _, confirmed = await seen(
        organiser, a_series(an_empty_offer, "Ajaccio", **{"towns-0-delegation": "corse"})
    )
    assert (await organiser.post(PAGE, data=confirmed)).status_code == 303
    assert [session["organiser"] for session in await sessions_of(ask)] == ["bretagne"]


# -------------------------------------------------------------------------------------------- templates


async def test_a_template_fills_the_form_of_a_new_session_and_of_a_series(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    rows = {"questions-0-kind": "yes_no", "questions-0-label": "Venez-vous en train ?"}
    path = await created(organiser, an_empty_offer, summary="Une journée.", reference="BRE-1", **rows)
    named = await send(organiser, path, f"{path}/modele", modele="Journée type")
    assert named.headers["location"] == f"{path}?fait=modele"
    assert "Journée type" in (await organiser.get(path)).text
    for page in ("/gestion/sessions/nouvelle", PAGE):
        begun = (await organiser.get(page)).text
        assert ">Journée type</option>" in begun
        assert f'<a href="{path}#modele">Journée type</a>' in begun
        query = {"depuis": path.rsplit("/", 1)[1], "debut": "2027-05-10T09:30"}
        filled = (await organiser.get(page, params=query)).text
        assert 'value="2027-05-10T09:30"' in filled
        assert "Une journée." in filled
        assert "Venez-vous en train ?" in unescape(filled)
        assert f'value="{an_empty_offer}" selected' in filled
        assert "BRE-1" not in filled


async def test_no_town_of_a_series_takes_the_place_of_the_session_that_it_begins_with(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer, venue="Salle des fêtes, Quimper", summary="Une journée.")
    begun = (await organiser.get(PAGE, params={"depuis": path.rsplit("/", 1)[1]})).text
    assert "Une journée." in begun
    assert "Salle des fêtes" not in begun
    form = a_series(an_empty_offer, "Brest", "Lorient", **{"towns-1-venue": "Mairie, Lorient", "venue": ""})
    _, confirmed = await seen(organiser, form)
    await organiser.post(PAGE, data=confirmed)
    places = sorted(str(item["venue"]) for item in await sessions_of(ask))
    assert places == ["Brest", "Mairie, Lorient", "Salle des fêtes, Quimper"]


async def test_a_name_is_of_one_template_and_ends_when_it_is_emptied(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    first = await created(organiser, an_empty_offer)
    second = await created(organiser, an_empty_offer)
    await send(organiser, first, f"{first}/modele", modele="Journée type")
    taken = await send(organiser, second, f"{second}/modele", modele="Journée type")
    assert error_of(taken, "modele") == "Un autre de vos modèles porte déjà ce nom."
    too_long = await send(organiser, second, f"{second}/modele", modele="x" * 101)
    assert error_of(too_long, "modele").startswith("Le nom a au plus 100 caractères")
    emptied = await send(organiser, first, f"{first}/modele", modele=" ")
    assert emptied.headers["location"] == f"{first}?fait=sans-modele"
    assert (await send(organiser, second, f"{second}/modele", modele="Journée type")).status_code == 303
    assert (await send(organiser, second, f"{second}/supprimer")).status_code == 303
    assert "Journée type" not in (await organiser.get("/gestion/sessions/nouvelle")).text


async def test_a_name_over_one_that_a_colleague_gave_meanwhile_is_refused_and_both_are_shown(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    opened = hidden((await organiser.get(path)).text, "avant-modele")
    await send(organiser, path, f"{path}/modele", modele="Journée type")
    late = await send(organiser, path, f"{path}/modele", **{"modele": "Soirée", "avant-modele": opened})
    assert late.status_code == 412
    assert "Le modèle a été nommé «\u00a0Journée type\u00a0»" in late.text
    assert 'name="modele" type="text" value="Soirée"' in late.text
    assert hidden(late.text, "avant-modele") == "Journée type"
    assert hidden((await organiser.get(path)).text, "avant-modele") == "Journée type"
    twice = {"modele": "Journée type", "avant-modele": opened}
    assert (await send(organiser, path, f"{path}/modele", **twice)).status_code == 303
    renamed = {"modele": "Soirée", "avant-modele": hidden(late.text, "avant-modele")}
    assert (await send(organiser, path, f"{path}/modele", **renamed)).status_code == 303
    await send(organiser, path, f"{path}/modele", modele="")
    history = (await organiser.get(f"{path}/historique")).text
    assert history.count("<dt>Nom du modèle</dt>") == 3


async def test_a_delegation_has_so_many_templates_at_most(
    organiser: HttpBrowser, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "MOST", 1)
    first, second = await created(organiser, an_empty_offer), await created(organiser, an_empty_offer)
    await send(organiser, first, f"{first}/modele", modele="Journée type")
    refused = await send(organiser, second, f"{second}/modele", modele="Soirée type")
    assert error_of(refused, "modele").startswith("Votre délégation a déjà 50 modèles")
    assert (await send(organiser, first, f"{first}/modele", modele="Journée")).status_code == 303
    await log_in(organiser, CORSE)
    other = await created(organiser, an_empty_offer)
    assert (await send(organiser, other, f"{other}/modele", modele="Journée type")).status_code == 303


async def test_templates_stand_by_name(organiser: HttpBrowser, an_empty_offer: str) -> None:
    for name in ("Soirée type", "Journée type"):
        path = await created(organiser, an_empty_offer)
        await send(organiser, path, f"{path}/modele", modele=name)
    page = (await organiser.get("/gestion/sessions/nouvelle")).text
    assert page.index("Journée type") < page.index("Soirée type")


async def test_templates_are_of_their_delegation_alone(organiser: HttpBrowser, an_empty_offer: str) -> None:
    path = await created(organiser, an_empty_offer)
    await send(organiser, path, f"{path}/modele", modele="Journée type")
    await log_in(organiser, CORSE)
    assert "Journée type" not in (await organiser.get("/gestion/sessions/nouvelle")).text
    query = {"depuis": path.rsplit("/", 1)[1]}
    assert (await organiser.get("/gestion/sessions/nouvelle", params=query)).status_code == 404
    key = hidden((await organiser.get("/gestion/sessions/nouvelle")).text, "cle")
    assert (await organiser.post(f"{path}/modele", data={"cle": key, "modele": "À moi"})).status_code == 404
    await log_in(organiser, ADMIN)
    assert "Journée type · Bretagne" in (await organiser.get("/gestion/sessions/nouvelle")).text


async def test_a_draft_that_is_given_a_name_cannot_be_deleted_meanwhile(
    ask: Ask, an_empty_offer: str, database: Database
) -> None:
    session_id = (await drafted(ask, an_empty_offer))["session_id"]
    who = Principal(name=BRETAGNE, role=Role.ORGANISER, delegation="bretagne")
    named = text("SELECT 1 FROM session WHERE session_id = :id FOR NO KEY UPDATE SKIP LOCKED")
    async with database.transaction() as tx, database.transaction() as other:
        await templates.name(Acting(tx, who), UUID(session_id), "Journée type", before=None)
        assert (await other.execute(named, {"id": UUID(session_id)})).all() == []
