"""When letters go out: what time calls for, never in the night, never late, never for who came after."""

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
    Postponed,
    Priority,
    SessionStateMissing,
    Superseded,
)
from services.notifier.letters.timing import next_morning
from tests.unit.notifier.builders import a_mail, a_session, at, some_news, the_mooc

SECOND = timedelta(seconds=1)
NOON = at("2025-03-12T12:00+01:00")
ZONES = ["Europe/Paris", "Indian/Reunion", "America/Guadeloupe", "America/Cayenne", "Indian/Mayotte"]
MOMENTS = st.integers(0, 2 * 365 * 24 * 60).map(lambda n: at("2025-01-01T00:00+00:00") + timedelta(minutes=n))


def due(session: Any) -> dict[LetterType, datetime]:
    return {letter.template: letter.due_at for letter in letters.schedule(session)}


def test_joining_instructions_come_15_days_before_and_reminders_7_and_1() -> None:
    assert due(a_session()) == {  # Thursday 3 April, 9:30, after the change of clocks of 30 March
        LetterType.JOINING: at("2025-03-19T09:30+01:00"),
        LetterType.REMINDER_WEEK: at("2025-03-27T09:30+01:00"),
        LetterType.REMINDER_DAY: at("2025-04-02T09:30+02:00"),
    }


def test_the_mooc_sends_its_joining_instructions_when_it_opens_by_day() -> None:
    assert due(the_mooc())[LetterType.JOINING] == at("2025-03-17T08:00+01:00")  # it opens at midnight


@pytest.mark.parametrize("status", ["cancelled", "draft"])
def test_a_session_that_does_not_take_place_calls_for_nothing(status: str) -> None:
    assert letters.schedule(a_session(status=status)) == ()


@given(st.sampled_from(ZONES), MOMENTS)
def test_no_letter_that_time_calls_for_is_due_in_the_night_of_its_zone(zone: str, start: datetime) -> None:
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
    ("enrolled_at", "to_come"),
    [
        ("2025-03-19T09:29+01:00", {LetterType.JOINING, LetterType.REMINDER_WEEK, LetterType.REMINDER_DAY}),
        ("2025-03-19T09:30+01:00", {LetterType.REMINDER_WEEK, LetterType.REMINDER_DAY}),
        ("2025-03-27T09:30+01:00", {LetterType.REMINDER_DAY}),
        ("2025-04-02T09:30+02:00", set()),
    ],
)
def test_nobody_is_reminded_of_a_moment_that_had_passed_when_they_enrolled(
    enrolled_at: str, to_come: set[LetterType]
) -> None:
    found = letters.scheduled_letters(a_session(), at(enrolled_at), at(enrolled_at))
    assert {letter.template for letter in found} == to_come


def test_letters_are_sent_as_many_days_before_the_start_as_the_session_says() -> None:
    session = a_session(joining_days_before=10, reminder_days_before=5, last_reminder_days_before=2)
    start = session.starts_at.date()
    days = [(start - planned.moment.date()).days for planned in letters.schedule(session)]
    assert days == [10, 5, 2]


@pytest.mark.parametrize("template", [LetterType.CONFIRMED, LetterType.SEAT_ASSIGNED])
@pytest.mark.parametrize("session", [a_session(), the_mooc()], ids=["15 days before", "a MOOC, once open"])
def test_whoever_gets_a_seat_has_joining_instructions_in_a_letter_of_their_own_or_with_it(
    session: letters.NumberedSession, template: LetterType
) -> None:
    [joining] = [planned for planned in letters.schedule(session) if planned.template is LetterType.JOINING]
    for enrolled_at in (joining.moment - SECOND, joining.moment, joining.until - SECOND):
        comes = joining in letters.scheduled_letters(session, enrolled_at, enrolled_at)
        seat = a_mail(template, called_for_at=enrolled_at)
        assert comes is not letters.includes_joining(seat, session, enrolled_at)
    late = a_mail(template, called_for_at=joining.moment)
    assert not letters.includes_joining(late, session, joining.until), "sent when it helps nobody any more"
    assert not letters.includes_joining(a_mail(LetterType.REMINDER_DAY), session, joining.moment)


def test_what_is_read_late_is_not_planned_once_it_helps_nobody() -> None:
    enrolled, read = at("2025-03-01T09:30+01:00"), at("2025-04-02T10:00+02:00")
    found = letters.scheduled_letters(a_session(), enrolled, read)
    assert {letter.template for letter in found} == {LetterType.JOINING, LetterType.REMINDER_DAY}


