from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import Attendance, AttendanceRecorded


def has_begun(roster: SessionRoster, module: int) -> bool:
    """Modules count from 0. None begins after the session was cancelled."""
    modules = roster.session.modules
    starts_at = modules[module].starts_at if modules else roster.session.starts_at
    return starts_at <= (roster.now if roster.cancelled_at is None else min(roster.now, roster.cancelled_at))


def state_by_attendance(roster: SessionRoster, enrolment: Enrolment) -> State:
    """An agent who attended a module gets a certificate once the attendance of every module is known.

    Dropped and cancelled modules do not count.
    """
    recorded = roster.attendance.get(enrolment.enrolment_id, {})
    modules = modules_held(roster)
    marks = [recorded[module] for module in modules if module in recorded]
    attended = Attendance.ATTENDED in marks
    if len(marks) < len(modules) or not marks:
        return State.ATTENDED if attended else State.ENROLLED
    if attended:
        return State.CERTIFIED
    if all(mark == Attendance.ABSENT_JUSTIFIED for mark in marks):
        return State.ABSENT_JUSTIFIED
    return State.ABSENT


def modules_held(roster: SessionRoster) -> list[int]:
    """Return the modules that take place. A cancelled session keeps the modules that had begun."""
    modules = range(max(1, len(roster.session.modules)))
    return [module for module in modules if roster.cancelled_at is None or has_begun(roster, module)]


def voids_certificate(before: Enrolment, mark_before: str | None, mark: Attendance) -> bool:
    """Return whether a changed mark makes the agent's certificate say what is not so (rule 24)."""
    return before.state is State.CERTIFIED and Attendance.ATTENDED in (mark_before, mark)


def publish_attendance(
    roster: SessionRoster,
    before: Enrolment,
    module: int,
    attendance: Attendance,
    *,
    is_void: bool = False,
    **added: int | str | None,
) -> None:
    after = roster.move(before, state_by_attendance(roster, before), Cause.ATTENDANCE)
    roster.add_numbers(**added, module=module + 1, attendance=attendance)
    certified = after.state is State.CERTIFIED and (is_void or before.state is not State.CERTIFIED)
    title = roster.session.modules[module].title if roster.session.modules else None
    roster.publish(
        AttendanceRecorded(
            **roster.members(after),
            module=title,
            attendance=attendance,
            certified=certified,
            certificate_void=is_void,
        )
    )
