"""Which clocks there are."""

import pytest

from shared.events.zones import zone_named


def test_a_time_zone_is_known_by_its_name() -> None:
    zone = zone_named("Indian/Reunion")
    assert zone is not None
    assert zone.key == "Indian/Reunion"


@pytest.mark.parametrize("name", ["", "Europe", "Europe/Brest", "/etc", "../x", "a\0b", "\ud800", "9" * 5000])
def test_what_names_no_time_zone_is_none(name: str) -> None:
    assert zone_named(name) is None
