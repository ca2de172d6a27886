"""Application, then selection: the organiser ranks who applied (rule 5)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.eligibility import Availability, Granted, judge
from services.enrolment.rules.organising import OrganisingFault, RankingFault
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import AgentWaitlisted, Awaiting, EnrolmentPending, EnrolmentRefused
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import CLOSES, DURING, ENDS, STARTS, a_session, an_agent
from tests.support.rosters import (
    NANTES,
    a_group_request,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_agent_of,
    an_approval,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    ranks,
    since,
    state_of,
    states_of,
)

E, W, P, R = State.ENROLLED, State.WAITLISTED, State.PENDING_SELECTION, State.REFUSED


def applied(number: int, *, capacity: int | None = 2, **session: Any) -> tuple[SessionRoster, list[Agent]]:
    roster, candidates = a_roster(approval="selection", capacity=capacity, **session), agents(number)
    decided(roster, *(a_seat_request(roster, agent) for agent in candidates))
    return roster, candidates


def ids(*some: Agent) -> list[AgentKey]:
    return [agent.key for agent in some]


def test_everybody_waits_for_the_selection_approved_or_not_and_however_many_seats_there_are() -> None:
    session, nothing = a_session(approval="selection"), Availability(seat_is_free=False)
    for approved in (True, False):
        for availability in (Availability(seat_is_free=True), nothing):
            verdict = judge(session, an_agent(), DURING, approved=approved, availability=availability)
            assert verdict is Granted.AWAITS_SELECTION


def test_an_application_is_answered_pending_and_holds_no_seat() -> None:
    roster, agent = a_roster(approval="selection"), an_agent()
    [event] = decided(roster, a_seat_request(roster, agent))
    assert isinstance(event, EnrolmentPending)
    assert event.awaiting is Awaiting.SELECTION
    assert (roster.seats.taken, len(roster.waiting_list)) == (0, 0)


def test_the_ranked_fill_the_seats_in_their_order_then_the_waiting_list() -> None:
    roster, (a, b, c, d) = applied(4)
    before = len(roster.decisions)
    assert ranks(roster, ids(c, a, d, b), []) is None
    events = since(roster, before)
    assert names_of(events) == [
        ("AgentEnrolled", c.agent_id),
        ("AgentEnrolled", a.agent_id),
        ("AgentWaitlisted", d.agent_id),
        ("AgentWaitlisted", b.agent_id),
    ]
    assert [event.position for event in events if isinstance(event, AgentWaitlisted)] == [1, 2]
    assert {event.request_id for event in events} == {None}, "no request caused it"


def test_the_rank_is_the_place_in_line_not_the_order_of_receipt() -> None:
    roster, (a, b, c) = applied(3, capacity=1)
    ranks(roster, ids(c, b, a), [])
    decided(roster, a_withdrawal(roster, c))
    assert states_of(roster, (a, b)) == [W, E]


def test_those_who_are_not_selected_are_refused() -> None:
    roster, (a, b, c) = applied(3)
    before = len(roster.decisions)
    ranks(roster, ids(a), ids(b, c))
    refusals = [event for event in since(roster, before) if isinstance(event, EnrolmentRefused)]
    assert [(event.agent.agent_id, event.reason) for event in refusals] == [
        (b.agent_id, Reason.NOT_SELECTED),
        (c.agent_id, Reason.NOT_SELECTED),
    ]
    assert states_of(roster, (a, b, c)) == [E, R, R]
    assert {change.cause for change in roster.changes} == {Cause.SELECTION}


def test_all_may_be_turned_down() -> None:
    roster, candidates = applied(2)
    assert ranks(roster, [], ids(*candidates)) is None
    assert states_of(roster, candidates) == [R, R]


def test_without_a_waiting_list_the_ranked_beyond_the_seats_are_refused_because_it_is_full() -> None:
    roster, (a, b, c) = applied(3, waiting_list="none")
    ranks(roster, ids(a, b, c), [])
    assert states_of(roster, (a, b, c)) == [E, E, R]
    assert roster.latest[c.key].reason is Reason.SESSION_FULL


def test_a_ranked_candidate_whose_authority_has_its_quota_makes_room_for_the_next() -> None:
    roster = a_roster(approval="selection", capacity=2, quota_per_authority=1)
    a, b, c = an_agent_of(), an_agent_of(), an_agent_of(siret=NANTES)
    decided(roster, *(a_seat_request(roster, agent) for agent in (a, b, c)))
    ranks(roster, ids(a, b, c), [])
    assert states_of(roster, (a, b, c)) == [E, R, E]
    assert roster.latest[b.key].reason is Reason.QUOTA_REACHED


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
    decisions_before, latest_before = len(roster.decisions), dict(roster.latest)
    assert ranks(roster, ranked, not_selected) == fault
    assert (len(roster.decisions), roster.latest, roster.changes) == (decisions_before, latest_before, [])


def test_who_withdrew_an_application_is_no_candidate_any_more() -> None:
    roster, (a, b) = applied(2)
    decided(roster, a_withdrawal(roster, b))
    assert ranks(roster, ids(a, b), []) == RankingFault(unknown=(b.key,))
    assert ranks(roster, ids(a), []) is None


def test_who_is_decided_upon_is_no_candidate_any_more() -> None:
    roster, (a, b) = applied(2)
    ranks(roster, ids(a, b), [])
    assert ranks(roster, ids(b, a), []) == RankingFault(unknown=(b.key, a.key))


def test_who_applies_after_a_ranking_waits_for_the_next_and_comes_behind_the_first() -> None:
    roster, (a, b) = applied(2, capacity=1)
    ranks(roster, ids(a, b), [])
    late = an_agent()
    decided(roster, a_seat_request(roster, late))
    assert state_of(roster, late) is P
    assert ranks(roster, ids(late), []) is None
    changed(roster, capacity=2)
    assert states_of(roster, (b, late)) == [E, W]


def test_a_ranking_may_come_after_enrolment_closed_but_not_after_the_session() -> None:
    for moment, outcome in (
        (CLOSES, None),
        (STARTS - timedelta(hours=1), None),
        (ENDS, OrganisingFault.SESSION_IS_OVER),
    ):
        roster, (a,) = applied(1)
        roster.now = moment
        assert ranks(roster, ids(a), []) is outcome
        assert state_of(roster, a) is (E if outcome is None else P)


def test_a_ranking_lets_no_offer_lapse_whose_answer_may_still_be_unread() -> None:
    roster, (seated, offered, waiting) = applied(3, capacity=1, waiting_list="offer")
    ranks(roster, ids(seated, offered, waiting), [])
    decided(roster, a_withdrawal(roster, seated))
    late = an_agent()
    decided(roster, a_seat_request(roster, late))
    until = roster.latest[offered.key].hold_until
    assert until is not None
    roster.now = until + timedelta(days=1)
    ranks(roster, ids(late), [])
    assert states_of(roster, (offered, waiting, late)) == [State.OFFERED, W, W]


def test_who_was_never_ranked_is_not_selected_once_the_session_is_over() -> None:
    roster, (a,) = applied(1)
    assert decided(roster, at=roster.session.ends_at) == []
    decided(roster, at=roster.session.ends_at + roster.policy.grace)
    assert (state_of(roster, a), roster.latest[a.key].reason) == (State.REFUSED, Reason.NOT_SELECTED)


def test_a_selection_that_is_dropped_gives_the_candidates_what_there_is_in_order_of_receipt() -> None:
    roster, (first, second) = applied(2, capacity=1)
    changed(roster, approval="none")
    assert states_of(roster, (first, second)) == [State.ENROLLED, W]


def test_a_cancelled_session_ranks_nobody() -> None:
    roster, (a,) = applied(1)
    changed(roster, status="cancelled")
    assert ranks(roster, ids(a), []) is OrganisingFault.SESSION_IS_CANCELLED


def test_nobody_is_left_pending_when_enrolment_closes_without_a_word_of_the_organiser() -> None:
    """Only the employer's silence means no: the organiser ranks when enrolment is closed."""
    roster, (a,) = applied(1)
    assert decided(roster, at=CLOSES + timedelta(days=1)) == []
    assert state_of(roster, a) is P


def test_an_employers_approval_does_not_select() -> None:
    roster, (a,) = applied(1)
    assert answer_to(roster, an_approval(roster, a)).reason is Reason.ALREADY_ENROLLED
    assert state_of(roster, a) is P


def test_the_waiting_list_of_the_ranked_is_served_as_any_other() -> None:
    roster, (a, b, c) = applied(3, capacity=1, waiting_list="offer")
    ranks(roster, ids(b, c, a), [])
    decided(roster, a_withdrawal(roster, b))
    assert states_of(roster, (a, b, c)) == [W, State.WITHDRAWN, State.OFFERED]


def test_a_group_applies_each_for_itself() -> None:
    roster, group = a_roster(approval="selection"), agents(2)
    decided(roster, a_group_request(roster, group))
    assert states_of(roster, group) == [P, P]


def test_enrolled_before_selection_was_required_an_agent_keeps_the_seat() -> None:
    roster, early, late = a_roster(), an_agent(), an_agent()
    enrol(roster, early)
    changed(roster, approval="selection")
    enrol(roster, late)
    assert states_of(roster, (early, late)) == [E, P]
