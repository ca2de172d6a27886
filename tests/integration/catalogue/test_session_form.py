"""The form of a session, whole: its séances, reserved seats and audience, row by row and without a script."""

import re
from datetime import timedelta
from html import unescape

import pytest

from shared.web.forms import moment_in
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    created,
    edited,
    hidden,
    local,
    organiser,
    send,
    unseen_fields,
    wrong_fields,
)
from tests.integration.catalogue.conftest import BRETAGNE, change, in_days, listed, shown

__all__ = ["organiser"]

RENNES = "21350238800019"
NEW = "/gestion/sessions/nouvelle"
DAY = local(40)[:10]
WHOLE = {
    "starts_at": "",
    "ends_at": "",
    "trainers": "Zoé Durand <zoe.durand@exemple.fr>\r\n\r\n Léo Petit ",
    "minimum": "12",
    "modules-0-title": "Matin",
    "modules-0-starts_at": f"{DAY}T09:00",
    "modules-0-ends_at": "12:00",
    "modules-1-title": "",
    "modules-1-starts_at": "",
    "modules-1-ends_at": "",
    "modules-2-title": "Après-midi",
    "modules-2-starts_at": f"{DAY}T14:00",
    "modules-2-ends_at": "17:00",
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
    form = page[page.index('name="etape"') : page.index("</form>", page.index('name="etape"'))]
    fields = {name: unescape(value) for name, value in _INPUT.findall(form)}
    fields |= dict.fromkeys(_TICKED.findall(form), "oui")
    fields |= {name: unescape(text) for name, text in _AREA.findall(form)}
    for match in re.finditer(r'<select id="([^"]+)".*?</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', match[0])
        fields[match[1]] = chosen[1] if chosen else ""
    return fields


async def test_every_field_of_a_session_is_typed_and_comes_back(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer, **WHOLE)
    session = await shown(ask, path.removeprefix("/gestion"), by=BRETAGNE)
    assert [module["title"] for module in session["modules"]] == ["Matin", "Après-midi"]
    assert [(kept["delegation"], kept["seats"]) for kept in session["reserved_seats"]] == [("bretagne", 12)]
    assert session["minimum"] == 12
    assert session["audience"] == {
        "functions": ["encadrant"],
        "sirets": [RENNES, RENNES],
        "delegations": ["bretagne", "corse"],
    }
    trainers = [(trainer["name"], trainer["email"]) for trainer in session["trainers"]]
    assert trainers == [("Zoé Durand", "zoe.durand@exemple.fr"), ("Léo Petit", None)]
    adjustment, meal = session["questions"]
    assert (adjustment["question_id"], adjustment["kept_days"]) == ("amenagement", 30)
    assert meal == {
        "question_id": meal["question_id"],
        "kind": "choice",
        "label": "Quel repas ?",
        "choices": ["végétarien", "sans gluten"],
        "required": True,
        "functions": ["encadrant"],
        "kept_days": 7,
    }
    untouched = fields_of((await organiser.get(edited(path))).text)
    assert (await send(organiser, path, **untouched)).status_code == 303
    assert await shown(ask, path.removeprefix("/gestion"), by=BRETAGNE) == session


async def test_a_field_that_is_emptied_or_reworded_is_changed(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer, **WHOLE)
    _, meal = (await shown(ask, path.removeprefix("/gestion"), by=BRETAGNE))["questions"]
    fields = fields_of((await organiser.get(edited(path))).text)
    del fields["audience-delegations-corse"]
    for name in fields:
        if name == "minimum" or name.startswith(("modules-0", "questions-0")):
            fields[name] = ""
    fields |= {"questions-1-label": "Quel repas prendrez-vous ?"}
    assert (await send(organiser, path, **fields)).status_code == 303
    session = await shown(ask, path.removeprefix("/gestion"), by=BRETAGNE)
    assert [module["title"] for module in session["modules"]] == ["Après-midi"]
    assert session["minimum"] is None
    assert session["audience"]["delegations"] == ["bretagne"]
    assert session["questions"] == [meal | {"label": "Quel repas prendrez-vous ?"}]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"offer_id": "rien"}, "offer_id"),
    ({"starts_at": "demain"}, "starts_at"),
    ({"starts_at": local(60)}, "modules-0-starts_at"),
    ({"join_url": "javascript:alert(1)"}, "join_url"),
    ({"timezone": "Europe/Atlantide"}, "timezone"),
    ({"title": "a" * 301}, "title"),
    ({"waiting_list": "tirage"}, "waiting_list"),
    ({"trainers": "Zoé Durand <zoe>"}, "trainers"),
    ({"prerequisite": "essai"}, "prerequisite"),
    ({"modules-2-ends_at": "13:00"}, "modules-1-ends_at"),
    ({"ends_at": f"{DAY}T16:00"}, "modules-1-ends_at"),
    ({"modules-2-starts_at": ""}, "modules-1-starts_at"),
    ({"modules-0-starts_at": "demain"}, "modules-0-starts_at"),
    ({"minimum": "81", "capacity": "80"}, "minimum"),
    ({"reserved_seats-0-seats": "0"}, "reserved_seats-0-seats"),
    ({"reserved_seats-0-delegation": "atlantide"}, "reserved_seats-0-delegation"),
    ({"questions-0-required": "oui"}, "questions-0-required"),
    ({"questions-0-kept_days": "31"}, "questions-0-kept_days"),
    ({"questions-1-choices": "un seul"}, "questions-1-choices"),
    ({"questions-1-kind": ""}, "questions-1-kind"),
    ({"questions-0-kind": "text", "questions-0-label": "Quel repas ?"}, "questions-1-label"),
    ({"questions-1-kind": "adjustment"}, "questions-1-kind"),
    ({"audience-sirets": f"{RENNES}\n{RENNES[:-1]}0"}, "audience-sirets"),
]


