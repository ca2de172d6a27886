import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.presence import seated_in
from services.enrolment.rules.ranking import DraftChange, RankingDraft, differing
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import SEATED, State
from services.enrolment.service import (
    attendance,
    attendance_sheets,
    ranking_drafts,
    ranking_sheets,
    roster,
    sheet_lines,
)
from services.enrolment.service.attendance import AttendanceAsSeen
from services.enrolment.service.attendance_sheets import AttendanceChange
from services.enrolment.service.failures import DraftHasChanged, EnrolmentFailure
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.guard import Guard, LimitMet
from shared.web import sheet_queue, spreadsheets, workbooks
from shared.web.form_errors import FormError
from shared.web.forms import number_in
from shared.web.logins import StaffVisit
from shared.web.sheet_queue import Busy, SheetQueue, sender_of
from shared.web.spreadsheets import Fault, SheetRow, UnreadableSheet

MOST_CHANGES = 900
MOST_RANKED = 5000
SHOWN_FAULTS = 100
_LARGEST_MODULE = 100
_TITLES: Mapping[str, str] = {
    column.name: column.title
    for column in (
        sheet_lines.AGENT,
        sheet_lines.ISSUER,
        sheet_lines.RANK,
        sheet_lines.MODULE,
        sheet_lines.ATTENDANCE,
    )
}


@dataclass(frozen=True, slots=True)
class FaultyLine:
    fault: Fault
    written: str = ""
    person: str = ""


async def export(visit: StaffVisit) -> Response:
    kind, _, form = visit.request.path_params["file"].partition(".")
    states = {
        "participants": (),
        "presences": SEATED,
        "candidatures": [State.PENDING_SELECTION],
    }
    if kind not in states or form not in ("csv", "xlsx"):
        raise HTTPException(404)
    async with visit.database.quiet_transaction() as tx:
        streamed = await roster.stream(
            tx, frame.session_id_of(visit), visit.who, frame.reading(visit), states[kind]
        )
        if streamed is None:
            raise HTTPException(404)
        session, stream = streamed
        asked_before = await roster.asked_before(tx, session)
        lines = [line async for line in stream]
        is_ranking = kind == "candidatures"
        draft = await ranking_drafts.draft_of_session(tx, session) if is_ranking else None
        frame.need_for_export(visit, len(lines))
    content = _sheet(kind, session, lines, asked_before, draft)
    if form == "xlsx":
        content = await asyncio.to_thread(workbooks.of_csv, content)
    media_type = workbooks.MEDIA_TYPE if form == "xlsx" else spreadsheets.MEDIA_TYPE
    return frame.download(visit, content, frame.file_name(kind, session, form), media_type)


async def import_sheet(visit: StaffVisit) -> Response:
    if visit.request.method != "POST":
        return await _page(visit)
    if visit.form.typed("confirmer") == "classement":
        return await _save_ranking(visit)
    if "confirmer" in visit.form:
        return await _record(visit)
    content = visit.form.file
    if not content:
        return await _page(visit, errors={"fichier": FormError("fichier")}, status=422)
    queue: SheetQueue = visit.request.app.state.sheets
    guard: Guard = visit.request.app.state.guard
    try:
        async with sheet_queue.turn(queue, guard, visit.request, sender_of(visit.who), content):
            if visit.form.typed("quoi") == "classement":
                return await _show_ranking(visit, content)
            return await _show_changes(visit, content)
    except UnreadableSheet as error:
        return await _page(visit, faults=_faulty_lines(error.faults, ()), status=422)
    except LimitMet as error:
        response = await _page(visit, not_now="busy" if isinstance(error, Busy) else "too_much", status=429)
        response.headers["Retry-After"] = str(error.seconds)
        return response


async def _show_changes(visit: StaffVisit, content: bytes) -> Response:
    async with visit.database.quiet_transaction() as tx:
        session, seated = await seated_in(tx, visit)
    changes, faults = await sheet_queue.in_thread(partial(_changes_in, content, session, seated))
    if len(changes) > MOST_CHANGES:
        many = {"fichier": FormError("too_many_changes", MOST_CHANGES)}
        return await _page(visit, errors=many, status=422)
    return await _page(visit, changes=changes, faults=faults, tried=True)


async def _record(visit: StaffVisit) -> Response:
    changes = [_change_in(typed) for typed in visit.form.every("change")]
    session_id = frame.session_id_of(visit)
    try:
        async with frame.acting(visit) as acting:
            await attendance.record_as_seen(acting, session_id, changes)
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, status=409)
    return frame.to_session(session_id, "/presence", done="presences")