# ------------------------------------------------------------------- looking again, when its turn has come


def look(
    template: LetterType, now: str, **session: Any
) -> Superseded | Postponed | SessionStateMissing | None:
    enrolled = KnownEnrolment(1, EnrolmentState.ENROLLED)
    return letters.revalidate(a_mail(template), LetterContext(a_session(**session), enrolled), at(now))


LATER = {"starts_at": at("2025-05-22T09:30+02:00"), "ends_at": at("2025-05-22T17:00+02:00")}


@pytest.mark.parametrize(
    ("template", "now", "session", "found"),
    [
        (LetterType.REMINDER_DAY, "2025-04-02T09:30+02:00", {}, None),
        (LetterType.REMINDER_DAY, "2025-04-02T09:29:30+02:00", {}, None),  # clocks differ
        (LetterType.REMINDER_DAY, "2025-04-03T09:30+02:00", {}, Superseded),
        (LetterType.REMINDER_DAY, "2025-04-02T23:00+02:00", {}, at("2025-04-03T08:00+02:00")),
        (LetterType.REMINDER_WEEK, "2025-04-02T09:30+02:00", {}, Superseded),  # the day before it is
        (LetterType.REMINDER_WEEK, "2025-03-27T09:30+01:00", LATER, at("2025-05-15T09:30+02:00")),
        (LetterType.JOINING, "2025-03-19T09:30+01:00", {"status": "cancelled"}, Superseded),
        # In the night before a session that begins early, waiting for the morning would be too late.
        (
            LetterType.REMINDER_DAY,
            "2025-04-03T06:00+02:00",
            {"starts_at": at("2025-04-03T07:30+02:00")},
            None,
        ),
    ],
)
def test_a_letter_whose_session_moved_or_whose_time_is_over_is_not_sent(
    template: LetterType, now: str, session: dict[str, Any], found: Any
) -> None:
    seen = look(template, now, **session)
    if isinstance(found, datetime):
        assert seen == Postponed(found)
    else:
        assert seen is None if found is None else isinstance(seen, found)


@pytest.mark.parametrize("template", sorted(letters.SCHEDULED))
@pytest.mark.parametrize("has_passed", [False, True])
def test_what_other_dates_called_for_is_not_sent_for_these_but_late_joining_instructions(
    template: LetterType, *, has_passed: bool
) -> None:
    session = a_session()
    moment = {planned.template: planned.moment for planned in letters.schedule(session)}[template]
    mail = a_mail(template, details={"moment": at("2025-03-01T09:30+01:00").isoformat()})
    minute = timedelta(minutes=1 if has_passed else -1)
    found = letters.revalidate(
        mail, LetterContext(session, KnownEnrolment(1, EnrolmentState.ENROLLED)), moment + minute
    )
    is_sent = has_passed and template is LetterType.JOINING
    assert found == (None if is_sent else Superseded("the session has moved"))


@pytest.mark.parametrize(
    ("now", "zone", "until"),
    [
        ("2025-03-11T03:00+01:00", "Europe/Paris", "2025-03-11T08:00+01:00"),
        ("2025-03-11T20:00+01:00", "Europe/Paris", "2025-03-12T08:00+01:00"),
        ("2025-03-11T19:59+01:00", "Europe/Paris", None),
        ("2025-03-11T18:00+01:00", "Indian/Reunion", "2025-03-12T08:00+04:00"),  # 21:00 there
    ],
)
def test_a_replay_is_not_told_in_the_night_of_its_session(now: str, zone: str, until: str | None) -> None:
    seen = look(LetterType.REPLAY_AVAILABLE, now, timezone=zone)
    assert seen == (Postponed(at(until)) if until is not None else None)


def test_news_waits_for_the_morning_in_paris() -> None:
    item, news = some_news(), a_mail(LetterType.NEWS)
    seen = letters.revalidate(news, LetterContext(news=[item]), at("2025-03-11T03:00+01:00"))
    assert seen == Postponed(at("2025-03-11T08:00+01:00"))
    assert letters.revalidate(news, LetterContext(news=[item]), at("2025-03-11T16:00+01:00")) is None


_BY_THE_CLOCK = letters.SCHEDULED | {LetterType.EVALUATION}
URGENT = {template for template, kind in KINDS.items() if kind.priority is not Priority.NEWS} - _BY_THE_CLOCK


