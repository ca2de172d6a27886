"""A session as an entry of calendars, a month on a page, the date of the pages, where their button leads."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from icalendar import Calendar

from services.catalogue.pages import calendars
from services.catalogue.pages.month import CalendarMonth, DayEntry, Unavailable, month_of
from services.catalogue.pages.site import BUILT, SOURCES, TEMPLATES, Site
from services.catalogue.rules.sessions import CalendarSession, ListedSession, Presentation, Session
from shared.auth import Tokens
from shared.database import Database
from shared.events.catalogue import Module
from shared.events.vocabulary import Format, Status
from shared.web import labels
from shared.web.rendering import Rendering
from tests.support.guards import a_guard
from tests.unit.catalogue.builders import a_draft, a_published_session

RENDERING = Rendering(TEMPLATES)
CHANGED = datetime(2025, 3, 2, 10, 0, 1, tzinfo=UTC)


def written(session: Session) -> bytes:
    listed = ListedSession(replace(session, presentation=Presentation(summary="L’IA & l’élu")), None, CHANGED)
    return calendars.write(RENDERING, "https://parcours.example.org", [listed], "Parcours")


def test_the_same_session_is_the_same_bytes_and_another_version_is_not() -> None:
    session = a_published_session()
    assert written(session) == written(session)
    entry: Any
    (entry,) = Calendar.from_ical(written(replace(session, status=Status.CANCELLED, version=9))).walk(
        "VEVENT"
    )
    assert (str(entry["status"]), entry["sequence"]) == ("CANCELLED", 9)
    assert entry["dtstamp"].dt == entry["last-modified"].dt == CHANGED
    summary, *_, page = str(entry["description"]).split("\n")
    assert (summary, page) == ("L’IA & l’élu", f"https://parcours.example.org/sessions/{session.session_id}")


def test_a_page_is_as_new_as_its_template_its_labels_and_its_style_sheet() -> None:
    shared = Path(labels.__file__).parent
    for path in (TEMPLATES / "session.html", shared / "labels.py", shared / "static" / "parcours.css"):
        assert path in SOURCES
        assert datetime.fromtimestamp(path.stat().st_mtime, UTC) <= BUILT


@pytest.mark.parametrize("placeholder", ["{session_id}", "%7Bsession_id%7D"])
def test_the_address_of_the_portal_may_have_its_braces_as_a_url_has_them(placeholder: str) -> None:
    portal = f"https://portail.example/sessions/{placeholder}"
    database = Database("postgresql://nobody@nowhere.example/none", application_name="test")
    site = Site(database=database, tokens=Tokens(), guard=a_guard(), address="", portal=portal)
    session = a_draft()
    assert site.portal_home == "https://portail.example/"
    assert site.enrol_at(session) == f"https://portail.example/sessions/{session.session_id}"


# -------------------------------------------------------------------------------------------- a month


ENTRY = RENDERING.module("mois.html").entry


def at(day: int, hour: int, month: int = 4) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


def an_entry(starts_at: datetime, ends_at: datetime, **changes: Any) -> CalendarSession:
    session = CalendarSession(
        session_id=UUID(int=1),
        format=Format.LOCAL_EVENT,
        title="L’IA à Brest",
        venue="Brest",
        timezone="Europe/Paris",
        starts_at=starts_at,
        ends_at=ends_at,
        modules=(),
        source=None,
        status=Status.PUBLISHED,
        is_full=False,
    )
    return replace(session, **changes)


NOON = at(9, 12)


def april(*found: CalendarSession, now: datetime = NOON) -> CalendarMonth:
    return month_of(date(2025, 4, 1), found, now)


def days(month: CalendarMonth) -> list[int]:
    return [cell.day.day for week in month.weeks for cell in week for _ in cell.entries]


def test_weeks_go_from_monday_to_sunday_and_hold_the_whole_month() -> None:
    month = april(now=at(8, 22).replace(minute=30))
    cells = [cell for week in month.weeks for cell in week]
    assert {len(week) for week in month.weeks} == {7}
    assert (cells[0].day, cells[-1].day) == (date(2025, 3, 31), date(2025, 5, 4))
    assert sum(cell.is_of_month for cell in cells) == 30
    assert (month.previous, month.following) == (date(2025, 3, 1), date(2025, 5, 1))
    assert [cell.day.day for cell in cells if cell.is_today] == [9], "by the clocks of Paris"


@pytest.mark.parametrize(
    ("timezone", "day", "text"),
    [
        ("America/Martinique", 7, "21\u00a0h, heure de la Martinique<"),
        ("Indian/Reunion", 8, "5\u00a0h, heure de La Réunion<"),
        ("Europe/Paris", 8, "3\u00a0h<"),
    ],
)
def test_a_session_stands_on_its_day_by_the_clocks_of_the_place(timezone: str, day: int, text: str) -> None:
    session = an_entry(at(8, 1), at(8, 3), timezone=timezone)
    assert days(april(session)) == [day]
    assert text in ENTRY(DayEntry(session, at(8, 1), None))


def test_a_session_of_several_days_or_seances_stands_on_each_of_them() -> None:
    assert days(april(an_entry(at(8, 7), at(9, 15)))) == [8, 9]
    modules = tuple(
        Module(title=str(start), starts_at=start, ends_at=start.replace(hour=15))
        for start in (at(8, 7), at(24, 7), at(6, 7, month=5))
    )
    month = april(an_entry(at(8, 7), at(6, 15, month=5), modules=modules))
    assert days(month) == [8, 24]
    entries = [entry.module for week in month.weeks for cell in week for entry in cell.entries]
    assert entries == [str(at(8, 7)), str(at(24, 7))]


def test_a_busy_day_has_its_first_sessions_and_counts_the_others() -> None:
    busy = [an_entry(at(8, hour), at(8, hour + 1)) for hour in (11, 7, 9, 8, 10)]
    month = april(*busy, an_entry(at(9, 7), at(9, 8)))
    eighth, ninth = (cell for week in month.weeks for cell in week if cell.entries)
    assert [entry.starts_at.hour for entry in eighth.entries] == [7, 8, 9]
    assert (eighth.others, len(ninth.entries), ninth.others) == (2, 1, 0)


def test_a_session_that_runs_for_weeks_stands_above_the_days() -> None:
    mooc = an_entry(datetime(2025, 3, 16, 23, tzinfo=UTC), at(11, 22))
    assert (days(april(mooc)), [entry.session for entry in april(mooc).long]) == ([], [mooc])


@pytest.mark.parametrize(
    ("session", "why"),
    [
        (an_entry(at(8, 7), at(8, 8)), Unavailable.OVER),
        (an_entry(at(9, 7), at(9, 13)), None),
        (an_entry(at(10, 7), at(10, 8), is_full=True), Unavailable.FULL),
        (
            an_entry(at(11, 7), at(11, 8), is_full=True, status=Status.CANCELLED),
            Unavailable.CANCELLED,
        ),
    ],
)
def test_an_entry_says_why_nobody_can_take_part(session: CalendarSession, why: Unavailable | None) -> None:
    (entry,) = [entry for week in april(session).weeks for cell in week for entry in cell.entries]
    assert entry.unavailable is why
