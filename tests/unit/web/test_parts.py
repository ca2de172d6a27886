"""Parts of pages: what they show of the numbers they are given."""

import re

import pytest

from shared.web.rendering import TEMPLATES, Rendering

PARTS = Rendering(TEMPLATES).module("parts.html")


def bars(meter: str) -> dict[str, tuple[int, int]]:
    """Where each part of a bar begins and how wide it is."""
    found = re.findall(r'<rect class="(\w+)"(?: x="(\d+)")? width="(\d+)"', meter)
    found += re.findall(r'<path class="(kept)" d="M(\d+) .5h(\d+)"', meter)
    return {name: (int(start or 0), int(width)) for name, start, width in found}


def test_a_bar_shows_seats_that_are_taken_held_or_kept_and_the_waiting_list_behind() -> None:
    meter = str(PARTS.meter(120, 60, 10, 20, 30))
    assert 'viewBox="0 0 150 1"' in meter
    assert bars(meter) == {"taken": (0, 60), "held": (60, 10), "kept": (100, 20), "waiting": (120, 30)}


@pytest.mark.parametrize(
    ("numbers", "shown", "mark", "whole"),
    [
        ((5, 5, 0, 0, 3), {"taken": (0, 5), "waiting": (5, 3)}, "5", 8),
        ((3, 6, 0, 2, 0), {"taken": (0, 3), "above": (3, 3)}, "3", 6),
        ((3, 2, 2, 0, 1), {"taken": (0, 2), "held": (2, 1), "above": (3, 1), "waiting": (4, 1)}, "3", 5),
        ((20, 10, 0, 30, 0), {"taken": (0, 10), "kept": (10, 10)}, None, 20),
        ((0, 0, 0, 0, 5), {"waiting": (0, 5)}, "0", 5),
        ((0, 0, 0, 0, 0), {}, None, 1),
    ],
)
def test_a_bar_is_to_scale_and_marks_the_capacity_if_something_is_beyond_it(
    numbers: tuple[int, ...], shown: dict[str, tuple[int, int]], mark: str | None, whole: int
) -> None:
    meter = str(PARTS.meter(*numbers))
    marked = re.search(r'<path class="mark" d="M(\d+) 0v1"', meter)
    assert (bars(meter), marked and marked[1]) == (shown, mark)
    assert f'viewBox="0 0 {whole} 1"' in meter