@pytest.mark.parametrize("template", sorted(URGENT))
def test_what_somebody_waits_for_or_must_know_leaves_in_the_night_too(template: LetterType) -> None:
    later = "2025-03-17T08:30:00+00:00"
    details = {"hold_until": later, "until": later, "audience": ["enrolled"], "trainer": str(UUID(int=7))}
    written_to = template is LetterType.ORGANISER_MESSAGE
    reader = KnownEnrolment(1, EnrolmentState.ENROLLED) if written_to else None
    closed = template in letters.NOTICES_OF_CLOSE  # which the close calls for
    night = at("2025-03-29T03:00+01:00" if closed else "2025-03-11T03:00+01:00")
    context = LetterContext(a_session(trainer_ids=[UUID(int=7)]), reader)
    assert letters.revalidate(a_mail(template, details=details), context, night) is None


CLOSES, STARTS, ENDS = "2025-03-29T00:00+01:00", "2025-04-03T09:30+02:00", "2025-04-03T17:00+02:00"


@pytest.mark.parametrize(
    ("template", "details", "until"),
    [
        (LetterType.PENDING, {"awaiting": "employer_approval"}, CLOSES),
        (LetterType.PENDING, {"awaiting": "selection"}, STARTS),
        (LetterType.WAITLISTED, {"position": 3}, STARTS),
        (LetterType.SESSION_CHANGED, {"venue_before": "Salle des fêtes"}, ENDS),
        (LetterType.MODULE_CANCELLED, {}, ENDS),
    ],
)
def test_what_can_happen_no_more_is_not_announced(
    template: LetterType, details: dict[str, Any], until: str
) -> None:
    def seen(now: datetime) -> Any:
        known = KnownEnrolment(1, KINDS[template].valid_while or EnrolmentState.ENROLLED)
        return letters.revalidate(a_mail(template, details=details), LetterContext(a_session(), known), now)

    assert seen(at(until) - SECOND) is None
    assert isinstance(seen(at(until)), Superseded)


def test_who_waits_for_the_mooc_waits_as_long_as_one_may_enrol() -> None:
    mooc, waits = the_mooc(), KnownEnrolment(1, EnrolmentState.WAITLISTED)
    mail = a_mail(LetterType.WAITLISTED, details={"position": 1})
    assert letters.revalidate(mail, LetterContext(mooc, waits), mooc.starts_at) is None
    assert isinstance(
        letters.revalidate(mail, LetterContext(mooc, waits), mooc.enrolment_closes_at), Superseded
    )


def test_who_waits_for_the_selection_by_now_is_not_told_to_wait_for_the_employer() -> None:
    """Rule 16: the second acknowledgement overtook the first."""
    mail = a_mail(LetterType.PENDING, details={"awaiting": "employer_approval"})
    now = at("2025-03-12T10:00+01:00")
    for version, superseded in ((mail.version, False), (mail.version + 1, True)):
        known = KnownEnrolment(version, EnrolmentState.PENDING)
        seen = letters.revalidate(mail, LetterContext(a_session(), known), now)
        assert isinstance(seen, Superseded) is superseded


@pytest.mark.parametrize("standing", list(EnrolmentState))
def test_nothing_changes_for_an_enrolment_only_while_there_is_one(standing: EnrolmentState) -> None:
    now = at("2025-03-12T10:00+01:00")
    seen = letters.revalidate(
        a_mail(LetterType.ALREADY_ENROLLED), LetterContext(a_session(), KnownEnrolment(2, standing)), now
    )
    has_ended = standing not in (
        EnrolmentState.ENROLLED,
        EnrolmentState.WAITLISTED,
        EnrolmentState.OFFERED,
        EnrolmentState.PENDING,
    )
    assert isinstance(seen, Superseded) is has_ended


def test_a_request_to_confirm_is_not_sent_once_its_link_has_expired() -> None:
    mail = a_mail(LetterType.CONFIRM_SUBSCRIPTION)
    end = mail.called_for_at + letters.CONFIRM_FOR
    assert letters.revalidate(mail, LetterContext(), end - SECOND) is None
    assert isinstance(letters.revalidate(mail, LetterContext(), end), Superseded)


# ------------------------------------------------------------------- what changed


def change(before: Any, after: Any, now: str = "2025-03-12T10:00+01:00") -> tuple[set[str], bool]:
    found = letters.change_of(before, after, at(now))
    return {detail for letter in found.letters for detail in letter.details}, found.reschedule


