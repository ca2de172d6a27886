"""HTTP in: who came to which module."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.enrolment import desk, rules
from services.enrolment.api import sheets
from services.enrolment.api.access import Database, Organiser, PolicyInForce
from services.enrolment.api.bodies import Record, Recorded, Records
from services.enrolment.api.scope import A_SHEET, act_on, entries_of, own_enrolment, own_session
from services.enrolment.certificates import certificate_of, pdf_of
from services.enrolment.rules import Fault as OrganisingFault
from services.enrolment.rules import Policy, Seen, State
from services.enrolment.store.standing import attended
from shared.auth import Principal
from shared.database import Transaction
from shared.http import Problem
from shared.web.spreadsheets import Fault

router = APIRouter(prefix="/api/v1", tags=["organisers"])

_SEATED = [state for state in State if state.has_seat]


@router.post("/sessions/{session_id}/attendance", summary="Record who came")
async def record_attendance(
    session_id: UUID, records: Records, database: Database, organiser: Organiser, policy: PolicyInForce
) -> Recorded:
    """All, or nothing when one cannot be recorded. Once all modules are known, who attended is certified."""
    async with database.transaction() as tx:
        faults = await _record(tx, session_id, organiser, policy, records.records)
        if faults:
            errors = [
                {"field": f"body.records.{number}", "code": fault.value, "message": _ATTENDANCE_FAULTS[fault]}
                for number, fault in faults.items()
            ]
            raise Problem(
                422,
                "The records are not valid",
                "Nothing was recorded: see 'errors' for each record.",
                errors=errors,
            )
    return Recorded(records=len(records.records))


@router.get(
    "/sessions/{session_id}/attendance.csv",
    summary="Who is enrolled as a sheet, to say who came",
    response_class=Response,
    responses=A_SHEET,
)
async def export_attendance(session_id: UUID, database: Database, organiser: Organiser) -> Response:
    """Write `présence`, `absence` or `absence justifiée` in each line, and send it back by POST."""
    session, entries = await entries_of(database, session_id, organiser, _SEATED)
    return sheets.attachment(sheets.attendance_form(entries, session), f"presences-{session_id}.csv")


@router.post(
    "/sessions/{session_id}/attendance.csv",
    summary="Record who came, by a sheet",
    openapi_extra=sheets.CSV_BODY,
)
async def record_attendance_by_sheet(
    session_id: UUID, request: Request, database: Database, organiser: Organiser, policy: PolicyInForce
) -> Recorded:
    """Columns `Identifiant`, `Présence`, `Numéro de séance`; a line without `Présence` says nothing."""
    rows, faults = await sheets.sheet(request, (sheets.AGENT, sheets.MODULE, sheets.SEEN))
    records = sheets.records_of(rows, faults)
    async with database.transaction() as tx:
        await own_session(tx, session_id, organiser)
        if faults:
            raise sheets.wrong(faults)
        refused = await _record(tx, session_id, organiser, policy, [record for _, record in records])
        if refused:
            raise sheets.wrong(
                [
                    Fault(records[number][0], fault.value, _ATTENDANCE_FAULTS[fault])
                    for number, fault in refused.items()
                ]
            )
    return Recorded(records=len(records))


@router.get(
    "/enrolments/{enrolment_id}/certificate.pdf",
    summary="The certificate of attendance",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def show_certificate(enrolment_id: UUID, database: Database, organiser: Organiser) -> Response:
    """The same that the agent opens by the link of their letter."""
    async with database.quiet_transaction() as tx:
        one = await own_enrolment(tx, enrolment_id, organiser)
        seen = await attended(tx, enrolment_id)
    if one.enrolment.state is not State.CERTIFIED or seen is None:
        raise Problem(
            409,
            "Not possible now",
            f"No certificate is due: this enrolment is {one.enrolment.state}. Record attendance first.",
        )
    certificate = certificate_of(one.enrolment, one.session, seen.modules, seen.recorded_at)
    headers = {
        "Content-Disposition": f'attachment; filename="{certificate.file_name}"',
        "Cache-Control": "no-store",
    }
    return Response(await pdf_of(certificate), media_type="application/pdf", headers=headers)


_ATTENDANCE_FAULTS = {
    OrganisingFault.NOT_ENROLLED: "this agent has no seat in the session",
    OrganisingFault.NO_SUCH_MODULE: "the session has no such module; say which of its modules is meant",
    OrganisingFault.NOT_STARTED: "the module has not begun",
    OrganisingFault.CONTRADICTION: "another record says otherwise of this agent and module",
}


async def _record(
    tx: Transaction, session_id: UUID, organiser: Principal, policy: Policy, records: Sequence[Record]
) -> dict[int, OrganisingFault]:
    session = await own_session(tx, session_id, organiser)
    # Where there is a choice it must be made: -1 is no module.
    unsaid = 0 if len(session.modules) <= 1 else -1
    seen = [
        Seen(one.agent_id, unsaid if one.module is None else one.module - 1, one.attendance)
        for one in records
    ]
    agent_ids = {one.agent_id for one in seen}
    return dict(
        await act_on(
            tx,
            session_id,
            policy,
            lambda book: rules.record_attendance(book, seen, organiser.name),
            needs=desk.THE_NAMED,
            agent_ids=sorted(agent_ids),
        )
    )
