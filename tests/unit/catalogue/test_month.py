"""A month on a page: each session on its days, what runs for weeks above them."""

from datetime import UTC, date, datetime
from uuid import uuid4

from services.catalogue.pages.month import CalendarMonth, DayEntry, month_of
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.sessions import CalendarSession
from shared.events.catalogue import Module
from shared.events.vocabulary import Format
from shared.web.rendering import Rendering


def a_session(
    starts_at: datetime, ends_at: datetime, *modules: Module, timezone: str = "Europe/Paris"
) -> CalendarSession:
    return CalendarSession(
        uuid4(), Format.LOCAL_EVENT, "L’IA à Brest", "Brest", timezone, starts_at, ends_at, modules, None
    )


def at(day: int, hour: int, month: int = 4) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


def days(month: CalendarMonth) -> list[int]:
    return [cell.day.day for week in month.weeks for cell in week for _ in cell.entries]


def test_weeks_go_from_monday_to_sunday_and_hold_the_whole_month() -> None:
    month = month_of(date(2025, 4, 1), [])
    assert {len(week) for week in month.weeks} == {7}
    assert month.weeks[0][0].day == date(2025, 3, 31)
    assert month.weeks[-1][-1].day == date(2025, 5, 4)
    assert sum(cell.is_of_month for week in month.weeks for cell in week) == 30
    assert (month.previous, month.following) == (date(2025, 3, 1), date(2025, 5, 1))


def test_a_session_stands_on_its_day_by_the_clocks_of_the_place() -> None:
    late = a_session(at(8, 1), at(8, 3), timezone="America/Martinique")
    assert days(month_of(date(2025, 4, 1), [late])) == [7]
    assert days(month_of(date(2025, 4, 1), [a_session(at(8, 7), at(9, 15))])) == [8, 9]


def test_a_time_is_that_of_the_place_and_says_so_where_it_is_not_paris() -> None:
    entry = Rendering(TEMPLATES).module("mois.html").entry
    for timezone, said in (
        ("America/Martinique", "21\u00a0h, heure de la Martinique<"),
        ("Indian/Reunion", "5\u00a0h, heure de La Réunion<"),
        ("Europe/Paris", "3\u00a0h<"),
    ):
        session = a_session(at(8, 1), at(8, 3), timezone=timezone)
        assert said in entry(DayEntry(session, at(8, 1)))


def test_a_session_of_several_seances_stands_on_each_of_them() -> None:
    modules = (
        Module(title="Journée 1", starts_at=at(8, 7), ends_at=at(8, 15)),
        Module(title="Journée 2", starts_at=at(24, 7), ends_at=at(24, 15)),
        Module(title="Journée 3", starts_at=at(6, 7, month=5), ends_at=at(6, 15, month=5)),
    )
    month = month_of(date(2025, 4, 1), [a_session(at(8, 7), at(6, 15, month=5), *modules)])
    assert days(month) == [8, 24]
    entries = [entry.module for week in month.weeks for cell in week for entry in cell.entries]
    assert entries == ["Journée 1", "Journée 2"]


def test_a_busy_day_has_its_first_sessions_and_counts_the_others() -> None:
    busy = [a_session(at(8, hour), at(8, hour + 1)) for hour in (11, 7, 9, 8, 10)]
    month = month_of(date(2025, 4, 1), [*busy, a_session(at(9, 7), at(9, 8))])
    assert days(month) == [8, 8, 8, 9]
    eighth, ninth = (cell for week in month.weeks for cell in week if cell.entries)
    assert [entry.starts_at.hour for entry in eighth.entries] == [7, 8, 9]
    assert (eighth.others, ninth.others) == (2, 0)


def test_what_runs_for_weeks_stands_above_the_days() -> None:
    mooc = a_session(datetime(2025, 3, 16, 23, tzinfo=UTC), at(11, 22))
    month = month_of(date(2025, 4, 1), [mooc])
    assert days(month) == []
    assert month.long == [mooc]
