"""The mailbox writes dates as its readers do: in French, in Paris, wherever the machine is."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from local.mailbox.index import Entry
from local.mailbox.pages import _moment, _sent


@pytest.fixture(autouse=True)
def _machine_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Pacific/Noumea")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("date", "written"),
    [
        ("Tue, 24 Nov 2026 23:45:08 +0000", "mercredi 25 novembre 2026 à 0 h 45, heure de Paris"),
        ("Tue, 30 Jun 2026 09:00:00 -0000", "mardi 30 juin 2026 à 11 h, heure de Paris"),
        ("Tue, 30 Jun 2026 09:00:00 +0200", "mardi 30 juin 2026 à 9 h, heure de Paris"),
    ],
)
def test_a_mail_s_date_is_written_in_french_and_in_paris(date: str, written: str) -> None:
    assert _sent(date).replace("\u00a0", " ") == written


@pytest.mark.parametrize(
    "date", ["", "hier", "Tue, 99 Nov 2026 19:45:08 +0000", "Fri, 31 Dec 9999 23:59:59 -2300"]
)
def test_what_is_no_date_is_shown_as_it_stands(date: str) -> None:
    assert _sent(date) == date


def test_the_list_says_when_a_mail_came_in_paris() -> None:
    entry = Entry("n", datetime(2026, 11, 24, 23, 45, tzinfo=UTC), "", "", "", 0, "")
    assert _moment(entry).replace("\u00a0", " ") == "25 nov. 2026, 0 h 45"
