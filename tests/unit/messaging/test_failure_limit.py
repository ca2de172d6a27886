"""When a handler's failures are so many that they are no fault of the records."""

from shared.messaging.failure_limit import NUMBER, WINDOW_SECONDS, FailureLimit


class Time:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_few_failures_are_parked_though_nothing_else_came() -> None:
    assert FailureLimit().allows(NUMBER, NUMBER)


def test_many_failures_are_parked_where_most_events_were_handled() -> None:
    assert FailureLimit().allows(100, 200)


def test_more_than_the_number_and_most_of_what_came_is_the_limit() -> None:
    limit = FailureLimit()
    assert not limit.allows(NUMBER + 1, NUMBER + 1)
    assert limit.is_reached


def test_failures_one_by_one_count_together_within_a_minute() -> None:
    limit = FailureLimit()
    assert all(limit.allows(1, 1) for _ in range(NUMBER))
    assert not limit.allows(1, 1)


def test_failures_of_more_than_a_minute_ago_count_no_more() -> None:
    time = Time()
    limit = FailureLimit(time)
    assert limit.allows(NUMBER, NUMBER)
    time.seconds += WINDOW_SECONDS
    assert limit.allows(NUMBER, NUMBER)


def test_once_reached_nothing_is_parked_however_long_it_lasts() -> None:
    time = Time()
    limit = FailureLimit(time)
    limit.allows(100, 100)
    time.seconds += 10 * WINDOW_SECONDS
    assert not limit.allows(1, 1)


def test_it_goes_on_with_the_first_batch_that_is_mostly_handled_and_counts_anew() -> None:
    limit = FailureLimit()
    limit.allows(100, 100)
    assert limit.allows(1, 2)
    assert not limit.is_reached
    assert limit.allows(NUMBER, NUMBER)


def test_a_batch_without_events_for_the_handler_says_nothing() -> None:
    limit = FailureLimit()
    limit.allows(100, 100)
    assert limit.allows(0, 0), "there is nothing to park"
    assert limit.is_reached