@pytest.mark.parametrize(
    ("changes", "details", "reschedule"),
    [
        ({}, set(), False),
        ({"title": "Un titre corrigé", "capacity": 90, "enrolment": "closed"}, set(), False),
        ({"venue": "Salle neuve"}, {"venue_before"}, False),
        ({"join_url": "https://visio.example/1"}, {"link_changed"}, False),
        (LATER, {"starts_before", "ends_before", "timezone_before"}, True),
        (
            {"ends_at": at("2025-04-03T18:00+02:00")},
            {"starts_before", "ends_before", "timezone_before"},
            True,
        ),
        ({"reminder_days_before": 3}, set(), True),
        ({"status": "cancelled"} | LATER, set(), True),  # there is nothing to come any more
    ],
)
def test_a_change_is_mailed_when_dates_place_or_link_changed(
    changes: dict[str, Any], details: set[str], *, reschedule: bool
) -> None:
    assert change(a_session(), a_session(version=2, **changes)) == (details, reschedule)


def test_a_module_that_moves_is_mailed_and_one_that_is_renamed_is_not() -> None:
    before = the_mooc()
    modules = [module.model_dump() for module in before.modules]
    renamed = [module | {"title": "Autrement"} for module in modules]
    moved = [module | {"ends_at": module["ends_at"] + timedelta(hours=1)} for module in modules]
    assert change(before, the_mooc(version=2, modules=renamed)) == (set(), False)
    assert change(before, the_mooc(version=2, modules=moved)) == ({"modules"}, False)


def test_a_new_link_is_told_to_who_has_a_seat_alone() -> None:
    link = {"join_url": "https://visio.example/1"}
    [letter] = letters.change_of(a_session(), a_session(version=2, **link), NOON).letters
    assert letter.template is LetterType.SESSION_CHANGED
    both = letters.change_of(a_session(), a_session(version=2, venue="Salle neuve", **link), NOON).letters
    assert {letter.template: set(letter.details) for letter in both} == {
        LetterType.SESSION_CHANGED: {"venue_before", "link_changed"},
        LetterType.SESSION_CHANGED_WAITING: {"venue_before"},
    }


@pytest.mark.parametrize("standing", list(EnrolmentState))
def test_a_change_is_told_to_who_waits_only_while_they_wait(standing: EnrolmentState) -> None:
    mail, known = a_mail(LetterType.SESSION_CHANGED_WAITING), KnownEnrolment(2, standing)
    waits = standing in (EnrolmentState.WAITLISTED, EnrolmentState.OFFERED, EnrolmentState.PENDING)
    assert (letters.revalidate(mail, LetterContext(a_session(), known), NOON) is None) is waits
    cancelled = LetterContext(a_session(status="cancelled"), known)
    assert isinstance(letters.revalidate(mail, cancelled, NOON), Superseded)


def test_an_old_state_changes_nothing_and_the_first_one_plans() -> None:
    assert change(a_session(version=3), a_session(version=2, venue="Salle vieille")) == (set(), False)
    assert change(None, a_session()) == (set(), True)


def test_a_session_that_is_over_tells_nothing() -> None:
    after = a_session(version=2, venue="Salle neuve")
    assert change(a_session(), after, now="2025-04-03T17:00+02:00") == (set(), False)


# ------------------------------------------------------------------------ what somebody thought of it

URL = "https://avis.example/ia"


def revalidated(now: str, *, asks: bool = False, **session: Any) -> object:
    context = LetterContext(a_session(**{"evaluation_url": URL} | session), evaluation_asked=asks)
    return letters.revalidate(a_mail(LetterType.EVALUATION), context, at(now))


@pytest.mark.parametrize(
    ("ends_at", "due_at"),
    [
        ("2025-04-03T17:00+02:00", "2025-04-04T16:59:59+02:00"),
        ("2025-04-12T00:00+02:00", "2025-04-12T19:00+02:00"),  # the MOOC's last day is the 11th
    ],
)
def test_it_is_asked_the_day_after_by_day(ends_at: str, due_at: str) -> None:
    assert revalidated("2025-04-03T18:00+02:00", ends_at=at(ends_at)) == Postponed(at(due_at))
    assert revalidated(due_at, ends_at=at(ends_at)) is None
    assert revalidated("2025-05-01T03:00+02:00", ends_at=at(ends_at)) == Postponed(
        at("2025-05-01T08:00+02:00")
    )


def test_it_is_not_asked_beside_the_certificate_nor_without_a_link_nor_of_what_was_cancelled() -> None:
    for useless in (
        revalidated("2025-04-10T12:00+02:00", asks=True),
        revalidated("2025-04-10T12:00+02:00", evaluation_url=None),
        revalidated("2025-04-10T12:00+02:00", status="cancelled"),
    ):
        assert isinstance(useless, Superseded)
