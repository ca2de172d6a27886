"""Certificates of attendance, for who attended and for organisers."""

from uuid import UUID

from services.enrolment.render.certificates import Certificate, certificate_of
from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.states import State
from services.enrolment.service.enrolments import find_own
from services.enrolment.store import attendance, enrolments
from shared.auth import Principal
from shared.database import Transaction
from shared.events.enrolment import Attendance

Found = tuple[EnrolmentInSession | None, Certificate | None]
"""An enrolment, if there is one, and its certificate, if one is due."""


async def certificate(tx: Transaction, enrolment_id: UUID) -> Found:
    """Return an enrolment and its certificate, as they stand now."""
    return await _found(tx, await enrolments.find(tx, enrolment_id))


async def certificate_for_organiser(tx: Transaction, enrolment_id: UUID, organiser: Principal) -> Found:
    """Return the same if the session is the organiser's, else nothing."""
    return await _found(tx, await find_own(tx, enrolment_id, organiser))


async def _found(tx: Transaction, found: EnrolmentInSession | None) -> Found:
    if found is None or found.enrolment.state is not State.CERTIFIED:
        return found, None
    recorded = await attendance.of_enrolment(tx, found.enrolment.enrolment_id)
    if not recorded:
        return found, None
    attended = [row.module for row in recorded if row.attendance == Attendance.ATTENDED]
    recorded_at = max(row.recorded_at for row in recorded)
    return found, certificate_of(found.enrolment, found.session, attended, recorded_at)
