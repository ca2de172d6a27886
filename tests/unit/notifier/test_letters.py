"""Which letters an event calls for."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import letters
from services.notifier.letters import EnrolmentState, KnownEnrolment, Letter, LetterType
from services.notifier.letters.decisions import letters_for
from shared.events.catalogue import ReplayPublished
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatOffered,
    SeatOfferLapsed,
)
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, at

ELSEWHERE = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12")
LEFT = {"session_id": ELSEWHERE, "enrolment_id": ENROLMENT_ID, "version": 2}
MOVED = {"left_session": str(ELSEWHERE), "left_enrolment": str(ENROLMENT_ID), "left_version": 2}
HELD = "2025-03-17T08:30:00+00:00"
SEAT = {"had_seat": True}
OFFER_REFUSED, PENDING = LetterType.OFFER_REFUSED, LetterType.PENDING
CALLS_FOR: list[tuple[type[Decision], dict[str, Any], LetterType | None, dict[str, Any]]] = [
    (AgentEnrolled, {}, LetterType.CONFIRMED, {}),
    (AgentEnrolled, {"from_waiting_list": True}, LetterType.SEAT_ASSIGNED, {}),
    (AgentEnrolled, {"moved_from": LEFT}, LetterType.MOVED, MOVED),
    (AgentWaitlisted, {"position": 3}, LetterType.WAITLISTED, {"position": 3}),
    (AgentWaitlisted, {"position": 2, "together": 5}, LetterType.WAITLISTED, {"position": 2, "together": 5}),
    (SeatOffered, {"hold_until": at(HELD)}, LetterType.SEAT_OFFERED, {"hold_until": HELD}),
    (SeatOfferLapsed, {"cause": "declined"}, LetterType.OFFER_LAPSED, {"cause": "declined"}),
    (EnrolmentPending, {"awaiting": "selection"}, PENDING, {"awaiting": "selection"}),
    (AttendanceRecorded, {"attendance": "absent"}, None, {}),
    (AttendanceRecorded, {"attendance": "attended", "certified": True}, LetterType.CERTIFICATE, {}),
]
WITHDRAWN: list[tuple[dict[str, Any], LetterType | None, dict[str, Any]]] = [
    ({}, LetterType.WITHDRAWN, SEAT | {"by": "agent"}),
    ({"moved_to": ELSEWHERE}, None, {}),
    ({"joined_to": ENROLMENT_ID}, LetterType.WITHDRAWN, SEAT | {"by": "agent", "joined": True}),
    ({"by": "employer"}, LetterType.WITHDRAWN, SEAT | {"by": "employer"}),
    ({"by": "session_cancelled"}, LetterType.SESSION_CANCELLED, SEAT),
    (
        {"by": "session_cancelled", "attendance_kept": True, "reason": "Salle fermée."},
        LetterType.SESSION_CANCELLED,
        SEAT | {"attendance_kept": True, "said": "Salle fermée."},
    ),
]
REFUSED: list[tuple[str, str, LetterType | None]] = [
    ("session_full", "enrolment", LetterType.REFUSED),
    ("already_enrolled", "enrolment", LetterType.ALREADY_ENROLLED),
    ("deadline_passed", "withdrawal", LetterType.WITHDRAWAL_REFUSED),
    ("not_enrolled", "withdrawal", None),
    ("no_offer", "offer", OFFER_REFUSED),
    ("already_enrolled", "offer", OFFER_REFUSED),
    ("deadline_passed", "approval", None),
    ("session_full", "swap", LetterType.MOVE_REFUSED),
    ("not_enrolled", "swap", None),
]


@pytest.mark.parametrize(
    ("kind", "fields", "template", "details"),
    [*CALLS_FOR, *((EnrolmentWithdrawn, *row) for row in WITHDRAWN)],
)
def test_each_decision_calls_for_its_letter(
    kind: type[Decision], fields: dict[str, Any], template: LetterType | None, details: dict[str, Any]
) -> None:
    called_for = letters_for(a_decision(kind, **fields), EnrolmentState.ENROLLED)
    assert list(called_for) == ([Letter(template, details)] if template else [])


@pytest.mark.parametrize(("reason", "asked", "template"), REFUSED)
def test_each_refusal_calls_for_its_letter(reason: str, asked: str, template: LetterType | None) -> None:
    to = {"to_session_id": ELSEWHERE} if asked == "swap" else {}
    called_for = letters_for(a_decision(EnrolmentRefused, reason=reason, asked=asked, **to), None)
    details = {} if template is LetterType.ALREADY_ENROLLED else {"reason": reason}
    details |= {"to_session": str(ELSEWHERE)} if to else {}
    assert list(called_for) == ([Letter(template, details)] if template else [])


def test_an_agent_who_attended_is_asked_once_for_an_evaluation() -> None:
    (asks,) = letters_for(a_decision(AttendanceRecorded, attendance="attended"), EnrolmentState.ENROLLED)
    assert asks == Letter(LetterType.EVALUATION, once=True)


def test_every_letter_has_a_kind() -> None:
    assert set(letters.KINDS) == set(LetterType)


def test_only_a_refusal_for_an_unknown_session_goes_out_without_the_session() -> None:
    (refusal,) = letters_for(a_decision(EnrolmentRefused, reason="unknown_session"), None)
    assert not refusal.needs_session


@pytest.mark.parametrize(
    ("before", "had_seat"),
    [
        (EnrolmentState.ENROLLED, True),
        (EnrolmentState.WAITLISTED, False),
        (EnrolmentState.PENDING, False),
        (None, True),
    ],
)
def test_a_withdrawal_clears_the_calendar_of_an_agent_who_had_a_seat(
    before: EnrolmentState | None, had_seat: bool
) -> None:
    (letter,) = letters_for(a_decision(EnrolmentWithdrawn), before)
    assert letter.details["had_seat"] is had_seat


def test_decisions_are_read_in_order() -> None:
    batch = [
        a_decision(AgentWaitlisted, version=1, position=2),
        a_decision(AgentEnrolled, version=2, from_waiting_list=True),
        a_decision(EnrolmentWithdrawn, version=3),
    ]
    read = letters.read_decisions({}, batch)
    assert [(place, letter.template) for place, letter in read.letters] == [
        (0, LetterType.WAITLISTED),
        (1, LetterType.SEAT_ASSIGNED),
        (2, LetterType.WITHDRAWN),
    ]
    assert read.letters[2][1].details["had_seat"] is True
    assert read.states == {ENROLMENT_ID: (2, EnrolmentState.WITHDRAWN)}


def test_a_decision_older_than_what_is_known_calls_for_nothing() -> None:
    known = {ENROLMENT_ID: KnownEnrolment(2, EnrolmentState.WITHDRAWN)}
    read = letters.read_decisions(known, [a_decision(AgentEnrolled, version=1)])
    assert (read.letters, read.states) == ([], {})


@pytest.mark.parametrize(
    ("refused", "number"),
    [
        ({"reason": "already_enrolled"}, 1),
        ({"reason": "deadline_passed", "asked": "withdrawal"}, 1),
        ({"reason": "not_enrolled", "asked": "withdrawal"}, 0),
        ({"reason": "deadline_passed", "asked": "offer"}, 1),
    ],
)
def test_a_refusal_that_changes_nothing_leaves_the_state_of_the_enrolment(
    refused: dict[str, str], number: int
) -> None:
    known = {ENROLMENT_ID: KnownEnrolment(1, EnrolmentState.ENROLLED)}
    read = letters.read_decisions(known, [a_decision(EnrolmentRefused, version=1, **refused)])
    assert (len(read.letters), read.states) == (number, {})


@pytest.mark.parametrize("session_id", [uuid4(), None])
def test_a_replay_is_announced_only_where_there_was_a_session(session_id: UUID | None) -> None:
    replay = ReplayPublished(
        resource_id=uuid4(),
        version=1,
        title="Replay",
        url="https://replay.example/1",
        published_at=at("2025-05-01T10:00+02:00"),
        organiser="bretagne",
        session_id=session_id,
    )
    details = {"replay_title": "Replay", "replay_url": "https://replay.example/1"}
    assert letters.replay_letter(replay) == (
        Letter(LetterType.REPLAY_AVAILABLE, details) if session_id else None
    )
