"""What a search reads of what was typed: other names of the same thing, and words that are nearly right."""

from datetime import UTC, date, datetime

import pytest

from services.catalogue.pages import filters
from services.catalogue.rules.spelling import corrected
from services.catalogue.rules.synonyms import DEPARTMENTS, SYNONYMS, plain, readings

VOCABULARY = {"rennes", "strasbourg", "webinaire", "intelligence", "artificielle", "territoires", "lille"}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("ChatGPT", "ia generative"),
        ("RGPD à Rennes", "donnees a rennes"),
        ("Visioconférence", "webinaire"),
        ("formations pour dirigeants", "formations pour inet"),
        ("Loire-Atlantique", "pays de la loire"),
        ("Côtes d’Armor", "bretagne"),
        ("44", "pays de la loire"),
        ("44000", "pays de la loire"),
        ("97400 Saint-Denis", "la reunion saint-denis"),
        ("débutant", "mooc"),
        ("webinaire écolo", "webinaire transition ecologique"),
        ("data", "donnees"),
        ("près de Nantes", " nantes"),
    ],
)
def test_what_people_call_by_another_name_is_read_as_what_the_offer_says(typed: str, read: str) -> None:
    assert readings(typed) == [typed, read]


def test_several_names_are_each_read_both_ways() -> None:
    assert readings("visio chatgpt") == [
        "visio chatgpt",
        "webinaire chatgpt",
        "visio ia generative",
        "webinaire ia generative",
    ]


@pytest.mark.parametrize(
    ("typed", "left", "month"),
    [
        ("Nantes en décembre", "Nantes", date(2026, 12, 1)),
        ("75 en décembre", "75", date(2026, 12, 1)),
        ("Rennes 35 décembre", "Rennes 35", date(2026, 12, 1)),
        ("FEVRIER", "", date(2027, 2, 1)),
        ("le 16 décembre 2027 à Brest", "à Brest", date(2027, 12, 1)),
        ("novembre", "", date(2026, 11, 1)),
        ("maire", "maire", None),
    ],
)
def test_a_month_that_is_named_is_the_month_that_comes(typed: str, left: str, month: date | None) -> None:
    now = datetime(2026, 11, 28, 6, tzinfo=UTC)
    found = filters.read({"recherche": typed}, now)
    assert (found.text, found.month) == (left, month)
    chosen = filters.read({"recherche": typed, "mois": "2027-05"}, now)
    assert (chosen.text, chosen.month) == (typed, date(2027, 5, 1))


@pytest.mark.parametrize(
    ("typed", "about", "near"),
    [
        ("quimper", "", "Quimper"),
        ("webinaire à Saint-Nazaire", "webinaire", "Saint-Nazaire"),
        ("près de l'Haÿ les Roses", "", "L'Haÿ-les-Roses"),
        ("ia 44000 managers", "ia managers", "Nantes"),
        ("44", "", "Loire-Atlantique"),
        ("Vendée", "", "Vendée"),
        ("bretagne", "bretagne", None),  # the delegation, not the commune
        ("ia", "ia", None),
        ("donner du sens", "donner du sens", None),
        ('"Nantes"', '"Nantes"', None),
        ("ia -nantes", "ia -nantes", None),
        ("", "", None),
    ],
)
def test_a_place_that_is_named_is_the_place_to_be_near(typed: str, about: str, near: str | None) -> None:
    found, place = filters.place_named(typed)
    assert (found, place and place.name) == (about, near)


def test_a_place_at_the_end_counts_only_where_asked_for() -> None:
    assert filters.place_named("webinaire quimper") == ("webinaire quimper", None)
    assert filters.place_named("webinaire quimper", at_end=True)[0] == "webinaire"


def test_every_department_is_of_a_delegation() -> None:
    numbers = [number for of_one in DEPARTMENTS.values() for number in of_one.split()]
    mainland = {f"{number:02}" for number in range(1, 96)} | {"2a", "2b"}
    assert sorted(numbers) == sorted(mainland | {"971", "972", "973", "974", "976"})


@pytest.mark.parametrize("typed", ["IA générative", "anticiper -rgpd", '"chatgpt"', "maigrgpd", ""])
def test_what_is_excluded_quoted_or_part_of_a_word_stays_as_it_is(typed: str) -> None:
    assert readings(typed) == [typed]


def test_the_table_is_written_as_the_search_compares() -> None:
    for said, names in SYNONYMS.items():
        for name in (said, *names):
            assert name == plain(name)
    every = [name for names in SYNONYMS.values() for name in names]
    assert len(every) == len(set(every)), "a name stands for one thing"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Renes", "rennes"),
        ("strasboug", "strasbourg"),
        ("webinere", "webinaire"),
        ("inteligence artificiele à Lille", "intelligence artificielle a lille"),
    ],
)
def test_a_word_that_is_nearly_one_of_the_offer_is_read_as_that(typed: str, meant: str) -> None:
    assert corrected(typed, VOCABULARY) == meant


@pytest.mark.parametrize("typed", ["rennes", "zzz", "xyzzyx", "", "42", "ai"])
def test_a_word_that_is_right_short_or_near_nothing_is_left(typed: str) -> None:
    assert corrected(typed, VOCABULARY) is None


def test_a_long_search_costs_no_more_than_a_few_words() -> None:
    many = " ".join(f"motinconnu{'abcdefghij'[number % 10] * 3}" for number in range(500))
    assert corrected(many, {f"mot{number}" for number in range(5_000)}) is None
