"""Sheets of organisers, as CSV and as workbooks: exported, and imported once each change was shown."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.person import NotDone
from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import (
    arrivals,
    attendance,
    attendance_sheets,
    ranking_drafts,
    ranking_sheets,
    roster,
    sheet_lines,
)
from services.enrolment.service.arrivals import Door
from shared import clock
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.guard import Guard
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web import spreadsheets, workbooks
from shared.web.logins import StaffVisit
from shared.web.responses import PRIVATE
from shared.web.spreadsheets import UnreadableSheet

MOST_CHANGES = 900
"""Of one sheet: each is a field of the form that confirms it."""
SHOWN_FAULTS = 100
FAULTS: Mapping[str, str] = {
    "not_enrolled": "ne désigne personne qui a une place, ou désigne deux personnes",
    "not_a_candidate": "ne désigne personne dont la candidature attend une décision",
    "ambiguous": "désigne deux personnes : indiquez aussi l’émetteur",
    "no_such_module": "ne dit pas laquelle des séances",
    "empty": "ne désigne personne, ou n’a rien",
    "twice": "désigne une personne déjà vue",
    "not_attendance": "n’a ni présence, ni absence, ni absence justifiée",
    "not_a_module": "n’a pas un numéro de séance",
    "not_a_rank": "n’a ni un rang, ni « non retenu »",
    "rank_twice": "a un rang déjà donné",
    "column_missing": "n’a pas une colonne nécessaire (Identifiant, et Présence ou Rang)",
    "column_twice": "a deux fois la même colonne",
}


@dataclass(frozen=True, slots=True)
class SheetPages:
    """Exports and imports, by the rules of ``policy``."""

    policy: Policy
    guard: Guard

    # ------------------------------------------------------------------------------------- out

    async def export(self, visit: StaffVisit) -> Response:
        """A sheet by its name, as CSV or as a workbook: everybody, attendance, or candidates to rank."""
        kind, _, form = visit.request.path_params["file"].partition(".")
        states = {
            "participants": (),
            "presences": arrivals.SEATED,
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
        content = _sheet(kind, session, lines, asked_before)
        if form == "xlsx":
            content = await asyncio.to_thread(workbooks.of_csv, content)
        self.guard.record(visit.request, SecurityEvent.EXPORT, SecurityOutcome.OK, visit.who.in_security_log)
        name = f'attachment; filename="{kind}-{session.session_id}.{form}"'
        media_type = workbooks.MEDIA_TYPE if form == "xlsx" else spreadsheets.MEDIA_TYPE
        return Response(content, media_type=media_type, headers={**PRIVATE, "Content-Disposition": name})

    # ------------------------------------------------------------------------------------- in

    async def take_in(self, visit: StaffVisit) -> Response:
        """The form; on POST each change that a file would make, and after it what was confirmed."""
        if visit.request.method != "POST":
            return await _page(visit)
        if "confirmer" in visit.form:
            return await self._confirmed(visit)
        if not visit.form.file:
            return await _page(visit, errors={"fichier": "Choisissez un fichier."}, status=422)
        is_ranking = visit.form.typed("quoi") == "classement"
        columns = (
            (sheet_lines.AGENT, sheet_lines.ISSUER, sheet_lines.RANK)
            if is_ranking
            else (sheet_lines.AGENT, sheet_lines.ISSUER, sheet_lines.MODULE, sheet_lines.ATTENDANCE)
        )
        try:
            sheet = await asyncio.to_thread(_read, visit.form.file, columns)
        except UnreadableSheet as error:
            return await _page(visit, faults=error.faults, status=422)
        if is_ranking:
            return await self._ranked(visit, sheet)
        return await self._tried(visit, sheet)

    async def _tried(self, visit: StaffVisit, sheet: spreadsheets.Sheet) -> Response:
        faults = list(sheet.faults)
        lines = sheet_lines.records_of(sheet.rows, faults)
        door = await _door(visit)
        changes, others = attendance_sheets.compared(door.session, door.lines, lines)
        if len(changes) > MOST_CHANGES:
            many = {"fichier": f"Plus de {MOST_CHANGES} changements : importez le fichier en plusieurs fois."}
            return await _page(visit, errors=many, status=422)
        return await _page(visit, changes=changes, faults=[*faults, *others], tried=True)

    async def _confirmed(self, visit: StaffVisit) -> Response:
        people = {str(line.enrolment.enrolment_id): line for line in (await _door(visit)).lines}
        seen: dict[int, dict[UUID, Attendance | None]] = {}
        records = []
        for typed in visit.form.every("change"):
            enrolment_id, module, before, after = (*typed.split(" "), "", "", "", "")[:4]
            line = people.get(enrolment_id)
            if line is None or not (module.isascii() and module.isdigit()) or after not in set(Attendance):
                raise HTTPException(400)
            known = Attendance(before) if before in set(Attendance) else None
            seen.setdefault(int(module[:4]), {})[line.enrolment.enrolment_id] = known
            agent = line.enrolment.agent
            named = NamedAgent(agent.agent_id, agent.issuer)
            records.append((named, int(module[:4]) + 1, Attendance(after)))
        session_id = frame.session_id_of(visit)
        try:
            async with visit.database.transaction() as tx:
                for module_number, marks in seen.items():
                    if await arrivals.attendance_since(tx, session_id, module_number, marks):
                        raise NotDone({"": "Des présences ont changé depuis l’essai : importez de nouveau."})
                faults = await attendance.record(
                    tx, session_id, records, organiser=visit.who, policy=self.policy, now=clock.now()
                )
                if faults is None:
                    raise HTTPException(404)
                if faults:
                    raise NotDone({"": "Une séance n’a pas commencé, ou une personne n’a plus de place."})
        except NotDone as error:
            return await _page(visit, errors=error.errors, status=409)
        return frame.to_session(session_id, "/presence", done="presences")

    async def _ranked(self, visit: StaffVisit, sheet: spreadsheets.Sheet) -> Response:
        """Put a ranking into the draft, which is shown, and decided by later."""
        session_id = frame.session_id_of(visit)
        async with visit.database.transaction() as tx:
            found = await ranking_drafts.show(tx, session_id, visit.who, frame.reading(visit))
            if found is None:
                raise HTTPException(404)
            draft, others = ranking_sheets.draft_of(sheet.rows, found.lines, found.draft.version)
            faults = [*sheet.faults, *others]
            saved = (
                None if faults else await ranking_drafts.save(tx, session_id, draft, visit.who, clock.now())
            )
        if faults:
            return await _page(visit, faults=faults, status=422)
        if saved is None:
            late = {"": "Un autre brouillon a été enregistré pendant l’import : importez de nouveau."}
            return await _page(visit, errors=late, status=409)
        return frame.to_session(session_id, "/candidatures", done="brouillon")


def _sheet(
    kind: str, session: SessionState, lines: Sequence[RosterLine], asked_before: Mapping[str, str]
) -> bytes:
    match kind:
        case "presences":
            return sheet_lines.attendance_form(lines, session)
        case "candidatures":
            return sheet_lines.ranking_form(lines, session)
        case _:
            heading = sheet_lines.roster_heading(session, asked_before)
            return heading + sheet_lines.roster_lines(lines, session, asked_before)


def _read(content: bytes, columns: Sequence[spreadsheets.Column]) -> spreadsheets.Sheet:
    return spreadsheets.read(
        workbooks.as_csv(content) if workbooks.is_workbook(content) else content, columns
    )


async def _door(visit: StaffVisit) -> Door:
    async with visit.database.quiet_transaction() as tx:
        door = await arrivals.at_the_door(tx, frame.session_id_of(visit), 0, visit.who, frame.reading(visit))
    if door is None:
        raise HTTPException(404)
    return door


async def _page(visit: StaffVisit, *, status: int = 200, **values: Any) -> Response:
    async with visit.database.quiet_transaction() as tx:
        glance = await frame.own_session(tx, visit)
    known: dict[str, Any] = {"changes": [], "faults": [], "tried": False}
    known |= values
    known["faults"] = [
        (fault.line, FAULTS.get(fault.code, "ne peut pas être lue")) for fault in known["faults"]
    ][:SHOWN_FAULTS]
    return frame.page(visit, "sheets.html", glance, "participants", status=status, **known)
