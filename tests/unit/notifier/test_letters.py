"""Which letters an event calls for."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import letters
from services.notifier.letters import KINDS, EnrolmentState, KnownEnrolment, Letter, LetterContext, LetterType
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
from shared.events.reasons import Reason, explanation
from shared.events.vocabulary import Format
from shared.web import labels
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, a_mail, a_session, at

ELSEWHERE = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12")
CALLS_FOR: list[tuple[type[Decision], dict[str, Any], LetterType | None, dict[str, Any]]] = [
    (AgentEnrolled, {}, LetterType.CONFIRMED, {}),
    (AgentEnrolled, {"from_waiting_list": True}, LetterType.SEAT_ASSIGNED, {}),
    (
        AgentEnrolled,
        {"moved_from": {"session_id": ELSEWHERE, "enrolment_id": ENROLMENT_ID, "version": 2}},
        LetterType.MOVED,
        {"left_session": str(ELSEWHERE), "left_enrolment": str(ENROLMENT_ID), "left_version": 2},
    ),
    (EnrolmentWithdrawn, {"moved_to": ELSEWHERE}, None, {}),
    (
        EnrolmentRefused,
        {"reason": "session_full", "asked": "swap", "to_session_id": ELSEWHERE},
        LetterType.MOVE_REFUSED,
        {"reason": "session_full", "to_session": str(ELSEWHERE)},
    ),
    (EnrolmentRefused, {"reason": "not_enrolled", "asked": "swap", "to_session_id": ELSEWHERE}, None, {}),
    (AgentWaitlisted, {"position": 3}, LetterType.WAITLISTED, {"position": 3}),
    (
        AgentWaitlisted,
        {"position": 2, "together": 5},
        LetterType.WAITLISTED,
        {"position": 2, "together": 5},
    ),
    (
        SeatOffered,
        {"hold_until": at("2025-03-17T09:30+01:00")},
        LetterType.SEAT_OFFERED,
        {"hold_until": "2025-03-17T08:30:00+00:00"},
    ),
    (SeatOfferLapsed, {"cause": "declined"}, LetterType.OFFER_LAPSED, {"cause": "declined"}),
    (EnrolmentPending, {"awaiting": "selection"}, LetterType.PENDING, {"awaiting": "selection"}),
    (EnrolmentRefused, {"reason": "session_full"}, LetterType.REFUSED, {"reason": "session_full"}),
    (EnrolmentRefused, {"reason": "already_enrolled"}, LetterType.ALREADY_ENROLLED, {}),
    (
        EnrolmentRefused,
        {"reason": "deadline_passed", "asked": "withdrawal"},
        LetterType.WITHDRAWAL_REFUSED,
        {"reason": "deadline_passed"},
    ),
    (EnrolmentRefused, {"reason": "not_enrolled", "asked": "withdrawal"}, None, {}),
    (
        EnrolmentRefused,
        {"reason": "no_offer", "asked": "offer"},
        LetterType.OFFER_REFUSED,
        {"reason": "no_offer"},
    ),
    (
        EnrolmentRefused,
        {"reason": "already_enrolled", "asked": "offer"},
        LetterType.OFFER_REFUSED,
        {"reason": "already_enrolled"},
    ),
    (EnrolmentRefused, {"reason": "deadline_passed", "asked": "approval"}, None, {}),
    (EnrolmentWithdrawn, {}, LetterType.WITHDRAWN, {"by": "agent", "had_seat": True}),
    (
        EnrolmentWithdrawn,
        {"joined_to": ENROLMENT_ID},
        LetterType.WITHDRAWN,
        {"by": "agent", "had_seat": True, "joined": True},
    ),
    (EnrolmentWithdrawn, {"by": "employer"}, LetterType.WITHDRAWN, {"by": "employer", "had_seat": True}),
    (EnrolmentWithdrawn, {"by": "session_cancelled"}, LetterType.SESSION_CANCELLED, {"had_seat": True}),
    (
        EnrolmentWithdrawn,
        {"by": "session_cancelled", "attendance_kept": True},
        LetterType.SESSION_CANCELLED,
        {"had_seat": True, "attendance_kept": True},
    ),
    (
        EnrolmentWithdrawn,
        {"by": "session_cancelled", "reason": "Salle fermée."},
        LetterType.SESSION_CANCELLED,
        {"had_seat": True, "said": "Salle fermée."},
    ),
    (AttendanceRecorded, {"attendance": "absent"}, None, {}),
    (AttendanceRecorded, {"attendance": "attended", "certified": True}, LetterType.CERTIFICATE, {}),
]


@pytest.mark.parametrize(("kind", "fields", "template", "details"), CALLS_FOR)
def test_each_decision_calls_for_its_letter(
    kind: type[Decision], fields: dict[str, Any], template: LetterType | None, details: dict[str, Any]
) -> None:
    called_for = letters_for(a_decision(kind, **fields), EnrolmentState.ENROLLED)
    expected = [Letter(template, details)] if template else []
    assert list(called_for) == expected


def test_who_attended_is_asked_once_what_they_thought_of_it() -> None:
    (asks,) = letters_for(a_decision(AttendanceRecorded, attendance="attended"), EnrolmentState.ENROLLED)
    assert asks == Letter(LetterType.EVALUATION, once=True)


def test_every_letter_has_a_kind_and_a_label() -> None:
    assert set(letters.KINDS) == set(labels.LETTERS) == set(LetterType)


def test_a_full_webinar_promises_the_replay() -> None:
    full = explanation(Reason.SESSION_FULL, requested="enrolment", session_format=Format.WEBINAR)
    assert "replay" in full.advice


def test_only_a_refusal_for_an_unknown_session_goes_out_without_the_session() -> None:
    def waits(reason: str) -> list[bool]:
        decision = a_decision(EnrolmentRefused, reason=reason)
        return [letter.needs_session for letter in letters_for(decision, None)]

    assert waits("unknown_session") == [False]
    assert waits("session_full") == [True]


@pytest.mark.parametrize(
    ("before", "had_seat"),
    [
        (EnrolmentState.ENROLLED, True),
        (EnrolmentState.WAITLISTED, False),
        (EnrolmentState.PENDING, False),
        (None, True),
    ],
)
def test_a_withdrawal_cancels_the_calendar_of_who_had_a_seat(
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
    assert read.letters == []
    assert read.states == {}


@pytest.mark.parametrize(
    "refused",
    [
        {"reason": "already_enrolled"},
        {"reason": "deadline_passed", "asked": "withdrawal"},
        {"reason": "not_enrolled", "asked": "withdrawal"},
        {"reason": "deadline_passed", "asked": "offer"},
    ],
)
def test_a_refusal_that_changes_nothing_leaves_the_agent_where_they_stood(refused: dict[str, str]) -> None:
    known = {ENROLMENT_ID: KnownEnrolment(1, EnrolmentState.ENROLLED)}
    read = letters.read_decisions(known, [a_decision(EnrolmentRefused, version=1, **refused)])
    assert read.states == {}
    assert len(read.letters) == (0 if refused["reason"] == "not_enrolled" else 1)


def a_replay(**changes: Any) -> ReplayPublished:
    fields = {
        "resource_id": uuid4(),
        "version": 1,
        "title": "Replay",
        "url": "https://replay.example/1",
        "published_at": at("2025-05-01T10:00+02:00"),
        "organiser": "bretagne",
        "session_id": uuid4(),
    }
    return ReplayPublished.model_validate(fields | changes)


def test_a_replay_is_announced_only_where_there_was_a_session() -> None:
    letter = letters.replay_letter(a_replay())
    assert letter == Letter(
        LetterType.REPLAY_AVAILABLE, {"replay_title": "Replay", "replay_url": "https://replay.example/1"}
    )
    assert letters.replay_letter(a_replay(session_id=None)) is None


# ------------------------------------------------------------------- what is not sent any more


def not_any_more(template: LetterType, known: KnownEnrolment | None, **changes: Any) -> bool:
    session = a_session(**changes.pop("session", {}))
    now = changes.pop("now", at("2025-03-12T10:00+01:00"))
    if template in letters.SCHEDULED:
        now = {letter.template: letter.due_at for letter in letters.schedule(a_session())}[template]
    mail = a_mail(template, version=changes.pop("version", 1), details=changes)
    return letters.revalidate(mail, LetterContext(session, known), now) is not None


VALID_WHILE = [
    (template, kind.valid_while)
    for template, kind in KINDS.items()
    if kind.valid_while is not None and template is not LetterType.MOVED
]


@pytest.mark.parametrize(("template", "valid_while"), VALID_WHILE)
@pytest.mark.parametrize("standing", list(EnrolmentState))
def test_a_letter_is_not_sent_once_its_reader_stands_elsewhere(
    template: LetterType, valid_while: EnrolmentState, standing: EnrolmentState
) -> None:
    hold = {"hold_until": "2025-03-17T08:30:00+00:00"}
    assert not_any_more(template, KnownEnrolment(2, standing), **hold) is (standing is not valid_while)
    assert not not_any_more(template, KnownEnrolment(1, standing), **hold), "the letter's own decision"
    assert not not_any_more(template, None, **hold)


@pytest.mark.parametrize("standing", list(EnrolmentState))
def test_a_letter_about_a_move_is_always_sent_since_it_takes_the_old_session_out_of_the_calendar(
    standing: EnrolmentState,
) -> None:
    known = KnownEnrolment(2, standing)
    assert not not_any_more(LetterType.MOVED, known)
    assert not not_any_more(LetterType.MOVED, known, session={"status": "cancelled"})


def test_a_letter_about_a_move_says_that_its_reader_has_the_seat_only_while_they_have_it() -> None:
    def has_seat(standing: EnrolmentState, **session: Any) -> bool:
        context = LetterContext(a_session(**session), KnownEnrolment(2, standing))
        return letters.is_true(a_mail(LetterType.MOVED, version=1), context, at("2025-03-12T10:00+01:00"))

    assert has_seat(EnrolmentState.ENROLLED)
    assert not has_seat(EnrolmentState.WITHDRAWN)
    assert not has_seat(EnrolmentState.ENROLLED, status="cancelled")


def test_a_confirmation_that_comes_after_the_cancellation_of_its_session_is_not_sent() -> None:
    known = KnownEnrolment(1, EnrolmentState.ENROLLED)
    assert not_any_more(LetterType.CONFIRMED, known, session={"status": "cancelled"})
    assert not not_any_more(
        LetterType.SESSION_CANCELLED,
        KnownEnrolment(2, EnrolmentState.WITHDRAWN),
        session={"status": "cancelled"},
    )


def test_an_offer_is_not_sent_after_its_end() -> None:
    offered = KnownEnrolment(1, EnrolmentState.OFFERED)
    end = at("2025-03-17T09:30+01:00")
    hold = {"hold_until": end.isoformat()}
    assert not not_any_more(LetterType.SEAT_OFFERED, offered, now=end - timedelta(seconds=1), **hold)
    assert not_any_more(LetterType.SEAT_OFFERED, offered, now=end, **hold)
