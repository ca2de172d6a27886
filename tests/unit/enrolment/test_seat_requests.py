"""Asking for a seat: when, who, and once (rules 5 and 7)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.enrolment.rules.eligibility import Availability, Granted, Refused, is_in_audience, judge
from services.enrolment.rules.states import State
from services.enrolment.store.outbox import answer_event
from shared.events.catalogue import Audience, SessionState
from shared.events.enrolment import EnrolmentRefused
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, a_session, an_agent
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_roster,
    a_seat_request,
    a_withdrawal,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    since,
    state_of,
)

TICK = timedelta(microseconds=1)


def verdict(
    session: SessionState,
    *,
    agent: Agent | None = None,
    received_at: datetime = DURING,
    approved: bool = False,
    **availability: Any,
) -> Granted | Refused:
    given = Availability(**({"seat_is_free": True} | availability))
    return judge(session, agent or an_agent(), received_at, approved=approved, availability=given)


# ------------------------------------------------------------ opening and deadline


def test_a_request_one_tick_before_enrolment_opens_is_refused_not_open_yet() -> None:
    assert verdict(a_session(), received_at=OPENS - TICK) == Refused(Reason.NOT_OPEN_YET)


def test_a_request_at_the_opening_instant_is_in_time() -> None:
    assert verdict(a_session(), received_at=OPENS) is Granted.SEAT


def test_a_request_one_tick_before_the_deadline_is_in_time() -> None:
    assert verdict(a_session(), received_at=CLOSES - TICK) is Granted.SEAT


def test_a_request_at_the_deadline_is_refused_because_it_is_exclusive() -> None:
    assert verdict(a_session(), received_at=CLOSES) == Refused(Reason.DEADLINE_PASSED)


def test_a_request_received_in_time_is_in_time_however_late_it_is_decided() -> None:
    roster, agent = a_roster(now=STARTS + timedelta(days=1)), an_agent()
    decided(roster, a_seat_request(roster, agent, received_at=CLOSES - TICK))
    assert state_of(roster, agent) is State.ENROLLED


def test_the_mooc_takes_enrolments_while_it_runs_until_its_deadline() -> None:
    mooc = a_session(
        starts_at="2025-03-16T23:00:00Z", enrolment_closes_at="2025-03-28T23:00:00Z", capacity=None
    )
    inclusive_day = datetime.fromisoformat("2025-03-28T22:59:59+00:00")
    assert verdict(mooc, received_at=inclusive_day) is Granted.SEAT
    assert verdict(mooc, received_at=inclusive_day + timedelta(seconds=1)) == Refused(Reason.DEADLINE_PASSED)


def test_a_draft_is_not_open_yet() -> None:
    assert verdict(a_session(status="draft")) == Refused(Reason.NOT_OPEN_YET)


def test_a_cancelled_session_refuses_everybody() -> None:
    assert verdict(a_session(status="cancelled")) == Refused(Reason.SESSION_CANCELLED)


def test_a_session_that_was_moved_is_judged_by_its_new_dates() -> None:
    roster = a_roster()
    changed(roster, enrolment_closes_at=DURING)
    assert answer_to(roster, a_seat_request(roster)).reason is Reason.DEADLINE_PASSED


# ------------------------------------------------------------ who may enrol


def test_an_agent_outside_the_audience_is_not_eligible() -> None:
    session = a_session(audience={"functions": ["dirigeant"]})
    assert verdict(session, agent=an_agent(function="agent")) == Refused(Reason.NOT_ELIGIBLE)


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ({}, True),
        ({"functions": ["agent", "encadrant"]}, True),
        ({"functions": ["encadrant"]}, False),
        ({"sirets": [RENNES]}, True),
        ({"sirets": [NANTES]}, False),
        ({"delegations": ["bretagne"]}, True),
        ({"delegations": ["corse"]}, False),
        ({"functions": ["agent"], "sirets": [RENNES], "delegations": ["bretagne"]}, True),
        ({"functions": ["agent"], "delegations": ["corse"]}, False),
    ],
)
def test_an_empty_list_restricts_nothing_and_all_lists_must_be_met(
    audience: dict[str, list[str]], expected: bool
) -> None:
    assert is_in_audience(Audience.model_validate(audience), an_agent()) is expected


@pytest.mark.parametrize("function", ["encadrant", "chef_de_service", "dirigeant"])
def test_the_inet_offer_is_tested_on_the_function(function: str) -> None:
    inet = a_session(audience={"functions": ["encadrant", "chef_de_service", "dirigeant"]})
    assert verdict(inet, agent=an_agent(function=function)) is Granted.SEAT
    assert verdict(inet, agent=an_agent(function="agent")) == Refused(Reason.NOT_ELIGIBLE)


def test_who_is_not_eligible_waits_for_nobodys_word() -> None:
    session = a_session(approval="selection", audience={"functions": ["dirigeant"]})
    assert verdict(session) == Refused(Reason.NOT_ELIGIBLE)


def test_an_audience_that_is_narrowed_ends_nobodys_enrolment() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    changed(roster, audience={"functions": ["dirigeant"]})
    assert state_of(roster, agent) is State.ENROLLED


# ------------------------------------------------------------ asking again (rule 7)


def test_an_agent_with_a_live_enrolment_is_already_enrolled_even_after_the_deadline() -> None:
    assert verdict(a_session(), is_live=True, received_at=CLOSES) == Refused(Reason.ALREADY_ENROLLED)


def test_asking_again_gets_already_enrolled_and_changes_nothing() -> None:
    roster, agent = a_roster(), an_agent()
    enrol(roster, agent)
    before = roster.latest[agent.key]
    [refusal] = enrol(roster, agent)
    assert isinstance(refusal, EnrolmentRefused)
    assert (refusal.reason, refusal.asked) == (Reason.ALREADY_ENROLLED, "enrolment")
    assert roster.latest[agent.key] == before
    assert roster.seats.enrolled == 1


@pytest.mark.parametrize(
    "session", [{"capacity": 0}, {"approval": "employer"}, {"approval": "selection"}], ids=str
)
def test_who_waits_for_whatever_is_already_enrolled_too_and_keeps_their_place(session: Any) -> None:
    roster, agent = a_roster(**session), an_agent()
    decided(roster, a_seat_request(roster, agent))
    before = roster.latest[agent.key]
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.ALREADY_ENROLLED
    assert roster.latest[agent.key] == before


def test_after_a_withdrawal_the_agent_may_ask_again_and_queues_anew() -> None:
    roster, agent, other = a_roster(capacity=1), an_agent(), an_agent()
    events = decided(
        roster,
        a_seat_request(roster, agent),
        a_seat_request(roster, other),
        a_withdrawal(roster, agent),
        a_seat_request(roster, agent),
    )
    assert names_of(events) == [
        ("AgentEnrolled", agent.agent_id),
        ("AgentWaitlisted", other.agent_id),
        ("EnrolmentWithdrawn", agent.agent_id),
        ("AgentEnrolled", other.agent_id),
        ("AgentWaitlisted", agent.agent_id),
    ]


def test_asking_anew_begins_an_enrolment_of_its_own() -> None:
    roster, agent = a_roster(), an_agent()
    events = decided(
        roster, a_seat_request(roster, agent), a_withdrawal(roster, agent), a_seat_request(roster, agent)
    )
    first, ended, second = events
    assert first.enrolment_id == ended.enrolment_id != second.enrolment_id
    assert [event.version for event in events] == [1, 2, 1]


def test_who_was_refused_may_ask_again() -> None:
    roster, agent = a_roster(capacity=0, waiting_list="none"), an_agent()
    assert answer_to(roster, a_seat_request(roster, agent)).reason is Reason.SESSION_FULL
    changed(roster, capacity=1)
    decided(roster, a_seat_request(roster, agent))
    assert state_of(roster, agent) is State.ENROLLED


# ------------------------------------------------------------ every request is answered


def test_each_request_gets_exactly_one_answer_with_its_own_id() -> None:
    roster, agent = a_roster(capacity=1), an_agent()
    requests = [
        a_seat_request(roster, agent),
        a_seat_request(roster, agent),
        a_seat_request(roster),
        a_seat_request(roster, received_at=CLOSES),
    ]
    events = decided(roster, *requests)
    requested = [request.request_id for request in requests]
    assert [event.request_id for event in events] == requested
    assert [answer.request.request_id for answer in roster.results] == requested


def test_an_answer_keeps_the_numbers_it_was_decided_by() -> None:
    roster = a_roster(capacity=1)
    enrol(roster, an_agent(), an_agent())
    answer = answer_to(roster, a_seat_request(roster))
    assert answer.state == State.WAITLISTED
    assert answer.numbers == {
        "session_version": 1,
        "capacity": 1,
        "enrolled": 1,
        "offered": 0,
        "waiting": 1,
        "place_in_line": 2,
    }


def test_deciding_the_same_request_twice_makes_the_same_enrolment() -> None:
    roster = a_roster()
    request = a_seat_request(roster)
    ids = []
    for _ in range(2):
        again = a_roster()
        [event] = decided(again, request)
        ids.append(event.enrolment_id)
    assert ids[0] == ids[1]


def test_a_refused_enrolment_keeps_its_reason_and_takes_no_ticket() -> None:
    roster = a_roster()
    decided(roster, a_seat_request(roster, received_at=CLOSES))
    [enrolment] = roster.changed.values()
    assert (enrolment.state, enrolment.reason) == (State.REFUSED, Reason.DEADLINE_PASSED)
    assert enrolment.ticket is None
    assert roster.next_ticket == 1


def test_the_events_of_a_request_and_of_what_follows_from_it_are_in_its_trace() -> None:
    roster, seated, waiting = a_roster(capacity=1), an_agent(), an_agent()
    enrol(roster, seated, waiting)
    request = replace(a_withdrawal(roster, seated), traceparent=TRACE)
    before = len(roster.decisions)
    decided(roster, request)
    assert [answering for _, answering in roster.decisions[before:]] == [request, request]
    assert [answer_event(*decision).traceparent for decision in roster.decisions[before:]] == [TRACE, TRACE]


def test_the_answers_to_a_misrouted_request_say_so_and_what_follows_from_it_does_not() -> None:
    roster, seated, waiting = a_roster(capacity=1), an_agent(), an_agent()
    enrol(roster, seated, waiting)
    before = len(roster.decisions)
    decided(roster, replace(a_withdrawal(roster, seated), misrouted=True))
    assert [answer_event(*decision).misrouted for decision in roster.decisions[before:]] == [True, False]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_decision_names_the_portal_of_its_request_and_the_state_of_the_session_it_was_taken_on() -> None:
    roster, seated, waiting = a_roster(capacity=1, version=7), an_agent(), an_agent()
    enrol(roster, seated, waiting)
    before = len(roster.decisions)

    decided(roster, replace(a_withdrawal(roster, seated), source="/portals/iel"))

    withdrawn, promoted = since(roster, before)
    assert (withdrawn.request_source, withdrawn.session_version) == ("/portals/iel", 7)
    assert (promoted.request_id, promoted.request_source, promoted.session_version) == (None, None, 7)


def test_a_decision_on_what_no_portal_requested_names_none() -> None:
    roster = a_roster()

    [enrolled] = decided(roster, replace(a_seat_request(roster), source=""))

    assert enrolled.request_id is not None
    assert enrolled.request_source is None
