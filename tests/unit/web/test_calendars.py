"""Calendars as programs of others read them: whatever stands in a title, at every hour of every zone."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import ics
import pytest
from dateutil.tz import tzical
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from shared.events.vocabulary import Format
from shared.web import calendars
from shared.web.calendars import CalendarEvent, Details, Person

START = datetime(2025, 4, 3, 7, 30, tzinfo=UTC)


def an_event(attendee: Person | None = None, **own: Any) -> CalendarEvent:
    given: dict[str, Any] = {
        "format": Format.LOCAL_EVENT,
        "starts_at": START,
        "ends_at": START + timedelta(hours=7),
        "timezone": "Europe/Paris",
        "summary": "Rendez-vous",
    }
    return CalendarEvent("6f0c2f0e", 3, START, Details(**given | own), attendee)


def written(*events: CalendarEvent) -> bytes:
    return calendars.write(events, product="-//Parcours//Test//FR", method="PUBLISH", name="Parcours")


def read(*events: CalendarEvent) -> Any:
    """The only event of a calendar, as icalendar reads it."""
    (event,) = Calendar.from_ical(written(*events)).walk("VEVENT")
    return event


def observed(content: bytes, zone: str) -> Any:
    """The zone as the calendar explains it, read by dateutil."""
    return tzical(StringIO(content.decode())).get(zone)


# What the vocabulary lets through: a line has no controls; a paragraph may have line breaks.
LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=120).filter(
    lambda text: text.strip() == text
)


@given(title=LINES, place=LINES, summary=LINES)
def test_any_title_place_and_text_come_back_as_they_were(title: str, place: str, summary: str) -> None:
    given = an_event(summary=title, location=place, description=f"{summary}\n{summary}")
    event = read(given)
    assert str(event["summary"]) == title
    assert str(event["location"]) == place
    assert str(event["description"]) == f"{summary}\n{summary}"
    content = written(given)
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")


# Without backslashes: icalendar takes them for escapes in a parameter too, where RFC 5545 has none.
@given(LINES.filter(lambda name: "\\" not in name), st.integers(0, 60))
def test_whatever_their_name_an_attendee_is_read_back(name: str, length: int) -> None:
    address = f"{'a' * length}z@v.example"
    event = an_event(attendee=Person(name, address))
    assert all(len(line) <= 75 for line in written(event).split(b"\r\n"))
    attendee = read(event)["attendee"]
    assert str(attendee) == f"mailto:{address}"
    assert attendee.params["CN"] == name.replace('"', "’")
    assert attendee.params["RSVP"] == "FALSE"


def test_nothing_that_is_typed_can_begin_a_line_of_its_own() -> None:
    typed = "Une journée.\nEND:VEVENT\r\nBEGIN:VEVENT\x0bATTACH:https://x.example"
    event = an_event(summary=typed, location=typed, description=typed, organiser=Person(typed, "o@v.example"))
    assert written(event).count(b"\r\nBEGIN:VEVENT") == 1
    assert "attach" not in read(event)


ZONES = ["Europe/Paris", "Indian/Reunion", "America/Cayenne", "America/Guadeloupe", "America/New_York"]


@pytest.mark.parametrize(
    ("zone", "step"), [("Europe/Paris", 1), ("America/New_York", 1), ("Indian/Reunion", 25)]
)
def test_the_hours_of_two_years_are_the_instants_that_they_were(zone: str, step: int) -> None:
    """By the calendar's own VTIMEZONE, not by what the reader knows of the zone."""
    first, last = datetime(2026, 6, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)
    events = [an_event(timezone=zone, starts_at=moment, ends_at=moment) for moment in (first, last)]
    explained = observed(written(*events), zone)
    instant = datetime(2026, 1, 1, 12, tzinfo=UTC)
    while instant.year < 2028:
        local = instant.astimezone(ZoneInfo(zone))
        assert local.replace(tzinfo=explained).utcoffset() == local.utcoffset(), local
        instant += timedelta(hours=step)


@pytest.mark.parametrize("zone", ZONES)
def test_an_event_is_at_its_instant(zone: str) -> None:
    event = read(an_event(timezone=zone))
    assert (event["dtstart"].dt, event["dtend"].dt) == (START, START + timedelta(hours=7))
    assert event["dtstart"].params["TZID"] == zone


def paris(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)


def test_a_mooc_from_midnight_to_midnight_is_a_matter_of_days() -> None:
    mooc = an_event(format=Format.MOOC, starts_at=paris(3, 17), ends_at=paris(4, 12), busy=True)
    event = read(mooc)
    assert event["dtstart"].dt.isoformat() == "2025-03-17"
    assert event["dtend"].dt.isoformat() == "2025-04-12", "exclusive, as the session's end"
    assert str(event["transp"]) == "TRANSPARENT"
    assert b"VTIMEZONE" not in written(mooc)
    (second,) = ics.Calendar(written(mooc).decode()).events
    assert second.all_day
    assert second.duration == timedelta(days=26)


@pytest.mark.parametrize(
    "other", [{"format": Format.LOCAL_EVENT}, {"ends_at": paris(4, 12, 1)}, {"starts_at": paris(3, 17, 9)}]
)
def test_anything_else_has_hours(other: dict[str, Any]) -> None:
    given: dict[str, Any] = {"format": Format.MOOC, "starts_at": paris(3, 17), "ends_at": paris(4, 12)}
    assert read(an_event(**given | other))["dtend"].dt == (given | other)["ends_at"]
