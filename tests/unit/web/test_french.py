"""Dates, numbers and places as French writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.web import french, labels

PARIS, REUNION, MARTINIQUE = "Europe/Paris", "Indian/Reunion", "America/Martinique"


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


MIDNIGHT = at("2025-03-16T23:00+00:00")
"""Of 17 March in Paris."""
LONG = "IA et territoires à Rennes : le CNFPT s’engage pour développer les compétences"


def period(start: str, end: str) -> str:
    return french.period(at(start), at(end), PARIS)


def short(start: str, end: str, zone: str = PARIS) -> str:
    return french.short_period(at(f"{start}+00:00"), at(f"{end}+00:00"), zone)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (french.moment(at("2025-03-17T09:30+01:00"), PARIS), "lundi 17 mars 2025 à 9 h 30, heure de Paris"),
        (french.moment(at("2025-04-01T14:00+02:00"), PARIS), "mardi 1er avril 2025 à 14 h, heure de Paris"),
        (
            french.moment(at("2025-04-03T09:00+04:00"), REUNION),
            "jeudi 3 avril 2025 à 9 h, heure de La Réunion",
        ),
        (
            period("2025-04-03T09:30+02:00", "2025-04-03T17:00+02:00"),
            "jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris",
        ),
        (  # the MOOC: over the change of clocks, its end exclusive
            period("2025-03-16T23:00+00:00", "2025-04-11T22:00+00:00"),
            "du lundi 17 mars 2025 au vendredi 11 avril 2025",
        ),
        (period("2025-04-03T00:00+02:00", "2025-04-04T00:00+02:00"), "jeudi 3 avril 2025"),
        (
            period("2025-04-03T09:00+02:00", "2025-04-04T12:00+02:00"),
            "du jeudi 3 avril 2025 à 9 h au vendredi 4 avril 2025 à 12 h, heure de Paris",
        ),
        (short("2025-04-08T07:30", "2025-04-08T15:00"), "9 h 30 à 17 h"),
        (
            short("2025-04-22T12:30", "2025-04-22T19:30", MARTINIQUE),
            "8 h 30 à 15 h 30, heure de la Martinique",
        ),
        (short("2025-03-16T23:00", "2025-04-11T22:00"), "jusqu’au vendredi 11 avril 2025"),
        (short("2025-05-13T07:30", "2025-06-05T15:00"), "jusqu’au jeudi 5 juin 2025"),
        (short("2025-04-07T22:00", "2025-04-08T22:00"), "toute la journée"),
        (french.beginning(MIDNIGHT, PARIS), "lundi 17 mars 2025"),
        (french.beginning(MIDNIGHT, REUNION), "lundi 17 mars 2025 à 3 h, heure de La Réunion"),
        (french.deadline(at("2025-03-28T23:00+00:00"), PARIS), "vendredi 28 mars 2025 inclus"),
        (french.hours(timedelta(0)), "0 min"),
        (french.hours(timedelta(minutes=60)), "1 h"),
        (french.hours(timedelta(minutes=210)), "3 h 30"),
        (french.hours(timedelta(minutes=1500)), "25 h"),
        (french.age(45.4), "45 s"),
        (french.age(120), "2 min"),
        (french.age(7385), "2 h 03"),
        (french.listed([]), ""),
        (french.listed(["a", "b"]), "a et b"),
        (french.listed(["a", "b", "c"]), "a, b et c"),
        (french.spelt(2), "deux"),
        (french.spelt(11), "11"),
        (french.town("Délégation Bretagne du CNFPT, Rennes"), "Rennes"),
        (french.town("12 rue de la Paix, 35000 Rennes"), "Rennes"),
        (french.town("Hôtel de ville"), "Hôtel de ville"),
        (french.town("Rennes, 2 rue du Test"), "Rennes"),
        (french.short_title(LONG, "Rennes"), "IA et territoires"),
        (french.short_title("IA : quels enjeux ?", "Rennes"), "IA : quels enjeux ?"),
        (labels.organisation("bretagne"), "Délégation Bretagne du CNFPT"),
        (labels.organisation("inset-angers"), "Inset d’Angers, école du CNFPT"),
        (labels.organisation("antarctique"), "CNFPT"),  # that a later version adds
        (labels.organiser("antarctique"), "le CNFPT"),
    ],
)
def test_dates_lengths_numbers_and_places_are_written_as_french_reads_them(shown: str, text: str) -> None:
    assert shown.replace(french.NBSP, " ") == text


def test_no_line_breaks_between_a_number_and_its_hour() -> None:
    assert french.clock_time(at("2025-03-17T09:05+00:00")) == "9\u00a0h\u00a005"


def test_a_tile_has_the_day_by_the_clocks_of_the_place() -> None:
    assert french.tile(MIDNIGHT, PARIS) == ("17", "mars", "lun.")
    assert french.tile(MIDNIGHT, MARTINIQUE) == ("16", "mars", "dim.")
