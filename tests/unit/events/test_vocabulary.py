"""What no session, request or time zone can be, said by the contract."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from shared.events.portal import SessionSwapRequested
from shared.events.zones import zone_named
from tests.support.builders import a_session


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("starts_at", "1999-12-31T23:59:59Z"),
        ("ends_at", "2100-01-01T00:00:00Z"),
        ("enrolment_closes_at", "9999-12-31T23:59:59Z"),
        ("capacity", 3_000_000_000),
        ("version", 2**31),
        ("offer_hold_hours", 10_000),
    ],
)
def test_a_session_outside_its_bounds_is_refused_with_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        a_session(**{field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


def test_nobody_moves_to_the_session_that_they_are_to_leave() -> None:
    session_id = UUID(int=1)
    with pytest.raises(ValidationError) as refused:
        SessionSwapRequested(session_id=session_id, agent_id="IEL-1", to_session_id=session_id)
    assert refused.value.errors()[0]["loc"] == ("to_session_id",)
    SessionSwapRequested(session_id=session_id, agent_id="IEL-1", to_session_id=UUID(int=2))


@pytest.mark.parametrize("name", ["", "Europe", "Europe/Brest", "/etc", "../x", "a\0b", "\ud800", "9" * 5000])
def test_only_the_name_of_a_time_zone_names_a_time_zone(name: str) -> None:
    assert zone_named(name) is None
    zone = zone_named("Indian/Reunion")
    assert zone is not None
    assert zone.key == "Indian/Reunion"
