"""When a handler's failures are so many that they are no fault of the records."""

import pytest

from shared.messaging.failure_limit import NUMBER, WINDOW_SECONDS, FailureLimit

Batch = tuple[float, int, int, bool]
"""Seconds after the batch before, failures, events, and whether the failures may be parked."""

CASES: dict[str, list[Batch]] = {
    "few failures, though nothing else came": [(0, NUMBER, NUMBER, True)],
    "many failures among more events": [(0, 100, 200, True)],
    "more than the number, and most": [(0, NUMBER + 1, NUMBER + 1, False)],
    "one by one within a minute": [*[(0, 1, 1, True)] * NUMBER, (0, 1, 1, False)],
    "a minute apart": [(0, NUMBER, NUMBER, True), (WINDOW_SECONDS, NUMBER, NUMBER, True)],
    "reached, however long it lasts": [(0, 100, 100, False), (10 * WINDOW_SECONDS, 1, 1, False)],
    "mended and counted anew": [(0, 100, 100, False), (0, 1, 2, True), (0, NUMBER, NUMBER, True)],
    "nothing for the handler says nothing": [(0, 100, 100, False), (0, 0, 0, True), (0, 1, 1, False)],
}


@pytest.mark.parametrize("batches", CASES.values(), ids=CASES)
def test_a_limit_stops_a_handler_that_fails_on_most_events(batches: list[Batch]) -> None:
    now = 1_000.0
    limit = FailureLimit(lambda: now)
    for seconds, failed, events, may_be_parked in batches:
        now += seconds
        assert limit.allows(failed, events) is may_be_parked
