"""When letters leave: at the planned moment, never at night, and not once they are untrue or useless."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import letters
from services.notifier.letters import (
    KINDS,
    EnrolmentState,
    KnownEnrolment,
    LetterContext,
    LetterType,
    NumberedSession,
    OtherCertificates,
    Postponed,
    Priority,
    Superseded,
)
from services.notifier.letters.timing import next_morning
from tests.unit.notifier.builders import a_mail, a_session, at, some_news, the_mooc

SECOND = timedelta(seconds=1)
NOON = at("2025-03-12T12:00+01:00")
CLOSES, STARTS, ENDS = (
    at("2025-03-29T00:00+01:00"),
    at("2025-04-03T09:30+02:00"),
    at("2025-04-03T17:00+02:00"),
)
ZONES = ["Europe/Paris", "Indian/Reunion", "America/Guadeloupe", "America/Cayenne", "Indian/Mayotte"]
MOMENTS = st.integers(0, 2 * 365 * 24 * 60).map(lambda n: at("2025-01-01T00:00+00:00") + timedelta(minutes=n))
ELSEWHERE = {"timezone": "Indian/Reunion"}
EARLY = {"starts_at": at("2025-04-03T07:30+02:00")}
LATER = {"starts_at": at("2025-05-22T09:30+02:00"), "ends_at": at("2025-05-22T17:00+02:00")}
LIVE = {EnrolmentState.ENROLLED, EnrolmentState.WAITLISTED, EnrolmentState.OFFERED, EnrolmentState.PENDING}
OTHER_DAYS = {"joining_days_before": 10, "reminder_days_before": 5, "last_reminder_days_before": 2}


@pytest.mark.parametrize(
    ("session", "due"),
    [
        (a_session(), ["2025-03-19T09:30+01:00", "2025-03-27T09:30+01:00", "2025-04-02T09:30+02:00"]),
        (
            a_session(**OTHER_DAYS),
            ["2025-03-24T09:30+01:00", "2025-03-29T09:30+01:00", "2025-04-01T09:30+02:00"],
        ),
        (the_mooc(), ["2025-03-17T08:00+01:00", "2025-03-10T08:00+01:00", "2025-03-16T08:00+01:00"]),
        (a_session(status="cancelled"), []),
        (a_session(status="draft"), []),
    ],
    ids=["15, 7 and 1 days before", "as the session says", "a MOOC, once open", "cancelled", "draft"],
)
def test_joining_instructions_and_reminders_are_due_days_before_the_start(
    session: NumberedSession, due: list[str]
) -> None:
    assert [planned.due_at for planned in letters.schedule(session)] == [at(moment) for moment in due]


@given(st.sampled_from(ZONES), MOMENTS)
def test_no_scheduled_letter_is_due_in_the_night_of_its_zone(zone: str, start: datetime) -> None:
    session = a_session(timezone=zone, starts_at=start, ends_at=start + timedelta(hours=2))
    for planned in letters.schedule(session):
        local = planned.due_at.astimezone(ZoneInfo(zone))
        assert time(8) <= local.time() < time(20)
        assert local.date() == planned.moment.astimezone(ZoneInfo(zone)).date()


@given(st.sampled_from(ZONES), MOMENTS)
def test_the_night_ends_at_eight_in_the_morning(zone: str, moment: datetime) -> None:
    morning = next_morning(moment, zone)
    local = moment.astimezone(ZoneInfo(zone))
    assert (morning is None) is (time(8) <= local.time() < time(20))
    if morning is not None:
        assert morning.astimezone(ZoneInfo(zone)).time() == time(8)
        assert timedelta(0) < morning - moment <= timedelta(hours=13)


@pytest.mark.parametrize(
    ("enrolled_at", "read_at", "to_come"),
    [
        ("2025-03-19T09:29+01:00", "2025-03-19T09:29+01:00", ["joining", "week", "day"]),
        ("2025-03-19T09:30+01:00", "2025-03-19T09:30+01:00", ["week", "day"]),
        ("2025-03-27T09:30+01:00", "2025-03-27T09:30+01:00", ["day"]),
        ("2025-04-02T09:30+02:00", "2025-04-02T09:30+02:00", []),
        ("2025-03-01T09:30+01:00", "2025-04-02T10:00+02:00", ["joining", "day"]),
    ],
    ids=["before all", "at the first", "at the second", "at the last", "read late"],
)
def test_an_agent_gets_the_letters_whose_moment_comes_after_the_enrolment_and_that_still_help(
    enrolled_at: str, read_at: str, to_come: list[str]
) -> None:
    names = {"joining": LetterType.JOINING, "week": LetterType.REMINDER_WEEK, "day": LetterType.REMINDER_DAY}
    found = letters.scheduled_letters(a_session(), at(enrolled_at), at(read_at))
    assert [letter.template for letter in found] == [names[name] for name in to_come]


@pytest.mark.parametrize("template", [LetterType.CONFIRMED, LetterType.SEAT_ASSIGNED])
@pytest.mark.parametrize("session", [a_session(), the_mooc()], ids=["15 days before", "a MOOC, once open"])
def test_joining_instructions_come_in_a_letter_of_their_own_or_with_the_seat(
    session: NumberedSession, template: LetterType
) -> None:
    [joining] = [planned for planned in letters.schedule(session) if planned.template is LetterType.JOINING]
    for enrolled_at in (joining.moment - SECOND, joining.moment, joining.until - SECOND):
        comes = joining in letters.scheduled_letters(session, enrolled_at, enrolled_at)
        seat = a_mail(template, called_for_at=enrolled_at)
        assert comes is not letters.includes_joining(seat, session, enrolled_at)
    late = a_mail(template, called_for_at=joining.moment)
    assert not letters.includes_joining(late, session, joining.until), "sent when it helps nobody any more"
    assert not letters.includes_joining(a_mail(LetterType.REMINDER_DAY), session, joining.moment)


# ------------------------------------------------------------------- looking again, when its turn has come


def seen(template: LetterType, context: LetterContext, now: datetime, **changes: Any) -> object:
    """Return None if the letter leaves, the type of what keeps it from leaving, or until when it waits."""
    found = letters.revalidate(a_mail(template, **changes), context, now)
    return found.until if isinstance(found, Postponed) else found and type(found)


def known_as(state: EnrolmentState, version: int = 1, **session: Any) -> LetterContext:
    return LetterContext(a_session(**session), KnownEnrolment(version, state))


@pytest.mark.parametrize(
    ("template", "now", "session", "found"),
    [
        (LetterType.REMINDER_DAY, "2025-04-02T09:30+02:00", {}, None),
        (LetterType.REMINDER_DAY, "2025-04-02T09:29:30+02:00", {}, None),  # clocks differ
        (LetterType.REMINDER_DAY, "2025-04-03T09:30+02:00", {}, Superseded),
        (LetterType.REMINDER_DAY, "2025-04-02T23:00+02:00", {}, at("2025-04-03T08:00+02:00")),
        (LetterType.REMINDER_WEEK, "2025-04-02T09:30+02:00", {}, Superseded),  # the day before it is
        (LetterType.REMINDER_WEEK, "2025-03-27T09:30+01:00", LATER, at("2025-05-15T09:30+02:00")),
        (LetterType.REMINDER_DAY, "2025-04-03T06:00+02:00", EARLY, None),  # the morning would be too late
        (LetterType.REPLAY_AVAILABLE, "2025-03-11T03:00+01:00", {}, at("2025-03-11T08:00+01:00")),
        (LetterType.REPLAY_AVAILABLE, "2025-03-11T20:00+01:00", {}, at("2025-03-12T08:00+01:00")),
        (LetterType.REPLAY_AVAILABLE, "2025-03-11T19:59+01:00", {}, None),
        (LetterType.REPLAY_AVAILABLE, "2025-03-11T18:00+01:00", ELSEWHERE, at("2025-03-12T08:00+04:00")),
    ],
)
def test_a_letter_waits_for_its_moment_and_the_morning_and_is_dropped_when_its_time_is_over(
    template: LetterType, now: str, session: dict[str, Any], found: object
) -> None:
    assert seen(template, known_as(EnrolmentState.ENROLLED, **session), at(now)) == found


@pytest.mark.parametrize("template", sorted(letters.SCHEDULED))
@pytest.mark.parametrize("has_passed", [False, True])
def test_of_the_letters_that_other_dates_called_for_only_late_joining_instructions_leave(
    template: LetterType, *, has_passed: bool
) -> None:
    moment = {planned.template: planned.moment for planned in letters.schedule(a_session())}[template]
    now = moment + timedelta(minutes=1 if has_passed else -1)
    details = {"moment": at("2025-03-01T09:30+01:00").isoformat()}
    is_sent = has_passed and template is LetterType.JOINING
    found = seen(template, known_as(EnrolmentState.ENROLLED), now, details=details)
    assert found == (None if is_sent else Superseded)


def test_news_waits_for_the_morning_in_paris_and_leaves_only_while_there_is_some() -> None:
    night, day = at("2025-03-11T03:00+01:00"), at("2025-03-11T16:00+01:00")
    context = LetterContext(news=[some_news()])
    assert seen(LetterType.NEWS, context, night) == at("2025-03-11T08:00+01:00")
    assert seen(LetterType.NEWS, context, day) is None
    assert seen(LetterType.NEWS, LetterContext(), day) is Superseded


_BY_THE_CLOCK = letters.SCHEDULED | {
    LetterType.EVALUATION,
    LetterType.CERTIFICATE,
    LetterType.CERTIFICATE_VOID,
}
URGENT = {template for template, kind in KINDS.items() if kind.priority is not Priority.NEWS} - _BY_THE_CLOCK


@pytest.mark.parametrize("template", sorted(URGENT))
def test_a_letter_that_somebody_waits_for_or_must_know_leaves_in_the_night_too(template: LetterType) -> None:
    later = "2025-03-17T08:30:00+00:00"
    details = {"hold_until": later, "until": later, "audience": ["enrolled"], "trainer": str(UUID(int=7))}
    written_to = template is LetterType.ORGANISER_MESSAGE
    reader = KnownEnrolment(1, EnrolmentState.ENROLLED) if written_to else None
    closed = template in letters.NOTICES_OF_CLOSE  # which the close calls for
    night = at("2025-03-29T03:00+01:00" if closed else "2025-03-11T03:00+01:00")
    context = LetterContext(a_session(trainer_ids=[UUID(int=7)]), reader)
    assert seen(template, context, night, details=details) is None


CALLED_FOR = at("2025-03-10T14:05:30+01:00")
HOLD = {"hold_until": "2025-03-17T09:30:00+01:00"}


@pytest.mark.parametrize(
    ("template", "details", "until"),
    [
        (LetterType.PENDING, {"awaiting": "employer_approval"}, CLOSES),
        (LetterType.PENDING, {"awaiting": "selection"}, STARTS),
        (LetterType.WAITLISTED, {"position": 3}, STARTS),
        (LetterType.SESSION_CHANGED, {"venue_before": "Salle des fêtes"}, ENDS),
        (LetterType.MODULE_CANCELLED, {}, ENDS),
        (LetterType.SEAT_OFFERED, HOLD, at("2025-03-17T09:30+01:00")),
        (LetterType.CONFIRM_SUBSCRIPTION, {}, CALLED_FOR + letters.CONFIRM_FOR),
        (LetterType.CONFIRM_ADDRESS, {"until": STARTS.isoformat()}, STARTS),
        (LetterType.DIGEST, {}, CALLED_FOR + timedelta(days=1)),
    ],
)
def test_a_letter_is_not_sent_once_what_it_announces_can_happen_no_more(
    template: LetterType, details: dict[str, Any], until: datetime
) -> None:
    context = known_as(KINDS[template].valid_while or EnrolmentState.ENROLLED)
    assert seen(template, context, until - SECOND, details=details) is None
    assert seen(template, context, until, details=details) is Superseded
    mooc = LetterContext(the_mooc(), KnownEnrolment(1, EnrolmentState.WAITLISTED))
    assert seen(LetterType.WAITLISTED, mooc, the_mooc().starts_at) is None, "enrolment is open then"


def test_a_second_acknowledgement_supersedes_the_one_that_it_overtook() -> None:
    """Rule 16: the employer has agreed, and the agent waits for the selection."""
    details = {"awaiting": "employer_approval"}
    of_the_letter, newer = (known_as(EnrolmentState.PENDING, version) for version in (1, 2))
    assert seen(LetterType.PENDING, of_the_letter, NOON, details=details) is None
    assert seen(LetterType.PENDING, newer, NOON, details=details) is Superseded


VALID_WHILE = [
    (template, kind.valid_while)
    for template, kind in KINDS.items()
    if kind.valid_while is not None and template is not LetterType.MOVED
]


@pytest.mark.parametrize(("template", "valid_while"), VALID_WHILE)
@pytest.mark.parametrize("state", list(EnrolmentState))
def test_a_letter_is_not_sent_once_a_newer_decision_gave_its_reader_another_state(
    template: LetterType, valid_while: EnrolmentState, state: EnrolmentState
) -> None:
    moments = {planned.template: planned.due_at for planned in letters.schedule(a_session())}
    contexts = [known_as(state, version=2), known_as(state, version=1), LetterContext(a_session())]
    found = [seen(template, context, moments.get(template, NOON), details=HOLD) for context in contexts]
    is_still_true = state is valid_while and template is not LetterType.SEAT_OFFERED  # its end has changed
    assert found == [None if is_still_true else Superseded, None, None]


@pytest.mark.parametrize("state", list(EnrolmentState))
def test_what_changes_nothing_or_a_session_is_told_only_while_the_agent_has_a_request(
    state: EnrolmentState,
) -> None:
    known = known_as(state, version=2)
    assert (seen(LetterType.ALREADY_ENROLLED, known, NOON) is None) is (state in LIVE)
    waits = state in LIVE - {EnrolmentState.ENROLLED}
    assert (seen(LetterType.SESSION_CHANGED_WAITING, known, NOON) is None) is waits


@pytest.mark.parametrize("state", list(EnrolmentState))
@pytest.mark.parametrize("status", ["published", "cancelled"])
def test_a_letter_about_a_move_is_always_sent_and_names_the_seat_only_while_its_reader_has_it(
    state: EnrolmentState, status: str
) -> None:
    """It takes the old session out of the calendar."""
    context = known_as(state, version=2, status=status)
    assert seen(LetterType.MOVED, context, NOON) is None
    has_seat = state is EnrolmentState.ENROLLED and status == "published"
    assert letters.is_true(a_mail(LetterType.MOVED), context, NOON) is has_seat


def test_once_a_session_is_cancelled_only_the_letter_about_that_is_sent() -> None:
    cancelled = LetterContext(a_session(status="cancelled"))
    for template in (
        LetterType.CONFIRMED,
        LetterType.ALREADY_ENROLLED,
        LetterType.SESSION_CHANGED_WAITING,
        LetterType.JOINING,
    ):
        assert seen(template, cancelled, NOON) is Superseded
    assert seen(LetterType.SESSION_CANCELLED, cancelled, NOON) is None


# ------------------------------------------------------------------- what changed

PERIOD = {"starts_before", "ends_before", "timezone_before"}


def change(before: Any, after: Any, now: datetime = NOON) -> tuple[dict[LetterType, set[str]], bool]:
    found = letters.change_of(before, after, now)
    return {letter.template: set(letter.details) for letter in found.letters}, found.reschedule


@pytest.mark.parametrize(
    ("changes", "details", "reschedule"),
    [
        ({}, set(), False),
        ({"title": "Un titre corrigé", "capacity": 90, "enrolment": "closed"}, set(), False),
        ({"venue": "Salle neuve"}, {"venue_before"}, False),
        (LATER, PERIOD, True),
        ({"ends_at": at("2025-04-03T18:00+02:00")}, PERIOD, True),
        ({"reminder_days_before": 3}, set(), True),
        ({"status": "cancelled"} | LATER, set(), True),  # there is nothing to come any more
        ({"version": 1, "venue": "Salle vieille"}, set(), False),
    ],
)
def test_a_change_of_dates_or_place_is_mailed_to_the_enrolled_and_to_the_waiting(
    changes: dict[str, Any], details: set[str], *, reschedule: bool
) -> None:
    both = (LetterType.SESSION_CHANGED, LetterType.SESSION_CHANGED_WAITING)
    expected = {template: details for template in both if details}
    assert change(a_session(), a_session(**{"version": 2} | changes)) == (expected, reschedule)


def test_a_module_that_moves_is_mailed_and_a_renamed_module_is_not() -> None:
    modules = [module.model_dump() for module in the_mooc().modules]
    renamed = [module | {"title": "Autrement"} for module in modules]
    moved = [module | {"ends_at": module["ends_at"] + timedelta(hours=1)} for module in modules]
    assert change(the_mooc(), the_mooc(version=2, modules=renamed)) == ({}, False)
    both = (LetterType.SESSION_CHANGED, LetterType.SESSION_CHANGED_WAITING)
    assert change(the_mooc(), the_mooc(version=2, modules=moved)) == (
        {template: {"modules"} for template in both},
        False,
    )


def test_a_new_link_is_mailed_only_to_agents_who_have_a_seat() -> None:
    link = {"version": 2, "join_url": "https://visio.example/1"}
    assert change(a_session(), a_session(**link)) == ({LetterType.SESSION_CHANGED: {"link_changed"}}, False)
    assert change(a_session(), a_session(**link, venue="Salle neuve"))[0] == {
        LetterType.SESSION_CHANGED: {"venue_before", "link_changed"},
        LetterType.SESSION_CHANGED_WAITING: {"venue_before"},
    }


def test_the_first_state_plans_letters_and_a_session_that_is_over_calls_for_none() -> None:
    assert change(None, a_session()) == ({}, True)
    assert change(a_session(), a_session(version=2, venue="Salle neuve"), ENDS) == ({}, False)


# ------------------------------------------------------------------------ the certificate (rule 24)

MIDNIGHT = {"ends_at": at("2025-04-12T00:00+02:00")}


@pytest.mark.parametrize(
    ("recorded_at", "session", "leaves_at"),
    [
        (STARTS, {}, at("2025-04-04T17:00+02:00")),
        (ENDS - SECOND, {}, at("2025-04-04T17:00+02:00")),
        (ENDS, {}, ENDS),
        (at("2025-04-03T23:00+02:00"), {}, at("2025-04-03T23:00+02:00")),  # somebody is at work
        (STARTS, MIDNIGHT, at("2025-04-13T08:00+02:00")),  # nobody is
        (STARTS, {"status": "cancelled"}, STARTS),
    ],
)
def test_a_certificate_leaves_once_its_session_is_over_and_its_organiser_confirmed_it_or_a_day_later(
    recorded_at: datetime, session: dict[str, Any], leaves_at: datetime
) -> None:
    context = LetterContext(a_session(**session))
    for now in (recorded_at, max(recorded_at, leaves_at - SECOND), leaves_at):
        found = seen(LetterType.CERTIFICATE, context, now, called_for_at=recorded_at)
        assert found == (leaves_at if now < leaves_at else None)


@pytest.mark.parametrize(
    ("template", "others", "found"),
    [
        (LetterType.CERTIFICATE, OtherCertificates(is_newer=True), Superseded),
        (LetterType.CERTIFICATE, OtherCertificates(was_sent=True), None),
        (LetterType.CERTIFICATE_VOID, OtherCertificates(), Superseded),
        (LetterType.CERTIFICATE_VOID, OtherCertificates(is_leaving=True), ENDS + 2 * SECOND),
        (LetterType.CERTIFICATE_VOID, OtherCertificates(was_sent=True), None),
        (LetterType.CERTIFICATE_VOID, OtherCertificates(was_sent=True, is_newer=True), Superseded),
    ],
)
def test_an_agent_hears_that_a_certificate_is_void_only_if_it_has_left(
    template: LetterType, others: OtherCertificates, found: object
) -> None:
    context = LetterContext(a_session(), certificates=others)
    assert seen(template, context, ENDS, called_for_at=ENDS) == found


# ------------------------------------------------------------------------ the evaluation


def asked(now: str, *, asks: bool = False, **session: Any) -> object:
    context = LetterContext(
        a_session(**{"evaluation_url": "https://avis.example/ia"} | session), evaluation_asked=asks
    )
    return seen(LetterType.EVALUATION, context, at(now))


@pytest.mark.parametrize(
    ("ends_at", "due_at"),
    [
        ("2025-04-03T17:00+02:00", "2025-04-04T16:59:59+02:00"),
        ("2025-04-12T00:00+02:00", "2025-04-12T19:00+02:00"),  # the MOOC's last day is the 11th
    ],
)
def test_the_evaluation_is_asked_for_the_day_after_by_day(ends_at: str, due_at: str) -> None:
    assert asked("2025-04-03T18:00+02:00", ends_at=at(ends_at)) == at(due_at)
    assert asked(due_at, ends_at=at(ends_at)) is None
    assert asked("2025-05-01T03:00+02:00", ends_at=at(ends_at)) == at("2025-05-01T08:00+02:00")


@pytest.mark.parametrize("changes", [{"asks": True}, {"evaluation_url": None}, {"status": "cancelled"}])
def test_no_evaluation_beside_the_certificate_nor_without_link_nor_of_a_cancelled_session(
    changes: dict[str, Any],
) -> None:
    assert asked("2025-04-10T12:00+02:00", **changes) is Superseded
