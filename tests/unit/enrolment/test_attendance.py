"""What is recorded and published of attendance (rule 9). ``test_scenarios`` has the states."""

import pytest

from services.enrolment.rules.organising import AttendanceMark, OrganisingFault, record_attendance
from services.enrolment.rules.states import Cause
from shared.events.enrolment import Attendance, AttendanceRecorded
from shared.events.vocabulary import AgentKey
from tests.support.scenarios import play

CAME, MISSED, EXCUSED = Attendance.ATTENDED, Attendance.ABSENT, Attendance.ABSENT_JUSTIFIED
AUTHOR = "Anne Conseil"


@pytest.mark.parametrize(
    ("scenario", "published"),
    [
        ("seats=1 | ask a | at ends | see a came", [(None, CAME, "due")]),
        ("seats=1 | ask a | at ends | see a missed", [(None, MISSED, "")]),
        ("modules=2 | ask a | at ends | see a - came", [("Séance 2", CAME, "")]),
        ("modules=2 | ask a | at ends | see a - came | see a missed", [("Séance 1", MISSED, "due")]),
        ("modules=2 | ask a | at ends | see a came came | see a missed", [("Séance 1", MISSED, "due void")]),
        ("modules=2 | ask a | at ends | see a came missed | see a missed", [("Séance 1", MISSED, "void")]),
        ("modules=2 | ask a | at ends | see a came missed | see a came excused", [("Séance 2", EXCUSED, "")]),
        ("modules=2 | ask a | at ends | see a missed missed | see a came", [("Séance 1", CAME, "due")]),
        ("modules=2 | ask a | at ends | see a came missed | see a came missed", []),
    ],
)
def test_each_new_mark_is_published_with_whether_a_certificate_is_due_now_and_another_void(
    scenario: str, published: list[tuple[str | None, Attendance, str]]
) -> None:
    """Rule 24: the last step of each scenario."""
    played = play(scenario)
    events = [event for event in played.events if isinstance(event, AttendanceRecorded)]
    found = [" ".join(["due"] * event.certified + ["void"] * event.certificate_void) for event in events]
    marks = [(event.module, event.attendance) for event in events]
    assert [(*mark, certificate) for mark, certificate in zip(marks, found, strict=True)] == published
    assert bool(played.roster.void_certificates) is ("void" in " ".join(found))


def test_what_is_recorded_keeps_its_author_its_module_and_the_mark() -> None:
    played = play("modules=2 | ask a | at ends | see a - came")
    [change] = played.roster.changes
    assert change.cause is Cause.ATTENDANCE
    numbers = change.numbers
    assert (numbers["author"], numbers["module"], numbers["attendance"]) == (AUTHOR, 2, CAME)
    assert played.roster.recorded == {(played.enrolment("a").enrolment_id, 1): CAME}


def test_one_fault_and_nothing_is_recorded() -> None:
    played = play("modules=2 | ask ab | at ends")
    roster, agent = played.roster, played.agents["a"].key
    published = len(roster.decisions)
    marks = [
        AttendanceMark(agent, 0, CAME),
        AttendanceMark(AgentKey("", "IEL-INCONNU"), 0, CAME),
        AttendanceMark(agent, 2, CAME),
        AttendanceMark(agent, -1, CAME),
        AttendanceMark(agent, 0, CAME),
        AttendanceMark(agent, 0, MISSED),
    ]
    assert record_attendance(roster, marks, AUTHOR) == {
        1: OrganisingFault.NOT_ENROLLED,
        2: OrganisingFault.NO_SUCH_MODULE,
        3: OrganisingFault.NO_SUCH_MODULE,
        5: OrganisingFault.CONTRADICTION,
    }
    assert (len(roster.decisions), roster.recorded, roster.changes) == (published, {}, [])


def test_nothing_recorded_is_no_fault() -> None:
    assert record_attendance(play("seats=1 | at ends").roster, [], AUTHOR) == {}
