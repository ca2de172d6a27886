"""How many seats one authority may have in a session (rule 4)."""

from services.enrolment.rules.states import State
from shared.events.reasons import Reason
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_roster,
    a_seat_request,
    a_withdrawal,
    an_agent_of,
    an_approval,
    an_offer_answer,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

E, W, O = State.ENROLLED, State.WAITLISTED, State.OFFERED  # noqa: E741  # as in a table


def test_an_authority_has_no_more_seats_than_its_quota() -> None:
    roster = a_roster(quota_per_authority=2)
    enrol(roster, an_agent_of(), an_agent_of())
    assert answer_to(roster, a_seat_request(roster, an_agent_of())).reason is Reason.QUOTA_REACHED


def test_the_quota_of_one_authority_is_not_that_of_another() -> None:
    roster, of_nantes = a_roster(quota_per_authority=1), an_agent_of(siret=NANTES)
    enrol(roster, an_agent_of(), of_nantes)
    assert state_of(roster, of_nantes) is E


def test_without_a_quota_one_authority_may_have_all_seats() -> None:
    roster, some = a_roster(capacity=3), [an_agent_of() for _ in range(3)]
    enrol(roster, *some)
    assert states_of(roster, some) == [E, E, E]


def test_a_quota_holds_in_an_unlimited_session_too() -> None:
    roster = a_roster(capacity=None, quota_per_authority=1)
    enrol(roster, an_agent_of())
    assert answer_to(roster, a_seat_request(roster, an_agent_of())).reason is Reason.QUOTA_REACHED


def test_after_a_withdrawal_the_authority_may_have_another_seat() -> None:
    roster, first, second = a_roster(quota_per_authority=1), an_agent_of(), an_agent_of()
    enrol(roster, first)
    decided(roster, a_withdrawal(roster, first), a_seat_request(roster, second))
    assert state_of(roster, second) is E


def test_an_offer_counts_for_the_quota() -> None:
    roster = a_roster(capacity=1, waiting_list="offer", quota_per_authority=1)
    of_nantes, of_rennes, another = an_agent_of(siret=NANTES), an_agent_of(), an_agent_of()
    enrol(roster, of_nantes, of_rennes)
    decided(roster, a_withdrawal(roster, of_nantes))
    assert state_of(roster, of_rennes) is O
    assert answer_to(roster, a_seat_request(roster, another)).reason is Reason.QUOTA_REACHED
    decided(roster, an_offer_answer(roster, of_rennes))
    assert state_of(roster, of_rennes) is E


def test_who_waits_holds_no_seat_so_an_authority_may_wait_for_more_than_its_quota() -> None:
    roster = a_roster(capacity=1, quota_per_authority=1)
    waiting = [an_agent_of() for _ in range(3)]
    enrol(roster, an_agent_of(siret=NANTES), *waiting)
    assert states_of(roster, waiting) == [W, W, W]


def test_a_freed_seat_passes_over_whose_authority_has_its_quota_and_they_keep_their_place() -> None:
    roster = a_roster(capacity=2, quota_per_authority=1)
    rennes, nantes = an_agent_of(), an_agent_of(siret=NANTES)
    first, second, third = an_agent_of(siret=NANTES), an_agent_of(), an_agent_of(siret="21290019300010")
    changed(roster, quota_per_authority=2)
    enrol(roster, rennes, nantes, first, second, third)
    changed(roster, quota_per_authority=1)
    events = decided(roster, a_withdrawal(roster, rennes))
    assert names_of(events)[1:] == [("AgentEnrolled", second.agent_id)]
    assert states_of(roster, (first, third)) == [W, W]
    events = decided(roster, a_withdrawal(roster, nantes))
    assert names_of(events)[1:] == [("AgentEnrolled", first.agent_id)]


def test_a_withdrawal_that_frees_the_quota_gives_the_seat_that_was_free_already() -> None:
    roster = a_roster(capacity=1, quota_per_authority=1)
    seated, waiting = an_agent_of(), an_agent_of()
    changed(roster, quota_per_authority=None)
    enrol(roster, seated, waiting)
    changed(roster, quota_per_authority=1, capacity=2)
    assert state_of(roster, waiting) is W
    decided(roster, a_withdrawal(roster, seated))
    assert state_of(roster, waiting) is E


def test_a_lowered_quota_evicts_nobody_and_a_raised_one_serves_the_waiting_list() -> None:
    roster, some = a_roster(capacity=3, quota_per_authority=3), [an_agent_of() for _ in range(2)]
    of_nantes, waiting = an_agent_of(siret=NANTES), an_agent_of()
    enrol(roster, *some, of_nantes, waiting)
    changed(roster, quota_per_authority=1, capacity=4)
    assert states_of(roster, (*some, waiting)) == [E, E, W]
    changed(roster, quota_per_authority=3)
    assert state_of(roster, waiting) is E


def test_an_approval_granted_after_the_quota_is_reached_comes_too_late() -> None:
    roster = a_roster(approval="employer", quota_per_authority=1)
    pending = an_agent_of()
    decided(roster, a_seat_request(roster, pending))
    enrol(roster, an_agent_of())
    assert answer_to(roster, an_approval(roster, pending)).reason is Reason.QUOTA_REACHED
    assert state_of(roster, pending) is State.REFUSED


def test_an_answer_keeps_the_quota_and_what_the_authority_had_taken() -> None:
    roster = a_roster(quota_per_authority=1)
    enrol(roster, an_agent_of(siret=RENNES))
    numbers = answer_to(roster, a_seat_request(roster, an_agent_of(siret=RENNES))).numbers
    assert (numbers["quota"], numbers["taken_by_authority"], numbers["kept_for_others"]) == (1, 1, 0)
