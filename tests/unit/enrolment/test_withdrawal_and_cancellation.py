"""Giving up an enrolment, and the end of all of them (rules 2, 7 and 8)."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules import session_changes
from services.enrolment.rules.eligibility import Refused, judge_withdrawal
from services.enrolment.rules.organising import AttendanceMark, OrganisingFault, record_attendance
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.catalogue import SessionCancelled
from shared.events.enrolment import (
    Attendance,
    AttendanceRecorded,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    WithdrawnBy,
)
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import DURING, ENDS, STARTS, an_agent
from tests.support.rosters import (
    a_nomination,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_offer_answer,
    answer_to,
    changed,
    decided,
    enrol,
    next_version,
    ranks,
    state_of,
    states_of,
)

TICK = timedelta(microseconds=1)
ENDED = [State.REFUSED, State.LAPSED, State.WITHDRAWN, State.SESSION_CANCELLED]
WAITING = [State.WAITLISTED, State.OFFERED, State.PENDING_APPROVAL, State.PENDING_SELECTION]


def one_who_is(state: State) -> tuple[SessionRoster, Agent]:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    roster.latest[agent.key] = replace(roster.latest[agent.key], state=state)
    return roster, agent


# ------------------------------------------------------------ withdrawal


def test_a_withdrawal_frees_the_seat_and_says_who_gave_it_up_and_why() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    request = replace(a_withdrawal(roster, agent), reason="Congé", by_employer=True)
    [event] = decided(roster, request)
    assert isinstance(event, EnrolmentWithdrawn)
    assert (event.by, event.reason, event.request_id) == (WithdrawnBy.EMPLOYER, "Congé", request.request_id)
    assert roster.seats.taken == 0


def test_the_event_of_a_withdrawal_says_that_it_was_the_agent() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    [event] = decided(roster, a_withdrawal(roster, agent))
    assert isinstance(event, EnrolmentWithdrawn)
    assert event.by is WithdrawnBy.AGENT


@pytest.mark.parametrize("state", WAITING)
def test_whoever_waits_may_leave_also_after_the_start(state: State) -> None:
    roster, agent = one_who_is(state)
    latest = roster.latest[agent.key]
    for received_at in (DURING, STARTS, STARTS + timedelta(days=1)):
        assert judge_withdrawal(roster.session, latest, received_at) is None


def test_a_withdrawal_from_a_seat_is_refused_from_the_start_on() -> None:
    roster, agent = one_who_is(State.ENROLLED)
    latest = roster.latest[agent.key]
    assert judge_withdrawal(roster.session, latest, STARTS - TICK) is None
    assert judge_withdrawal(roster.session, latest, STARTS) == Refused(Reason.DEADLINE_PASSED)


def test_a_withdrawal_received_before_the_start_counts_however_late_it_is_decided() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    decided(roster, a_withdrawal(roster, agent, received_at=STARTS - TICK), at=STARTS + timedelta(hours=1))
    assert state_of(roster, agent) is State.WITHDRAWN


@pytest.mark.parametrize("mark", Attendance)
def test_attendance_that_was_recorded_says_more_than_a_withdrawal_whenever_it_was_sent(
    mark: Attendance,
) -> None:
    """It was sent before the start and read late, or the session was put off after that."""
    roster, agent = a_roster(now=STARTS), an_agent()
    decided(roster, a_seat_request(roster, agent, received_at=DURING))
    assert record_attendance(roster, [AttendanceMark(agent.key, 0, mark)], "Anne Conseil") == {}
    before = roster.latest[agent.key]
    answer = answer_to(roster, a_withdrawal(roster, agent, received_at=STARTS - TICK))
    assert answer.reason is Reason.DEADLINE_PASSED
    assert roster.latest[agent.key] == before


def test_a_list_without_somebody_who_was_seen_there_ends_nothing() -> None:
    private: dict[str, Any] = {"format": "bespoke", "audience": {"sirets": ["21350238800019"]}}
    roster, (seen, other) = a_roster(now=STARTS, **private), agents(2)
    decided(roster, a_nomination(roster, (seen, other), received_at=DURING))
    record_attendance(roster, [AttendanceMark(seen.key, 0, Attendance.ATTENDED)], "Anne Conseil")
    decided(roster, a_nomination(roster, (other,), received_at=DURING))
    assert states_of(roster, (seen, other)) == [State.CERTIFIED, State.ENROLLED]


def test_a_withdrawal_of_nothing_is_answered_not_enrolled_and_tells_nobody_unknown() -> None:
    roster = a_roster()
    assert answer_to(roster, a_withdrawal(roster, an_agent())).reason is Reason.NOT_ENROLLED
    assert not roster.decisions


def test_a_second_withdrawal_is_refused_to_the_agent_who_is_known() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    decided(roster, a_withdrawal(roster, agent))
    [event] = decided(roster, a_withdrawal(roster, agent))
    assert isinstance(event, EnrolmentRefused)
    assert (event.reason, event.asked) == (Reason.NOT_ENROLLED, "withdrawal")


@pytest.mark.parametrize("state", ENDED)
def test_what_has_ended_cannot_be_withdrawn(state: State) -> None:
    roster, agent = one_who_is(state)
    latest = roster.latest[agent.key]
    assert judge_withdrawal(roster.session, latest, DURING) == Refused(Reason.NOT_ENROLLED)


def test_a_withdrawal_ends_the_enrolment_not_the_right_to_ask_again() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    decided(roster, a_withdrawal(roster, agent), a_seat_request(roster, agent))
    assert state_of(roster, agent) is State.ENROLLED


# ------------------------------------------------------------ cancellation


def a_session_with_everybody() -> tuple[SessionRoster, list[Agent]]:
    """Somebody enrolled, offered, waiting, pending approval and pending selection."""
    roster, (seated, leaves, offered, waiting, pending, applied) = (
        a_roster(capacity=2, waiting_list="offer"),
        agents(6),
    )
    enrol(roster, seated, leaves, offered, waiting)
    decided(roster, a_withdrawal(roster, leaves))
    changed(roster, approval="employer")
    decided(roster, a_seat_request(roster, pending))
    changed(roster, approval="selection")
    decided(roster, a_seat_request(roster, applied))
    live = [seated, offered, waiting, pending, applied]
    assert states_of(roster, live) == [State.ENROLLED, State.OFFERED, State.WAITLISTED, *WAITING[2:]]
    return roster, live


def test_a_cancellation_ends_every_live_enrolment_and_tells_everyone_once() -> None:
    roster, live = a_session_with_everybody()
    events = changed(roster, status="cancelled")
    assert Counter(event.agent.agent_id for event in events) == Counter(agent.agent_id for agent in live)
    for event in events:
        assert isinstance(event, EnrolmentWithdrawn)
        assert (event.by, event.request_id) == (WithdrawnBy.SESSION_CANCELLED, None)
    assert set(states_of(roster, live)) == {State.SESSION_CANCELLED}
    assert (roster.seats.enrolled, len(roster.waiting_list), roster.seats.offered) == (0, 0, 0)


def test_everyone_is_told_why_a_session_is_cancelled() -> None:
    roster = a_roster()
    enrol(roster, an_agent())
    state = next_version(roster.session, status="cancelled").model_dump()
    session_changes.apply_state(roster, SessionCancelled(**state, cancellation_reason="Salle fermée."))
    told_why = roster.decisions[-1][0]
    assert isinstance(told_why, EnrolmentWithdrawn)
    assert told_why.reason == "Salle fermée."


def test_a_cancellation_promotes_nobody() -> None:
    roster = a_roster(capacity=1)
    enrol(roster, *agents(3))
    events = changed(roster, status="cancelled")
    assert Counter(type(event) for event in events) == {EnrolmentWithdrawn: 3}


def test_a_cancellation_tells_nothing_to_those_whose_enrolment_had_ended() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    decided(roster, a_withdrawal(roster, agent))
    assert changed(roster, status="cancelled") == []
    assert state_of(roster, agent) is State.WITHDRAWN


def test_a_cancellation_leaves_what_was_seen_of_those_who_came() -> None:
    roster, (came, enrolled) = a_roster(now=STARTS), agents(2)
    decided(roster, *(a_seat_request(roster, agent, received_at=DURING) for agent in (came, enrolled)))
    record_attendance(roster, [AttendanceMark(came.key, 0, Attendance.ATTENDED)], "Anne Conseil")
    changed(roster, status="cancelled")
    assert states_of(roster, (came, enrolled)) == [State.CERTIFIED, State.SESSION_CANCELLED]


def a_session_after_its_first_day() -> tuple[SessionRoster, list[Agent]]:
    """Two séances, of which the first was recorded: one came, one did not; nothing is known of the third."""
    hour = timedelta(hours=1)
    days = [
        {
            "title": f"Jour {number + 1}",
            "starts_at": STARTS + number * hour,
            "ends_at": STARTS + (number + 1) * hour,
        }
        for number in range(2)
    ]
    roster, some = a_roster(now=STARTS, modules=days), agents(3)
    decided(roster, *(a_seat_request(roster, agent, received_at=DURING) for agent in some))
    marks = [Attendance.ATTENDED, Attendance.ABSENT]
    seen = [AttendanceMark(agent.key, 0, mark) for agent, mark in zip(some, marks, strict=False)]
    assert record_attendance(roster, seen, "Anne Conseil") == {}
    return roster, some


def test_a_cancellation_is_told_also_to_who_attended_a_first_day_and_their_attendance_stays() -> None:
    roster, (came, missed, unknown) = a_session_after_its_first_day()
    events = changed(roster, status="cancelled")
    kept = {
        event.agent.agent_id: event.attendance_kept
        for event in events
        if isinstance(event, EnrolmentWithdrawn)
    }
    assert kept == {came.agent_id: True, missed.agent_id: False, unknown.agent_id: False}
    assert roster.attendance[roster.latest[came.key].enrolment_id] == {0: Attendance.ATTENDED}
    versions = [event.version for event in events if event.agent == came]
    assert versions == sorted(set(versions))


def test_the_certificate_of_a_cancelled_session_follows_what_took_place() -> None:
    roster, (came, *_) = a_session_after_its_first_day()
    [due] = [event for event in changed(roster, status="cancelled") if isinstance(event, AttendanceRecorded)]
    assert (due.agent, due.module, due.attendance, due.certified) == (
        came,
        "Jour 1",
        Attendance.ATTENDED,
        True,
    )
    assert state_of(roster, came) is State.CERTIFIED


def test_what_took_place_of_a_cancelled_session_is_recorded_later_and_nothing_else() -> None:
    roster, (came, *_) = a_session_after_its_first_day()
    roster.now += timedelta(hours=1)
    changed(roster, status="cancelled")  # the second séance has just begun: it is to be recorded too
    assert state_of(roster, came) is State.ATTENDED
    roster.now += timedelta(days=1)
    assert record_attendance(roster, [AttendanceMark(came.key, 1, Attendance.ABSENT)], "Anne Conseil") == {}
    assert state_of(roster, came) is State.CERTIFIED
    roster, (came, *_) = a_session_after_its_first_day()
    changed(roster, status="cancelled")
    roster.now += timedelta(days=1)
    faults = record_attendance(roster, [AttendanceMark(came.key, 1, Attendance.ATTENDED)], "Anne Conseil")
    assert faults == {0: OrganisingFault.NOT_STARTED}


def test_a_cancellation_is_final_whatever_is_published_after_it() -> None:
    roster = a_roster(status="cancelled")
    assert changed(roster, status="published") == []
    assert answer_to(roster, a_seat_request(roster)).reason is Reason.SESSION_CANCELLED


def test_after_a_cancellation_every_request_is_answered() -> None:
    roster, live = a_session_with_everybody()
    changed(roster, status="cancelled")
    for agent in live:
        assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.SESSION_CANCELLED
        assert answer_to(roster, an_offer_answer(roster, agent)).reason is Reason.SESSION_CANCELLED
        assert answer_to(roster, a_withdrawal(roster, agent)).reason is Reason.NOT_ENROLLED
    assert ranks(roster, [], []) is not None
    assert decided(roster, at=STARTS) == []


def test_a_mooc_has_no_empty_chair_and_is_left_until_its_end() -> None:
    roster, (first, second) = a_roster(format="mooc"), agents(2)
    enrol(roster, first, second)
    in_time = a_withdrawal(roster, first, received_at=ENDS - TICK)
    assert answer_to(roster, in_time, at=ENDS - TICK).state is State.WITHDRAWN
    late = a_withdrawal(roster, second, received_at=ENDS)
    assert answer_to(roster, late, at=ENDS).reason is Reason.DEADLINE_PASSED
