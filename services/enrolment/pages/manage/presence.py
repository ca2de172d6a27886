"""Who came: noted at the door by a tap or a code, recorded by module, printed as a sheet, certified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.person import NotDone
from services.enrolment.render.attendance_sheets import sheet_of
from services.enrolment.render.certificates import Signature, pdf_of, zip_of
from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.roster_lines import RosterLine, plain
from services.enrolment.rules.states import State
from services.enrolment.service import arrivals, attendance, certificates, roster
from services.enrolment.service.arrivals import ArrivalFault, Door
from shared import clock
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.guard import Guard
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.forms import Errors
from shared.web.logins import StaffVisit
from shared.web.responses import PRIVATE

SHOWN = 300
"""Most whose attendance is recorded by one form."""
_CERTIFICATES = 200


def module_of(visit: StaffVisit, session: SessionState) -> int:
    """The module of the address, counted from 0; without one, that of now or the next, else the last."""
    typed = visit.request.query_params.get("seance", "")
    number = max(1, len(session.modules))
    if typed.isascii() and typed.isdigit() and 1 <= int(typed[:4]) <= number:
        return int(typed[:4]) - 1
    now = clock.now()
    return next((at for at, module in enumerate(session.modules) if module.ends_at > now), number - 1)


def begins_at(session: SessionState, module: int) -> datetime:
    """When a module begins, or the session that has none."""
    return session.modules[module].starts_at if session.modules else session.starts_at


@dataclass(frozen=True, slots=True)
class PresencePages:
    """The pages of attendance, by the rules of ``policy``; certificates have this ``signature``."""

    policy: Policy
    signature: Signature
    guard: Guard

    # ------------------------------------------------------------------------------------- recorded

    async def record(self, visit: StaffVisit) -> Response:
        """Attendance at a module; on POST what has changed in the form is recorded, all or nothing."""
        if visit.request.method != "POST":
            return await self._sheet(visit)
        door, module = await _door(visit)
        shown = {str(line.enrolment.enrolment_id): line for line in door.lines}
        seen: dict[UUID, Attendance | None] = {}
        records = []
        for field, line in shown.items():
            mark, before = _mark(visit.form.get(f"p-{field}")), _mark(visit.form.get(f"avant-{field}"))
            if mark is not None and mark != before:
                seen[line.enrolment.enrolment_id] = before
                agent = line.enrolment.agent
                records.append((NamedAgent(agent.agent_id, agent.issuer), module + 1, mark))
        if not records:
            return await self._sheet(
                visit, errors={"": "Rien n’a été changé dans le formulaire."}, status=422
            )
        try:
            async with visit.database.transaction() as tx:
                session_id = frame.session_id_of(visit)
                since = await arrivals.attendance_since(tx, session_id, module, seen)
                if since:
                    return await self._sheet(visit, since=since, status=409)
                faults = await attendance.record(
                    tx, session_id, records, organiser=visit.who, policy=self.policy, now=clock.now()
                )
                if faults is None:
                    raise HTTPException(404)
                if faults:
                    raise NotDone({"": "La séance n’a pas commencé, ou une personne n’a plus de place."})
        except NotDone as error:
            return await self._sheet(visit, errors=error.errors, status=422)
        return frame.to_session(frame.session_id_of(visit), "/presence", done="presences", seance=module + 1)

    async def _sheet(
        self,
        visit: StaffVisit,
        *,
        status: int = 200,
        errors: Errors | None = None,
        since: Mapping[UUID, Attendance | None] | None = None,
    ) -> Response:
        door, module = await _door(visit)
        async with visit.database.quiet_transaction() as tx:
            glance = await frame.own_session(tx, visit)
        return frame.page(
            visit,
            "presence.html",
            glance,
            "presence",
            status=status,
            errors=errors,
            lines=_by_name(door.lines)[:SHOWN],
            is_cut=len(door.lines) > SHOWN,
            arrived=door.arrived,
            module=module,
            begins_at=begins_at(door.session, module),
            since=since,
            typed=visit.form,
        )

    # ----------------------------------------------------------------------------------- at the door

    async def check_in(self, visit: StaffVisit) -> Response:
        """Who has come and who has not; on POST one is noted by a tap or a code, or that is undone."""
        if visit.request.method != "POST":
            return await _door_page(visit)
        async with visit.database.quiet_transaction() as tx:
            session = (await frame.own_session(tx, visit)).session
        module, session_id = module_of(visit, session), frame.session_id_of(visit)
        undone = visit.form.typed("annuler")
        async with visit.database.transaction() as tx:
            if undone:
                found = await arrivals.undo(tx, session_id, module, code=undone, organiser=visit.who)
            else:
                code = visit.form.typed("present") or visit.form.typed("code")
                found = await arrivals.note(
                    tx, session_id, module, code=code, organiser=visit.who, now=clock.now()
                )
        if found is None:
            raise HTTPException(404)
        if isinstance(found, ArrivalFault):
            sentence = "Ce code n’est celui de personne qui a une place ici."
            return await _door_page(visit, errors={"code": sentence})
        return frame.to_session(
            session_id,
            "/pointage",
            done="" if undone else f"pointee-{found}",
            at=f"p-{found}",
            seance=module + 1,
        )

    # ----------------------------------------------------------------------------------- on paper

    async def printed(self, visit: StaffVisit) -> Response:
        """The sheet that who comes signs, as a PDF."""
        door, _ = await _door(visit)
        pdf = await sheet_of(
            door.session, [line.enrolment.agent for line in _by_name(door.lines)], clock.now()
        )
        return self._file(visit, pdf, f"emargement-{door.session.session_id}.pdf", "application/pdf")

    async def certificate(self, visit: StaffVisit) -> Response:
        """The certificate of a person, if one is due."""
        async with visit.database.quiet_transaction() as tx:
            _, certificate = await certificates.certificate_for_organiser(
                tx, frame.enrolment_id_of(visit), visit.who, frame.reading(visit)
            )
        if certificate is None:
            raise HTTPException(404)
        pdf = await pdf_of(certificate, self.signature)
        return self._file(visit, pdf, certificate.file_name, "application/pdf")

    async def all_certificates(self, visit: StaffVisit) -> Response:
        """The certificates of a session that are due, the first two hundred, as a ZIP."""
        async with visit.database.quiet_transaction() as tx:
            found = await roster.page(
                tx,
                frame.session_id_of(visit),
                visit.who,
                reading=frame.reading(visit),
                after=None,
                limit=_CERTIFICATES,
                states=[State.CERTIFIED],
            )
            if found is None or not found[1]:
                raise HTTPException(404)
            session, lines = found
            due = await certificates.certificates_of(
                tx, session, [line.enrolment for line in lines], frame.reading(visit)
            )
        zipped = await zip_of(due, self.signature)
        return self._file(visit, zipped, f"attestations-{session.session_id}.zip", "application/zip")

    def _file(self, visit: StaffVisit, content: bytes, name: str, media_type: str) -> Response:
        self.guard.record(visit.request, SecurityEvent.EXPORT, SecurityOutcome.OK, visit.who.in_security_log)
        headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=media_type, headers=headers)


def _mark(typed: str | None) -> Attendance | None:
    return Attendance(typed) if typed in set(Attendance) else None


async def _door(visit: StaffVisit) -> tuple[Door, int]:
    async with visit.database.quiet_transaction() as tx:
        glance = await frame.own_session(tx, visit)
        module = module_of(visit, glance.session)
        door = await arrivals.at_the_door(
            tx, frame.session_id_of(visit), module, visit.who, frame.reading(visit)
        )
    if door is None:
        raise HTTPException(404)
    return door, module


async def _door_page(visit: StaffVisit, errors: Errors | None = None) -> Response:
    door, module = await _door(visit)
    async with visit.database.quiet_transaction() as tx:
        glance = await frame.own_session(tx, visit)
    letters: dict[str, list[RosterLine]] = {}
    for line in _by_name(door.lines):
        letters.setdefault(_letter(line), []).append(line)
    last = (frame.done_before(visit) or "").removeprefix("pointee-")
    return frame.page(
        visit,
        "check-in.html",
        glance,
        "presence",
        status=422 if errors else 200,
        errors=errors,
        letters=letters,
        arrived=door.arrived,
        number=len(door.lines),
        module=module,
        last=next((line for line in door.lines if str(line.enrolment.enrolment_id) == last), None),
    )


def _by_name(lines: Sequence[RosterLine]) -> list[RosterLine]:
    return sorted(
        lines,
        key=lambda line: (plain(line.enrolment.agent.family_name), plain(line.enrolment.agent.given_name)),
    )


def _letter(line: RosterLine) -> str:
    return plain(line.enrolment.agent.family_name)[:1].upper()
