import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.employer_search import EmployerSearch
from services.enrolment.pages.manage.staff_area import ENROLMENTS, SESSIONS
from services.enrolment.rules.eligibility import judge_by_hand
from services.enrolment.rules.organising import OrganisingFault
from services.enrolment.rules.overview import SessionNumbers
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.roster_lines import LineKey, RosterLine, plain
from services.enrolment.rules.states import State
from services.enrolment.service import overview, roster
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import (
    AttendanceHasChanged,
    ChangedMeanwhile,
    DraftHasChanged,
    EnrolmentFailure,
    HasEnded,
    HasStarted,
    InvalidRanking,
    InvalidRecords,
    MessageHasLeft,
    MessageNotTaken,
    NotFound,
    NotPossible,
    RefusedByRules,
    UndecidedCandidates,
    UnknownCode,
)
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.guard import Guard
from shared.http import Problem
from shared.permissions import Permission
from shared.read_log import Reading, reading_of
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web import french, labels
from shared.web.form_errors import FormError, FormErrors, shown_errors
from shared.web.forms import Form
from shared.web.logins import StaffVisit
from shared.web.paging import SortKey, position
from shared.web.responses import PRIVATE, see_other


def session_id_of(visit: StaffVisit) -> UUID:
    session_id: UUID = visit.request.path_params["session_id"]
    return session_id


def enrolment_id_of(visit: StaffVisit) -> UUID:
    enrolment_id: UUID = visit.request.path_params["enrolment_id"]
    return enrolment_id


async def own_session(tx: Transaction, visit: StaffVisit, session_id: UUID | None = None) -> SessionNumbers:
    found = await overview.of_session(tx, session_id or session_id_of(visit), visit.who)
    if found is None:
        raise HTTPException(404)
    return found


async def lines_in(
    tx: Transaction, visit: StaffVisit, states: Sequence[State], most: int, *, start: LineKey | None = None
) -> tuple[SessionState, list[RosterLine]]:
    """Raises a 404."""
    found = await roster.page(
        tx,
        session_id_of(visit),
        visit.who,
        reading=reading(visit),
        after=start,
        limit=most,
        states=states,
    )
    if found is None:
        raise HTTPException(404)
    return found


LINE_KEY: TypeAdapter[LineKey] = TypeAdapter(LineKey)


def after(visit: StaffVisit, kind: TypeAdapter[SortKey]) -> SortKey | None:
    return _place(visit, "apres", kind)


def before(visit: StaffVisit, kind: TypeAdapter[SortKey]) -> SortKey | None:
    return _place(visit, "avant", kind)


def _place(visit: StaffVisit, name: str, kind: TypeAdapter[SortKey]) -> SortKey | None:
    try:
        return position(visit.request.query_params.get(name), kind)
    except Problem:
        return None


def reading(visit: StaffVisit) -> Reading:
    return reading_of(visit.who, None)


def id_in(typed: str) -> UUID:
    try:
        return UUID(typed)
    except ValueError:
        raise HTTPException(400) from None


def version_in(form: Form, field: str = "version") -> int:
    return form.number(field, _LARGEST_VERSION) or 0


_LARGEST_VERSION = 2**31 - 1


def listed_by(visit: StaffVisit) -> dict[str, str]:
    query = visit.request.query_params
    return {
        name: query[name]
        for name in ("de", "etat", "tri", "sens", "apres", "avant", "seance")
        if name in query
    }


def page(
    visit: StaffVisit,
    template: str,
    numbers: SessionNumbers,
    tab: str,
    *,
    status: int = 200,
    errors: FormErrors | None = None,
    **values: Any,
) -> Response:
    refused = judge_by_hand(numbers.session, clock.now())
    return visit.page(
        f"manage/{template}",
        status=status,
        numbers=numbers,
        session=numbers.session,
        tab=tab,
        done=visit.done,
        listed_by=listed_by(visit),
        not_by_hand=None if refused is None else refused.reason,
        **shown_errors(visit.rendering, errors or {}, [*labels.ENROLMENT_FIELDS]),
        **values,
    )


def to_session(
    session_id: UUID, rest: str = "", *, done: str = "", at: str = "", seance: int | None = None
) -> Response:
    values = {"seance": None if seance is None else str(seance), "fait": done}
    query = urlencode({name: value for name, value in values.items() if value})
    query = f"?{query}" if query else ""
    return see_other(f"{SESSIONS}/{session_id}{rest}{query}{f'#{at}' if at else ''}")


def to_person(enrolment_id: UUID, done: str, came_from: Mapping[str, str] = MappingProxyType({})) -> Response:
    return see_other(f"{ENROLMENTS}/{enrolment_id}?{urlencode({**came_from, 'fait': done})}")


def file_name(what: str, session: SessionState, ending: str) -> str:
    """Return a name such as ``participants-saint-malo-2026-11-27.csv``."""
    about = french.town(session.venue) if session.venue else session.title
    day = session.starts_at.astimezone(ZoneInfo(session.timezone)).date()
    kept = re.sub("[^a-z0-9]+", "-", plain(about))[:60].strip("-")
    return "-".join(filter(None, (what, kept, day.isoformat()))) + f".{ending}"


MANY = 500
"""A file about more people is an export of its own right."""


def need_for_export(visit: StaffVisit, people: int) -> None:
    """Raise ``LogInTooWeak`` if the file is about many people and the log-in is not strong enough."""
    if people > MANY:
        visit.require(Permission.EXPORT_MANY)


def download(visit: StaffVisit, content: bytes, name: str, media_type: str) -> Response:
    record(visit, SecurityEvent.EXPORT)
    headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def record(visit: StaffVisit, event: SecurityEvent) -> None:
    guard: Guard = visit.request.app.state.guard
    guard.record(visit.request, event, SecurityOutcome.OK, visit.who.in_security_log)


def policy_of(visit: StaffVisit) -> Policy:
    policy: Policy = visit.request.app.state.policy
    return policy


def employer_search_of(visit: StaffVisit) -> EmployerSearch:
    search: EmployerSearch = visit.request.app.state.employer_search
    return search


@asynccontextmanager
async def acting(visit: StaffVisit) -> AsyncIterator[Acting]:
    async with visit.database.transaction() as tx:
        yield Acting(tx, visit.who, policy_of(visit), clock.now())


_ERRORS: Mapping[type[EnrolmentFailure], FormError] = {
    ChangedMeanwhile: FormError("enrolment_has_changed"),
    HasEnded: FormError("enrolment_has_ended"),
    HasStarted: FormError("session_has_started"),
    DraftHasChanged: FormError("draft_has_changed"),
    InvalidRanking: FormError("candidates_have_changed"),
    AttendanceHasChanged: FormError("attendance_has_changed"),
    MessageHasLeft: FormError("message_has_left"),
    UnknownCode: FormError("unknown_code"),
}


def why_not(failure: EnrolmentFailure) -> FormError:
    """Raises a 404 for ``NotFound``."""
    match failure:
        case NotPossible() | MessageNotTaken():
            return FormError(failure.fault)
        case RefusedByRules():
            return FormError("refused", failure.reason.refusal.label)
        case UndecidedCandidates():
            return FormError("undecided", failure.number)
        case InvalidRecords():  # an agent has lost the seat, or the module has not begun
            lost = OrganisingFault.NOT_ENROLLED
            return FormError(lost if lost in failure.faults.values() else OrganisingFault.NOT_STARTED)
        case NotFound():
            raise HTTPException(404) from failure
        case _:
            return _ERRORS[type(failure)]
