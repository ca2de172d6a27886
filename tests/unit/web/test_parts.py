"""Parts of pages: what they show of the numbers they are given."""

import re

import pytest

from shared.web.rendering import TEMPLATES, Rendering

PARTS = Rendering(TEMPLATES).module("parts.html")


def bars(meter: str) -> dict[str, tuple[int, int]]:
    """Where each part of a bar begins and how wide it is."""
    found = re.findall(r'<rect class="(\w+)"(?: x="(\d+)")? width="(\d+)"', meter)
    return {name: (int(start or 0), int(width)) for name, start, width in found}


def test_a_bar_shows_what_is_taken_held_kept_and_who_waits_behind() -> None:
    meter = str(PARTS.meter(120, 60, 10, 20, 30))
    assert 'viewBox="0 0 150 1"' in meter
    assert bars(meter) == {"taken": (0, 60), "held": (60, 10), "kept": (100, 20), "waiting": (120, 30)}


@pytest.mark.parametrize(
    "numbers", [(20, 25, 3, 4, 0), (20, 10, 30, 30, 900), (0, 0, 0, 0, 5), (1, 0, 0, 5, 1)]
)
def test_a_bar_is_never_longer_than_its_seats_and_a_third_for_who_waits(numbers: tuple[int, ...]) -> None:
    capacity = numbers[0]
    shown = bars(str(PARTS.meter(*numbers)))
    waiting = shown.pop("waiting", (capacity, 0))
    assert all(start + width <= capacity for start, width in shown.values())
    assert waiting[1] <= capacity // 3
    assert "None" not in str(PARTS.meter(*numbers))


def test_a_head_says_by_what_a_table_is_sorted() -> None:
    heads = [("Nom", "?tri=nom", "ascending"), ("État", "", "")]
    table = str(PARTS.table("Participants", heads, caller=lambda: ""))
    assert (
        '<th scope="col" role="columnheader" aria-sort="ascending"><a href="?tri=nom">Nom</a></th>' in table
    )
    assert '<th scope="col" role="columnheader">État</th>' in table


def test_a_state_is_never_told_by_colour_alone() -> None:
    for tone in ("open", "few", "wait", "closed"):
        for part in (PARTS.chip("Un mot", tone), PARTS.state("Une phrase", tone)):
            assert "<svg" in str(part)
            assert re.search("<span>(Un mot|Une phrase)</span>", str(part))


@pytest.mark.parametrize("settled", [(), ("starts_at",)])
def test_a_field_that_cannot_change_any_more_is_not_required(settled: tuple[str, ...]) -> None:
    fields = Rendering(TEMPLATES).module("fields.html")
    field = str(fields.text("starts_at", "Début", {"starts_at": ""}, {}, required=True, settled=settled))
    assert (" required" in field, " readonly" in field, "Obligatoire" in field) == (
        not settled,
        bool(settled),
        not settled,
    )
