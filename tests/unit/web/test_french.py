"""Dates and places as French writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.web import french, labels


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def spaced(text: str) -> str:
    """The text with its no-break spaces as spaces."""
    return text.replace(french.NBSP, " ")


@pytest.mark.parametrize(
    ("moment", "zone", "written"),
    [
        ("2025-03-17T09:30+01:00", "Europe/Paris", "lundi 17 mars 2025 à 9 h 30, heure de Paris"),
        ("2025-04-01T14:00+02:00", "Europe/Paris", "mardi 1er avril 2025 à 14 h, heure de Paris"),
        ("2025-04-03T09:00+04:00", "Indian/Reunion", "jeudi 3 avril 2025 à 9 h, heure de La Réunion"),
    ],
)
def test_a_moment_has_day_time_and_zone(moment: str, zone: str, written: str) -> None:
    assert spaced(french.moment(at(moment), zone)) == written


@pytest.mark.parametrize(
    ("start", "end", "written"),
    [
        (
            "2025-04-03T09:30+02:00",
            "2025-04-03T17:00+02:00",
            "jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris",
        ),
        # The MOOC: over the change of clocks, its end exclusive.
        (
            "2025-03-16T23:00+00:00",
            "2025-04-11T22:00+00:00",
            "du lundi 17 mars 2025 au vendredi 11 avril 2025",
        ),
        ("2025-04-03T00:00+02:00", "2025-04-04T00:00+02:00", "jeudi 3 avril 2025"),
        (
            "2025-04-03T09:00+02:00",
            "2025-04-04T12:00+02:00",
            "du jeudi 3 avril 2025 à 9 h au vendredi 4 avril 2025 à 12 h, heure de Paris",
        ),
    ],
)
def test_a_period_is_written_as_one_reads_it(start: str, end: str, written: str) -> None:
    assert spaced(french.period(at(start), at(end), "Europe/Paris")) == written


def test_what_begins_at_midnight_begins_with_its_day() -> None:
    assert french.beginning(at("2025-03-16T23:00+00:00"), "Europe/Paris") == "lundi 17 mars 2025"
    assert spaced(french.beginning(at("2025-03-16T23:00+00:00"), "Indian/Reunion")) == (
        "lundi 17 mars 2025 à 3 h, heure de La Réunion"
    )


def test_a_deadline_at_midnight_is_the_day_before_inclusive() -> None:
    assert french.deadline(at("2025-03-28T23:00+00:00"), "Europe/Paris") == "vendredi 28 mars 2025 inclus"


def test_no_line_breaks_between_a_number_and_its_hour() -> None:
    assert french.clock_time(at("2025-03-17T09:05+00:00")) == "9\u00a0h\u00a005"


@pytest.mark.parametrize(
    ("minutes", "written"), [(0, "0 min"), (45, "45 min"), (60, "1 h"), (210, "3 h 30"), (1500, "25 h")]
)
def test_a_length_is_in_hours_and_minutes(minutes: int, written: str) -> None:
    assert spaced(french.hours(timedelta(minutes=minutes))) == written


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("bretagne", "Délégation Bretagne du CNFPT"),
        ("inet", "Inet, école du CNFPT"),
        ("inset-angers", "Inset d’Angers, école du CNFPT"),
        ("antarctique", "CNFPT"),
    ],
)
def test_on_a_line_of_its_own_an_organiser_has_no_article(code: str, name: str) -> None:
    assert labels.organisation(code) == name
    assert labels.organiser("antarctique") == "le CNFPT", "that a later version adds"


@pytest.mark.parametrize(
    ("items", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a et b"), (["a", "b", "c"], "a, b et c")]
)
def test_words_are_listed(items: list[str], expected: str) -> None:
    assert french.listed(items) == expected


def test_small_numbers_are_spelt() -> None:
    assert [french.spelt(number) for number in (2, 10, 11)] == ["deux", "dix", "11"]


@pytest.mark.parametrize(
    ("venue", "town"),
    [
        ("Délégation Bretagne du CNFPT, Rennes", "Rennes"),
        ("12 rue de la Paix, 35000 Rennes", "Rennes"),
        ("Hôtel de ville", "Hôtel de ville"),
        ("Rennes, 2 rue du Test", "Rennes"),
    ],
)
def test_the_town_is_what_stands_last_in_a_place(venue: str, town: str) -> None:
    assert french.town(venue) == town


def test_a_title_beside_its_town_does_not_say_it_again() -> None:
    title = "IA et territoires à Rennes : le CNFPT s’engage pour développer les compétences"
    assert french.short_title(title, "Rennes") == "IA et territoires"
    assert french.short_title("IA : quels enjeux ?", "Rennes") == "IA : quels enjeux ?"


@pytest.mark.parametrize(("seconds", "said"), [(45.4, "45 s"), (120, "2 min"), (7385, "2 h 03")])
def test_what_waits_for_long_waits_minutes_and_hours(seconds: float, said: str) -> None:
    assert spaced(french.age(seconds)) == said


@pytest.mark.parametrize(
    ("start", "end", "timezone", "said"),
    [
        ("2025-04-08T07:30", "2025-04-08T15:00", "Europe/Paris", "9 h 30 à 17 h"),
        (
            "2025-04-22T12:30",
            "2025-04-22T19:30",
            "America/Martinique",
            "8 h 30 à 15 h 30, heure de la Martinique",
        ),
        ("2025-03-16T23:00", "2025-04-11T22:00", "Europe/Paris", "jusqu’au vendredi 11 avril 2025"),
        ("2025-05-13T07:30", "2025-06-05T15:00", "Europe/Paris", "jusqu’au jeudi 5 juin 2025"),
        ("2025-04-07T22:00", "2025-04-08T22:00", "Europe/Paris", "toute la journée"),
    ],
)
def test_beside_its_day_a_session_has_its_hours_or_its_end(
    start: str, end: str, timezone: str, said: str
) -> None:
    first, last = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (start, end))
    assert french.short_period(first, last, timezone).replace("\u00a0", " ") == said


def test_a_tile_has_the_day_by_the_clocks_of_the_place() -> None:
    late = datetime(2025, 3, 16, 23, tzinfo=UTC)
    assert french.tile(late, "Europe/Paris") == ("17", "mars", "lun.")
    assert french.tile(late, "America/Martinique") == ("16", "mars", "dim.")
