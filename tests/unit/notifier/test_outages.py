"""When a relay that could not be reached is tried again."""

import time

from services.notifier.delivery.pool import Outage


def test_workers_that_find_out_together_make_one_short_pause() -> None:
    outage, begun = Outage(), time.monotonic()
    for _ in range(20):
        outage.failed(begun)
    assert outage.failures == 1
    assert outage.pause() <= 0.5
    outage.failed(outage._known_at + 0.001)
    assert outage.failures == 2
    outage.over()
    assert (outage.failures, outage.pause()) == (0, 0.0)