async def test_an_error_stands_beside_its_field_and_what_was_typed_stays(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    right = a_form(an_empty_offer, **WHOLE) | unseen_fields((await organiser.get(NEW)).text)
    for changes, field in WRONG:
        answer = await organiser.post(NEW, data=right | changes)
        assert field in wrong_fields(answer), changes
        kept = fields_of(answer.text)["reserved_seats-0-release_at"]
        assert kept == WHOLE["reserved_seats-0-release_at"], changes


async def test_a_session_without_a_limit_of_seats_is_made_and_limited(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer, illimite="oui", capacity="7")
    assert (await shown(ask, path.removeprefix("/gestion"), by=BRETAGNE))["capacity"] is None
    assert wrong_fields(await send(organiser, path, capacity="")) == ["capacity"]
    assert (await send(organiser, path, capacity="7")).status_code == 303
    assert (await shown(ask, path.removeprefix("/gestion"), by=BRETAGNE))["capacity"] == 7


async def test_the_errors_are_listed_in_the_order_of_the_form(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    names = ["starts_at", "enrolment_opens_at", "modules-0-starts_at", "capacity"]
    answer = await send(organiser, NEW, **a_form(an_empty_offer) | dict.fromkeys(names, "x"))
    assert re.findall(r'<li><a href="#([^"]+)">', answer.text) == [
        *("starts_at", "enrolment_opens_at", "modules-0-starts_at", "modules-0-ends_at")
    ], "those of the first step with an error"


async def test_a_row_is_added_and_taken_away_without_losing_anything_or_storing_it(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    typed = a_form(an_empty_offer, **WHOLE, etape="quand")
    more = fields_of((await send(organiser, NEW, **typed, ligne="ajouter-modules")).text)
    kept = (more["modules-3-title"], more["modules-1-title"], more["audience-delegations-corse"])
    assert kept == ("", "Après-midi", "oui")
    more["etape"] = "quand"
    fewer = await send(organiser, NEW, **more, ligne="retirer-modules-0")
    assert fields_of(fewer.text)["modules-0-title"] == "Après-midi"
    for button in ("retirer-modules-99", "ajouter-rien", "retirer-modules-", "x" * 1000):
        assert (await send(organiser, NEW, **more, ligne=button)).status_code == 200, button
    assert await listed(ask, by=BRETAGNE) == []


async def test_a_row_more_does_not_hide_a_colleagues_change(
    organiser: HttpBrowser, draft_id: str, ask: Ask
) -> None:
    path = f"/gestion/sessions/{draft_id}"
    opened = unseen_fields((await organiser.get(edited(path))).text)
    await change(ask, draft_id, venue="Morlaix")
    more = await organiser.post(path, data=opened | {"ligne": "ajouter-modules"})
    assert (await organiser.post(path, data=unseen_fields(more.text))).status_code == 412


async def test_the_required_offer_is_chosen_among_the_other_offers(
    organiser: HttpBrowser, draft_id: str, a_bespoke_offer: str, ask: Ask
) -> None:
    path = f"/gestion/sessions/{draft_id}"
    form = (await organiser.get(f"{path}?etape=public")).text
    [chooser] = re.findall(r'<select id="prerequisite".*?</select>', form, re.DOTALL)
    assert re.findall(r'<option value="([^"]*)"', chooser) == ["", a_bespoke_offer]
    required = {"offer_id": a_bespoke_offer, "title": "Un essai"}
    for chosen, expected in ((a_bespoke_offer, required), ("", None)):
        assert (await send(organiser, path, prerequisite=chosen)).status_code == 303, chosen
        assert (await shown(ask, f"/sessions/{draft_id}", by=BRETAGNE))["prerequisite"] == expected


async def test_a_date_on_a_day_off_is_warned_of_and_not_refused(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    day = in_days(40)
    saturday = f"{day + timedelta(days=5 - day.weekday()):%Y-%m-%d}"
    dates = {"starts_at": f"{saturday}T09:00", "ends_at": f"{saturday}T17:00"}
    other = (await created(organiser, an_empty_offer, **dates)).rpartition("/")[2]
    path = await created(organiser, an_empty_offer, **dates, venue="Vannes")
    asked = (await organiser.get(f"{path}/publier")).text
    moved = (await send(organiser, f"{path}/reporter", starts_at=f"{saturday}T10:00")).text
    series = await send(
        organiser, "/gestion/sessions/serie", **a_form(an_empty_offer, **dates), **{"towns-0-town": "Vannes"}
    )
    for page in ((await organiser.get(path)).text, asked, moved, series.text):
        assert "La session a lieu un jour de repos\u00a0: samedi" in unescape(page)
        assert f'<a href="/gestion/sessions/{other}">' in page
    assert (await send(organiser, f"{path}/publier")).status_code == 303


async def test_a_session_is_made_step_by_step_and_its_dates_are_those_of_its_seances(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    seance = {"modules-0-starts_at": f"{DAY}T09:00", "modules-0-ends_at": "17:00"}
    typed: list[tuple[dict[str, str], str]] = [
        ({"offer_id": an_empty_offer}, "quand"),
        (seance, "ou"),
        ({"venue": "Vannes"}, "places"),
        ({"capacity": "25"}, "public"),
    ]
    page = (await organiser.get(NEW)).text
    form: dict[str, str] = {}
    for fields, following in typed:
        form = {
            "formulaire": hidden(page, "formulaire"),
            "etape": hidden(page, "etape"),
            "cle": hidden(page, "cle"),
        }
        page = (
            await organiser.post(NEW, data=fields_of(page) | form | fields | {"ligne": f"etape-{following}"})
        ).text
        assert hidden(page, "etape") == following
    assert "<strong>Vannes" in page, "the preview"
    assert await listed(ask, by=BRETAGNE) == []
    form |= {"etape": "public", "publier": "oui"}
    made = await organiser.post(NEW, data=fields_of(page) | form)
    assert made.headers["location"].partition("?")[0].endswith("/publier")
    [session] = await listed(ask, by=BRETAGNE)
    span = (session["starts_at"], session["ends_at"])
    assert (span, session["modules"], session["venue"], session["capacity"]) == (
        tuple(
            moment_in(f"{DAY}T{hour}:00", "Europe/Paris").isoformat().replace("+00:00", "Z")
            for hour in ("09", "17")
        ),
        [],
        "Vannes",
        25,
    )


STEPS: dict[str, tuple[dict[str, str], str, list[str]]] = {
    "to the next, with a mistake": (
        {"etape": "quand", "ligne": "etape-ou"},
        "quand",
        ["modules-0-starts_at", "modules-0-ends_at"],
    ),
    "back, with a mistake": ({"etape": "quand", "ligne": "etape-quoi"}, "quoi", []),
    "past a mistake elsewhere": ({"etape": "ou", "ligne": "etape-places"}, "places", []),
    "saved, with a mistake elsewhere": (
        {"etape": "public"},
        "quand",
        ["modules-0-starts_at", "modules-0-ends_at"],
    ),
    "a step that is none": ({"etape": "rien", "ligne": "etape-rien"}, "quoi", []),
}


@pytest.mark.parametrize(("sent", "step", "errors"), STEPS.values(), ids=STEPS)
async def test_a_step_is_left_forward_only_without_mistakes(
    organiser: HttpBrowser, an_empty_offer: str, sent: dict[str, str], step: str, errors: list[str]
) -> None:
    dates = {"modules-0-starts_at": "", "starts_at": "", "ends_at": "", "enrolment_opens_at": local(-1)}
    form = {"offer_id": an_empty_offer} | dates
    page = await send(organiser, NEW, **form, **sent)
    assert hidden(page.text, "etape") == step
    assert (wrong_fields(page) if errors else []) == errors
    assert page.status_code == (422 if errors else 200)
