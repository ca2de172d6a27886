"""Parts of pages: what they show of the numbers they are given."""

import re

import pytest

from shared.web.rendering import TEMPLATES, Rendering

PARTS = Rendering(TEMPLATES).module("parts.html")


def bars(meter: str) -> dict[str, tuple[int, int]]:
    """Where each part of a bar begins and how wide it is."""
    found = re.findall(r'<rect class="(\w+)"(?: x="(\d+)")? width="(\d+)"', meter)
    return {name: (int(start or 0), int(width)) for name, start, width in found}


def test_a_bar_shows_seats_that_are_taken_held_or_kept_and_the_waiting_list_behind() -> None:
    meter = str(PARTS.meter(120, 60, 10, 20, 30))
    assert 'viewBox="0 0 150 1"' in meter
    assert bars(meter) == {"taken": (0, 60), "held": (60, 10), "kept": (100, 20), "waiting": (120, 30)}


@pytest.mark.parametrize(
    "numbers", [(20, 25, 3, 4, 0), (20, 10, 30, 30, 900), (0, 0, 0, 0, 5), (1, 0, 0, 5, 1)]
)
def test_a_bar_is_never_longer_than_its_seats_and_a_third_for_waiting(
    numbers: tuple[int, ...],
) -> None:
    capacity = numbers[0]
    shown = bars(str(PARTS.meter(*numbers)))
    waiting = shown.pop("waiting", (capacity, 0))
    assert all(start + width <= capacity for start, width in shown.values())
    assert waiting[1] <= capacity // 3
    assert "None" not in str(PARTS.meter(*numbers))
