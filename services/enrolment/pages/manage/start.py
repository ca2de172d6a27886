import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.responses import Response

from services.enrolment.rules.overview import (
    AHEAD,
    ComingDate,
    OrganiserTask,
    SessionNumbers,
    WaitingTask,
    coming_dates,
    waiting_tasks,
)
from services.enrolment.service import overview
from services.enrolment.service import people as people_service
from shared import clock
from shared.read_log import reading_of
from shared.web.form_errors import FormError, sentences
from shared.web.forms import number_in
from shared.web.logins import StaffVisit
from shared.web.paging import Part

SHOWN = 12
PAGE = 50
LONGEST_SEARCH = 200
SHORTEST_WORD = 2
"""One letter would match most people."""
_LAST_START = 10_000
Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True)
class OrganiserOverview:
    sessions: Sequence[SessionNumbers]
    tasks: Sequence[WaitingTask]
    week: Sequence[ComingDate]
    is_cut: bool
    requests_are_cut: bool


async def today(visit: StaffVisit) -> Response:
    found, now = await _found(visit), clock.now()
    coming = [numbers for numbers in found.sessions if numbers.session.ends_at > now]
    past = [numbers for numbers in found.sessions if now - overview.STAYS < numbers.session.ends_at <= now]
    return visit.page("manage/start.html", found=found, coming=coming, past=past, most=SHOWN)


async def tasks(visit: StaffVisit) -> Response:
    found, kind = await _found(visit), visit.request.query_params.get("quoi", "")
    chosen = [task for task in found.tasks if kind in ("", task[0])]
    kinds = [task for task in OrganiserTask if any(task is what for what, _ in found.tasks)]
    return visit.page("manage/tasks.html", found=found, kind=kind, kinds=kinds, part=_part(visit, chosen))


async def week(visit: StaffVisit) -> Response:
    found = await _found(visit)
    return visit.page("manage/week.html", found=found, part=_part(visit, found.week))


async def find(visit: StaffVisit) -> Response:
    typed, people, errors = visit.form.typed("recherche")[:LONGEST_SEARCH], None, {}
    if max(map(len, re.findall(r"\w+", typed)), default=SHORTEST_WORD) < SHORTEST_WORD:
        errors["recherche"] = FormError("search_too_short")
    elif typed:
        async with visit.database.quiet_transaction() as tx:
            people = await people_service.find(tx, typed, visit.who, reading_of(visit.who, None))
    return visit.page(
        "manage/people.html",
        status=422 if errors else 200,
        typed=typed,
        people=people,
        errors=sentences(visit.rendering, errors),
    )


async def _found(visit: StaffVisit) -> OrganiserOverview:
    now = clock.now()
    async with visit.database.quiet_transaction() as tx:
        found = await overview.of_organiser(tx, visit.who, now)
        requests = await overview.bespoke_tasks_of(tx, visit.who)
    sessions = found[: overview.MOST]
    return OrganiserOverview(
        sessions=sessions,
        tasks=waiting_tasks(sessions, requests[: overview.MOST], now),
        week=coming_dates(sessions, now, now + AHEAD),
        is_cut=len(found) > overview.MOST,
        requests_are_cut=len(requests) > overview.MOST,
    )


def _part(visit: StaffVisit, listed: Sequence[Listed]) -> Part[Listed]:
    first = number_in(visit.request.query_params.get("apres", ""), _LAST_START) or 0
    previous = {"apres": str(max(0, min(first, len(listed)) - PAGE))} if first else {}
    following = {"apres": str(first + PAGE)} if len(listed) > first + PAGE else {}
    return Part(listed[first : first + PAGE], first == 0, previous, following)