async def _save_ranking(visit: StaffVisit) -> Response:
    ranked, not_selected = (
        [frame.id_in(typed) for typed in visit.form.typed(field).split()]
        for field in ("classees", "non-retenues")
    )
    change = DraftChange(
        frame.version_in(visit.form),
        shown=None,
        ranks={candidate: rank for rank, candidate in enumerate(ranked, 1)},
        not_selected=frozenset(not_selected),
    )
    session_id = frame.session_id_of(visit)
    try:
        async with frame.acting(visit) as acting:
            await ranking_drafts.save(acting, session_id, change)
    except EnrolmentFailure as failure:
        is_other = isinstance(failure, DraftHasChanged)
        error = FormError("other_draft_saved") if is_other else frame.why_not(failure)
        return await _page(visit, errors={"": error}, status=409)
    return frame.to_session(session_id, "/candidatures", done="brouillon")


async def _show_ranking(visit: StaffVisit, content: bytes) -> Response:
    async with visit.database.quiet_transaction() as tx:
        found = await ranking_drafts.show(tx, frame.session_id_of(visit), visit.who, frame.reading(visit))
    if found is None:
        raise HTTPException(404)
    sheet = await sheet_queue.in_thread(partial(workbooks.read, content, _OF_RANKING))
    draft, others = ranking_sheets.draft_of(sheet.rows, found.lines, found.draft.version)
    if faults := [*sheet.faults, *others]:
        return await _page(visit, faults=_faulty_lines(faults, sheet.rows), status=422)
    if len(draft.ranks) + len(draft.not_selected) > MOST_RANKED:
        many = {"fichier": FormError("too_many_ranked", MOST_RANKED)}
        return await _page(visit, errors=many, status=422)
    lines = {line.enrolment.enrolment_id: line for line in found.lines}
    return await _page(
        visit,
        found=found,
        draft=draft,
        ranked=[lines[candidate] for candidate in differing(found.draft, draft, [*lines])],
    )


def _sheet(
    kind: str,
    session: SessionState,
    lines: Sequence[RosterLine],
    asked_before: Mapping[str, str],
    draft: RankingDraft | None,
) -> bytes:
    match kind:
        case "presences":
            return sheet_lines.attendance_form(lines, session)
        case "candidatures":
            return sheet_lines.ranking_form(lines, session, draft)
        case _:
            heading = sheet_lines.roster_heading(session, asked_before)
            return heading + sheet_lines.roster_lines(lines, session, asked_before)


_OF_RANKING = (*sheet_lines.WHO, sheet_lines.RANK)
_OF_ATTENDANCE = (*sheet_lines.WHO, sheet_lines.MODULE, sheet_lines.ATTENDANCE)


def _changes_in(
    content: bytes, session: SessionState, seated: Sequence[RosterLine]
) -> tuple[list[AttendanceChange], list[FaultyLine]]:
    sheet = workbooks.read(content, _OF_ATTENDANCE)
    faults = list(sheet.faults)
    lines = sheet_lines.records_of(sheet.rows, faults)
    changes, others = attendance_sheets.compared(session, seated, lines)
    return changes, _faulty_lines([*faults, *others], sheet.rows)


def _faulty_lines(faults: Sequence[Fault], rows: Sequence[SheetRow]) -> list[FaultyLine]:
    cells = {row.line: row.cells for row in rows}
    return [
        _faulty_line(fault, cells.get(fault.line, {}))
        for fault in sorted(faults, key=lambda fault: fault.line)
    ]


def _faulty_line(fault: Fault, cells: Mapping[str, str]) -> FaultyLine:
    written = cells.get(fault.column or sheet_lines.AGENT.name, "")[: spreadsheets.LONGEST_SHOWN]
    names = [cells.get(column.name, "") for column in (sheet_lines.FAMILY_NAME, sheet_lines.GIVEN_NAME)]
    return FaultyLine(fault, written, " ".join(filter(None, names))[: spreadsheets.LONGEST_SHOWN])


def _change_in(typed: str) -> AttendanceAsSeen:
    try:
        enrolment_id, module, before, after = typed.split(" ")
        seen = None if before == "-" else Attendance(before)
        number = number_in(module, _LARGEST_MODULE)
        if number is None:
            raise HTTPException(400)
        return AttendanceAsSeen(UUID(enrolment_id), number, seen, Attendance(after))
    except ValueError:
        raise HTTPException(400) from None


async def _page(visit: StaffVisit, *, status: int = 200, **values: Any) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
    known: dict[str, Any] = {"changes": [], "faults": [], "tried": False, "not_now": "", "draft": None}
    known |= values
    faults: list[FaultyLine] = known.pop("faults")
    return frame.page(
        visit,
        "sheets.html",
        numbers,
        "participants",
        status=status,
        faults=faults[:SHOWN_FAULTS],
        columns=_TITLES,
        chosen=visit.form.typed("quoi"),
        **known,
    )
