"""The lifecycle of a session, as a specification (DOMAIN, Lifecycles)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.rules import changes, lifecycle, validity
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule
from services.catalogue.rules.sessions import Announcement, Done, Session
from services.catalogue.service.commands import QuestionRequest
from shared.events.catalogue import (
    Audience,
    Question,
    ReservedSeats,
    SessionCancelled,
    SessionChanged,
    SessionClosed,
    SessionCompleted,
    SessionOpened,
    SessionScheduled,
)
from shared.events.vocabulary import ApprovalPolicy, EnrolmentWindow, Format, Function, Phase, WaitingList
from tests.unit.catalogue.builders import (
    AFTER,
    BEFORE,
    CLOSED,
    CLOSES,
    COMPLETED,
    ENDS,
    OPENED,
    OPENS,
    STARTS,
    WHILE_OPEN,
    WHILE_RUNNING,
    a_draft,
    a_module,
    a_plan,
    a_published_session,
)

A_MOMENT, SOON, LATER = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=7)
Decision = Done | RefusedByRule | None


def done(outcome: Decision) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def refusals(outcome: Decision) -> list[tuple[RefusalCode | None, str | None]]:
    assert isinstance(outcome, RefusedByRule), outcome
    return [(violation.code, violation.field) for violation in outcome.violations]


def kinds(outcome: Decision) -> list[type]:
    return [type(event) for event in done(outcome).events]


PUBLISHED, WHILE_IT_IS_OPEN = a_published_session(), a_published_session(at=WHILE_OPEN)
CANCELLED = done(changes.cancel(WHILE_IT_IS_OPEN, WHILE_OPEN)).session
ELSEWHERE = a_plan(venue="Ailleurs")
ONCE_CLOSED = a_published_session(at=STARTS - SOON)

# --------------------------------------------------------------------------- phase and enrolment


@pytest.mark.parametrize(
    ("moment", "phase", "enrolment"),
    [
        (OPENS - A_MOMENT, Phase.UPCOMING, EnrolmentWindow.NOT_YET_OPEN),
        (OPENS, Phase.UPCOMING, EnrolmentWindow.OPEN),
        (CLOSES - A_MOMENT, Phase.UPCOMING, EnrolmentWindow.OPEN),
        (CLOSES, Phase.UPCOMING, EnrolmentWindow.CLOSED),
        (STARTS - A_MOMENT, Phase.UPCOMING, EnrolmentWindow.CLOSED),
        (STARTS, Phase.RUNNING, EnrolmentWindow.CLOSED),
        (ENDS - A_MOMENT, Phase.RUNNING, EnrolmentWindow.CLOSED),
        (ENDS, Phase.OVER, EnrolmentWindow.CLOSED),
    ],
)
def test_the_first_instant_counts_and_the_last_does_not(
    moment: datetime, phase: Phase, enrolment: EnrolmentWindow
) -> None:
    assert (lifecycle.phase_at(a_plan(), moment), lifecycle.enrolment_at(a_plan(), moment)) == (
        phase,
        enrolment,
    )


@pytest.mark.parametrize(("zone", "hour"), [("Europe/Paris", 8), ("America/Cayenne", 7)])
def test_five_days_before_is_the_same_hour_on_the_other_side_of_a_clock_change(zone: str, hour: int) -> None:
    half_past_nine_in_summer = datetime(2025, 4, 2, 7, 30, tzinfo=UTC)
    expected = datetime(2025, 3, 28, hour, 30, tzinfo=UTC)
    assert lifecycle.days_before(half_past_nine_in_summer, 5, zone) == expected


# ------------------------------------------------------------------------------ what the clock announces


@pytest.mark.parametrize("session", [a_draft(), CANCELLED], ids=["draft", "cancelled"])
def test_nothing_is_announced_of_a_draft_or_of_a_cancelled_session(session: Session) -> None:
    assert lifecycle.due_announcements(session, AFTER) == ()
    assert lifecycle.next_announcement_at(session) is None


def test_each_announcement_is_due_from_its_instant_on_and_made_once() -> None:
    session = PUBLISHED
    for instant, announcement in ((OPENS, OPENED), (CLOSES, CLOSED), (ENDS, COMPLETED)):
        assert lifecycle.next_announcement_at(session) == instant
        assert lifecycle.due_announcements(session, instant - A_MOMENT) == ()
        assert lifecycle.due_announcements(session, instant) == (announcement,)
        session = lifecycle.announce(session, instant).session
        assert lifecycle.announce(session, instant) == Done(session)
    assert lifecycle.next_announcement_at(session) is None


def test_announcements_that_are_late_come_in_order_each_with_a_version() -> None:
    at_once = lifecycle.announce(a_published_session(enrolment_closes_at=ENDS), AFTER)
    assert kinds(at_once) == [SessionOpened, SessionClosed, SessionCompleted]
    assert [event.version - PUBLISHED.version for event in at_once.events] == [1, 2, 3]


@given(st.lists(st.integers(min_value=0, max_value=60 * 24), max_size=20))
def test_however_often_the_clock_looks_one_of_each_is_announced(days: list[int]) -> None:
    session, seen = PUBLISHED, list[type]()
    for hours in [*sorted(days), 60 * 24]:
        outcome = lifecycle.announce(session, BEFORE + timedelta(hours=hours))
        session, seen = outcome.session, [*seen, *kinds(outcome)]
    assert seen == [SessionOpened, SessionClosed, SessionCompleted]


def test_a_clock_that_is_behind_announces_nothing_again() -> None:
    changed = done(changes.change(replace(PUBLISHED, announced=OPENED), ELSEWHERE, OPENS - SOON))
    assert (kinds(changed), changed.session.announced) == ([SessionChanged], OPENED)
    assert lifecycle.due_announcements(changed.session, OPENS) == ()


# ------------------------------------------------------------------- publish, change, cancel, delete


@pytest.mark.parametrize(
    ("outcome", "events"),
    [
        (changes.publish(a_draft(), BEFORE), [SessionScheduled]),
        (changes.publish(a_draft(), WHILE_OPEN), [SessionScheduled, SessionOpened]),
        (changes.publish(a_draft(venue=None, join_url="https://v.example/1"), BEFORE), [SessionScheduled]),
        (changes.change(a_draft(), ELSEWHERE, BEFORE), []),
        (changes.change(PUBLISHED, a_plan(), BEFORE), []),
        (changes.change(PUBLISHED, ELSEWHERE, BEFORE), [SessionChanged]),
        (changes.change(PUBLISHED, ELSEWHERE, WHILE_OPEN), [SessionOpened, SessionChanged]),
        (changes.change(WHILE_IT_IS_OPEN, a_plan(capacity=0), WHILE_OPEN), [SessionChanged]),
        (changes.change(WHILE_IT_IS_OPEN, a_plan(quota_per_authority=1), WHILE_OPEN), [SessionChanged]),
        (
            changes.change(WHILE_IT_IS_OPEN, a_plan(enrolment_closes_at=WHILE_OPEN), WHILE_OPEN),
            [SessionChanged, SessionClosed],
        ),
        (
            changes.change(ONCE_CLOSED, a_plan(enrolment_closes_at=STARTS), STARTS - SOON),
            [SessionChanged],
        ),
        (
            changes.change(PUBLISHED, a_plan(approval=ApprovalPolicy.EMPLOYER), OPENS - A_MOMENT),
            [SessionChanged],
        ),
        (changes.cancel(WHILE_IT_IS_OPEN, WHILE_OPEN), [SessionCancelled]),
        (changes.cancel(PUBLISHED, WHILE_OPEN), [SessionOpened, SessionCancelled]),
        (changes.cancel(PUBLISHED, WHILE_RUNNING), [SessionOpened, SessionClosed, SessionCancelled]),
        (
            changes.amend(PUBLISHED, a_plan(enrolment_opens_at=BEFORE - LATER), BEFORE),
            [SessionChanged, SessionOpened],
        ),
    ],
)
def test_a_decision_is_announced_after_what_was_due(outcome: Decision, events: list[type]) -> None:
    assert kinds(outcome) == events


@pytest.mark.parametrize(
    ("outcome", "code", "field"),
    [
        (changes.publish(PUBLISHED, BEFORE), RefusalCode.ALREADY_PUBLISHED, None),
        (changes.publish(CANCELLED, WHILE_OPEN), RefusalCode.ALREADY_CANCELLED, None),
        (changes.publish(a_draft(), ENDS), RefusalCode.SESSION_OVER, "ends_at"),
        (changes.publish(a_draft(venue=None), BEFORE), RefusalCode.NO_PLACE, "venue"),
        (changes.change(PUBLISHED, a_plan(venue=None), BEFORE), RefusalCode.NO_PLACE, "venue"),
        (changes.change(PUBLISHED, ELSEWHERE, ENDS), RefusalCode.SESSION_OVER, None),
        (changes.change(CANCELLED, ELSEWHERE, WHILE_OPEN), RefusalCode.ALREADY_CANCELLED, None),
        (
            changes.change(PUBLISHED, a_plan(approval=ApprovalPolicy.EMPLOYER), OPENS),
            *(RefusalCode.FIXED_ONCE_OPEN, "approval"),
        ),
        (
            changes.change(PUBLISHED, a_plan(enrolment_closes_at=WHILE_OPEN - SOON), WHILE_OPEN),
            *(RefusalCode.IN_THE_PAST, "enrolment_closes_at"),
        ),
        (
            changes.change(ONCE_CLOSED, a_plan(enrolment_closes_at=WHILE_OPEN), STARTS - SOON),
            *(RefusalCode.IN_THE_PAST, "enrolment_closes_at"),
        ),
        (changes.cancel(a_draft(), BEFORE), RefusalCode.NOT_PUBLISHED, None),
        (changes.cancel(CANCELLED, WHILE_OPEN), RefusalCode.ALREADY_CANCELLED, None),
        (changes.cancel(PUBLISHED, ENDS), RefusalCode.SESSION_OVER, None),
        (changes.undeletable(PUBLISHED), RefusalCode.ANNOUNCED, None),
        (changes.undeletable(CANCELLED), RefusalCode.ANNOUNCED, None),
        (changes.without_recording(PUBLISHED, STARTS - SOON), RefusalCode.NOT_STARTED, None),
        (changes.without_recording(a_draft(), AFTER), RefusalCode.NOT_PUBLISHED, None),
        (changes.without_recording(CANCELLED, AFTER), RefusalCode.ALREADY_CANCELLED, None),
    ],
)
def test_a_decision_is_refused(outcome: Decision, code: RefusalCode, field: str | None) -> None:
    assert refusals(outcome) == [(code, field)]


def test_a_draft_may_be_deleted_and_a_session_that_has_begun_has_a_replay() -> None:
    assert changes.undeletable(a_draft()) is None
    assert changes.without_recording(PUBLISHED, STARTS) is None


def test_an_event_has_a_new_version_and_the_whole_state() -> None:
    scheduled, opened = done(changes.publish(a_draft(), WHILE_OPEN)).events
    assert (scheduled.version, opened.version) == (2, 3)
    assert (scheduled.phase, scheduled.enrolment) == (Phase.UPCOMING, EnrolmentWindow.OPEN)
    (changed,) = done(changes.change(PUBLISHED, ELSEWHERE, BEFORE)).events
    assert isinstance(changed, SessionChanged)
    assert (changed.version, changed.venue) == (PUBLISHED.version + 1, "Ailleurs")
    (cancelled,) = done(changes.cancel(WHILE_IT_IS_OPEN, WHILE_OPEN, "Salle fermée.")).events
    assert isinstance(cancelled, SessionCancelled)
    assert (cancelled.status, cancelled.cancellation_reason) == ("cancelled", "Salle fermée.")


def reserved(delegation: str = "corse", seats: int = 1, release_at: datetime = CLOSES) -> ReservedSeats:
    return ReservedSeats(delegation=delegation, seats=seats, release_at=release_at)


@pytest.mark.parametrize(
    ("plan", "code", "field"),
    [
        ({"ends_at": STARTS}, RefusalCode.DATES_OUT_OF_ORDER, "ends_at"),
        ({"enrolment_opens_at": CLOSES}, RefusalCode.DATES_OUT_OF_ORDER, "enrolment_closes_at"),
        ({"enrolment_closes_at": ENDS + A_MOMENT}, RefusalCode.DATES_OUT_OF_ORDER, "enrolment_closes_at"),
        (
            {"modules": (a_module("Séance", ENDS, STARTS),)},
            *(RefusalCode.DATES_OUT_OF_ORDER, "modules.0.ends_at"),
        ),
        (
            {"modules": (a_module("Séance", STARTS, ENDS + A_MOMENT),)},
            *(RefusalCode.MODULE_OUTSIDE_SESSION, "modules.0.ends_at"),
        ),
        (
            {"modules": (a_module("Séance", STARTS - A_MOMENT, ENDS),)},
            *(RefusalCode.MODULE_OUTSIDE_SESSION, "modules.0.starts_at"),
        ),
        (
            {"audience": Audience(delegations=("corse", "atlantide"))},
            *(RefusalCode.UNKNOWN_DELEGATION, "audience.delegations.1"),
        ),
        ({"starts_at": datetime(1999, 12, 31, 22, tzinfo=UTC)}, RefusalCode.NOT_THIS_CENTURY, "starts_at"),
        ({"reserved_seats": (reserved(seats=101),)}, RefusalCode.TOO_MANY_RESERVED_SEATS, "reserved_seats"),
        (
            {"capacity": None, "reserved_seats": (reserved(),)},
            *(RefusalCode.TOO_MANY_RESERVED_SEATS, "reserved_seats"),
        ),
        (
            {"reserved_seats": (reserved(), reserved())},
            *(RefusalCode.DELEGATION_RESERVED_TWICE, "reserved_seats.1.delegation"),
        ),
        ({"minimum": 101}, RefusalCode.MINIMUM_ABOVE_CAPACITY, "minimum"),
    ],
)
def test_an_impossible_plan_is_neither_published_nor_changed_into(
    plan: dict[str, Any], code: RefusalCode, field: str
) -> None:
    assert (code, field) in refusals(changes.publish(a_draft(**plan), BEFORE))
    assert (code, field) in refusals(changes.change(PUBLISHED, a_plan(**plan), BEFORE))


def test_every_obstacle_is_named_at_once() -> None:
    assert len(refusals(changes.publish(a_draft(ends_at=STARTS, venue=None), BEFORE))) == 2


def test_differences_are_named_by_their_fields() -> None:
    after = a_plan(capacity=1, waiting_list=WaitingList.OFFER)
    assert changes.differences(a_plan(), after) == ("capacity", "waiting_list")


# ------------------------------------------------------------------------------------- what has passed


@pytest.mark.parametrize(("passed_at", "field"), [(OPENS, "enrolment_opens_at"), (STARTS, "starts_at")])
def test_a_date_that_has_passed_cannot_move_not_even_to_the_future(passed_at: datetime, field: str) -> None:
    plan = a_plan(**{field: passed_at + SOON})
    session = a_published_session(at=passed_at)
    assert refusals(changes.change(session, plan, passed_at)) == [(RefusalCode.IN_THE_PAST, field)]
    assert kinds(changes.change(session, plan, passed_at - A_MOMENT)) == [SessionChanged]


def test_dates_to_come_may_move_while_enrolment_is_open() -> None:
    plan = a_plan(enrolment_closes_at=CLOSES + LATER, starts_at=STARTS + LATER, ends_at=ENDS + LATER)
    outcome = done(changes.change(WHILE_IT_IS_OPEN, plan, WHILE_OPEN))
    assert kinds(outcome) == [SessionChanged]
    assert lifecycle.next_announcement_at(outcome.session) == CLOSES + LATER


def test_a_load_that_moves_a_passed_instant_to_the_future_makes_it_due_again() -> None:
    plan = a_plan(enrolment_closes_at=AFTER + LATER, starts_at=AFTER + LATER, ends_at=AFTER + 2 * LATER)
    outcome = changes.amend(a_published_session(at=AFTER), plan, AFTER)
    assert (kinds(outcome), outcome.session.announced) == ([SessionChanged], OPENED)
    again = lifecycle.announce(outcome.session, AFTER + 2 * LATER)
    assert kinds(again) == [SessionClosed, SessionCompleted]


NOON = STARTS + timedelta(hours=3)
MORNING, AFTERNOON = a_module("Matin", STARTS, NOON), a_module("Après-midi", NOON, ENDS)
OF_TWO = a_published_session(modules=(MORNING, AFTERNOON))


def test_a_module_that_has_begun_cannot_change_and_one_to_come_can() -> None:
    late = a_module("Accueil", STARTS, STARTS + SOON)
    for modules, field in (
        ((AFTERNOON,), "modules"),
        ((MORNING, AFTERNOON, late), "modules.2.starts_at"),
    ):
        outcome = changes.change(OF_TWO, a_plan(modules=modules), STARTS + SOON)
        assert refusals(outcome) == [(RefusalCode.IN_THE_PAST, field)]
    shorter = a_plan(modules=(MORNING, a_module("Après-midi", NOON, ENDS - SOON)))
    assert SessionChanged in kinds(changes.change(OF_TWO, shorter, STARTS + SOON))


def test_what_is_unchangeable_is_what_a_change_would_be_refused_for() -> None:
    assert changes.unchangeable(a_draft(), STARTS) == frozenset()
    assert changes.unchangeable(OF_TWO, OPENS - A_MOMENT) == frozenset()
    assert changes.unchangeable(OF_TWO, OPENS) == {"enrolment_opens_at", "approval"}
    running = changes.unchangeable(OF_TWO, STARTS)
    assert running == {"enrolment_opens_at", "starts_at", "modules.0", "approval"}
    for field in running - {"modules.0", "approval"}:
        moved = a_plan(modules=OF_TWO.plan.modules, **{field: ENDS - A_MOMENT})
        assert (RefusalCode.IN_THE_PAST, field) in refusals(changes.change(OF_TWO, moved, STARTS))


def test_enrolment_that_an_organiser_reopens_is_announced_as_closed_again() -> None:
    reopened = done(changes.change(ONCE_CLOSED, a_plan(enrolment_closes_at=STARTS), STARTS - SOON))
    [event] = reopened.events
    assert event.enrolment is EnrolmentWindow.OPEN
    assert [type(event) for event in lifecycle.announce(reopened.session, STARTS).events] == [SessionClosed]


RELEASED = reserved(seats=10, release_at=OPENS + SOON)
WITH_RELEASED = a_published_session(capacity=20, reserved_seats=(RELEASED,))


@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        ({"reserved_seats": ()}, None, "reserved_seats"),
        ({"reserved_seats": (reserved(seats=20),)}, None, "reserved_seats"),
        (
            {"reserved_seats": (RELEASED, reserved("bretagne", release_at=OPENS + SOON))},
            *(None, "reserved_seats.1.release_at"),
        ),
        ({"capacity": 5}, RefusalCode.TOO_MANY_RESERVED_SEATS, None),
        ({"capacity": None}, RefusalCode.TOO_MANY_RESERVED_SEATS, None),
    ],
)
def test_seats_that_were_released_neither_change_nor_bind(
    plan: dict[str, Any], before: RefusalCode | None, after: str | None
) -> None:
    early, late = [
        changes.change(WITH_RELEASED, replace(WITH_RELEASED.plan, **plan), moment)
        for moment in (OPENS, OPENS + 2 * SOON)
    ]
    if after is None:
        assert refusals(early) == [(before, "reserved_seats")]
        assert kinds(late)[-1] is SessionChanged
    else:
        assert kinds(early)[-1] is SessionChanged
        assert (RefusalCode.IN_THE_PAST, after) in refusals(late)


@given(
    st.sampled_from([a_draft(), PUBLISHED, a_published_session(at=AFTER)]),
    st.lists(st.integers(min_value=-100, max_value=100), min_size=5, max_size=5),
)
def test_the_rules_answer_whatever_the_dates(session: Session, days: list[int]) -> None:
    """Total: every request has an outcome, and what comes out is never inconsistent."""
    opens, closes, starts, ends, today = (BEFORE + timedelta(days=number) for number in days)
    plan = a_plan(enrolment_opens_at=opens, enrolment_closes_at=closes, starts_at=starts, ends_at=ends)
    outcome = changes.change(session, plan, today)
    if isinstance(outcome, Done):
        assert validity.inconsistencies(outcome.session.plan) == ()
        assert outcome.session.announced in Announcement
        assert not lifecycle.due_announcements(outcome.session, today)
    else:
        assert outcome.violations


# ------------------------------------------------------------------------------------------- copies


@given(
    zone=st.sampled_from(["Europe/Paris", "Indian/Reunion", "America/Martinique"]),
    days=st.integers(min_value=-400, max_value=800),
)
def test_a_copy_keeps_every_distance_on_the_clocks_of_its_zone(zone: str, days: int) -> None:
    kept = reserved(seats=5, release_at=OPENS + timedelta(days=9))
    plan = a_plan(timezone=zone, modules=(a_module("Matin", STARTS, ENDS),), reserved_seats=(kept,))
    clocks = ZoneInfo(zone)
    starts = lifecycle.instant(STARTS.astimezone(clocks).replace(tzinfo=None) + timedelta(days=days), zone)
    copy = lifecycle.shifted(plan, starts)
    moments = [
        (
            *(of.enrolment_opens_at, of.enrolment_closes_at, of.starts_at, of.ends_at),
            *(of.modules[0].starts_at, of.reserved_seats[0].release_at),
        )
        for of in (plan, copy)
    ]
    for was, becomes in zip(*moments, strict=True):
        walls = [moment.astimezone(clocks).replace(tzinfo=None) for moment in (was, becomes)]
        assert walls[1] - walls[0] == timedelta(days=days)
    assert replace(copy, **{field: getattr(plan, field) for field in changes.differences(plan, copy)}) == plan


def test_enrolment_opens_and_closes_at_its_time_of_day_where_a_copy_begins_at_another() -> None:
    paris = ZoneInfo("Europe/Paris")
    at = datetime(2027, 3, 8, 9, tzinfo=paris)  # a Monday; the clocks change on the 28th
    plan = a_plan(
        timezone="Europe/Paris",
        enrolment_opens_at=at - timedelta(days=30),
        enrolment_closes_at=at - timedelta(minutes=30),
        starts_at=at,
        ends_at=at + timedelta(hours=7),
        reserved_seats=(reserved(release_at=at - LATER),),
    )
    copy = lifecycle.shifted(plan, datetime(2027, 3, 29, 8, 30, tzinfo=paris))
    moments = (
        copy.enrolment_opens_at,
        copy.reserved_seats[0].release_at,
        copy.enrolment_closes_at,
        copy.ends_at,
    )
    walls = [f"{moment.astimezone(paris):%d/%m %H:%M}" for moment in moments]
    assert walls == ["27/02 09:00", "22/03 09:00", "29/03 08:00", "29/03 15:30"]


# ------------------------------------------------------------------------------------------- bespoke

ALONE = Audience(sirets=("21350238800019",))


@pytest.mark.parametrize(
    "audience",
    [
        Audience(),
        Audience(sirets=("21350238800019", "21440109300015")),
        Audience(sirets=ALONE.sirets, delegations=("bretagne",)),
        Audience(sirets=ALONE.sirets, functions=(Function.DIRIGEANT,)),
    ],
)
def test_a_bespoke_session_is_for_one_authority_alone_from_its_publication_on(audience: Audience) -> None:
    draft = a_draft(audience=audience)
    assert kinds(changes.publish(draft, BEFORE)) == [SessionScheduled], "other formats are for any audience"
    refused = [(RefusalCode.NOT_PRIVATE, "audience")]
    assert refusals(changes.publish(replace(draft, format=Format.BESPOKE), BEFORE)) == refused
    private = replace(a_published_session(audience=ALONE), format=Format.BESPOKE)
    assert refusals(changes.change(private, replace(private.plan, audience=audience), BEFORE)) == refused
    assert kinds(changes.change(private, replace(private.plan, capacity=14), BEFORE)) == [SessionChanged]


# ------------------------------------------------------------------------------------ questions


def a_question(kind: str, question_id: str = "repas", **given: Any) -> Question:
    return Question.model_validate(
        {"question_id": question_id, "kind": kind, "label": "Que mangez-vous ?"} | given
    )


@pytest.mark.parametrize(
    ("questions", "refused"),
    [
        ([a_question("text"), a_question("number", "age"), a_question("yes_no", "oui")], {}),
        ([a_question("choice", choices=("a", "b")), a_question("adjustment", "amenagement")], {}),
        (
            [a_question("text"), a_question("number")],
            {"questions.1.question_id": RefusalCode.QUESTION_ASKED_TWICE},
        ),
        ([a_question("choice")], {"questions.0.choices": RefusalCode.CHOICES_DO_NOT_FIT}),
        ([a_question("choice", choices=("a",))], {"questions.0.choices": RefusalCode.CHOICES_DO_NOT_FIT}),
        ([a_question("choice", choices=("a", "a"))], {"questions.0.choices": RefusalCode.CHOICES_DO_NOT_FIT}),
        ([a_question("text", choices=("a", "b"))], {"questions.0.choices": RefusalCode.CHOICES_DO_NOT_FIT}),
        (
            [a_question("adjustment", required=True, kept_days=31)],
            {
                "questions.0.required": RefusalCode.ADJUSTMENT_IS_VOLUNTARY,
                "questions.0.kept_days": RefusalCode.KEPT_TOO_LONG,
            },
        ),
    ],
)
def test_the_questions_of_a_session(questions: list[Question], refused: dict[str, RefusalCode]) -> None:
    found = validity.inconsistencies(a_plan(questions=tuple(questions)))
    assert {violation.field: violation.code for violation in found} == refused


def test_the_words_of_the_built_in_question_are_ours() -> None:
    asked = QuestionRequest.model_validate({"kind": "adjustment", "label": "Avez-vous la RQTH ?"})
    assert (asked.question_id, asked.label) == (
        "amenagement",
        "De quel aménagement avez-vous besoin pour participer ?",
    )
