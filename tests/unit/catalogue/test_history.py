"""What an entry of the audit log says was changed, field by field."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.history import FieldChange, field_changes
from shared.events.catalogue import Module
from shared.web.rendering import Rendering

HISTORY = Rendering(TEMPLATES).module("gestion-changements.html")
SPRING = datetime(2027, 4, 15, 7, 30, tzinfo=UTC)


def a_seance(title: str, hour: int) -> dict[str, str]:
    return {
        "title": title,
        "starts_at": f"2027-04-15T{hour:02}:00:00Z",
        "ends_at": f"2027-04-15T{hour + 1:02}:00:00Z",
    }


def test_a_field_is_read_as_what_it_was_and_fields_come_in_the_order_of_a_session() -> None:
    found = field_changes(
        {"capacity": [30, 12], "starts_at": ["2027-04-15T07:30:00Z", None], "status": ["draft", "published"]}
    )
    assert found == [
        FieldChange("status", "draft", "published"),
        FieldChange("starts_at", SPRING, None),
        FieldChange("capacity", 30, 12),
    ]


def test_of_a_list_only_the_entries_that_were_taken_out_and_put_in_are_named() -> None:
    before = [a_seance("Accueil", 8), a_seance("Atelier", 10)]
    after = [a_seance("Accueil", 8), a_seance("Atelier", 11)]
    taken_out, put_in = Module.model_validate(before[1]), Module.model_validate(after[1])
    assert field_changes({"modules": [before, after]}) == [FieldChange("modules", (taken_out,), (put_in,))]
    # A list in another order is named whole.
    assert field_changes({"experts": [["A", "B"], ["B", "A"]]}) == [
        FieldChange("experts", ("A", "B"), ("B", "A"))
    ]


def test_the_terms_of_an_offer_are_named_each_by_itself_and_only_where_they_differ() -> None:
    before = {"capacity": 30, "waiting_list": "none", "closes_days_before": 0}
    found = field_changes({"terms": [before, before | {"capacity": 20, "closes_days_before": 5}]})
    assert found == [FieldChange("closes_days_before", 0, 5), FieldChange("capacity", 30, 20)]


@pytest.mark.parametrize("pair", [(None, []), (None, None), ([], None), ("", None)])
def test_what_had_nothing_and_has_nothing_did_not_change(pair: tuple[Any, Any]) -> None:
    assert field_changes({"experts": pair}) == []


def test_what_cannot_be_read_any_more_is_shown_as_the_log_has_it() -> None:
    found = field_changes({"starts_at": ["un jour", None], "no_more": [None, {"a": 1}]})
    assert found == [FieldChange("starts_at", "un jour", None), FieldChange("no_more", None, '{"a": 1}')]


def test_a_change_is_shown_by_the_clocks_of_the_place() -> None:
    entry = SimpleNamespace(action="changed", at=SPRING, actor="zoe")
    shown = HISTORY.history_list([(entry, [])], "America/Martinique", {})
    assert "Jeudi 15 avril 2027 à 3\u00a0h\u00a030, heure de la Martinique" in shown
