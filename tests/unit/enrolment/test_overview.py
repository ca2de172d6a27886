"""A session in numbers: seats that are kept, what is to be done, what comes next."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from services.enrolment.pages.links import TEMPLATES
from services.enrolment.rules.overview import (
    AHEAD,
    BespokeStep,
    BespokeTask,
    OrganiserDate,
    OrganiserTask,
    SessionNumbers,
    coming_dates,
)
from shared.auth import Principal
from shared.permissions import Role
from shared.web import labels
from shared.web.rendering import Rendering
from tests.support.builders import CLOSES, ENDS, OPENS, STARTS, a_session

TICK = timedelta(seconds=1)
DAY = timedelta(days=1)
DAY_OF_START = STARTS.astimezone(ZoneInfo("Europe/Paris")).replace(hour=0, minute=0)


def numbers_of(session: dict[str, Any] | None = None, **numbers: Any) -> SessionNumbers:
    """A session of 20 seats in which nobody is, but for these numbers."""
    fields: dict[str, Any] = dict.fromkeys(
        ("enrolled", "offered", "waiting", "pending_approval", "pending_selection", "bad_addresses"), 0
    )
    return SessionNumbers(
        **{"session": a_session(**session or {}), "next_lapse": None, "unrecorded": False} | fields | numbers
    )


RESERVED = {"reserved_seats": [{"delegation": "corse", "seats": 8, "release_at": STARTS - 9 * DAY}]}


@pytest.mark.parametrize(
    ("session", "enrolled", "offered", "at", "kept"),
    [
        ({}, 0, 0, OPENS, 0),
        (RESERVED, 0, 0, OPENS, 8),
        (RESERVED, 10, 4, OPENS, 6),
        (RESERVED, 20, 1, OPENS, 0),
        (RESERVED, 0, 0, STARTS - 9 * DAY, 0),
        (RESERVED | {"capacity": 5}, 0, 0, OPENS, 5),
    ],
)
def test_no_more_seats_are_kept_than_are_free_and_none_once_they_are_released(
    *, session: dict[str, Any], enrolled: int, offered: int, at: datetime, kept: int
) -> None:
    assert numbers_of(session, enrolled=enrolled, offered=offered).kept(at) == kept


@pytest.mark.parametrize(
    ("numbers", "session", "begins", "ends", "task"),
    [
        ({"enrolled": 1}, {}, DAY_OF_START, ENDS, OrganiserTask.HELD_TODAY),
        ({}, {"minimum": 1}, CLOSES, STARTS, OrganiserTask.MINIMUM_MISSED),
        ({"pending_selection": 1}, {}, CLOSES, ENDS, OrganiserTask.RANKING_DUE),
        ({"unrecorded": True}, {}, ENDS, None, OrganiserTask.ATTENDANCE_DUE),
        ({}, {"format": "bespoke"}, CLOSES - 7 * DAY, STARTS, OrganiserTask.NOMINATIONS_MISSING),
        ({"pending_approval": 1}, {}, CLOSES - 7 * DAY, CLOSES, OrganiserTask.APPROVALS_MISSING),
        ({"offered": 1}, {}, OPENS, None, OrganiserTask.OFFERS_OUT),
        ({"bad_addresses": 1}, {}, OPENS, ENDS, OrganiserTask.ADDRESSES_BAD),
    ],
)
def test_each_task_waits_for_its_time_alone(
    *, numbers: dict[str, Any], session: dict[str, Any], begins: datetime, ends: datetime | None, task: str
) -> None:
    session_numbers = numbers_of(session, **numbers)
    assert session_numbers.tasks(begins) == [task]
    if task not in (OrganiserTask.OFFERS_OUT, OrganiserTask.ADDRESSES_BAD):
        assert session_numbers.tasks(begins - TICK) == []
    if ends is not None:
        assert session_numbers.tasks(ends - TICK) == [task]
        assert task not in session_numbers.tasks(ends)


def test_of_a_mooc_nobody_records_attendance_and_of_a_cancelled_session_nothing_is_to_be_done() -> None:
    assert numbers_of({"format": "mooc"}, unrecorded=True).tasks(ENDS) == []
    everything = {"unrecorded": True, "pending_approval": 1, "offered": 1, "bad_addresses": 1}
    cancelled = numbers_of({"status": "cancelled"}, **everything)
    assert cancelled.tasks(ENDS) == []
    assert list(cancelled.dates(OPENS, ENDS + DAY)) == []


def test_the_week_ahead_has_what_begins_now_and_not_what_comes_at_its_end() -> None:
    now = STARTS - 10 * DAY
    lapse, late = now, now + AHEAD
    release = [{"delegation": "corse", "seats": 1, "release_at": now + AHEAD - TICK}]
    first = numbers_of({"reserved_seats": release}, next_lapse=lapse)
    second = numbers_of({"enrolment_closes_at": late}, next_lapse=now - TICK)
    assert [
        (date.at, date.what) for date in coming_dates([second, first], now, now + AHEAD) if date.at != CLOSES
    ] == [
        (lapse, OrganiserDate.LAPSE),
        (now + AHEAD - TICK, OrganiserDate.RELEASE),
    ]


def test_each_seance_begins_on_its_day_and_the_session_ends_once() -> None:
    modules = [
        {"title": title, "starts_at": start, "ends_at": start + timedelta(hours=2)}
        for title, start in (
            ("Comprendre", STARTS),
            ("Discuter", STARTS + timedelta(hours=4)),  # on the same day: not said
            ("Pratiquer", STARTS + 2 * DAY),
        )
    ]
    session_numbers = numbers_of({"modules": modules, "ends_at": STARTS + 3 * DAY})
    week = coming_dates([session_numbers], STARTS, STARTS + AHEAD)
    assert [(date.at, date.what) for date in week] == [
        (STARTS, OrganiserDate.STARTS),
        (STARTS + 2 * DAY, OrganiserDate.STARTS),
        (STARTS + 3 * DAY, OrganiserDate.ENDS),
    ]


def test_of_a_session_of_one_day_the_start_is_enough() -> None:
    week = coming_dates([numbers_of({"ends_at": STARTS + timedelta(hours=6)})], STARTS, STARTS + AHEAD)
    assert [(date.at, date.what) for date in week] == [(STARTS, OrganiserDate.STARTS)]


def test_of_several_seances_the_one_of_this_day_is_told() -> None:
    modules = [
        {"title": title, "starts_at": start, "ends_at": start + timedelta(hours=2)}
        for title, start in (("Comprendre", STARTS), ("Pratiquer", STARTS + 2 * DAY))
    ]
    several = numbers_of({"modules": modules, "ends_at": STARTS + 3 * DAY}, enrolled=1)
    assert several.held_today(STARTS - timedelta(minutes=1)) == STARTS
    assert several.held_today(STARTS + DAY) is None
    assert several.held_today(STARTS + 2 * DAY) == STARTS + 2 * DAY


NEW, TAKEN_ON = (
    BespokeTask(uuid4(), "corse", "Ville de Bastia", 12, OPENS, step)
    for step in (BespokeStep.NEW, BespokeStep.TAKEN_ON)
)
REQUESTS = {NEW.task: NEW, TAKEN_ON.task: TAKEN_ON}


@pytest.mark.parametrize("task", OrganiserTask)
def test_whatever_waits_for_organisers_has_a_label_and_a_sentence(task: OrganiserTask) -> None:
    who = Principal(name="Camille", role=Role.ADMIN)
    parts = Rendering(TEMPLATES, notice="message.html").module("manage/parts.html", who=who, now=OPENS)
    subject = REQUESTS.get(task) or numbers_of({"minimum": 1})
    assert parts.task_labels[task]
    assert 'class="where"' in parts.task_list([(task, subject)])


@pytest.mark.parametrize(
    ("session", "enrolled", "waiting", "absent"),
    [
        ({}, 0, 0, {"attente", "candidatures", "presence"}),
        ({}, 1, 0, {"attente", "candidatures"}),
        ({}, 1, 1, {"candidatures"}),
        ({"approval": "employer"}, 1, 1, set()),
        ({"format": "bespoke"}, 1, 1, set()),
        ({"format": "mooc"}, 1, 1, {"candidatures", "presence"}),
    ],
)
def test_a_session_has_the_tabs_that_apply_to_it(
    session: dict[str, Any], enrolled: int, waiting: int, absent: set[str]
) -> None:
    known = a_session(**session)
    every = {"historique", "participants", "attente", "candidatures", "presence", "messages"}
    tabs = labels.session_tabs(known.format, known.approval, enrolled, waiting)
    assert every - {code for code, _, _ in tabs} == absent
