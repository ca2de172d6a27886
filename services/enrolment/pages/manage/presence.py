from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.render.attendance_sheets import fits, sheet_of
from services.enrolment.render.certificates import Signature, pdf_of, zip_of
from services.enrolment.rules.overview import SessionNumbers
from services.enrolment.rules.roster_lines import RosterLine, SeatedPerson, plain
from services.enrolment.rules.states import SEATED, State
from services.enrolment.service import arrivals, attendance, certificates, roster
from services.enrolment.service.arrivals import Arrivals
from services.enrolment.service.attendance import AttendanceAsSeen
from services.enrolment.service.failures import AttendanceHasChanged, EnrolmentFailure, UnknownCode
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form, number_in
from shared.web.links import ARRIVAL
from shared.web.logins import StaffVisit
from shared.web.paging import cursor_of
from shared.web.responses import see_other

SHOWN = 300
"""People on one page of the attendance form."""
EXPECTED = 1000
"""People on the check-in page. Other people are checked in by reference."""
LONGEST_QUEUE = timedelta(days=1)
"""An arrival may be this old: devices without network report late."""
_CERTIFICATES = 200


@dataclass(frozen=True, slots=True)
class CertificatesFile:
    first: int
    last: int
    query: Mapping[str, str]


def module_of(visit: StaffVisit, session: SessionState) -> int:
    """Modules count from 0. The default is the present or next module, else the last."""
    number = max(1, len(session.modules))
    chosen = number_in(visit.request.query_params.get("seance", ""), number)
    if chosen:
        return chosen - 1
    now = clock.now()
    return next((at for at, module in enumerate(session.modules) if module.ends_at > now), number - 1)


def begins_at(session: SessionState, module: int) -> datetime:
    return session.modules[module].starts_at if session.modules else session.starts_at


def tapped_at(typed: str, now: datetime) -> datetime:
    """Return the device's time, or now if it is not within the last day."""
    try:
        moment = datetime.fromisoformat(typed).astimezone(UTC)
    except (ValueError, OverflowError):
        return now
    return moment if now - LONGEST_QUEUE <= moment <= now else now


async def record(visit: StaffVisit) -> Response:
    if visit.request.method != "POST" or "reste" in visit.form:  # the others are not recorded yet
        return await _sheet(visit)
    session_id = frame.session_id_of(visit)
    async with visit.database.quiet_transaction() as tx:
        module = module_of(visit, (await frame.own_session(tx, visit)).session)
    changes = changes_in(visit.form, module)
    if not changes:
        return await _sheet(visit, errors={"": FormError("unchanged")}, status=422)
    try:
        async with frame.acting(visit) as acting:
            await attendance.record_as_seen(acting, session_id, changes)
    except AttendanceHasChanged as failure:
        return await _sheet(visit, since=failure.attendance, status=409)
    except EnrolmentFailure as failure:
        return await _sheet(visit, errors={"": frame.why_not(failure)}, status=409)
    return frame.to_session(session_id, "/presence", done="presences", seance=module + 1)


async def _sheet(
    visit: StaffVisit,
    *,
    status: int = 200,
    errors: FormErrors | None = None,
    since: Mapping[UUID, Attendance | None] | None = None,
) -> Response:
    numbers, found, module = await _arrivals(visit, SHOWN)
    async with visit.database.quiet_transaction() as tx:
        files = await _certificate_files(tx, numbers.session.session_id)
        incomplete = await attendance.incomplete_modules(tx, numbers.session, clock.now())
    return frame.page(
        visit,
        "presence.html",
        numbers,
        "presence",
        status=status,
        errors=errors,
        seated=found.people,
        certificates=files,
        module=module,
        begins_at=begins_at(found.session, module),
        since=since,
        typed=visit.form,
        incomplete=incomplete,
        rest=_mark(visit.form.get("reste")) or "",
    )


async def check_in(visit: StaffVisit) -> Response:
    if visit.request.method != "POST":
        return await _check_in_page(visit)
    async with visit.database.quiet_transaction() as tx:
        session = (await frame.own_session(tx, visit)).session
    module, session_id = module_of(visit, session), frame.session_id_of(visit)
    # The script sends taps that were made without network. It needs no page.
    undone, tapped = visit.form.typed("annuler"), visit.form.get("differe")
    try:
        async with frame.acting(visit) as acting:
            if undone:
                enrolment_id = await arrivals.undo(acting, session_id, module, undone)
            else:
                # The camera reads the code as the address of the arrival.
                code = visit.form.typed("present") or visit.form.typed("code").rpartition("/")[2]
                at = acting.now if tapped is None else tapped_at(tapped, acting.now)
                enrolment_id = await arrivals.note(replace(acting, now=at), session_id, module, code)
    except EnrolmentFailure as failure:
        errors = {"code": frame.why_not(failure)}
        return Response(status_code=422) if tapped is not None else await _check_in_page(visit, errors)
    if tapped is not None:
        return Response(status_code=204)
    return frame.to_session(
        session_id,
        "/pointage",
        done=f"pointee-{enrolment_id}",
        at=f"p-{enrolment_id}",
        seance=module + 1,
    )


