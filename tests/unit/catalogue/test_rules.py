"""The lifecycle of a session, as a specification (DOMAIN, Lifecycles)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.offer_files import reading
from services.catalogue.rules import changes, lifecycle, validity
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule
from services.catalogue.rules.sessions import Announcement, Done, Plan, Session
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
from shared.events.vocabulary import (
    ApprovalPolicy,
    EnrolmentWindow,
    Format,
    Function,
    Phase,
    Status,
    WaitingList,
)
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

A_MOMENT = timedelta(microseconds=1)
SOON = timedelta(hours=1)


def done(outcome: Done | RefusedByRule) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def refusals(outcome: Done | RefusedByRule) -> list[tuple[RefusalCode | None, str | None]]:
    assert isinstance(outcome, RefusedByRule), outcome
    return [(violation.code, violation.field) for violation in outcome.violations]


def kinds(outcome: Done | RefusedByRule) -> list[type]:
    return [type(event) for event in done(outcome).events]


# --------------------------------------------------------------------------- phase and enrolment


@pytest.fixture(scope="module")
def mooc() -> Plan:
    (mooc,) = (
        planned.session.plan
        for planned in reading.read(reading.OFFER).sessions
        if planned.session.format == "mooc"
    )
    return mooc


@pytest.mark.parametrize(
    ("day", "phase", "enrolment"),
    [
        (datetime(2025, 2, 25, 12, tzinfo=UTC), Phase.UPCOMING, EnrolmentWindow.NOT_YET_OPEN),
        (datetime(2025, 3, 20, 12, tzinfo=UTC), Phase.RUNNING, EnrolmentWindow.OPEN),
        (datetime(2025, 3, 30, 12, tzinfo=UTC), Phase.RUNNING, EnrolmentWindow.CLOSED),
        (datetime(2025, 4, 12, 12, tzinfo=UTC), Phase.OVER, EnrolmentWindow.CLOSED),
    ],
)
def test_the_mooc_runs_while_it_is_open_then_closed_then_over(
    mooc: Plan, day: datetime, phase: Phase, enrolment: EnrolmentWindow
) -> None:
    assert (lifecycle.phase_at(mooc, day), lifecycle.enrolment_at(mooc, day)) == (phase, enrolment)


def test_the_moocs_bounds_are_midnights_in_paris_on_both_sides_of_the_clock_change(mooc: Plan) -> None:
    assert mooc.starts_at == datetime(2025, 3, 16, 23, tzinfo=UTC)
    assert mooc.enrolment_closes_at == datetime(2025, 3, 28, 23, tzinfo=UTC)
    assert mooc.ends_at == datetime(2025, 4, 11, 22, tzinfo=UTC)
    assert lifecycle.enrolment_at(mooc, mooc.enrolment_closes_at - A_MOMENT) is EnrolmentWindow.OPEN
    assert lifecycle.phase_at(mooc, mooc.ends_at - A_MOMENT) is Phase.RUNNING


def test_the_first_instant_counts_and_the_last_does_not() -> None:
    plan = a_plan()
    assert lifecycle.enrolment_at(plan, OPENS - A_MOMENT) is EnrolmentWindow.NOT_YET_OPEN
    assert lifecycle.enrolment_at(plan, OPENS) is EnrolmentWindow.OPEN
    assert lifecycle.enrolment_at(plan, CLOSES - A_MOMENT) is EnrolmentWindow.OPEN
    assert lifecycle.enrolment_at(plan, CLOSES) is EnrolmentWindow.CLOSED
    assert lifecycle.phase_at(plan, STARTS - A_MOMENT) is Phase.UPCOMING
    assert lifecycle.phase_at(plan, STARTS) is Phase.RUNNING
    assert lifecycle.phase_at(plan, ENDS - A_MOMENT) is Phase.RUNNING
    assert lifecycle.phase_at(plan, ENDS) is Phase.OVER


def test_five_days_before_is_the_same_hour_on_the_other_side_of_a_clock_change() -> None:
    half_past_nine_in_summer = datetime(2025, 4, 2, 7, 30, tzinfo=UTC)
    assert lifecycle.days_before(half_past_nine_in_summer, 5, "Europe/Paris") == datetime(
        2025, 3, 28, 8, 30, tzinfo=UTC
    )
    assert lifecycle.days_before(half_past_nine_in_summer, 5, "America/Cayenne") == datetime(
        2025, 3, 28, 7, 30, tzinfo=UTC
    )


# ------------------------------------------------------------------------------ what is due


def test_nothing_is_announced_of_a_draft_or_of_a_cancelled_session() -> None:
    for session in (a_draft(), done(changes.cancel(a_published_session(), WHILE_OPEN)).session):
        assert lifecycle.due_announcements(session, AFTER) == ()
        assert lifecycle.next_announcement_at(session) is None


def test_each_announcement_is_due_from_its_instant_on() -> None:
    session = a_published_session()
    for instant, announcement in ((OPENS, OPENED), (CLOSES, CLOSED), (ENDS, COMPLETED)):
        assert lifecycle.next_announcement_at(session) == instant
        assert lifecycle.due_announcements(session, instant - A_MOMENT) == ()
        assert lifecycle.due_announcements(session, instant) == (announcement,)
        session = lifecycle.announce(session, instant).session
    assert lifecycle.next_announcement_at(session) is None


def test_each_announcement_is_made_once() -> None:
    once = lifecycle.announce(a_published_session(), WHILE_OPEN)
    again = lifecycle.announce(once.session, WHILE_OPEN)
    assert kinds(once) == [SessionOpened]
    assert again == Done(once.session)


def test_what_came_due_while_nobody_looked_is_announced_in_order() -> None:
    caught_up = lifecycle.announce(a_published_session(), AFTER)
    assert kinds(caught_up) == [SessionOpened, SessionClosed, SessionCompleted]


def test_a_session_that_closes_when_it_ends_is_closed_before_it_is_completed() -> None:
    session = a_published_session(enrolment_closes_at=ENDS)
    assert lifecycle.due_announcements(session, ENDS) == (OPENED, CLOSED, COMPLETED)


def test_each_event_has_a_version_of_its_own() -> None:
    published = a_published_session()
    versions = [event.version for event in lifecycle.announce(published, AFTER).events]
    assert versions == [published.version + 1, published.version + 2, published.version + 3]


def test_an_event_says_what_the_clock_said_when_it_was_published() -> None:
    (opened,) = lifecycle.announce(a_published_session(), WHILE_OPEN).events
    assert (opened.status, opened.phase, opened.enrolment) == (
        Status.PUBLISHED,
        Phase.UPCOMING,
        EnrolmentWindow.OPEN,
    )


@given(st.lists(st.integers(min_value=0, max_value=60 * 24), max_size=20))
def test_however_often_the_clock_looks_one_of_each_is_announced(days: list[int]) -> None:
    session, seen = a_published_session(), list[type]()
    for hours in [*sorted(days), 60 * 24]:
        outcome = lifecycle.announce(session, BEFORE + timedelta(hours=hours))
        session, seen = outcome.session, [*seen, *kinds(outcome)]
    assert seen == [SessionOpened, SessionClosed, SessionCompleted]


# ------------------------------------------------------------------------------------------- publish


def test_a_published_session_is_scheduled_and_no_event_says_a_draft() -> None:
    draft = a_draft()
    outcome = done(changes.publish(draft, BEFORE))
    (scheduled,) = outcome.events
    assert isinstance(scheduled, SessionScheduled)
    assert scheduled.version == draft.version + 1
    assert done(changes.change(draft, a_plan(title="Autre titre"), BEFORE)).events == ()


def test_a_session_published_when_enrolment_is_open_is_scheduled_as_open_then_opened() -> None:
    outcome = done(changes.publish(a_draft(), WHILE_OPEN))
    assert kinds(outcome) == [SessionScheduled, SessionOpened]
    assert outcome.events[0].enrolment is EnrolmentWindow.OPEN
    assert outcome.session.announced is OPENED


def test_a_session_is_published_once() -> None:
    assert refusals(changes.publish(a_published_session(), BEFORE)) == [(RefusalCode.ALREADY_PUBLISHED, None)]


def test_a_session_that_is_over_is_not_published() -> None:
    assert refusals(changes.publish(a_draft(), ENDS)) == [(RefusalCode.SESSION_OVER, "ends_at")]


def test_a_published_session_has_a_place_or_a_link() -> None:
    assert refusals(changes.publish(a_draft(venue=None), BEFORE)) == [(RefusalCode.NO_PLACE, "venue")]
    assert kinds(changes.publish(a_draft(venue=None, join_url="https://visio.example.org/1"), BEFORE))


@pytest.mark.parametrize(
    ("given_", "refusal", "field"),
    [
        ({"ends_at": STARTS}, RefusalCode.DATES_OUT_OF_ORDER, "ends_at"),
        ({"enrolment_opens_at": CLOSES}, RefusalCode.DATES_OUT_OF_ORDER, "enrolment_closes_at"),
        ({"enrolment_closes_at": ENDS + A_MOMENT}, RefusalCode.DATES_OUT_OF_ORDER, "enrolment_closes_at"),
        (
            {"modules": (a_module("Séance", ENDS, STARTS),)},
            RefusalCode.DATES_OUT_OF_ORDER,
            "modules.0.ends_at",
        ),
        (
            {"modules": (a_module("Séance", STARTS, ENDS + A_MOMENT),)},
            RefusalCode.MODULE_OUTSIDE_SESSION,
            "modules.0.ends_at",
        ),
        (
            {"modules": (a_module("Séance", STARTS - A_MOMENT, ENDS),)},
            RefusalCode.MODULE_OUTSIDE_SESSION,
            "modules.0.starts_at",
        ),
        (
            {"audience": Audience(delegations=("corse", "atlantide"))},
            RefusalCode.UNKNOWN_DELEGATION,
            "audience.delegations.1",
        ),
        ({"starts_at": datetime(1999, 12, 31, 22, tzinfo=UTC)}, RefusalCode.NOT_THIS_CENTURY, "starts_at"),
        (
            {"reserved_seats": (ReservedSeats(delegation="corse", seats=101, release_at=CLOSES),)},
            RefusalCode.TOO_MANY_RESERVED_SEATS,
            "reserved_seats",
        ),
        (
            {
                "capacity": None,
                "reserved_seats": (ReservedSeats(delegation="corse", seats=1, release_at=CLOSES),),
            },
            RefusalCode.TOO_MANY_RESERVED_SEATS,
            "reserved_seats",
        ),
        (
            {"reserved_seats": (ReservedSeats(delegation="corse", seats=1, release_at=CLOSES),) * 2},
            RefusalCode.DELEGATION_RESERVED_TWICE,
            "reserved_seats.1.delegation",
        ),
        ({"minimum": 101}, RefusalCode.MINIMUM_ABOVE_CAPACITY, "minimum"),
    ],
)
def test_an_impossible_plan_is_neither_published_nor_changed_into(
    given_: dict[str, object], refusal: RefusalCode, field: str | None
) -> None:
    assert (refusal, field) in refusals(changes.publish(a_draft(**given_), BEFORE))
    assert (refusal, field) in refusals(changes.change(a_published_session(), a_plan(**given_), BEFORE))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert len(refusals(changes.publish(a_draft(ends_at=STARTS, venue=None), BEFORE))) == 2


# -------------------------------------------------------------------------------------------- change


def test_a_change_is_a_new_version_and_tells_the_whole_state() -> None:
    session = a_published_session()
    outcome = done(changes.change(session, a_plan(venue="Ailleurs"), BEFORE))
    (changed,) = outcome.events
    assert isinstance(changed, SessionChanged)
    assert (changed.version, changed.venue) == (session.version + 1, "Ailleurs")


def test_the_same_plan_again_is_no_change() -> None:
    session = a_published_session()
    assert changes.change(session, a_plan(), BEFORE) == Done(session)


def test_dates_to_come_may_move_while_enrolment_is_open() -> None:
    later = timedelta(days=7)
    plan = a_plan(enrolment_closes_at=CLOSES + later, starts_at=STARTS + later, ends_at=ENDS + later)
    outcome = done(changes.change(a_published_session(at=WHILE_OPEN), plan, WHILE_OPEN))
    assert kinds(outcome) == [SessionChanged]
    assert lifecycle.next_announcement_at(outcome.session) == CLOSES + later


@pytest.mark.parametrize(
    ("passed_at", "field"),
    [(OPENS, "enrolment_opens_at"), (CLOSES, "enrolment_closes_at"), (STARTS, "starts_at")],
)
def test_a_date_that_has_passed_cannot_move_not_even_to_the_future(passed_at: datetime, field: str) -> None:
    plan = a_plan(**{field: passed_at + SOON})
    session = a_published_session(at=passed_at)
    assert refusals(changes.change(session, plan, passed_at)) == [(RefusalCode.IN_THE_PAST, field)]
    assert kinds(changes.change(session, plan, passed_at - A_MOMENT)) == [SessionChanged]


def test_a_date_cannot_move_into_the_past() -> None:
    outcome = changes.change(a_published_session(), a_plan(enrolment_closes_at=WHILE_OPEN - SOON), WHILE_OPEN)
    assert (RefusalCode.IN_THE_PAST, "enrolment_closes_at") in refusals(outcome)


def test_enrolment_may_be_closed_at_this_instant_and_is_then_announced_as_closed() -> None:
    session = a_published_session(at=WHILE_OPEN)
    outcome = changes.change(session, a_plan(enrolment_closes_at=WHILE_OPEN), WHILE_OPEN)
    assert kinds(outcome) == [SessionChanged, SessionClosed]


def test_what_was_due_is_announced_before_the_change() -> None:
    outcome = changes.change(a_published_session(), a_plan(venue="Ailleurs"), WHILE_OPEN)
    assert kinds(outcome) == [SessionOpened, SessionChanged]


def test_capacity_may_go_down_to_none_at_all_while_enrolment_is_open() -> None:
    outcome = done(changes.change(a_published_session(at=WHILE_OPEN), a_plan(capacity=0), WHILE_OPEN))
    assert outcome.session.plan.capacity == 0


def test_how_approval_is_given_is_fixed_once_enrolment_is_open() -> None:
    plan = a_plan(approval=ApprovalPolicy.EMPLOYER)
    assert kinds(changes.change(a_published_session(), plan, BEFORE)) == [SessionChanged]
    assert kinds(changes.change(a_published_session(), plan, OPENS - A_MOMENT)) == [SessionChanged]
    assert refusals(changes.change(a_published_session(), plan, OPENS)) == [
        (RefusalCode.FIXED_ONCE_OPEN, "approval")
    ]


def test_a_module_that_has_begun_cannot_change_and_one_to_come_can() -> None:
    noon = STARTS + timedelta(hours=3)
    morning, afternoon = a_module("Matin", STARTS, noon), a_module("Après-midi", noon, ENDS)
    session = a_published_session(modules=(morning, afternoon))
    during_the_morning = STARTS + SOON
    without_morning = changes.change(session, a_plan(modules=(afternoon,)), during_the_morning)
    assert refusals(without_morning) == [(RefusalCode.IN_THE_PAST, "modules")]
    one_more = (morning, afternoon, a_module("Accueil", STARTS, STARTS + SOON))
    assert refusals(changes.change(session, a_plan(modules=one_more), during_the_morning)) == [
        (RefusalCode.IN_THE_PAST, "modules.2.starts_at")
    ]
    shorter = a_module("Après-midi", noon, ENDS - SOON)
    assert SessionChanged in kinds(
        changes.change(session, a_plan(modules=(morning, shorter)), during_the_morning)
    )


def test_what_is_unchangeable_is_what_a_change_would_be_refused_for() -> None:
    noon = STARTS + timedelta(hours=3)
    modules = (a_module("Matin", STARTS, noon), a_module("Après-midi", noon, ENDS))
    session = a_published_session(modules=modules)
    assert changes.unchangeable(a_draft(), STARTS) == frozenset()
    assert changes.unchangeable(session, OPENS - A_MOMENT) == frozenset()
    assert changes.unchangeable(session, OPENS) == {"enrolment_opens_at", "approval"}
    running = changes.unchangeable(session, STARTS)
    assert running == {"enrolment_opens_at", "enrolment_closes_at", "starts_at", "modules.0", "approval"}
    for field in running - {"modules.0", "approval"}:
        moved = a_plan(modules=modules, **{field: ENDS - A_MOMENT})
        assert (RefusalCode.IN_THE_PAST, field) in refusals(changes.change(session, moved, STARTS))


def test_nothing_changes_once_the_session_is_over() -> None:
    outcome = changes.change(a_published_session(), a_plan(venue="Ailleurs"), ENDS)
    assert refusals(outcome) == [(RefusalCode.SESSION_OVER, None)]


def test_a_published_session_does_not_lose_its_only_place() -> None:
    assert refusals(changes.change(a_published_session(), a_plan(venue=None), BEFORE)) == [
        (RefusalCode.NO_PLACE, "venue")
    ]


def test_differences_are_named_by_their_fields() -> None:
    after = a_plan(capacity=1, waiting_list=WaitingList.OFFER)
    assert changes.differences(a_plan(), after) == ("capacity", "waiting_list")


# ------------------------------------------------------------------------------------ the loaded offer


def test_an_offer_that_moves_a_passed_instant_to_the_future_makes_it_due_again() -> None:
    session = a_published_session(at=AFTER)
    assert session.announced is COMPLETED
    later = timedelta(days=30)
    plan = a_plan(enrolment_closes_at=CLOSES + later, starts_at=STARTS + later, ends_at=ENDS + later)
    outcome = changes.amend(session, plan, AFTER)
    assert kinds(outcome) == [SessionChanged]
    assert outcome.session.announced is OPENED
    assert kinds(lifecycle.announce(outcome.session, ENDS + later)) == [SessionClosed, SessionCompleted]


def test_an_offer_that_moves_an_instant_into_the_past_makes_it_due_at_once() -> None:
    earlier = timedelta(days=60)
    plan = replace(a_plan(), enrolment_opens_at=OPENS - earlier)
    outcome = changes.amend(a_published_session(), plan, BEFORE)
    assert kinds(outcome) == [SessionChanged, SessionOpened]


# -------------------------------------------------------------------------------------------- cancel


def test_a_cancellation_is_told_and_is_final() -> None:
    session = a_published_session(at=WHILE_OPEN)
    outcome = done(changes.cancel(session, WHILE_OPEN))
    assert kinds(outcome) == [SessionCancelled]
    assert outcome.events[0].status is Status.CANCELLED
    cancelled = outcome.session
    for again in (
        changes.cancel(cancelled, WHILE_OPEN),
        changes.publish(cancelled, WHILE_OPEN),
        changes.change(cancelled, a_plan(venue="Ailleurs"), WHILE_OPEN),
    ):
        assert refusals(again) == [(RefusalCode.ALREADY_CANCELLED, None)]


def test_the_reason_of_a_cancellation_is_said_with_it() -> None:
    cancelled = done(changes.cancel(a_published_session(at=WHILE_OPEN), WHILE_OPEN, "Salle fermée."))
    (event,) = cancelled.events
    assert isinstance(event, SessionCancelled)
    assert (event.cancellation_reason, cancelled.session.cancellation_reason) == ("Salle fermée.",) * 2


def test_what_was_due_is_announced_before_the_cancellation() -> None:
    assert kinds(changes.cancel(a_published_session(), WHILE_OPEN)) == [SessionOpened, SessionCancelled]


def test_a_running_session_may_be_cancelled_and_one_that_is_over_may_not() -> None:
    assert SessionCancelled in kinds(changes.cancel(a_published_session(), WHILE_RUNNING))
    assert refusals(changes.cancel(a_published_session(), ENDS)) == [(RefusalCode.SESSION_OVER, None)]


def test_a_draft_may_be_deleted_and_what_was_announced_may_not() -> None:
    assert changes.undeletable(a_draft()) is None
    for announced in (a_published_session(), done(changes.cancel(a_published_session(), BEFORE)).session):
        refused = changes.undeletable(announced)
        assert refused is not None
        assert refusals(refused) == [(RefusalCode.ANNOUNCED, None)]


def test_a_draft_is_not_cancelled_since_it_was_never_announced() -> None:
    assert refusals(changes.cancel(a_draft(), BEFORE)) == [(RefusalCode.NOT_PUBLISHED, None)]


# ---------------------------------------------------------------------------------------------- total


@given(
    st.sampled_from([a_draft(), a_published_session(), a_published_session(at=AFTER)]),
    st.lists(st.integers(min_value=-100, max_value=100), min_size=5, max_size=5),
)
def test_the_rules_answer_whatever_the_dates(session: Session, days: list[int]) -> None:
    """Total: every question has an answer, and what comes out is never inconsistent."""
    opens, closes, starts, ends, today = (BEFORE + timedelta(days=number) for number in days)
    plan = a_plan(enrolment_opens_at=opens, enrolment_closes_at=closes, starts_at=starts, ends_at=ends)
    outcome = changes.change(session, plan, today)
    if isinstance(outcome, Done):
        assert validity.inconsistencies(outcome.session.plan) == ()
        assert outcome.session.announced in Announcement
        assert not lifecycle.due_announcements(outcome.session, today)
    else:
        assert outcome.violations


# ---------------------------------------------------------------------------------------------- replays


def test_there_is_a_replay_only_of_a_published_session_that_has_begun() -> None:
    session = a_published_session()
    assert changes.without_recording(session, STARTS) is None
    assert changes.without_recording(session, AFTER) is None
    cancelled = done(changes.cancel(session, WHILE_OPEN)).session
    for refused, refusal in (
        (changes.without_recording(session, STARTS - SOON), RefusalCode.NOT_STARTED),
        (changes.without_recording(a_draft(), AFTER), RefusalCode.NOT_PUBLISHED),
        (changes.without_recording(cancelled, AFTER), RefusalCode.ALREADY_CANCELLED),
    ):
        assert refused is not None
        assert [violation.code for violation in refused.violations] == [refusal]


# ------------------------------------------------------------------------------------ copies, quotas


@given(
    zone=st.sampled_from(["Europe/Paris", "Indian/Reunion", "America/Martinique"]),
    days=st.integers(min_value=-400, max_value=800),
)
def test_a_copy_keeps_every_distance_on_the_clocks_of_its_zone(zone: str, days: int) -> None:
    kept = ReservedSeats(delegation="corse", seats=5, release_at=OPENS + timedelta(days=9))
    plan = a_plan(timezone=zone, modules=(a_module("Matin", STARTS, ENDS),), reserved_seats=(kept,))
    clocks = ZoneInfo(zone)
    starts = lifecycle.instant(STARTS.astimezone(clocks).replace(tzinfo=None) + timedelta(days=days), zone)
    copy = lifecycle.shifted(plan, starts)
    moments = [
        (plan.enrolment_opens_at, copy.enrolment_opens_at),
        (plan.enrolment_closes_at, copy.enrolment_closes_at),
        (plan.starts_at, copy.starts_at),
        (plan.ends_at, copy.ends_at),
        (plan.modules[0].starts_at, copy.modules[0].starts_at),
        (plan.reserved_seats[0].release_at, copy.reserved_seats[0].release_at),
    ]
    for was, becomes in moments:
        walls = [moment.astimezone(clocks).replace(tzinfo=None) for moment in (was, becomes)]
        assert walls[1] - walls[0] == timedelta(days=days)
    assert replace(copy, **{field: getattr(plan, field) for field in changes.differences(plan, copy)}) == plan


def test_enrolment_opens_and_closes_at_its_time_of_day_where_a_copy_begins_at_another() -> None:
    at = datetime(2027, 3, 8, 9, tzinfo=ZoneInfo("Europe/Paris"))  # a Monday; the clocks change on the 28th
    kept = ReservedSeats(delegation="corse", seats=5, release_at=at - timedelta(days=7))
    plan = a_plan(
        timezone="Europe/Paris",
        enrolment_opens_at=at - timedelta(days=30),
        enrolment_closes_at=at - timedelta(minutes=30),
        starts_at=at,
        ends_at=at + timedelta(hours=7),
        reserved_seats=(kept,),
    )
    copy = lifecycle.shifted(plan, datetime(2027, 3, 29, 8, 30, tzinfo=ZoneInfo("Europe/Paris")))
    moments = (copy.enrolment_opens_at, copy.reserved_seats[0].release_at, copy.enrolment_closes_at)
    walls = [moment.astimezone(ZoneInfo("Europe/Paris")) for moment in (*moments, copy.ends_at)]
    assert [f"{wall:%d/%m %H:%M}" for wall in walls] == [
        "27/02 09:00",
        "22/03 09:00",
        "29/03 08:00",
        "29/03 15:30",
    ]


def test_a_quota_may_come_go_and_shrink_while_enrolment_is_open() -> None:
    session = a_published_session(at=WHILE_OPEN, quota_per_authority=5)
    for quota in (None, 1, 50):
        changed = done(changes.change(session, a_plan(quota_per_authority=quota), WHILE_OPEN))
        (event,) = changed.events
        assert isinstance(event, SessionChanged)
        assert event.quota_per_authority == quota


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
    assert kinds(changes.publish(draft, BEFORE)), "other formats may be for whom they like"
    refused = [(RefusalCode.NOT_PRIVATE, "audience")]
    assert refusals(changes.publish(replace(draft, format=Format.BESPOKE), BEFORE)) == refused
    private = replace(a_published_session(audience=ALONE), format=Format.BESPOKE)
    assert refusals(changes.change(private, replace(private.plan, audience=audience), BEFORE)) == refused
    assert kinds(changes.change(private, replace(private.plan, capacity=14), BEFORE)) == [SessionChanged]


# ------------------------------------------------------------------------------------------- what is released

RELEASED = ReservedSeats(delegation="corse", seats=10, release_at=OPENS + SOON)


def test_seats_that_were_released_neither_change_nor_bind() -> None:
    session = a_published_session(capacity=20, reserved_seats=(RELEASED,))
    before, after = OPENS, OPENS + 2 * SOON
    again = RELEASED.model_copy(update={"release_at": CLOSES, "seats": 20})
    for kept in ((), (again,)):
        plan = replace(session.plan, reserved_seats=kept)
        assert kinds(changes.change(session, plan, before))
        assert (RefusalCode.IN_THE_PAST, "reserved_seats") in refusals(changes.change(session, plan, after))
    late = replace(
        session.plan,
        reserved_seats=(RELEASED, ReservedSeats(delegation="bretagne", seats=1, release_at=OPENS)),
    )
    assert refusals(changes.change(session, late, after)) == [
        (RefusalCode.IN_THE_PAST, "reserved_seats.1.release_at")
    ]
    for capacity in (5, None):
        smaller = replace(session.plan, capacity=capacity)
        assert kinds(changes.change(session, smaller, after))[-1:] == [SessionChanged]
        assert refusals(changes.change(session, smaller, before)) == [
            (RefusalCode.TOO_MANY_RESERVED_SEATS, "reserved_seats")
        ]


def test_a_clock_that_is_behind_announces_nothing_again() -> None:
    opened = replace(a_published_session(), announced=OPENED)
    changed = done(
        changes.change(opened, replace(opened.plan, title="Autre titre"), OPENS - timedelta(seconds=1))
    )
    assert kinds(changed) == [SessionChanged]
    assert changed.session.announced is OPENED
    assert lifecycle.due_announcements(changed.session, OPENS) == ()


# ------------------------------------------------------------------------------------ questions


def questions_refused(*questions: Question) -> dict[str | None, RefusalCode | None]:
    return {found.field: found.code for found in validity.inconsistencies(a_plan(questions=questions))}


def a_question(kind: str, question_id: str = "repas", **given: Any) -> Question:
    return Question.model_validate(
        {"question_id": question_id, "kind": kind, "label": "Que mangez-vous ?"} | given
    )


def test_questions_of_each_kind_may_be_asked() -> None:
    kinds = [a_question(kind, kind.replace("_", "-")) for kind in ("text", "yes_no", "number", "adjustment")]
    assert questions_refused(*kinds, a_question("choice", "choix", choices=("a", "b"))) == {}


def test_a_question_is_asked_once() -> None:
    twice = a_question("text"), a_question("number")
    assert questions_refused(*twice) == {"questions.1.question_id": RefusalCode.QUESTION_ASKED_TWICE}


@pytest.mark.parametrize(
    ("kind", "choices"), [("choice", ()), ("choice", ("a",)), ("choice", ("a", "a")), ("text", ("a", "b"))]
)
def test_a_choice_has_answers_to_choose_from_and_nothing_else_has(
    kind: str, choices: tuple[str, ...]
) -> None:
    found = questions_refused(a_question(kind, choices=choices))
    assert found == {"questions.0.choices": RefusalCode.CHOICES_DO_NOT_FIT}


def test_nobody_has_to_say_which_adjustment_they_need_and_it_is_kept_a_month_at_most() -> None:
    assert questions_refused(a_question("adjustment", required=True, kept_days=31)) == {
        "questions.0.required": RefusalCode.ADJUSTMENT_IS_VOLUNTARY,
        "questions.0.kept_days": RefusalCode.KEPT_TOO_LONG,
    }


def test_the_words_of_the_built_in_question_are_ours() -> None:
    asked = QuestionRequest.model_validate({"kind": "adjustment", "label": "Avez-vous la RQTH ?"})
    assert (asked.question_id, asked.label) == (
        "amenagement",
        "De quel aménagement avez-vous besoin pour participer ?",
    )
