"""Warnings about dates: weekends, public holidays by department, closes on a day off, other sessions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.catalogue.rules.date_warnings import DateWarnings, DayOff, date_warnings
from services.catalogue.rules.sessions import ShownSession
from shared.events.vocabulary import Format, Status
from tests.unit.catalogue.builders import a_draft, a_module

PARIS, REUNION = "Europe/Paris", "Indian/Reunion"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def on(start: str, end: str = "", **given: Any) -> ShownSession:
    """A session on these days, in UTC, that closes on a working Wednesday."""
    dates = {"starts_at": at(start), "ends_at": at(end) if end else at(start) + timedelta(hours=7)}
    return a_draft(**{"enrolment_closes_at": at("2026-03-04T09:00")} | dates | given)


MODULES = (
    a_module("Un", at("2026-11-09T08:00"), at("2026-11-09T10:00")),
    a_module("Deux", at("2026-11-12T08:00"), at("2026-11-12T10:00")),
)
DAYS: dict[str, tuple[ShownSession, str | None, list[tuple[str, str | None]]]] = {
    "a Tuesday": (on("2026-04-07T08:00"), None, []),
    "a Saturday": (on("2026-04-11T08:00"), None, [("2026-04-11", None)]),
    "a public holiday": (on("2026-11-11T08:00"), None, [("2026-11-11", "Armistice")]),
    "a holiday on a Saturday": (on("2026-08-15T08:00"), None, [("2026-08-15", "Assomption")]),
    "a holiday between two days": (
        on("2026-11-10T08:00", "2026-11-12T16:00"),
        None,
        [("2026-11-11", "Armistice")],
    ),
    "a holiday between two séances": (on("2026-11-09T08:00", "2026-11-12T16:00", modules=MODULES), None, []),
    "weekends within a long session": (on("2026-04-07T08:00", "2026-04-30T16:00"), None, []),
    "a long session that ends on a holiday": (
        on("2026-04-07T08:00", "2026-05-01T16:00"),
        None,
        [("2026-05-01", "Fête du Travail")],
    ),
    "until midnight of a Friday": (on("2026-04-10T08:00", "2026-04-10T22:00"), None, []),
    "a Saturday of its own zone": (
        on("2026-04-10T20:30", "2026-04-10T21:00", timezone=REUNION),
        None,
        [("2026-04-11", None)],
    ),
    "Good Friday in Paris": (on("2026-04-03T08:00"), "75", []),
    "Good Friday in Moselle": (on("2026-04-03T08:00"), "57", [("2026-04-03", "Vendredi saint")]),
    "Good Friday in Alsace": (on("2026-04-03T08:00"), "67", [("2026-04-03", "Vendredi saint")]),
    "the abolition in Réunion": (
        on("2024-12-20T08:00"),
        "974",
        [("2024-12-20", "Abolition de l'esclavage")],
    ),
    "the same day in Paris": (on("2024-12-20T08:00"), None, []),
}


@pytest.mark.parametrize(("session", "department", "expected"), DAYS.values(), ids=DAYS)
def test_the_days_off_of_a_session_are_those_of_its_department(
    session: ShownSession, department: str | None, expected: list[tuple[str, str | None]]
) -> None:
    days_off = tuple(DayOff(date.fromisoformat(day), holiday) for day, holiday in expected)
    assert date_warnings(session, department, ()) == DateWarnings(days_off=days_off)


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        ("2026-04-03T22:00", None),  # midnight in Paris: the whole Friday
        ("2026-04-04T10:00", DayOff(date(2026, 4, 4))),
        ("2026-04-06T22:00", DayOff(date(2026, 4, 6), "Lundi de Pâques")),
    ],
)
def test_the_last_day_to_enrol_is_no_day_off(closes: str, expected: DayOff | None) -> None:
    session = on("2026-04-14T08:00", enrolment_closes_at=at(closes))
    assert date_warnings(session, None, ()).close == expected


CLASHES: dict[str, tuple[dict[str, Any], bool]] = {
    "at the same time": ({}, True),
    "in the afternoon, after it": ({"hours": 7}, False),
    "cancelled": ({"status": Status.CANCELLED}, False),
    "a MOOC": ({"format": Format.MOOC}, False),
    "itself": ({"session_id": a_draft().session_id}, False),
}


@pytest.mark.parametrize(("given", "clashes"), CLASHES.values(), ids=CLASHES)
def test_a_session_clashes_with_those_that_meet_at_the_same_time(
    given: dict[str, Any], *, clashes: bool
) -> None:
    session = on("2026-04-14T08:00")
    start = session.plan.starts_at + timedelta(hours=given.pop("hours", 0))
    other = replace(on(start.replace(tzinfo=None).isoformat()), **{"session_id": UUID(int=2)} | given)
    assert bool(date_warnings(session, None, [other]).clashes) is clashes
    assert bool(date_warnings(session, None, [other])) is clashes


def test_sessions_of_several_days_clash_only_if_they_meet() -> None:
    session = on("2026-11-09T08:00", "2026-11-12T16:00", modules=MODULES)
    between = replace(on("2026-11-10T08:00"), session_id=UUID(int=2))
    on_a_seance = replace(on("2026-11-12T09:00"), session_id=UUID(int=3))
    assert date_warnings(session, None, [between, on_a_seance]).clashes == (on_a_seance,)
