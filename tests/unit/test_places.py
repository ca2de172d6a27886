import pytest

from shared import places
from shared.events.vocabulary import Delegation


@pytest.mark.parametrize(
    ("text", "name", "department"),
    [
        ("Quimper", "Quimper", "29"),
        ("st nazaire", "Saint-Nazaire", "44"),
        ("l’abergement clemenciat", "L'Abergement-Clémenciat", "01"),
        ("44000", "Nantes", "44"),
        ("69 003", "Lyon", "69"),
        ("97400", "Saint-Denis", "974"),
        ("44", "Loire-Atlantique", "44"),
        ("2A", "Corse-du-Sud", "2A"),
        ("Finistère", "Finistère", "29"),
    ],
)
def test_a_commune_a_postal_code_and_a_department_are_found(text: str, name: str, department: str) -> None:
    first = places.named(text)[0]
    assert (first.name, first.department) == (name, department)


@pytest.mark.parametrize("text", ["", "  ", "zz", "99", "99999", "quimpe", "quimpert"])
def test_nothing_else_is_found(text: str) -> None:
    assert list(places.named(text)) == []


@pytest.mark.parametrize(
    ("venue", "delegation", "name", "department"),
    [
        ("Délégation Bretagne du CNFPT, 35000 Rennes", "bretagne", "Rennes", "35"),
        ("Rennes, 2 rue du Test", "bretagne", "Rennes", "35"),
        ("Saint-Denis", "la-reunion", "Saint-Denis", "974"),
        ("Saint-Denis", "ile-de-france", "Saint-Denis", "93"),
        ("Palais des congrès, Saint-Nazaire", "inet", "Saint-Nazaire", "44"),
    ],
)
def test_a_venue_lies_in_the_commune_that_it_names(
    venue: str, delegation: str, name: str, department: str
) -> None:
    found = places.of_venue(venue, delegation)
    assert found is not None
    assert (found.name, found.department) == (name, department)


@pytest.mark.parametrize(("delegation", "town"), [("bretagne", "Vannes"), ("mayotte", "Mamoudzou")])
def test_a_delegation_lies_in_the_middle_of_its_departments(delegation: str, town: str) -> None:
    middle = places.of_delegation(Delegation(delegation))
    assert middle is not None
    assert places.kilometres(middle, places.named(town)[0]) < 80


def test_a_delegation_without_departments_lies_nowhere() -> None:
    assert places.of_delegation(Delegation.INET) is None


def test_a_venue_without_a_commune_has_no_place() -> None:
    assert places.of_venue("Salle 2", "bretagne") is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("Nantes", "Saint-Nazaire", 50), ("Paris", "Marseille", 661), ("Brest", "Strasbourg", 900)],
)
def test_a_distance_is_right_to_a_twentieth(first: str, second: str, expected: int) -> None:
    [here], [there] = places.named(first)[:1], places.named(second)[:1]
    assert places.kilometres(here, there) == pytest.approx(expected, rel=0.05)


def test_every_delegation_has_departments_and_each_place_lies_in_its_territory() -> None:
    numbers = [f"{number:02}" for number in range(1, 96) if number != 20]
    departments = [
        places.named(number)[0] for number in [*numbers, "2A", "2B", "971", "972", "973", "974", "976"]
    ]
    assert {department.delegation for department in departments} == set(list(Delegation)[:18])
    mainland = [department for department in departments if len(department.department) == 2]
    assert all(41 < place.latitude < 51.2 and -5 < place.longitude < 9.7 for place in mainland)


@pytest.mark.parametrize(
    ("venue", "link"),
    [
        ("Mairie, 2 rue du Test, 35000 Rennes", "?q=Mairie%2C%202%20rue%20du%20Test%2C%2035000%20Rennes"),
        ("Mairie & musée, Brest", "?q=Mairie%20%26%20mus%C3%A9e%2C%20Brest"),
        ("Chez nous", None),
        (None, None),
    ],
)
def test_a_venue_opens_in_the_readers_own_map(venue: str | None, link: str | None) -> None:
    found = places.map_link(venue, "bretagne")
    if found is not None:
        point, found = found.removeprefix("geo:").partition("?")[0], "?" + found.partition("?")[2]
        latitude, longitude = map(float, point.split(","))
        assert (48 < latitude < 49, -5 < longitude < -1) == (True, True)
    assert found == link
