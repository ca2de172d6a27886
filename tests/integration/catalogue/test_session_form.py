"""The form of a session, whole: its séances, reserved seats and audience, row by row and without a script."""

import re
from html import unescape
from typing import Any

import httpx
import pytest

from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    a_form,
    created,
    error_of,
    hidden,
    organiser,
    send,
    unseen_fields,
)
from tests.integration.catalogue.conftest import BRETAGNE, EventsOf, in_days, published

__all__ = ["organiser"]

RENNES = "21350238800019"


def local(days: float) -> str:
    return in_days(days).strftime("%Y-%m-%dT%H:%M")


WHOLE = {
    # All of one instant, else a minute that passes between them puts a séance outside the session.
    "starts_at": local(40),
    "ends_at": local(40.3),
    "minimum": "12",
    "modules-0-title": "Matin",
    "modules-0-starts_at": local(40),
    "modules-0-ends_at": local(40.1),
    "modules-1-title": "",
    "modules-1-starts_at": "",
    "modules-1-ends_at": "",
    "modules-2-title": "Après-midi",
    "modules-2-starts_at": local(40.2),
    "modules-2-ends_at": local(40.3),
    "reserved_seats-0-delegation": "bretagne",
    "reserved_seats-0-seats": "12",
    "reserved_seats-0-release_at": local(20),
    "questions-0-kind": "adjustment",
    "questions-1-question_id": "",
    "questions-1-kind": "choice",
    "questions-1-label": "Quel repas ?",
    "questions-1-choices": "végétarien\r\nsans gluten",
    "questions-1-required": "oui",
    "questions-1-encadrant": "oui",
    "questions-1-kept_days": "7",
    "audience-functions-encadrant": "oui",
    "audience-delegations-bretagne": "oui",
    "audience-delegations-corse": "oui",
    "audience-sirets": f"213 502 388 00019\r\n{RENNES}",
}


_INPUT = re.compile(r'<input id="([^"]+)" name="[^"]+" type="(?!checkbox)[^"]+" value="([^"]*)"')
_TICKED = re.compile(r'name="([^"]+)" type="checkbox" value="oui" checked')
_AREA = re.compile(r'<textarea id="([^"]+)"[^>]*>\n([^<]*)</textarea>')


def fields_of(page: str) -> dict[str, str]:
    """What a browser sends of the session's form when nothing was touched."""
    form = page[page.index('name="title"') - 500 : page.index("</form>", page.index('name="title"'))]
    fields = {name: unescape(value) for name, value in _INPUT.findall(form)}
    fields |= dict.fromkeys(_TICKED.findall(form), "oui")
    fields |= {name: unescape(text) for name, text in _AREA.findall(form)}
    for match in re.finditer(r'<select id="([^"]+)".*?</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', match[0])
        fields[match[1]] = chosen[1] if chosen else ""
    return fields


async def shown(ask: Ask, path: str) -> dict[str, Any]:
    body: dict[str, Any] = (await ask("GET", f"/sessions/{path.rsplit('/', 1)[1]}", by=BRETAGNE)).json()
    return body