async def arrival(visit: StaffVisit) -> Response:
    enrolment_id = frame.enrolment_id_of(visit)
    async with visit.database.quiet_transaction() as tx:
        line = await arrivals.seen_by_code(tx, enrolment_id, visit.who, frame.reading(visit))
        if line is None:
            raise HTTPException(404)
        numbers = await frame.own_session(tx, visit, line.enrolment.session_id)
        module = module_of(visit, numbers.session)
        arrived = await arrivals.arrived_at(tx, enrolment_id, module)
    if visit.request.method != "POST":
        return frame.page(
            visit, "arrival.html", numbers, "presence", line=line, module=module, arrived=arrived
        )
    session_id, code = numbers.session.session_id, str(enrolment_id)
    with suppress(UnknownCode):  # the next page says that the person has no seat
        async with frame.acting(visit) as acting:
            if "annuler" in visit.form:
                await arrivals.undo(acting, session_id, module, code)
            else:
                await arrivals.note(acting, session_id, module, code)
    return see_other(f"{ARRIVAL}/{enrolment_id}?seance={module + 1}")


async def printed(visit: StaffVisit) -> Response:
    """Print the chosen séance alone if all together are too long."""
    async with visit.database.quiet_transaction() as tx:
        session, lines = await seated_in(tx, visit)
        frame.need_for_export(visit, len(lines))
    if session.modules and not fits(session, len(lines)):
        session = session.model_copy(update={"modules": [session.modules[module_of(visit, session)]]})
    if not fits(session, len(lines)):
        raise HTTPException(409)
    pdf = await sheet_of(session, [line.enrolment.agent for line in _by_name(lines)], clock.now())
    return frame.download(visit, pdf, frame.file_name("emargement", session, "pdf"), "application/pdf")


async def certificate(visit: StaffVisit) -> Response:
    async with visit.database.quiet_transaction() as tx:
        _, certificate = await certificates.certificate_for_organiser(
            tx, frame.enrolment_id_of(visit), visit.who, frame.reading(visit)
        )
    if certificate is None:
        raise HTTPException(404)
    pdf = await pdf_of(certificate, _signature(visit))
    return frame.download(visit, pdf, certificate.file_name, "application/pdf")


async def all_certificates(visit: StaffVisit) -> Response:
    async with visit.database.quiet_transaction() as tx:
        start = frame.after(visit, frame.LINE_KEY)
        session, lines = await frame.lines_in(tx, visit, [State.CERTIFIED], _CERTIFICATES, start=start)
        if not lines:
            raise HTTPException(404)
        frame.need_for_export(visit, await certificates.count_due(tx, session.session_id))
        due = await certificates.certificates_of(
            tx, session, [line.enrolment for line in lines], frame.reading(visit)
        )
    zipped = await zip_of(due, _signature(visit))
    return frame.download(visit, zipped, frame.file_name("attestations", session, "zip"), "application/zip")


def _signature(visit: StaffVisit) -> Signature:
    signature: Signature = visit.request.app.state.signature
    return signature


def _mark(typed: str | None) -> Attendance | None:
    return Attendance(typed) if typed in set(Attendance) else None


def changes_in(form: Form, module: int) -> list[AttendanceAsSeen]:
    changes: dict[UUID, AttendanceAsSeen] = {}
    for field in form:
        kind, _, typed = field.partition("-")
        mark, before = _mark(form[field]), _mark(form.get(f"avant-{typed}"))
        if kind == "p" and mark is not None and mark != before:
            enrolment_id = frame.id_in(typed)
            if enrolment_id in changes:  # the form gives two values for this person
                raise HTTPException(400)
            changes[enrolment_id] = AttendanceAsSeen(enrolment_id, module, before, mark)
    return [*changes.values()]


async def seated_in(tx: Transaction, visit: StaffVisit) -> tuple[SessionState, list[RosterLine]]:
    streamed = await roster.stream(tx, frame.session_id_of(visit), visit.who, frame.reading(visit), SEATED)
    if streamed is None:
        raise HTTPException(404)
    session, lines = streamed
    return session, [line async for line in lines]


async def _arrivals(visit: StaffVisit, most: int) -> tuple[SessionNumbers, Arrivals, int]:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        module = module_of(visit, numbers.session)
        found = await arrivals.show(
            tx, frame.session_id_of(visit), module, visit.who, reading=frame.reading(visit), most=most
        )
    if found is None:
        raise HTTPException(404)
    return numbers, found, module


async def _certificate_files(tx: Transaction, session_id: UUID) -> list[CertificatesFile]:
    number = await certificates.count_due(tx, session_id)
    several = number > _CERTIFICATES
    ends = await certificates.ends_of_parts(tx, session_id, _CERTIFICATES) if several else []
    queries = [{}, *({"apres": cursor_of(frame.LINE_KEY.dump_python(end, mode="json"))} for end in ends)]
    return [
        CertificatesFile(first, min(first + _CERTIFICATES - 1, number), query)
        for first, query in zip(range(1, number + 1, _CERTIFICATES), queries, strict=False)
    ]


async def _check_in_page(visit: StaffVisit, errors: FormErrors | None = None) -> Response:
    numbers, found, module = await _arrivals(visit, EXPECTED)
    letters: dict[str, list[SeatedPerson]] = {}
    for person in found.people:
        letters.setdefault(plain(person.family_name)[:1].upper(), []).append(person)
    last = (visit.done or "").removeprefix("pointee-")
    by_id = {str(person.enrolment_id): person for person in found.people}
    return frame.page(
        visit,
        "check-in.html",
        numbers,
        "presence",
        status=422 if errors else 200,
        errors=errors,
        letters=letters,
        arrived=found.arrived,
        is_cut=numbers.enrolled > len(found.people),
        module=module,
        last=by_id.get(last),
        code=visit.form.typed("code"),
        begins_at=begins_at(numbers.session, module),
        owner=visit.owner_mark,
    )


def _by_name(lines: Sequence[RosterLine]) -> list[RosterLine]:
    return sorted(
        lines,
        key=lambda line: (plain(line.enrolment.agent.family_name), plain(line.enrolment.agent.given_name)),
    )
