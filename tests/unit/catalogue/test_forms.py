"""Forms of sessions: untouched fields request nothing, times are wall-clock times, errors are in French."""

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from services.catalogue.pages import field_labels, session_form
from services.catalogue.pages.form_errors import REQUIRED, of_sheet, unreadable
from services.catalogue.pages.form_rows import ROWS
from services.catalogue.pages.manage import sheets
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.refusals import RefusalCode
from services.catalogue.rules.sessions import Presentation
from services.catalogue.service.commands import (
    AudienceRequest,
    BespokeAnswerRequest,
    BespokeSession,
    ModuleRequest,
    ReplayRequest,
    ReservedSeatsRequest,
    ResourceChange,
    SessionChange,
    SessionCopy,
    SessionDraft,
)
from shared.web.form_errors import FormError, sentence
from shared.web.forms import parsed
from shared.web.rendering import Rendering
from shared.web.spreadsheets import Code, Fault
from tests.unit.catalogue.builders import ENDS, STARTS, WHILE_RUNNING, a_draft, a_module, a_plan

RENDERING = Rendering(TEMPLATES)
SHOWN = session_form.shown(
    replace(a_draft(), presentation=Presentation(summary="Une journée.", experts=("Une juriste",)))
)
ODD = datetime(2025, 4, 15, 7, 30, 12, 345, tzinfo=UTC)


@pytest.mark.parametrize("plan", [a_plan(), a_plan(starts_at=ODD, capacity=None)])
def test_a_form_that_comes_back_untouched_requests_nothing(plan: Any) -> None:
    shown = session_form.shown(replace(a_draft(), plan=plan))
    assert session_form.read(shown, shown, timezone=plan.timezone) == session_form.Typed({}, {})


def test_a_row_that_was_not_touched_keeps_its_seconds() -> None:
    plan = a_plan(modules=(a_module("Matin", ODD, WHILE_RUNNING), a_module("Midi", WHILE_RUNNING, ENDS)))
    shown = session_form.shown(replace(a_draft(), plan=plan))
    for typed, title, starts_at in (
        ({"modules-1-title": "Soir"}, "Soir", ODD),
        ({"timezone": "Indian/Reunion"}, "Midi", datetime(2025, 4, 15, 5, 30, tzinfo=UTC)),
    ):
        read = session_form.read(shown | typed, shown, timezone=plan.timezone, plan=plan)
        first, second = read.fields["modules"]
        assert (first["starts_at"], second["title"]) == (starts_at, title)


def test_only_a_field_that_a_form_shows_differs() -> None:
    whole = session_form.shown(a_draft(modules=(a_module("Matin", WHILE_RUNNING, ENDS),)))
    assert session_form.differing(session_form.kept({"version": "1"}, SHOWN), SHOWN) == []
    assert session_form.differing(session_form.kept({"title": "Autre"}, whole), whole) == ["title"]
    assert session_form.differing(SHOWN, whole) == ["summary", "experts", "starts_at", "modules"]


ON_ANOTHER_DAY = {
    "starts_at": datetime(2025, 3, 29, 8, 30, tzinfo=UTC),
    "ends_at": datetime(2025, 3, 29, 16, tzinfo=UTC),
}
ITS_DAY = {"starts_at": STARTS, "ends_at": ENDS}


@pytest.mark.parametrize(
    ("typed", "fields", "errors"),
    [
        ({"modules-0-starts_at": "2025-03-29T09:30"}, ON_ANOTHER_DAY, set()),
        ({"modules-0-title": "Matin"}, {"modules": [ITS_DAY | {"title": "Matin"}]}, set()),
        ({"modules-0-starts_at": "demain"}, {}, {"modules-0-starts_at"}),
        ({"modules-0-last_day": "2025-04-16"}, {"ends_at": ENDS + timedelta(days=1)}, set()),
        ({"modules-0-last_day": "jamais"}, {}, {"modules-0-ends_at"}),
        ({"venue": " ", "summary": ""}, {"venue": None, "summary": None}, set()),
        ({"title": "", "modules-0-ends_at": ""}, {}, {"title", "modules-0-ends_at"}),
        ({"enrolment_opens_at": "2025-02-30T09:30"}, {}, {"enrolment_opens_at"}),
        ({"enrolment_closes_at": ""}, {}, {"enrolment_closes_at"}),
        ({"capacity": "1.5"}, {}, {"capacity"}),
        ({"quota_per_authority": "x"}, {}, {"quota_per_authority"}),
        ({"minimum": "douze"}, {}, {"minimum"}),
        ({"postal_code": "3500"}, {"venue": "Délégation, Lyon, 3500"}, {"postal_code"}),
        # A zone that does not exist makes no date wrong; the request refuses it.
        ({"timezone": "../etc"}, {"timezone": "../etc"}, set()),
    ],
)
def test_a_field_is_read_on_the_clocks_of_the_session_or_is_an_error(
    typed: dict[str, str], fields: dict[str, Any], errors: set[str]
) -> None:
    read = session_form.read(SHOWN | typed, SHOWN, timezone="Europe/Paris", plan=a_plan())
    dates = {
        name: value for name, value in read.fields.items() if typed.get("timezone") and name != "timezone"
    }
    assert read.fields == dates | fields
    assert read.errors.keys() == errors
    assert all(read.errors[name] == REQUIRED for name in errors if not typed.get(name, "typed"))


