"""What happened to an agent: every event about one has its line, and every line its words."""

from enum import StrEnum
from typing import Any

import pytest

from services.notifier.letters.happenings import Happening, happening_of
from shared.events.enrolment import (
    DECISIONS,
    AgentEnrolled,
    Attendance,
    AttendanceRecorded,
    Awaiting,
    Decision,
    EnrolmentWithdrawn,
    LapseCause,
    SeatLeft,
    WithdrawnBy,
)
from shared.web import labels
from tests.unit.notifier.builders import ENROLMENT_ID, SESSION_ID, a_decision, at

NEEDED: dict[str, dict[str, Any]] = {
    "AgentWaitlisted": {"position": 1},
    "SeatOffered": {"hold_until": at("2025-03-10T14:06+01:00")},
    "EnrolmentPending": {"awaiting": "selection"},
    "EnrolmentRefused": {"reason": "session_full"},
    "AttendanceRecorded": {"attendance": "absent"},
}


@pytest.mark.parametrize("kind", DECISIONS)
def test_every_decision_is_told(kind: type[Decision]) -> None:
    assert happening_of(a_decision(kind, **NEEDED.get(kind.__name__, {}))) is not None


def test_every_happening_has_words() -> None:
    assert set(labels.HAPPENINGS) == set(Happening)
    assert {f"{asked}_refused" for asked in ("enrolment", "withdrawal", "offer", "approval", "swap")} <= set(
        Happening
    )
    assert set(Attendance) <= set(Happening)


@pytest.mark.parametrize("reasons", [WithdrawnBy, LapseCause, Awaiting])
def test_every_reason_has_words(reasons: type[StrEnum]) -> None:
    assert set(reasons) <= set(labels.HAPPENED_BECAUSE)


def test_how_a_seat_came_and_went_is_told() -> None:
    left = SeatLeft(session_id=SESSION_ID, enrolment_id=ENROLMENT_ID, version=2)
    assert happening_of(a_decision(AgentEnrolled)) == (Happening.ENROLLED, None)
    assert happening_of(a_decision(AgentEnrolled, moved_from=left)) == (Happening.ENROLLED, "moved_here")
    of_line = a_decision(AgentEnrolled, from_waiting_list=True)
    assert happening_of(of_line) == (Happening.ENROLLED, "from_waiting_list")
    assert happening_of(a_decision(EnrolmentWithdrawn, moved_to=SESSION_ID)) == (
        Happening.WITHDRAWN,
        "moved_away",
    )
    joined = a_decision(EnrolmentWithdrawn, joined_to=ENROLMENT_ID)
    assert happening_of(joined) == (Happening.WITHDRAWN, "joined")
    attended = a_decision(AttendanceRecorded, attendance="attended", certified=True)
    assert happening_of(attended) == (Happening.ATTENDED, "certified")
    for reason in ("moved_here", "moved_away", "from_waiting_list", "joined", "certified"):
        assert reason in labels.HAPPENED_BECAUSE
