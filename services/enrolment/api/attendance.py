from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from services.enrolment.api import sheets
from services.enrolment.api.access import (
    ActingOrganiser,
    Database,
    Organiser,
    OrganiserReading,
    PolicyInForce,
    acting,
    found,
)
from services.enrolment.api.bodies import AMBIGUOUS, KEY, Recorded, Records, key_of
from services.enrolment.render.certificates import pdf_of, zip_of
from services.enrolment.rules.organising import OrganisingFault
from services.enrolment.rules.states import SEATED, State
from services.enrolment.service import attendance, certificates, roster, sessions, sheet_lines
from services.enrolment.service.failures import InvalidRecords
from shared.auth import TokenFirst
from shared.http import PROBLEMS, Problem
from shared.web.paging import Cursor, Limit, page_of, position
from shared.web.spreadsheets import Fault

router = APIRouter(prefix="/api/v1", tags=["organisers"], route_class=TokenFirst, responses=PROBLEMS)

_FAULTS = {
    OrganisingFault.NOT_ENROLLED: "this agent has no seat in the session",
    OrganisingFault.NO_SUCH_MODULE: "the session has no such module; say which of its modules is meant",
    OrganisingFault.NOT_STARTED: "the module has not begun",
    OrganisingFault.CONTRADICTION: "another record says otherwise of this agent and module",
    OrganisingFault.AMBIGUOUS: AMBIGUOUS,
}


@router.post("/sessions/{session_id}/attendance", summary="Record attendance")
async def record_attendance(session_id: UUID, records: Records, by: ActingOrganiser) -> Recorded:
    """Takes all records, or none. Certificates are due once the attendance at all modules is known."""
    marks = [(record.agent, record.module, record.attendance) for record in records.records]
    try:
        await attendance.record(by, session_id, marks)
    except InvalidRecords as failure:
        errors = [
            {"field": f"body.records.{index}", "code": fault.value, "message": _FAULTS[fault]}
            for index, fault in failure.faults.items()
        ]
        raise Problem(
            422,
            "The records are not valid",
            "Nothing was recorded: see 'errors' for each record.",
            errors=errors,
        ) from None
    return Recorded(records=len(marks))


@router.get(
    "/sessions/{session_id}/attendance.csv",
    summary="The enrolled agents as a sheet, to record attendance",
    response_class=Response,
    responses=sheets.RESPONSES,
)
async def export_attendance(
    request: Request, session_id: UUID, database: Database, organiser: Organiser, reading: OrganiserReading
) -> Response:
    """Write `présence`, `absence` or `absence justifiée` in each line, and send the sheet back by POST."""
    session, seated = await sheets.lines_in(database, session_id, organiser, reading, SEATED)
    return sheets.exported(
        request, organiser, sheet_lines.attendance_form(seated, session), f"presences-{session_id}.csv"
    )


@router.post(
    "/sessions/{session_id}/attendance.csv",
    summary="Record attendance by a sheet",
    openapi_extra=sheets.CSV_BODY,
)
async def record_attendance_by_sheet(
    session_id: UUID, request: Request, database: Database, organiser: Organiser, policy: PolicyInForce
) -> Recorded:
    """Columns `Identifiant`, `Présence`, `Numéro de séance`. A line without `Présence` is skipped.

    `Émetteur` is only needed if two agents have the same `Identifiant`.
    """
    rows, unreadable = await sheets.sheet(
        request,
        organiser,
        (sheet_lines.AGENT, sheet_lines.ISSUER, sheet_lines.MODULE, sheet_lines.ATTENDANCE),
    )
    lines = sheet_lines.records_of(rows, unreadable)
    marks = [(record.agent, record.module, record.attendance) for _, record in lines]
    try:
        async with acting(database, organiser, policy) as by:
            if unreadable:
                found(await sessions.find_own(by.tx, session_id, organiser), f"session {session_id}")
                raise sheets.wrong(unreadable)
            await attendance.record(by, session_id, marks)
    except InvalidRecords as failure:
        raise sheets.wrong(
            [Fault(lines[index][0], fault.value, _FAULTS[fault]) for index, fault in failure.faults.items()]
        ) from None
    return Recorded(records=len(marks))


@router.get(
    "/enrolments/{enrolment_id}/certificate.pdf",
    summary="The certificate of attendance",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def show_certificate(
    enrolment_id: UUID,
    database: Database,
    organiser: Organiser,
    reading: OrganiserReading,
    request: Request,
) -> Response:
    """The certificate that the link in the agent's letter opens."""
    async with database.quiet_transaction() as tx:
        own, certificate = await certificates.certificate_for_organiser(tx, enrolment_id, organiser, reading)
    own = found(own, f"enrolment {enrolment_id}")
    if certificate is None:
        raise Problem(
            409,
            "Not possible now",
            f"No certificate is due: this enrolment is {own.enrolment.state}. Record attendance first.",
        )
    headers = {
        "Content-Disposition": f'attachment; filename="{certificate.file_name}"',
        "Cache-Control": "no-store",
    }
    return Response(
        await pdf_of(certificate, request.app.state.signature), media_type="application/pdf", headers=headers
    )


class CertificatesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Limit = 100
    cursor: Cursor | None = None


@router.get(
    "/sessions/{session_id}/certificates.zip",
    summary="The certificates of a session",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def export_certificates(
    *,
    session_id: UUID,
    query: Annotated[CertificatesQuery, Query()],
    database: Database,
    organiser: Organiser,
    reading: OrganiserReading,
    request: Request,
) -> Response:
    """A ZIP of PDFs. The header `Link` (`rel="next"`) has the address of the next ZIP, if there is one."""
    after = position(query.cursor, KEY)
    async with database.quiet_transaction() as tx:
        lines = await roster.page(
            tx,
            session_id,
            organiser,
            reading=reading,
            after=after,
            limit=query.limit + 1,
            states=[State.CERTIFIED],
        )
        session, certified = found(lines, f"session {session_id}")
        page = page_of(certified, query.limit, show=lambda line: line.enrolment, key=key_of)
        due = await certificates.certificates_of(tx, session, page.items, reading)
    if not due:
        raise Problem(409, "Not possible now", "No certificate is due. Record attendance first.")
    zipped = await zip_of(due, request.app.state.signature)
    name = f"attestations-{session_id}.zip"
    response = sheets.exported(request, organiser, zipped, name, "application/zip")
    if page.next is not None:
        following = request.url.include_query_params(cursor=page.next)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return response