async def test_all_that_a_session_has_is_typed_and_comes_back(
    organiser: httpx.AsyncClient, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer, **WHOLE)
    session = await shown(ask, path)
    assert [module["title"] for module in session["modules"]] == ["Matin", "Après-midi"]
    assert session["minimum"] == 12
    (kept,) = session["reserved_seats"]
    assert (kept["delegation"], kept["seats"]) == ("bretagne", 12)
    assert session["audience"] == {
        "functions": ["encadrant"],
        "sirets": [RENNES, RENNES],
        "delegations": ["bretagne", "corse"],
    }
    adjustment, meal = session["questions"]
    assert (adjustment["question_id"], adjustment["kept_days"]) == ("amenagement", 30)
    meal_id = meal.pop("question_id")
    assert meal_id.startswith("q-")
    assert meal == {
        "kind": "choice",
        "label": "Quel repas ?",
        "choices": ["végétarien", "sans gluten"],
        "required": True,
        "functions": ["encadrant"],
        "kept_days": 7,
    }
    page = (await organiser.get(path)).text
    fields = fields_of(page)
    assert (fields["modules-1-title"], fields["reserved_seats-0-seats"]) == ("Après-midi", "12")
    before = session["version"]
    assert (await send(organiser, path, **fields)).status_code == 303
    assert (await shown(ask, path))["version"] == before  # untouched, it requested nothing

    assert fields["minimum"] == "12"
    fields["minimum"] = ""
    del fields["audience-delegations-corse"]
    fields |= {"questions-0-kind": "", "questions-0-label": "", "questions-0-kept_days": ""}
    fields |= {"questions-1-label": "Quel repas prendrez-vous ?"}
    emptied = dict.fromkeys(("modules-0-title", "modules-0-starts_at", "modules-0-ends_at"), "")
    assert (
        await send(organiser, path, **fields | emptied | {"reserved_seats-0-seats": "3"})
    ).status_code == 303
    changed = await shown(ask, path)
    assert [module["title"] for module in changed["modules"]] == ["Après-midi"]
    assert changed["reserved_seats"][0]["seats"] == 3
    assert changed["minimum"] is None
    [reworded] = changed["questions"]  # the same question, in other words
    assert (reworded["question_id"], reworded["label"]) == (meal_id, "Quel repas prendrez-vous ?")
    assert changed["audience"]["delegations"] == ["bretagne"]
    assert await events_of() == []


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"modules-2-ends_at": local(40.15)}, "modules-1-ends_at", "Les dates ne se suivent pas"),
        ({"modules-2-ends_at": local(41)}, "modules-1-ends_at", "La séance n’est pas entre"),
        ({"modules-2-starts_at": ""}, "modules-1-starts_at", "Ce champ est obligatoire."),
        ({"modules-0-starts_at": "demain"}, "modules-0-starts_at", "Indiquez une date et une heure"),
        ({"minimum": "81", "capacity": "80"}, "minimum", "Le minimum dépasse le nombre de places."),
        ({"minimum": "0"}, "minimum", "Indiquez un nombre entier, au moins 1."),
        ({"modules-0-title": "a" * 301}, "modules-0-title", "Le titre a de 1 à 300"),
        ({"reserved_seats-0-seats": "0"}, "reserved_seats-0-seats", "Indiquez un nombre entier de places"),
        ({"reserved_seats-0-delegation": "atlantide"}, "reserved_seats-0-delegation", "Choisissez une délég"),
        ({"questions-0-required": "oui"}, "questions-0-required", "Personne n’est obligé"),
        ({"questions-0-kept_days": "31"}, "questions-0-kept_days", "Un aménagement est conservé"),
        ({"questions-1-choices": "un seul"}, "questions-1-choices", "Un choix propose de 2 à 20"),
        ({"questions-1-kind": ""}, "questions-1-kind", "Ce champ est obligatoire."),
        (
            {"questions-0-kind": "text", "questions-0-label": "Quel repas ?"},
            "questions-1-label",
            "Cette question est déjà posée.",
        ),
        ({"questions-1-kind": "adjustment"}, "questions-1-kind", "Cette question est déjà posée."),
        (
            {"audience-sirets": f"{RENNES}\n{RENNES[:-1]}0"},
            "audience-sirets",
            f"«\u00a0{RENNES[:-1]}0\u00a0» n’est pas",
        ),
    ],
)
async def test_an_error_stands_beside_the_field_of_its_row(
    organiser: httpx.AsyncClient, an_empty_offer: str, changes: dict[str, str], field: str, expected: str
) -> None:
    form = a_form(an_empty_offer, **WHOLE) | changes
    answer = await send(organiser, "/gestion/sessions/nouvelle", **form)
    assert answer.status_code == 422
    assert error_of(answer, field).startswith(expected)
    assert fields_of(answer.text)["reserved_seats-0-release_at"] == WHOLE["reserved_seats-0-release_at"]


def folded(page: str) -> list[str]:
    return re.findall(r'<details class="part" id="(\w+)">', page)


async def test_a_row_is_added_and_taken_away_without_losing_anything_or_storing_it(
    organiser: httpx.AsyncClient, an_empty_offer: str, ask: Ask
) -> None:
    typed = a_form(an_empty_offer, **WHOLE)
    more = await send(organiser, "/gestion/sessions/nouvelle", **typed, ligne="ajouter-modules")
    assert more.status_code == 200
    fields = fields_of(more.text)
    assert "modules-3-title" in fields
    assert fields["modules-1-title"] == "Après-midi"
    assert fields["audience-delegations-corse"] == "oui"
    fewer = await send(organiser, "/gestion/sessions/nouvelle", **fields, ligne="retirer-modules-0")
    assert fields_of(fewer.text)["modules-0-title"] == "Après-midi"
    for button in ("retirer-modules-99", "ajouter-rien", "retirer-modules-", "x" * 1000):
        assert (
            await send(organiser, "/gestion/sessions/nouvelle", **fields, ligne=button)
        ).status_code == 200
    assert (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"] == []


async def test_a_row_more_does_not_hide_that_somebody_else_changed_the_session(
    organiser: httpx.AsyncClient, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer)
    page = (await organiser.get(path)).text
    form = fields_of(page) | unseen_fields(page)
    await ask("PATCH", f"/sessions/{path.rsplit('/', 1)[1]}", by=BRETAGNE, venue="Morlaix")
    more = await organiser.post(path, data=form | {"ligne": "ajouter-modules"})
    assert hidden(more.text, "version") == form["version"]
    assert (await organiser.post(path, data=form)).status_code == 412
    assert (await shown(ask, path))["venue"] == "Morlaix"


async def test_what_a_session_requires_is_chosen_among_the_other_offers_and_said_on_its_page(
    organiser: httpx.AsyncClient, an_empty_offer: str, a_bespoke_offer: str, ask: Ask
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/gestion/sessions/{session_id}"
    form = (await organiser.get(path)).text
    [chooser] = re.findall(r'<select id="prerequisite".*?</select>', form, re.DOTALL)
    assert re.findall(r'<option value="([^"]*)"', chooser) == ["", a_bespoke_offer]
    fields = fields_of(form)
    assert (await send(organiser, path, **fields | {"prerequisite": a_bespoke_offer})).status_code == 303
    page = unescape((await organiser.get(f"/sessions/{session_id}")).text).replace("\u00a0", " ")
    assert f'« <a href="/offres/{a_bespoke_offer}">Un essai</a> »' in page
    wrong = await send(organiser, path, **fields | {"prerequisite": an_empty_offer})
    assert "Une session ne peut exiger l’attestation de sa propre offre." in wrong.text
    assert (await send(organiser, path, **fields_of(form) | {"prerequisite": ""})).status_code == 303
    assert (await shown(ask, path))["prerequisite"] is None
