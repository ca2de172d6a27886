"""A series on pages: seen before it is made, all its sessions or none, once; and templates to begin from."""

import asyncio
from html import unescape
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.catalogue.rules.series import SeriesSession
from services.catalogue.service import series, templates
from services.catalogue.service.commands import SessionDraft
from services.catalogue.service.series import SeriesRow
from shared.database import Database
from shared.events.catalogue import SessionOpened, SessionScheduled
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    created,
    hidden,
    local,
    log_in,
    organiser,
    send,
    wrong_fields,
)
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    a_draft_of,
    acting,
    in_days,
    kinds,
    listed,
    time_is,
)

__all__ = ["organiser"]

PAGE, NEW = "/gestion/sessions/serie", "/gestion/sessions/nouvelle"
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


async def stored(ask: Ask) -> dict[str, tuple[str, str, int, str]]:
    """The organiser, the state, the capacity and the place of each session by its title."""
    fields = ("organiser", "status", "capacity", "venue")
    return {item["title"]: tuple(item[name] for name in fields) for item in await listed(ask, by=ADMIN)}


@pytest.mark.parametrize("published", [False, True], ids=["drafts", "published"])
async def test_a_series_is_seen_then_made(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf, *, published: bool
) -> None:
    rows = {"towns-1-capacity": "12", "towns-1-venue": "Mairie"}
    form = a_series(an_empty_offer, "Brest", "Quimper", **rows) | ({"publier": "oui"} if published else {})
    page, confirmed = await seen(organiser, form)
    assert (page.status_code, await stored(ask)) == (200, {})
    done = await organiser.post(PAGE, data=confirmed)
    assert "L’IA à Brest" in unescape((await organiser.get(done.headers["location"])).text)
    status = "published" if published else "draft"
    assert await stored(ask) == {
        "L’IA à Brest": ("bretagne", status, 30, "Brest"),
        "L’IA à Quimper": ("bretagne", status, 12, "Mairie, Quimper"),
    }
    announced = sorted(kinds(await events_of()), key=str)
    assert announced == [SessionOpened, SessionOpened, SessionScheduled, SessionScheduled] * published


