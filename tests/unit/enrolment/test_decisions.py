"""What decisions, results and changes say beside the states, which ``test_scenarios`` has."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules import group_requests
from services.enrolment.rules.organising import RankingFault, prioritise
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Request
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from services.enrolment.store.outbox import answer_event
from shared.events.catalogue import SessionCancelled
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    Awaiting,
    EndedBecause,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    MinimumMissed,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
    SelectionDue,
)
from shared.events.portal import WithdrawalRequested
from shared.events.reasons import Reason
from shared.events.vocabulary import AgentKey
from tests.support.builders import DURING, a_session, an_agent
from tests.support.rosters import (
    NANTES,
    a_group_request,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_offer_answer,
    answer_to,
    decided,
    enrol,
    next_version,
    ranks,
)
from tests.support.scenarios import play

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

# ------------------------------------------------------------ the request behind a decision


def test_each_request_has_a_decision_and_a_result_with_its_own_id() -> None:
    roster, agent = a_roster(capacity=1), an_agent()
    requests = [a_seat_request(roster, agent), a_seat_request(roster, agent), a_seat_request(roster)]
    events = decided(roster, *requests)
    assert [event.request_id for event in events] == [request.request_id for request in requests]
    assert [result.request for result in roster.results] == requests


def test_a_consequence_for_another_agent_names_no_request_and_is_in_its_trace() -> None:
    played = play("seats=1 | ask ab")
    sent: dict[str, Any] = {"traceparent": TRACE, "source": "/portals/iel", "misrouted": True}
    request = replace(a_withdrawal(played.roster, played.agents["a"]), **sent)
    withdrawn, promoted = decided(played.roster, request)[-2:]
    assert (withdrawn.request_id, withdrawn.request_source) == (request.request_id, "/portals/iel")
    assert (promoted.request_id, promoted.request_source) == (None, None)
    answers = [answer_event(*decision) for decision in played.roster.decisions[-2:]]
    assert [(answer.traceparent, answer.misrouted) for answer in answers] == [(TRACE, True), (TRACE, False)]
    assert [change.request_key for change in played.roster.changes] == [request.key, request.key]


def test_a_decision_on_what_no_portal_requested_names_no_portal() -> None:
    [enrolled] = decided(roster := a_roster(version=7), a_seat_request(roster))
    assert enrolled.request_id is not None
    assert (enrolled.request_source, enrolled.session_version) == (None, 7)


def test_what_time_changes_follows_from_no_request() -> None:
    [change] = play("seats=1 list=offer | ask ab | leave a | due hold+grace").roster.changes
    assert (change.cause, change.request_key) == (Cause.OFFER_EXPIRED, None)


@pytest.mark.parametrize("named", [a_seat_request, lambda roster: a_group_request(roster, agents(3))])
def test_deciding_a_request_twice_makes_the_same_enrolments(named: Callable[..., Request]) -> None:
    request = named(a_roster())
    first, second = ([event.enrolment_id for event in decided(a_roster(), request)] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


def test_asking_anew_begins_an_enrolment_of_its_own() -> None:
    first, ended, second = play("seats=1 | ask a & leave a & ask a").events
    assert first.enrolment_id == ended.enrolment_id != second.enrolment_id
    assert [first.version, ended.version, second.version] == [1, 2, 1]


def test_a_refused_enrolment_takes_no_ticket() -> None:
    played = play("seats=1 | ask a @closes > R deadline_passed")
    assert (played.enrolment("a").ticket, played.roster.next_ticket) == (None, 1)


@pytest.mark.parametrize(
    ("scenario", "asked"),
    [
        ("seats=1 | ask a | ask a > E already_enrolled", "enrolment"),
        ("seats=1 | ask a | leave a | leave a > X not_enrolled", "withdrawal"),
        ("seats=1 | ask a | yes a > E no_offer", "offer"),
        ("approval=employer | ask a | at closes | agree a > P approval_denied", "approval"),
        ("approval=employer | ask a | deny a > R approval_denied", "enrolment"),
        ("approval=employer seats=0 list=none | ask a | agree a > R session_full", "enrolment"),
    ],
)
def test_a_refusal_says_what_was_asked(scenario: str, asked: str) -> None:
    [refusal] = play(scenario).events
    assert isinstance(refusal, EnrolmentRefused)
    assert refusal.asked == asked


@pytest.mark.parametrize(
    ("scenario", "because"),
    [
        ("no a", EndedBecause.ANSWER),
        ("due hold+grace", EndedBecause.SILENCE),
        ("starts=during+2day", EndedBecause.SESSION_CHANGED),
    ],
)
def test_a_lapsed_offer_says_whether_the_agent_or_the_organiser_ended_it(
    scenario: str, because: EndedBecause
) -> None:
    [lapsed] = play(f"seats=0 list=offer | ask a | seats=1 | {scenario} > L").events
    assert isinstance(lapsed, SeatOfferLapsed)
    assert lapsed.because is because


@pytest.mark.parametrize(
    ("scenario", "because"),
    [
        ("seats=0 | ask a | due starts+grace > N", None),
        ("seats=0 list=offer | ask a | starts=during+2day > N", EndedBecause.SESSION_CHANGED),
        ("seats=1 quota=1 | ask a/nantes bc | leave a | due starts+grace > XEN", EndedBecause.QUOTA),
    ],
)
def test_the_end_of_a_wait_says_what_kept_the_agent_from_a_seat(
    scenario: str, because: EndedBecause | None
) -> None:
    [ended] = play(scenario).events
    assert isinstance(ended, SeatNotObtained)
    assert ended.because is because


def test_a_shortened_offer_says_what_was_promised_before() -> None:
    played = play("seats=0 list=offer | ask a | seats=1")
    [offered] = played.events
    played.step("starts=during+3day")
    [shortened] = played.events
    assert isinstance(offered, SeatOffered)
    assert isinstance(shortened, SeatOffered)
    assert (offered.shortened_from, shortened.shortened_from) == (None, offered.hold_until)


@pytest.mark.parametrize(
    ("scenario", "because"),
    [
        ("approval=employer | ask a | deny a > R approval_denied", EndedBecause.ANSWER),
        ("approval=employer | ask a | due closes+grace > R approval_denied", EndedBecause.SILENCE),
        ("approval=selection | ask ab | rank a not b > ER not_selected", EndedBecause.ANSWER),
        ("approval=selection | ask a | due ends+grace > R not_selected", EndedBecause.SILENCE),
        ("seats=0 list=none | ask a > R session_full", None),
    ],
)
def test_a_refusal_says_whether_somebody_said_no_or_nobody_answered(
    scenario: str, because: EndedBecause | None
) -> None:
    [refusal] = [event for event in play(scenario).events if isinstance(event, EnrolmentRefused)]
    assert refusal.because is because


@pytest.mark.parametrize(
    ("audience", "outside"),
    [
        ({"functions": ["dirigeant"]}, ["function"]),
        ({"sirets": [NANTES]}, ["employer"]),
        ({"delegations": ["corse"], "functions": ["dirigeant"]}, ["function", "delegation"]),
        ({"delegations": ["bretagne"], "functions": ["agent"]}, []),
    ],
)
def test_a_refusal_names_the_limits_of_the_audience_that_exclude_the_agent(
    audience: dict[str, Any], outside: list[str]
) -> None:
    roster = a_roster(audience=audience)
    answer_to(roster, a_seat_request(roster))
    [(decision, _)] = roster.decisions
    assert list(getattr(decision, "outside", ())) == outside


@pytest.mark.parametrize(
    ("scenario", "instead"),
    [
        ("approval=employer | ask-approved a | deny a > E", WithdrawalRequested.TYPE),
        ("approval=employer seats=0 | ask-approved a | deny a > W", WithdrawalRequested.TYPE),
        ("approval=employer_then_selection | ask-approved a | deny a > S", WithdrawalRequested.TYPE),
        ("approval=employer | ask-approved a | agree a > E", None),
        ("approval=employer | ask a | leave a | deny a > X", None),
    ],
)
def test_a_later_no_of_the_employer_says_what_to_send_instead(scenario: str, instead: str | None) -> None:
    reason = "not_enrolled" if "leave" in scenario else "already_enrolled"
    [refusal] = play(f"{scenario} {reason}").events
    assert isinstance(refusal, EnrolmentRefused)
    assert refusal.instead == instead


def test_an_answer_to_another_offer_changes_nothing() -> None:
    played = play("seats=1 list=offer | ask ab | leave a")
    roster, version = played.roster, played.enrolment("b").version
    for other in (version - 1, version + 1):
        request = an_offer_answer(roster, played.agents["b"], version=other)
        assert answer_to(roster, request).reason is Reason.NO_OFFER
    assert answer_to(roster, an_offer_answer(roster, played.agents["b"], version=version)).state == "enrolled"


# ------------------------------------------------------------ what events say


def test_a_withdrawal_says_why() -> None:
    played = play("seats=1 | ask a")
    request = replace(a_withdrawal(played.roster, played.agents["a"]), reason="Congé")
    event = decided(played.roster, request)[-1]
    assert isinstance(event, EnrolmentWithdrawn)
    assert event.reason == "Congé"


def test_a_cancellation_says_why() -> None:
    roster = play("seats=1 | ask a").roster
    state = next_version(roster.session, status="cancelled").model_dump()
    apply_state(roster, SessionCancelled(**state, cancellation_reason="Salle fermée."))
    event = roster.decisions[-1][0]
    assert isinstance(event, EnrolmentWithdrawn)
    assert event.reason == "Salle fermée."


def test_agents_whose_attendance_stays_hear_of_a_cancellation_too() -> None:
    recorded = "seats=4 | ask abcd | at starts | see a came | see b missed | see c excused"
    events = play(f"{recorded} | status=cancelled > CMJZ").events
    withdrawn = [event for event in events if isinstance(event, EnrolmentWithdrawn)]
    kept = {event.agent.agent_id: event.attendance_kept for event in withdrawn}
    assert kept == {"a": True, "b": True, "c": True, "d": False}


def test_the_certificate_of_a_cancelled_session_follows_what_took_place() -> None:
    played = play("modules=2 | ask a | at starts | see a came > A | status=cancelled > C")
    withdrawn, recorded = played.events
    assert isinstance(withdrawn, EnrolmentWithdrawn)
    assert isinstance(recorded, AttendanceRecorded)
    assert (recorded.module, recorded.attendance, recorded.certified) == ("Séance 1", "attended", True)
    assert (withdrawn.version, recorded.version) == (3, 4)


@pytest.mark.parametrize(
    ("scenario", "awaiting"),
    [
        ("approval=employer | ask a", Awaiting.EMPLOYER_APPROVAL),
        ("approval=selection | ask a", Awaiting.SELECTION),
        ("approval=employer_then_selection | ask a", Awaiting.EMPLOYER_APPROVAL),
        ("approval=employer_then_selection | ask a | agree a", Awaiting.SELECTION),
    ],
)
def test_a_pending_agent_hears_whose_decision_is_awaited(scenario: str, awaiting: Awaiting) -> None:
    [event] = play(scenario).events
    assert isinstance(event, EnrolmentPending)
    assert event.awaiting is awaiting


def test_members_of_a_group_hear_of_their_common_place_and_number() -> None:
    played = play("seats=2 | ask ab | wait acd > EEWW already_enrolled")
    events = [event for event in played.events if isinstance(event, AgentWaitlisted)]
    assert [(event.position, event.together) for event in events] == [(1, 2), (1, 2)]
    played.step("ask e > EEWWW")
    [behind] = played.events
    assert isinstance(behind, AgentWaitlisted)
    assert (behind.position, behind.together) == (2, None)


def test_the_only_new_member_of_a_group_waits_alone() -> None:
    played = play("seats=2 | ask ab | wait ac > EEW already_enrolled")
    assert played.roster.waiting_list.groups == {}


@pytest.mark.parametrize(
    ("session", "last", "wait"),
    [("seats=3 quota=3", "wait ghi > EEEWWWRRRWW group_does_not_fit", 5), ("seats=3", "wait ghi", 8)],
)
def test_a_session_whose_seats_count_by_employer_has_a_bound_of_agents_who_wait_together(
    session: str, last: str, wait: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_requests, "MOST_WAIT_TOGETHER", 5)
    played = play(f"{session} | ask abc | wait def | wait jk | {last}")
    assert sum(group.members for group in played.roster.waiting_list.groups.values()) == wait


def test_members_with_a_seat_for_each_do_not_wait_for_a_member_who_waits_alone() -> None:
    events = play("seats=2 reserved=corse:2@closes | ask a | wait a bc/corse > WEE already_enrolled").events
    assert [type(event) for event in events] == [EnrolmentRefused, AgentEnrolled, AgentEnrolled]


def test_of_several_offers_that_are_over_the_first_to_end_lapses_first() -> None:
    play_offers = (
        "seats=2 list=offer | ask abc | leave a > XEO | ask d @opens | at during+4day | leave b > XXOO"
    )
    events = play(f"{play_offers} | at hold+9day | due now > XXLL").events
    assert [event.agent.agent_id for event in events if isinstance(event, SeatOfferLapsed)] == ["c", "d"]


def test_an_enrolment_that_ends_is_saved_before_the_one_that_takes_its_seat() -> None:
    changed = play("seats=1 | ask a | ask b & leave a > XE").roster.changed
    assert [enrolment.agent.agent_id for enrolment in changed.values()] == ["a", "b"]


def test_an_offer_that_ends_at_the_last_moment_is_not_published_again() -> None:
    assert play("seats=1 list=offer | ask ab | at last-5hour | leave a | venue=Lyon > XO").events == []


# ------------------------------------------------------------ numbers


def test_a_result_keeps_the_numbers_it_was_decided_by() -> None:
    [result] = play("seats=1 | ask abc | ask d").roster.results
    expected = {"session_version": 1, "capacity": 1, "enrolled": 1, "offered": 0, "waiting": 2}
    assert (result.state, result.numbers) == (State.WAITLISTED, expected | {"place_in_line": 3})


def test_a_result_keeps_the_quota_and_what_the_authority_had_taken() -> None:
    [result] = play("quota=1 | ask a | ask b > ER quota_reached").roster.results
    numbers = result.numbers
    assert (numbers["quota"], numbers["taken_by_authority"], numbers["kept_for_others"]) == (1, 1, 0)


def test_a_result_keeps_how_many_seats_groups_keep() -> None:
    [result] = play("seats=3 later | ask a | wait bcd | ask e").roster.results
    assert result.numbers["kept_for_groups"] == 2


@pytest.mark.parametrize(
    ("step", "state", "reason", "numbers"),
    [
        ("group abc > EEW", "mixed", None, {"agents_enrolled": 2, "agents_waitlisted": 1}),
        ("group ab > EE", "enrolled", None, {"agents_enrolled": 2}),
        ("all ab @closes > RR deadline_passed", "refused", "deadline_passed", {"agents_refused": 2}),
        ("all abc > RRR group_does_not_fit", "refused", "group_does_not_fit", {"agents_refused": 3}),
        ("wait ab > EE", "enrolled", None, {"agents_enrolled": 2}),
        ("group a > E", "enrolled", None, {}),
        ("group", "unchanged", None, {}),
        ("all", "unchanged", None, {}),
    ],
)
def test_the_result_of_a_group_counts_its_members(
    step: str, state: str, reason: str | None, numbers: dict[str, int]
) -> None:
    [result] = play(f"seats=2 | {step}").roster.results
    counts = {name: number for name, number in result.numbers.items() if name.startswith("agents_")}
    assert (result.state, result.reason, counts) == (state, reason, numbers)


def test_reasons_that_differ_are_no_reason_of_the_whole_group() -> None:
    [result] = play("quota=1 | ask a | group ab > ER already_enrolled quota_reached").roster.results
    assert (result.state, result.reason) == ("refused", None)


# ------------------------------------------------------------ organisers


def test_a_priority_keeps_its_author_and_reason_and_publishes_nothing() -> None:
    played = play("seats=1 | ask abc")
    roster, agent = played.roster, played.agents["c"].key
    published = len(roster.decisions)
    assert prioritise(roster, agent, 1, "Anne Conseil", "Reporté de la session de mars") is None
    numbers = roster.changes[-1].numbers
    assert (numbers["author"], numbers["reason"]) == ("Anne Conseil", "Reporté de la session de mars")
    assert (numbers["place_in_line"], len(roster.decisions)) == (1, published)


def test_a_ranking_keeps_its_author_and_follows_from_no_request() -> None:
    played = play("approval=selection seats=1 | ask abc | rank ba not c > WER not_selected")
    assert [change.numbers["author"] for change in played.roster.changes] == ["Anne Conseil"] * 3
    assert {event.request_id for event in played.events} == {None}


A, B, X, Y = (AgentKey("", name) for name in "ABXY")


@pytest.mark.parametrize(
    ("ranked", "not_selected", "fault"),
    [
        ([A, B, X], [], RankingFault(unknown=(X,))),
        ([A, B], [X, Y], RankingFault(unknown=(X, Y))),
        ([A], [], RankingFault(missing=(B,))),
        ([], [], RankingFault(missing=(A, B))),
        ([A, B, A], [], RankingFault(twice=(A,))),
        ([A, B], [B], RankingFault(twice=(B,))),
        ([A, X, X], [], RankingFault(unknown=(X,), missing=(B,), twice=(X,))),
    ],
)
def test_a_ranking_with_unknown_missing_or_repeated_candidates_names_them_and_changes_nothing(
    ranked: list[AgentKey], not_selected: list[AgentKey], fault: RankingFault
) -> None:
    roster = a_roster(approval="selection")
    decided(roster, a_seat_request(roster, an_agent("A")), a_seat_request(roster, an_agent("B")))
    published, latest = len(roster.decisions), dict(roster.latest)
    assert ranks(roster, ranked, not_selected) == fault
    assert (len(roster.decisions), roster.latest, roster.changes) == (published, latest, [])


def test_the_notices_at_the_close_have_their_numbers() -> None:
    close = "due closes+grace > SS minimum_missed selection_due"
    roster = play(f"approval=selection minimum=3 seats=20 | ask ab | {close}").roster
    about: dict[str, Any] = {
        "session_id": roster.session.session_id,
        "session_version": 1,
        "organiser": "bretagne",
        "candidates": 2,
        "enrolled": 0,
    }
    missed = MinimumMissed(**about, minimum=3, offered=0)
    assert roster.notices == [missed, SelectionDue(**about, capacity=20)]


@pytest.mark.parametrize(
    "scenario",
    [
        "seats=3 | ask a",
        "minimum=3 | ask a | due closes+grace > E minimum_missed",
        "minimum=3 | status=cancelled",
        "approval=selection | status=cancelled",
    ],
)
def test_the_clock_looks_at_no_close_where_nothing_is_due(scenario: str) -> None:
    assert play(scenario).roster.close_due_at() is None


def test_how_long_a_group_keeps_seats_can_be_chosen() -> None:
    roster = a_roster(capacity=2, policy=Policy(group_keeps=timedelta(days=1)))
    decided(roster, a_seat_request(roster))
    decided(roster, a_group_request(roster, agents(2), all_or_nothing=True, may_wait=True))
    assert roster.groups_kept_until() == DURING + timedelta(days=1)


def test_the_clock_has_nothing_to_do_for_a_group_that_was_passed() -> None:
    played = play("seats=3 later | ask abc | wait de | leave a | due kept+grace")
    assert played.roster.groups_kept_until() is None


# ------------------------------------------------------------ occupancy


def test_a_new_session_publishes_that_it_is_empty() -> None:
    occupancy = a_roster(capacity=2).occupancy()
    assert occupancy is not None
    assert (occupancy.capacity, occupancy.enrolled, occupancy.version) == (2, 0, 1)


def test_the_occupancy_is_published_once_per_change_with_offers_apart() -> None:
    roster = SessionRoster(a_session(capacity=1, waiting_list="offer"), DURING, occupancy_version=7)
    assert roster.occupancy() is None
    enrol(roster, seated := an_agent(), *agents(2))
    decided(roster, a_withdrawal(roster, seated))
    occupancy = roster.occupancy()
    assert occupancy is not None
    assert (occupancy.enrolled, occupancy.offered, occupancy.waiting, occupancy.version) == (0, 1, 1, 8)
    apply_state(roster, next_version(roster.session, capacity=0))
    occupancy = roster.occupancy()
    assert occupancy is not None
    assert (occupancy.capacity, occupancy.version) == (0, 9)
