"""The sessions of the demonstration, whatever the hour at which somebody starts it."""

from datetime import UTC, datetime, timedelta

import pytest

from local.demo.sessions import small_sessions
from services.notifier.letters.timing import next_morning


@pytest.mark.parametrize("day", [datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)])
def test_the_replay_is_mailed_at_once_at_any_hour(day: datetime) -> None:
    for quarters in range(96):
        now = day + timedelta(minutes=15 * quarters)
        [session] = small_sessions(now)["recorded"]
        assert next_morning(now + timedelta(minutes=10), session["timezone"]) is None, now
