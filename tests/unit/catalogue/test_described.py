"""What other programs read of a session: its place, and its days."""

from datetime import UTC, datetime

import pytest

from services.catalogue.pages.described import DescribedPlace, last_day


@pytest.mark.parametrize(
    ("venue", "address"),
    [
        ("2 rue du Port, 29200 Brest", ("2 rue du Port", "29200", "Brest")),
        ("Mairie, salle 12, 97400 Saint-Denis", ("Mairie, salle 12", "97400", "Saint-Denis")),
        ("Délégation Bretagne du CNFPT, Rennes", (None, None, None)),
        ("29200 Brest", (None, None, None)),
    ],
)
def test_a_venue_has_an_address_if_it_has_a_street_a_postal_code_and_a_commune(
    venue: str, address: tuple[str | None, str | None, str | None]
) -> None:
    place = DescribedPlace.of(venue)
    assert (place.venue, place.street, place.postal_code, place.commune) == (venue, *address)


def test_a_session_until_midnight_ends_on_the_day_before() -> None:
    midnight = datetime(2025, 4, 16, tzinfo=UTC)
    assert last_day(midnight).date() == datetime(2025, 4, 15, tzinfo=UTC).date()
