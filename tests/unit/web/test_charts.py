import pytest

from shared.web.charts import ticks


@pytest.mark.parametrize(
    ("highest", "least", "expected"),
    [
        (0, 1, [0, 1]),
        (1, 1, [0, 1]),
        (6, 1, [0, 2, 4, 6]),
        (7, 1, [0, 2, 4, 6, 8]),
        (170, 1, [0, 50, 100, 150, 200]),
        (0.03, 0.01, [0, 0.01, 0.02, 0.03]),
        (1.3, 0.01, [0, 0.5, 1, 1.5]),
    ],
)
def test_an_axis_has_round_numbers_up_to_the_highest_bar(
    highest: float, least: float, expected: list[float]
) -> None:
    found = ticks(highest, least)
    assert found == expected
    assert all(isinstance(tick, int) for tick in found) == (least == 1)
