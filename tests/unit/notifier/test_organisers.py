"""When organisers hear of their sessions by the day, and what a letter of the day lists."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.notifier.letters import day_of, returned_letter, rows_of
from services.notifier.letters.organisers import MOST_LISTED
from tests.unit.notifier.builders import at


@pytest.mark.parametrize(
    ("organiser", "now", "told"),
    [
        ("bretagne", "2025-03-10T08:00+01:00", True),
        ("bretagne", "2025-03-10T07:59+01:00", False),
        ("bretagne", "2025-03-10T20:00+01:00", False),
        ("la-reunion", "2025-03-10T05:00+01:00", True),
        ("martinique", "2025-03-10T08:00+01:00", False),
        ("inset-nancy", "2025-03-10T08:00+01:00", True),
    ],
)
def test_organisers_are_told_by_day_by_their_own_clocks(organiser: str, now: str, told: bool) -> None:
    assert (day_of(organiser, at(now)) is not None) is told


def test_a_day_ends_before_its_letter_is_written_and_is_the_same_until_the_evening() -> None:
    first, last = (day_of("bretagne", at(f"2025-03-10T{hour}+01:00")) for hour in ("08:00", "19:59"))
    assert first == last
    assert first is not None
    assert first.until == at("2025-03-10T07:45+01:00")
    assert first.before == at("2025-03-09T07:45+01:00")


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"])
def test_the_day_on_which_the_clocks_change_leaves_nothing_out(day: str) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00+01:00")
    today, yesterday = day_of("bretagne", noon), day_of("bretagne", noon - timedelta(days=1))
    assert today is not None
    assert yesterday is not None
    assert today.before == yesterday.until
    assert today.day_id != yesterday.day_id


def test_each_day_of_each_organiser_stands_for_an_event_of_its_own() -> None:
    noon = at("2025-03-10T12:00+01:00")
    days = [day_of(organiser, noon) for organiser in ("bretagne", "corse")]
    assert len({day.day_id for day in days if day is not None}) == 2


def test_nothing_that_came_back_is_no_letter() -> None:
    assert returned_letter({}) is None


def test_a_long_list_is_cut_and_counted_whole() -> None:
    letter = returned_letter({UUID(int=number): 2 for number in range(MOST_LISTED + 10)})
    assert letter is not None
    assert len(rows_of(letter.details, "sessions")) == MOST_LISTED
    assert (letter.details["in_all"], letter.details["people"]) == (MOST_LISTED + 10, 2 * (MOST_LISTED + 10))
