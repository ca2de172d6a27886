"""A month on a page: each session on its days, what runs for weeks above them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from services.catalogue.pages.month import CalendarMonth, DayEntry, Unavailable, month_of
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.sessions import CalendarSession
from shared.events.catalogue import Module
from shared.events.vocabulary import Format, Status
from shared.web.rendering import Rendering


def a_session(
    starts_at: datetime, ends_at: datetime, *modules: Module, timezone: str = "Europe/Paris", **changes: Any
) -> CalendarSession:
    session = CalendarSession(
        session_id=uuid4(),
        format=Format.LOCAL_EVENT,
        title="L’IA à Brest",
        venue="Brest",
        timezone=timezone,
        starts_at=starts_at,
        ends_at=ends_at,
        modules=modules,
        source=None,
        status=Status.PUBLISHED,
        is_full=False,
    )
    return replace(session, **changes)


def at(day: int, hour: int, month: int = 4) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


def april(*found: CalendarSession) -> CalendarMonth:
    return month_of(date(2025, 4, 1), found, at(9, 12))


def days(month: CalendarMonth) -> list[int]:
    return [cell.day.day for week in month.weeks for cell in week for _ in cell.entries]


def test_weeks_go_from_monday_to_sunday_and_hold_the_whole_month() -> None:
    month = april()
    assert {len(week) for week in month.weeks} == {7}
    assert month.weeks[0][0].day == date(2025, 3, 31)
    assert month.weeks[-1][-1].day == date(2025, 5, 4)
    assert sum(cell.is_of_month for week in month.weeks for cell in week) == 30
    assert (month.previous, month.following) == (date(2025, 3, 1), date(2025, 5, 1))


def test_a_session_stands_on_its_day_by_the_clocks_of_the_place() -> None:
    late = a_session(at(8, 1), at(8, 3), timezone="America/Martinique")
    assert days(april(late)) == [7]
    assert days(april(a_session(at(8, 7), at(9, 15)))) == [8, 9]


def test_a_time_is_that_of_the_place_and_says_so_where_it_is_not_paris() -> None:
    entry = Rendering(TEMPLATES).module("mois.html").entry
    for timezone, said in (
        ("America/Martinique", "21\u00a0h, heure de la Martinique<"),
        ("Indian/Reunion", "5\u00a0h, heure de La Réunion<"),
        ("Europe/Paris", "3\u00a0h<"),
    ):
        session = a_session(at(8, 1), at(8, 3), timezone=timezone)
        assert said in entry(DayEntry(session, at(8, 1), None))


def test_a_session_of_several_seances_stands_on_each_of_them() -> None:
    modules = (
        Module(title="Journée 1", starts_at=at(8, 7), ends_at=at(8, 15)),
        Module(title="Journée 2", starts_at=at(24, 7), ends_at=at(24, 15)),
        Module(title="Journée 3", starts_at=at(6, 7, month=5), ends_at=at(6, 15, month=5)),
    )
    month = april(a_session(at(8, 7), at(6, 15, month=5), *modules))
    assert days(month) == [8, 24]
    entries = [entry.module for week in month.weeks for cell in week for entry in cell.entries]
    assert entries == ["Journée 1", "Journée 2"]


def test_a_busy_day_has_its_first_sessions_and_counts_the_others() -> None:
    busy = [a_session(at(8, hour), at(8, hour + 1)) for hour in (11, 7, 9, 8, 10)]
    month = april(*busy, a_session(at(9, 7), at(9, 8)))
    assert days(month) == [8, 8, 8, 9]
    eighth, ninth = (cell for week in month.weeks for cell in week if cell.entries)
    assert [entry.starts_at.hour for entry in eighth.entries] == [7, 8, 9]
    assert (eighth.others, ninth.others) == (2, 0)


def test_what_runs_for_weeks_stands_above_the_days() -> None:
    mooc = a_session(datetime(2025, 3, 16, 23, tzinfo=UTC), at(11, 22))
    month = april(mooc)
    assert days(month) == []
    assert [entry.session for entry in month.long] == [mooc]


def test_what_nobody_can_take_part_in_says_why() -> None:
    month = april(
        a_session(at(8, 7), at(8, 8)),
        a_session(at(9, 7), at(9, 13)),
        a_session(at(10, 7), at(10, 8), is_full=True),
        a_session(at(11, 7), at(11, 8), is_full=True, status=Status.CANCELLED),
    )
    shown = {
        cell.day.day: cell.entries[0].unavailable for week in month.weeks for cell in week if cell.entries
    }
    assert shown == {8: Unavailable.OVER, 9: None, 10: Unavailable.FULL, 11: Unavailable.CANCELLED}
    entry = Rendering(TEMPLATES).module("mois.html").entry
    assert "9\u00a0h · Complet<" in entry(
        DayEntry(a_session(at(10, 7), at(10, 8)), at(10, 7), Unavailable.FULL)
    )


def test_today_is_marked_by_the_clocks_of_paris() -> None:
    evening = datetime(2025, 4, 8, 22, 30, tzinfo=UTC)
    month = month_of(date(2025, 4, 1), [], evening)
    assert [cell.day.day for week in month.weeks for cell in week if cell.is_today] == [9]
