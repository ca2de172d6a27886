"""What organisers do with one session: rank who applied, move somebody in line, say who came."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.enrolment.rules.book import Book
from services.enrolment.rules.words import Cause, Enrolment, RankingFault, State, common, refusal
from shared.events.enrolment import Attendance, AttendanceRecorded
from shared.events.vocabulary import Reason, Status


class Fault(StrEnum):
    """Why something that an organiser does cannot be done."""

    SESSION_IS_CANCELLED = "session_is_cancelled"
    SESSION_IS_OVER = "session_is_over"
    NOT_IN_LINE = "not_in_line"
    PRIORITY_BELOW_0 = "priority_below_0"
    NOT_ENROLLED = "not_enrolled"
    NO_SUCH_MODULE = "no_such_module"
    CONTRADICTION = "contradiction"
    NOT_STARTED = "not_started"


def rank(book: Book, ranked: Sequence[str], not_selected: Sequence[str]) -> RankingFault | Fault | None:
    """Decide about everybody who applied, at once (rule 5).

    The agents of ``ranked`` fill the seats in this order, then the line; those of ``not_selected`` are
    refused. Together they are all that are pending selection, each once; otherwise nothing changes and the
    fault is returned. Needs them in ``latest``, and the whole line.
    """
    if book.session.status is Status.CANCELLED:
        return Fault.SESSION_IS_CANCELLED
    if book.now >= book.session.ends_at:
        return Fault.SESSION_IS_OVER
    candidates = {
        agent_id: one for agent_id, one in book.latest.items() if one.state is State.PENDING_SELECTION
    }
    named = Counter([*ranked, *not_selected])
    fault = RankingFault(
        unknown=tuple(agent_id for agent_id in named if agent_id not in candidates),
        missing=tuple(agent_id for agent_id in candidates if agent_id not in named),
        twice=tuple(agent_id for agent_id, number in named.items() if number > 1),
    )
    if fault != RankingFault():
        return fault
    book.give_away()
    for agent_id in ranked:
        # The rank is the place in line from now on, so tickets are drawn anew.
        ticket, book.next_ticket = book.next_ticket, book.next_ticket + 1
        book.place(candidates[agent_id], Cause.SELECTION, None, ticket=ticket)
    for agent_id in not_selected:
        denied = book.move(candidates[agent_id], State.REFUSED, Cause.SELECTION, reason=Reason.NOT_SELECTED)
        book.tell(refusal(denied, None))
    return None


def prioritise(book: Book, agent_id: str, priority: int, author: str, reason: str) -> Fault | None:
    """Put somebody in line before those of a lower priority; 0 is where everybody starts (rule 2).

    Needs the whole line. Author and reason are kept. The agent is told nothing: their turn comes in time.
    """
    if priority < 0:  # who asks from now on must be last: only the heads of the line are at hand then
        return Fault.PRIORITY_BELOW_0
    waiting = book.latest.get(agent_id)
    if waiting is None or waiting.state is not State.WAITLISTED:
        return Fault.NOT_IN_LINE
    moved = book.move(waiting, State.WAITLISTED, Cause.PRIORITY, priority=priority)
    book.note(author=author, reason=reason, place_in_line=book.line.position(moved))
    return None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of an agent at one module; ``module`` counts from 0. A session without any has one."""

    agent_id: str
    module: int
    attendance: Attendance


def record_attendance(book: Book, seen: Sequence[Seen], author: str) -> Mapping[int, Fault]:
    """Record who came to which module; all, or nothing when there is a fault (rule 9).

    Returns the faults by their number in ``seen``. What was recorded before may be corrected.
    """
    faults: dict[int, Fault] = {}
    said: dict[tuple[str, int], Attendance] = {}
    for number, one in enumerate(seen):
        fault = _attendance_fault(book, one)
        if said.setdefault((one.agent_id, one.module), one.attendance) != one.attendance:
            fault = Fault.CONTRADICTION
        if fault is not None:
            faults[number] = fault
    if faults:
        return faults
    for one in seen:
        before = book.latest[one.agent_id]
        marks = book.marks.get(before.enrolment_id, {})
        if marks.get(one.module) == one.attendance:
            continue
        book.mark(before, one.module, one.attendance)
        standing = _standing(book, before)
        after = book.move(before, standing, Cause.ATTENDANCE)
        book.note(author=author, module=one.module + 1, attendance=one.attendance)
        book.tell(
            AttendanceRecorded(
                **common(after),
                request_id=None,
                module=book.session.modules[one.module].title if book.session.modules else None,
                attendance=one.attendance,
                certified=standing is State.CERTIFIED and before.state is not State.CERTIFIED,
            )
        )
    return {}


def _attendance_fault(book: Book, one: Seen) -> Fault | None:
    session = book.session
    if not 0 <= one.module < max(1, len(session.modules)):
        return Fault.NO_SUCH_MODULE
    latest = book.latest.get(one.agent_id)
    if latest is None or not latest.state.has_seat:
        return Fault.NOT_ENROLLED
    starts_at = session.modules[one.module].starts_at if session.modules else session.starts_at
    return Fault.NOT_STARTED if book.now < starts_at else None


def _standing(book: Book, enrolment: Enrolment) -> State:
    """Where somebody stands by what was seen of them.

    A certificate is due to whoever attended a module, once it is known of each; it says which. A module
    that the session has no more counts for nothing.
    """
    kept = book.marks[enrolment.enrolment_id]
    modules = range(max(1, len(book.session.modules)))
    marks = [kept[module] for module in modules if module in kept]
    attended = Attendance.ATTENDED in marks
    if len(marks) < len(modules):
        return State.ATTENDED if attended else State.ENROLLED
    if attended:
        return State.CERTIFIED
    if all(mark == Attendance.ABSENT_JUSTIFIED for mark in marks):
        return State.ABSENT_JUSTIFIED
    return State.ABSENT
