"""What no session of ours can be, said by the contract: the reason then names the field."""

from typing import Any

import pytest
from pydantic import ValidationError

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
def test_a_session_outside_its_bounds_is_no_session(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        a_session(**{field: value})
    assert refused.value.errors()[0]["loc"] == (field,)
