"""What happened to an agent: every event about one has its line, and every line its words."""

from typing import Any

import pytest

from services.notifier.letters.happenings import Happening, happening_of
from shared.events.enrolment import (
    DECISIONS,
    AgentEnrolled,
    AttendanceRecorded,
    Decision,
    EnrolmentRefused,
    EnrolmentWithdrawn,
)
from tests.unit.notifier.builders import ENROLMENT_ID, SESSION_ID, a_decision, at

LEFT = {"session_id": SESSION_ID, "enrolment_id": ENROLMENT_ID, "version": 2}
NEEDED: dict[str, dict[str, Any]] = {
    "AgentWaitlisted": {"position": 1},
    "SeatOffered": {"hold_until": at("2025-03-10T14:06+01:00")},
    "EnrolmentPending": {"awaiting": "selection"},
    "EnrolmentRefused": {"reason": "session_full"},
    "AttendanceRecorded": {"attendance": "absent"},
}


@pytest.mark.parametrize("kind", DECISIONS)
def test_every_decision_is_part_of_a_story(kind: type[Decision]) -> None:
    assert happening_of(a_decision(kind, **NEEDED.get(kind.__name__, {}))) is not None


@pytest.mark.parametrize(
    ("kind", "fields", "happened"),
    [
        (AgentEnrolled, {}, (Happening.ENROLLED, None)),
        (AgentEnrolled, {"moved_from": LEFT}, (Happening.ENROLLED, "moved_here")),
        (AgentEnrolled, {"from_waiting_list": True}, (Happening.ENROLLED, "from_waiting_list")),
        (EnrolmentWithdrawn, {"moved_to": SESSION_ID}, (Happening.WITHDRAWN, "moved_away")),
        (EnrolmentWithdrawn, {"joined_to": ENROLMENT_ID}, (Happening.WITHDRAWN, "joined")),
        (
            AttendanceRecorded,
            {"attendance": "attended", "certified": True},
            (Happening.ATTENDED, "certified"),
        ),
        (  # figures count an agent once
            AttendanceRecorded,
            {"attendance": "attended", "certified": True, "certificate_void": True},
            (Happening.ATTENDED, None),
        ),
    ],
)
def test_a_story_says_how_a_seat_came_and_went(
    kind: type[Decision], fields: dict[str, Any], happened: tuple[Happening, str | None]
) -> None:
    assert happening_of(a_decision(kind, **fields)) == happened


@pytest.mark.parametrize("asked", ["enrolment", "withdrawal", "offer", "approval", "swap"])
def test_a_refusal_of_each_kind_of_request_is_a_happening(asked: str) -> None:
    refused = a_decision(EnrolmentRefused, reason="session_full", asked=asked)
    assert happening_of(refused) == (Happening(f"{asked}_refused"), "session_full")
