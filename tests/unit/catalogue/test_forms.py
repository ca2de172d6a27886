"""Forms of sessions: untouched fields request nothing, times are wall-clock times, errors are in French."""

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

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
from tests.unit.catalogue.builders import ENDS, WHILE_RUNNING, a_draft, a_module, a_plan

PARIS = "Europe/Paris"
RENDERING = Rendering(TEMPLATES)
SHOWN = session_form.shown(
    replace(a_draft(), presentation=Presentation(summary="Une journée.", experts=("Une juriste",)))
)


def test_a_form_that_comes_back_untouched_requests_nothing() -> None:
    odd = a_plan(starts_at=datetime(2025, 4, 15, 7, 30, 12, 345, tzinfo=UTC), capacity=None)
    for plan in (a_plan(), odd):
        shown = session_form.shown(replace(a_draft(), plan=plan))
        assert session_form.read(shown, shown, timezone=plan.timezone) == session_form.Typed({}, {})


def test_a_row_that_was_not_touched_keeps_its_seconds() -> None:
    odd = datetime(2025, 4, 15, 7, 30, 12, tzinfo=UTC)
    modules = (a_module("Matin", odd, WHILE_RUNNING), a_module("Après-midi", WHILE_RUNNING, ENDS))
    plan = a_plan(modules=modules)
    shown = session_form.shown(replace(a_draft(), plan=plan))
    typed = session_form.read(shown | {"modules-1-title": "Soir"}, shown, timezone=PARIS, plan=plan)
    assert [module["title"] for module in typed.fields["modules"]] == ["Matin", "Soir"]
    assert typed.fields["modules"][0]["starts_at"] == odd
    moved = session_form.read(shown | {"timezone": "Indian/Reunion"}, shown, timezone=PARIS, plan=plan)
    assert moved.fields["modules"][0]["starts_at"] == datetime(2025, 4, 15, 5, 30, tzinfo=UTC)


def test_what_a_form_does_not_show_does_not_differ() -> None:
    assert session_form.differing(SHOWN, SHOWN) == []
    assert session_form.differing(session_form.kept({"version": "1"}, SHOWN), SHOWN) == []
    whole = session_form.shown(a_draft(modules=(a_module("Matin", WHILE_RUNNING, ENDS),)))
    assert session_form.differing(session_form.kept({"title": "Autre"}, whole), whole) == ["title"]
    assert session_form.differing(SHOWN, whole) == ["summary", "experts", "modules"]


def test_times_are_those_of_the_sessions_clocks() -> None:
    assert SHOWN["starts_at"] == "2025-04-15T09:30"
    typed = session_form.read(SHOWN | {"starts_at": "2025-03-29T09:30"}, SHOWN, timezone=PARIS)
    assert typed.fields == {"starts_at": datetime(2025, 3, 29, 8, 30, tzinfo=UTC)}


def test_another_zone_means_other_instants_for_the_same_figures() -> None:
    typed = session_form.read(SHOWN | {"timezone": "Indian/Reunion"}, SHOWN, timezone=PARIS)
    assert typed.fields.keys() == {"timezone", *session_form.DATES}
    assert typed.fields["starts_at"] == datetime(2025, 4, 15, 5, 30, tzinfo=UTC)


def test_a_zone_that_does_not_exist_makes_no_date_wrong() -> None:
    for zone in ("Europe/Atlantide", "../etc", "Europe"):
        typed = session_form.read(SHOWN | {"timezone": zone}, SHOWN, timezone=PARIS)
        assert typed.errors == {}
        assert typed.fields["timezone"] == zone  # which the request refuses


def test_an_emptied_field_means_none_where_there_can_be_none() -> None:
    typed = session_form.read(
        SHOWN | {"venue": " ", "summary": "", "title": "", "ends_at": ""}, SHOWN, timezone=PARIS
    )
    assert typed.fields == {"venue": None, "summary": None}
    assert typed.errors == {"title": REQUIRED, "ends_at": REQUIRED}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("starts_at", "demain"),
        ("starts_at", "2025-02-30T09:30"),
        ("capacity", "douze"),
        ("capacity", "1.5"),
        ("quota_per_authority", "x"),
        ("minimum", "douze"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_its_field(field: str, text: str) -> None:
    assert session_form.read(SHOWN | {field: text}, SHOWN, timezone=PARIS).errors.keys() == {field}


REQUESTS: tuple[type[BaseModel], ...] = (
    *(SessionDraft, SessionChange, SessionCopy, ModuleRequest, ReservedSeatsRequest, AudienceRequest),
    *(ReplayRequest, ResourceChange, BespokeAnswerRequest, BespokeSession),
)
CODES = [*RefusalCode, *Code, "unknown_offer", "not_yours"]


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_and_every_fault_of_a_sheet_has_a_french_sentence(code: str) -> None:
    for error in (FormError(code), of_sheet(Fault(3, code, "in English"))):
        assert re.fullmatch(r"[A-ZÉ].*\.", sentence(RENDERING, error))


@pytest.mark.parametrize("request_type", REQUESTS)
def test_every_field_of_a_request_has_a_french_sentence(request_type: type[BaseModel]) -> None:
    for field in request_type.model_fields:
        assert sentence(RENDERING, unreadable(field)).endswith(".")


def test_every_column_of_a_sheet_has_a_french_sentence() -> None:
    for column in sheets.TITLES:
        assert sentence(RENDERING, of_sheet(Fault(3, "invalid", "in English", column))).endswith(".")


def test_a_code_without_a_sentence_is_never_shown() -> None:
    with pytest.raises(KeyError):
        sentence(RENDERING, FormError("new_code"))


def test_what_is_quoted_stands_in_the_sentence() -> None:
    assert sentence(RENDERING, FormError("siret", "12{}")).startswith("«\u00a012{}\u00a0» n’est pas")


def test_every_field_of_a_form_has_a_label() -> None:
    assert session_form.FIELDS | {session_form.UNLIMITED, "audience", *ROWS} <= set(field_labels.FIELDS)
    rows = {f"{group}-1-{name}" for group, names in ROWS.items() for name in names}
    for field in session_form.FIELDS | session_form.BOXES | rows | {*session_form.ORDER, session_form.SIRETS}:
        assert field_labels.form_field(field), field


def test_a_label_names_the_row_or_the_box_of_its_field() -> None:
    assert field_labels.form_field("modules-1-ends_at") == "Séance 2, fin"
    assert field_labels.form_field("audience-delegations-corse") == "Délégations, Corse"
    for name in ("cle", "version", "modules-x-title", "modules-1-seats-2", "audience-functions-maire", ""):
        assert field_labels.form_field(name) is None


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
