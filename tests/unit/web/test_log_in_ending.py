"""When a page says that its log-in is about to end."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.web.logins.ending import WARNED, EndingLogin, ending_of
from shared.web.logins.store import LASTS, UNUSED_LASTS
from shared.web.rendering import TEMPLATES

NOW = datetime(2025, 3, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "ending"),
    [
        (LASTS, EndingLogin(25, is_final=False)),
        (timedelta(minutes=31), EndingLogin(25, is_final=False)),
        (timedelta(minutes=30), EndingLogin(25, is_final=True)),
        (timedelta(minutes=14), EndingLogin(5, is_final=True)),
        (timedelta(minutes=3), EndingLogin(0, is_final=True)),
        (timedelta(seconds=-1), EndingLogin(0, is_final=True)),
    ],
)
def test_it_is_said_some_minutes_before(left: timedelta, ending: EndingLogin) -> None:
    assert ending_of(NOW + left, NOW) == ending


def test_it_is_never_said_too_late_to_act() -> None:
    for minutes in range(1, 8 * 60):
        left = timedelta(minutes=minutes)
        said = timedelta(minutes=ending_of(NOW + left, NOW).after)
        assert said == timedelta() or min(left, UNUSED_LASTS) - said >= WARNED


def test_each_delay_has_its_class() -> None:
    sheet = (TEMPLATES.parent / "static" / "parcours.css").read_text()
    delays = {ending_of(NOW + timedelta(minutes=minutes), NOW).after for minutes in range(8 * 60)}
    for minutes in delays - {0}:
        assert f".after-{minutes} {{ animation-delay: {minutes * 60}s; }}" in sheet
