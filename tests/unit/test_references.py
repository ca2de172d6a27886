"""References: short, without signs that look alike, and found again however they are typed."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.references import ids_of, reference_of

KNOWN = UUID("9f2ed110-5c3a-5a52-9d53-2b8f7f6f3a90")


def test_it_is_eight_signs_in_two_halves() -> None:
    assert reference_of(KNOWN) == "KWQD-242W"
    assert reference_of(UUID(int=0)) == "0000-0000"
    assert reference_of(UUID(int=2**128 - 1)) == "ZZZZ-ZZZZ"


@given(st.uuids())
def test_an_id_is_among_those_of_its_reference(known_id: UUID) -> None:
    ids = ids_of(reference_of(known_id))
    assert ids is not None
    assert ids[0] <= known_id <= ids[1]
    assert [*map(reference_of, ids)] == [reference_of(known_id)] * 2


@pytest.mark.parametrize(
    ("typed", "reference"),
    [
        ("kwqd242w", "KWQD-242W"),
        (" KWQD 242W ", "KWQD-242W"),
        ("k-w-q-d-2-4-2-w", "KWQD-242W"),
        ("OILo-0il1", "0110-0111"),  # signs that are misread
    ],
)
def test_a_reference_is_read_however_it_is_typed(typed: str, reference: str) -> None:
    assert ids_of(typed) == ids_of(reference)


@pytest.mark.parametrize("typed", ["", "KWQD-242", "KWQD-242W2", "KWQD-242U", "KWQD-242É", str(KNOWN)])
def test_what_is_none_is_none(typed: str) -> None:
    assert ids_of(typed) is None
