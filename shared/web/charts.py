from collections.abc import Sequence
from math import ceil

MOST_TICKS = 4


def ticks(highest: float, least: float = 1) -> Sequence[float]:
    """Return round numbers of an axis, from 0 to the first that no bar is higher than.

    `least` is the smallest step between two of them.
    """
    steps = (least * digit * 10**zeros for zeros in range(20) for digit in (1, 2, 5))
    step = next(step for step in steps if step * MOST_TICKS >= highest)
    return [round(step * number, 2) for number in range(max(1, ceil(highest / step)) + 1)]