async def test_one_row_that_is_refused_keeps_all_from_being_made(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    past = {"towns-1-starts_at": local(-90)}
    form = a_series(an_empty_offer, "Brest", "Quimper", publier="oui", **past)
    page, confirmed = await seen(organiser, form)
    for refused in (page, await organiser.post(PAGE, data=confirmed)):
        assert wrong_fields(refused) == ["towns-1-starts_at"]
        assert 'name="confirmer"' not in refused.text
    assert await stored(ask) == {}


async def test_a_form_that_was_changed_after_the_preview_is_shown_again_first(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    _, confirmed = await seen(organiser, a_series(an_empty_offer, "Brest"))
    other = confirmed | {"towns-0-town": "Vannes"}
    page = await organiser.post(PAGE, data=other)
    assert (page.status_code, await stored(ask)) == (200, {})
    done = await organiser.post(PAGE, data=other | {"apercu": hidden(page.text, "apercu")})
    assert (done.status_code, [*await stored(ask)]) == (303, ["L’IA à Vannes"])


async def test_a_form_that_is_sent_again_makes_each_row_once(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    _, form = await seen(organiser, a_series(an_empty_offer, "Brest", "Quimper"))
    answers = await asyncio.gather(*(organiser.post(PAGE, data=form) for _ in range(3)))
    assert len({answer.headers["location"] for answer in answers}) == 1
    # Back, a town more, another summary for all: the sessions that are there stay as they are.
    form |= {"towns-2-town": "Vannes", "summary": "Une journée.", "publier": "oui"}
    page = await organiser.post(PAGE, data=form)
    await organiser.post(PAGE, data=form | {"apercu": hidden(page.text, "apercu")})
    assert {title: state for title, (_, state, _, _) in (await stored(ask)).items()} == {
        "L’IA à Brest": "draft",
        "L’IA à Quimper": "draft",
        "L’IA à Vannes": "published",
    }
    nothing = await organiser.post(PAGE, data=form | {"towns-1-capacity": "7"})
    assert (nothing.status_code, 'name="confirmer"' in nothing.text) == (200, False)


async def test_a_session_that_the_series_has_made_is_not_judged_again_as_a_new_one(
    an_empty_offer: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    brest, quimper = (
        SeriesRow(SessionDraft.model_validate(a_draft_of(an_empty_offer, title=title)), in_days(days))
        for title, days in (("Brest", 50), ("Quimper", 90))
    )
    async with database.transaction() as tx:
        assert (await series.create(acting(tx), [brest], key=KEY, published=True)).made
    async with time_is(monkeypatch, in_days(60)), database.transaction() as tx:
        made = await series.create(acting(tx), [brest, quimper], key=KEY, published=True)
        alone = await series.create(acting(tx), [brest], key=UUID(int=2), published=True)
    assert (made.made, alone.made) == (True, False)
    existing = [session.exists for session in made.sessions if isinstance(session, SeriesSession)]
    assert existing == [True, False]


@pytest.mark.parametrize(("by", "made_for"), [(BRETAGNE, "bretagne"), (ADMIN, "corse")])
async def test_only_an_organiser_for_all_makes_a_row_for_another_delegation(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask, by: str, made_for: str
) -> None:
    await log_in(visit, by)
    _, confirmed = await seen(visit, a_series(an_empty_offer, "Ajaccio", **{"towns-0-delegation": "corse"}))
    await visit.post(PAGE, data=confirmed)
    assert [session[0] for session in (await stored(ask)).values()] == [made_for]


# -------------------------------------------------------------------------------------------- templates


async def named(organiser: HttpBrowser, path: str, name: str, **more: str) -> httpx.Response:
    return await send(organiser, path, f"{path}/modele", modele=name, **more)


async def a_template(organiser: HttpBrowser, offer_id: str, name: str, **fields: str) -> str:
    path = await created(organiser, offer_id, **fields)
    assert (await named(organiser, path, name)).headers["location"] == f"{path}?fait=modele"
    return path


async def test_a_template_fills_the_form_of_a_new_session_and_of_a_series(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    fields = {"summary": "Une journée.", "reference": "BRE-1", "venue": "Salle des fêtes"}
    rows = {"questions-0-kind": "yes_no", "questions-0-label": "Venez-vous en train ?"}
    path = await a_template(organiser, an_empty_offer, "Journée type", **fields, **rows)
    query = {"depuis": path.rsplit("/", 1)[1], "debut": "2027-05-10T09:30"}
    for page in (NEW, PAGE):
        assert ">Journée type</option>" in (await organiser.get(page)).text
        filled = unescape((await organiser.get(page, params=query)).text)
        for value in ("2027-05-10T09:30", "Une journée.", "Venez-vous en train ?"):
            assert value in filled
        assert "BRE-1" not in filled
        assert ("Salle des fêtes" in filled) is (page == NEW), "each town of a series has its own place"
    for typed in ("0001-02-01T10:00", "9999-12-30T10:00"):
        page = (await organiser.get(NEW, params=query | {"debut": typed})).text
        assert typed not in page


async def test_a_name_belongs_to_one_template_until_it_is_emptied_or_the_session_deleted(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    first = await a_template(organiser, an_empty_offer, "Journée type")
    second = await created(organiser, an_empty_offer)
    for refused in ("Journée type", "x" * 101):
        assert wrong_fields(await named(organiser, second, refused)) == ["modele"]
    assert (await named(organiser, first, " ")).headers["location"] == f"{first}?fait=sans-modele"
    assert (await named(organiser, second, "Journée type")).status_code == 303
    await send(organiser, f"{second}/supprimer")
    assert (await named(organiser, first, "Journée type")).status_code == 303


async def test_a_name_over_a_colleagues_name_is_refused_and_both_are_shown(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    await named(organiser, path, "Journée type")
    late = await named(organiser, path, "Soirée", **{"avant-modele": ""})
    assert (late.status_code, hidden(late.text, "avant-modele")) == (412, "Journée type")
    assert 'value="Soirée"' in late.text
    assert (await named(organiser, path, "Journée type", **{"avant-modele": ""})).status_code == 303
    again = {"avant-modele": hidden(late.text, "avant-modele")}
    assert (await named(organiser, path, "Soirée", **again)).status_code == 303
    history = (await organiser.get(f"{path}/historique")).text
    assert history.count("<dt>Nom du modèle</dt>") == 2


async def test_templates_stand_by_name_and_only_so_many_belong_to_a_delegation(
    organiser: HttpBrowser, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "MOST", 2)
    first = await a_template(organiser, an_empty_offer, "Soirée type")
    await a_template(organiser, an_empty_offer, "Journée type")
    assert wrong_fields(await named(organiser, await created(organiser, an_empty_offer), "Autre")) == [
        "modele"
    ]
    page = (await organiser.get(NEW)).text
    assert page.index("Journée type") < page.index("Soirée type")
    assert (await named(organiser, first, "Soirée")).status_code == 303
    await log_in(organiser, CORSE)
    page = (await organiser.get(NEW)).text
    assert "Journée type" not in page
    assert (await organiser.get(NEW, params={"depuis": first.rsplit("/", 1)[1]})).status_code == 404
    theirs = {"cle": hidden(page, "cle"), "modele": "À moi"}
    assert (await organiser.post(f"{first}/modele", data=theirs)).status_code == 404
    await a_template(organiser, an_empty_offer, "Journée type")
    await log_in(organiser, ADMIN)
    assert (await organiser.get(NEW)).text.count(">Journée type · ") == 2


async def test_a_draft_that_is_given_a_name_cannot_be_deleted_meanwhile(
    draft_id: str, database: Database
) -> None:
    free = text("SELECT 1 FROM session FOR NO KEY UPDATE SKIP LOCKED")
    async with database.transaction() as tx, database.transaction() as other:
        await templates.name(acting(tx), UUID(draft_id), "Journée type", before=None)
        assert (await other.execute(free)).all() == []