@pytest.mark.parametrize(
    ("venue", "parts"),
    [
        ("Mairie, 2 rue du Test, 35000 Rennes", ("Mairie", "2 rue du Test", "35000", "Rennes")),
        ("Mairie, bâtiment A, 35000 Rennes", ("Mairie", "bâtiment A", "35000", "Rennes")),
        ("2 rue du Test, 97400 Saint-Denis", ("", "2 rue du Test", "97400", "Saint-Denis")),
        ("Mairie, 35000 Rennes", ("Mairie", "", "35000", "Rennes")),
        ("35000 Rennes", ("", "", "35000", "Rennes")),
        ("Rennes, 2 rue du Test", ("Rennes, 2 rue du Test", "", "", "")),
        ("Lille", ("Lille", "", "", "")),
    ],
)
def test_a_venue_is_typed_in_parts(venue: str, parts: tuple[str, ...]) -> None:
    shown = session_form.shown(replace(a_draft(), plan=a_plan(venue=venue)))
    names = ("venue", *session_form.ADDRESS)
    assert tuple(shown[name] for name in names) == parts
    typed = SHOWN | dict(zip(names, parts, strict=True))
    assert session_form.read(typed, SHOWN, timezone="Europe/Paris").fields == {"venue": venue}
    assert session_form.read(shown, shown, timezone="Europe/Paris").fields == {}


@given(st.text())
def test_any_venue_that_comes_back_untouched_requests_nothing(venue: str) -> None:
    shown = session_form.shown(replace(a_draft(), plan=a_plan(venue=venue)))
    assert session_form.read(shown, shown, timezone="Europe/Paris", plan=a_plan(venue=venue)).fields == {}


def test_another_zone_means_other_instants_for_the_same_figures() -> None:
    read = session_form.read(SHOWN | {"timezone": "Indian/Reunion"}, SHOWN, timezone="Europe/Paris")
    assert read.fields.keys() == {"timezone", *session_form.DATES}
    assert read.fields["starts_at"] == datetime(2025, 4, 15, 5, 30, tzinfo=UTC)


REQUESTS: tuple[type[BaseModel], ...] = (
    *(SessionDraft, SessionChange, SessionCopy, ModuleRequest, ReservedSeatsRequest, AudienceRequest),
    *(ReplayRequest, ResourceChange, BespokeAnswerRequest, BespokeSession),
)
CODES = [*RefusalCode, *Code, "unknown_offer", "not_yours"]
ERRORS = {
    "refusals": [FormError(code) for code in CODES],
    "faults of a sheet": [of_sheet(Fault(3, code, "in English")) for code in CODES],
    "fields": [unreadable(field) for request in REQUESTS for field in request.model_fields],
    "columns": [of_sheet(Fault(3, "invalid", "in English", column)) for column in sheets.TITLES],
}


@pytest.mark.parametrize("errors", ERRORS.values(), ids=ERRORS)
def test_every_error_has_a_french_sentence(errors: list[FormError]) -> None:
    said = {error: sentence(RENDERING, error) for error in errors}
    assert [error for error, text in said.items() if not re.fullmatch(r"[A-ZÉ«].*\.", text)] == []


def test_a_code_without_a_sentence_is_never_shown() -> None:
    with pytest.raises(KeyError):
        sentence(RENDERING, FormError("new_code"))
    assert sentence(RENDERING, FormError("siret", "12{}")).startswith("«\u00a012{}\u00a0» n’est pas")


def test_every_field_of_a_form_has_a_label() -> None:
    assert session_form.FIELDS | {session_form.UNLIMITED, "audience", *ROWS} <= set(field_labels.FIELDS)
    rows = {f"{group}-1-{name}" for group, names in ROWS.items() for name in names}
    named = session_form.FIELDS | session_form.BOXES | rows | {*session_form.ORDER, session_form.SIRETS}
    assert [field for field in named if not field_labels.form_field(field)] == []


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("modules-1-ends_at", "Séance 2, fin"),
        ("audience-delegations-corse", "Délégations, Corse"),
        ("modules-x-title", None),
        ("modules-1-seats-2", None),
        ("audience-functions-maire", None),
        ("", None),
    ],
)
def test_a_label_names_the_row_or_the_box_of_its_field(name: str, label: str | None) -> None:
    assert field_labels.form_field(name) == label


@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_a_bad_request(content: bytes) -> None:
    """Nothing else is raised: 500 is not an answer to rubbish."""
    with suppress(HTTPException):
        assert all(isinstance(value, str) for value in parsed(content).values())


def test_a_form_is_read_as_browsers_send_it() -> None:
    assert parsed(b"title=L%27IA+%C3%A0+Brest&summary=a%0D%0Ab&venue=") == {
        "title": "L'IA à Brest",
        "summary": "a\nb",
        "venue": "",
    }
