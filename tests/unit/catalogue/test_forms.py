"""Forms of sessions: untouched fields ask nothing, times are those of the wall, faults are told in French."""

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from services.catalogue.pages import complaints, forms, sheets, wording
from services.catalogue.rules.refusals import RefusalCode
from services.catalogue.rules.sessions import Presentation
from shared.web.forms import parsed
from shared.web.spreadsheets import Code, Fault
from tests.unit.catalogue.builders import ENDS, WHILE_RUNNING, a_draft, a_module, a_plan

PARIS = "Europe/Paris"
SHOWN = forms.shown(
    replace(a_draft(), presentation=Presentation(summary="Une journée.", experts=("Une juriste",)))
)


def test_a_form_that_comes_back_untouched_asks_nothing() -> None:
    odd = a_plan(starts_at=datetime(2025, 4, 15, 7, 30, 12, 345, tzinfo=UTC), capacity=None)
    for plan in (a_plan(), odd):
        shown = forms.shown(replace(a_draft(), plan=plan))
        assert forms.read(shown, shown, timezone=plan.timezone) == forms.Typed({}, {})


def test_a_row_that_was_not_touched_keeps_its_seconds() -> None:
    odd = datetime(2025, 4, 15, 7, 30, 12, tzinfo=UTC)
    modules = (a_module("Matin", odd, WHILE_RUNNING), a_module("Après-midi", WHILE_RUNNING, ENDS))
    plan = a_plan(modules=modules)
    shown = forms.shown(replace(a_draft(), plan=plan))
    typed = forms.read(shown | {"modules-1-title": "Soir"}, shown, timezone=PARIS, plan=plan)
    assert [one["title"] for one in typed.fields["modules"]] == ["Matin", "Soir"]
    assert typed.fields["modules"][0]["starts_at"] == odd
    moved = forms.read(shown | {"timezone": "Indian/Reunion"}, shown, timezone=PARIS, plan=plan)
    assert moved.fields["modules"][0]["starts_at"] == datetime(2025, 4, 15, 5, 30, tzinfo=UTC)


def test_what_a_form_does_not_show_does_not_differ() -> None:
    assert forms.differing(SHOWN, SHOWN) == []
    assert forms.differing(forms.kept({"version": "1"}, SHOWN), SHOWN) == []
    whole = forms.shown(a_draft(modules=(a_module("Matin", WHILE_RUNNING, ENDS),)))
    assert forms.differing(forms.kept({"title": "Autre"}, whole), whole) == ["title"]
    assert forms.differing(SHOWN, whole) == ["summary", "experts", "modules"]


def test_times_are_those_of_the_sessions_clocks() -> None:
    assert SHOWN["starts_at"] == "2025-04-15T09:30"
    typed = forms.read(SHOWN | {"starts_at": "2025-03-29T09:30"}, SHOWN, timezone=PARIS)
    assert typed.fields == {"starts_at": datetime(2025, 3, 29, 8, 30, tzinfo=UTC)}


def test_another_zone_means_other_instants_for_the_same_figures() -> None:
    typed = forms.read(SHOWN | {"timezone": "Indian/Reunion"}, SHOWN, timezone=PARIS)
    assert typed.fields.keys() == {"timezone", *forms.DATES}
    assert typed.fields["starts_at"] == datetime(2025, 4, 15, 5, 30, tzinfo=UTC)


def test_a_zone_that_does_not_exist_makes_no_date_wrong() -> None:
    for zone in ("Europe/Atlantide", "../etc", "Europe"):
        typed = forms.read(SHOWN | {"timezone": zone}, SHOWN, timezone=PARIS)
        assert typed.wrong == {}
        assert typed.fields["timezone"] == zone  # which the request refuses


def test_an_emptied_field_means_none_where_there_can_be_none() -> None:
    typed = forms.read(
        SHOWN | {"venue": " ", "summary": "", "title": "", "ends_at": ""}, SHOWN, timezone=PARIS
    )
    assert typed.fields == {"venue": None, "summary": None}
    assert typed.wrong == {"title": complaints.NEEDED, "ends_at": complaints.NEEDED}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("starts_at", "demain"),
        ("starts_at", "2025-02-30T09:30"),
        ("capacity", "douze"),
        ("capacity", "1.5"),
        ("quota_per_authority", "x"),
    ],
)
def test_what_cannot_be_read_is_told_beside_its_field(field: str, text: str) -> None:
    assert forms.read(SHOWN | {field: text}, SHOWN, timezone=PARIS).wrong.keys() == {field}


def test_every_refusal_has_a_french_sentence() -> None:
    assert set(complaints.REFUSALS) == set(RefusalCode)
    assert all(re.fullmatch(r"[A-ZÉ].*\.", said) for said in complaints.REFUSALS.values())


def test_a_history_has_words_for_every_field_of_a_form() -> None:
    for field in forms.FIELDS - {"offer_id", "organiser"}:
        assert wording.changed({field: None}) != field


def test_every_fault_of_a_sheet_has_a_french_sentence() -> None:
    assert {code.value for code in Code} | {refusal.value for refusal in RefusalCode} <= set(sheets.FAULTS)
    assert set(sheets.TITLES) <= forms.FIELDS
    for column in sheets.TITLES:
        assert sheets.message(Fault(3, "invalid", "whatever", column))


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
