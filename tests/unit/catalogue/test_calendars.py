"""Calendars as programs of others read them: whatever stands in a title, at every hour of every zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from services.catalogue.pages import calendars
from services.catalogue.store.sessions import Listed, Presentation
from shared.events.vocabulary import Format, Status
from tests.unit.catalogue.builders import a_published_session

ADDRESS = "https://parcours.example.org"
CHANGED = datetime(2025, 3, 2, 10, 0, 1, tzinfo=UTC)


def written(*, format_: Format = Format.LOCAL_EVENT, summary: str | None = None, **plan: Any) -> bytes:
    session = replace(a_published_session(**plan), format=format_)
    listed = Listed(session, Presentation(summary=summary), None, CHANGED)
    return calendars.write(ADDRESS, [listed], "Parcours")


def entry_of(content: bytes) -> Any:
    (entry,) = Calendar.from_ical(content).walk("VEVENT")
    return entry


# What the vocabulary lets through: a line has no controls; a paragraph may have line breaks.
LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=120).filter(
    lambda text: text.strip() == text
)


@given(title=LINES, place=LINES, summary=LINES)
def test_any_title_place_and_text_come_back_as_they_were(title: str, place: str, summary: str) -> None:
    content = written(title=title, venue=place, summary=f"{summary}\n{summary}")
    entry = entry_of(content)
    assert str(entry["summary"]) == title
    assert str(entry["location"]) == place
    assert str(entry["description"]).startswith(f"{summary}\n{summary}\n")
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")


def test_nothing_that_is_typed_can_begin_a_line_of_its_own() -> None:
    content = written(
        summary="Une journée.\nEND:VEVENT\r\nBEGIN:VEVENT\nATTACH:https://x.example", title="A\\,B;C"
    )
    assert content.count(b"BEGIN:VEVENT") == 2  # the entry, and the word in its description
    assert content.count(b"\r\nBEGIN:VEVENT") == 1
    assert "attach" not in entry_of(content)


@pytest.mark.parametrize("zone", ["Europe/Paris", "Indian/Reunion", "America/Cayenne", "America/New_York"])
@pytest.mark.parametrize("month", range(1, 13))
def test_an_entry_is_at_its_instant_in_every_zone_and_season(zone: str, month: int) -> None:
    starts = datetime(2027, month, 15, 8, 30, tzinfo=UTC)
    entry = entry_of(written(timezone=zone, starts_at=starts, ends_at=starts + timedelta(hours=7)))
    assert entry["dtstart"].dt == starts
    assert entry["dtend"].dt == starts + timedelta(hours=7)
    assert entry["dtstart"].params["TZID"] == zone


def test_only_a_mooc_from_midnight_to_midnight_is_told_in_days() -> None:
    first, end = (datetime(2027, 3, day, tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC) for day in (15, 20))
    days: dict[str, Any] = {"starts_at": first, "ends_at": end}
    assert entry_of(written(format_=Format.MOOC, **days))["dtend"].dt.isoformat() == "2027-03-20"
    assert entry_of(written(**days))["dtend"].dt == end
    an_hour_later: dict[str, Any] = {"starts_at": first, "ends_at": end + timedelta(hours=1)}
    assert entry_of(written(format_=Format.MOOC, **an_hour_later))["dtend"].dt == an_hour_later["ends_at"]


def test_the_same_session_is_the_same_bytes_and_another_version_is_not() -> None:
    assert written() == written()
    cancelled = replace(a_published_session(), status=Status.CANCELLED, version=9)
    listed = Listed(cancelled, Presentation(), None, CHANGED)
    entry = entry_of(calendars.write(ADDRESS, [listed], "Parcours"))
    assert (str(entry["status"]), entry["sequence"]) == ("CANCELLED", 9)
    assert entry["dtstamp"].dt == CHANGED
