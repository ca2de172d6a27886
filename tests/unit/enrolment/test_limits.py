"""A portal limited to some authorities neither changes nor learns of the enrolments of others' agents."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.enrolment.rules.requests import ApprovalDecision, OfferAnswer, Request
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, Delegation, Limits
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_group_request,
    a_nomination,
    a_roster,
    a_seat_request,
    a_withdrawal,
    an_agent_of,
    an_approval,
    an_offer_answer,
    answer_to,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

BeginSession = Callable[[], tuple[SessionRoster, Agent]]
Requested = Callable[[SessionRoster, Agent], Request]

OTHERS = [
    Limits(sirets=frozenset({NANTES})),
    Limits(delegations=frozenset({Delegation.CORSE})),
    Limits(delegations=frozenset({Delegation.BRETAGNE}), sirets=frozenset()),
]
"""Of portals that may not speak for agents of Rennes, in Bretagne."""
OWN = [Limits(), Limits(sirets=frozenset({RENNES})), Limits(delegations=frozenset({Delegation.BRETAGNE}))]


def enrolled() -> tuple[SessionRoster, Agent]:
    roster, agent = a_roster(), an_agent_of()
    enrol(roster, agent)
    return roster, agent


def pending() -> tuple[SessionRoster, Agent]:
    roster, agent = a_roster(approval="employer"), an_agent_of()
    decided(roster, a_seat_request(roster, agent))
    return roster, agent


def offered() -> tuple[SessionRoster, Agent]:
    roster, first, agent = a_roster(capacity=1, waiting_list="offer"), an_agent_of(), an_agent_of()
    enrol(roster, first, agent)
    decided(roster, a_withdrawal(roster, first))
    assert state_of(roster, agent) is State.OFFERED
    return roster, agent


def approval(roster: SessionRoster, agent: Agent) -> ApprovalDecision:
    return an_approval(roster, agent)


def denial(roster: SessionRoster, agent: Agent) -> ApprovalDecision:
    return an_approval(roster, agent, granted=False)


def acceptance(roster: SessionRoster, agent: Agent) -> OfferAnswer:
    return an_offer_answer(roster, agent)


def refusal(roster: SessionRoster, agent: Agent) -> OfferAnswer:
    return an_offer_answer(roster, agent, yes=False)


CASES = [
    (enrolled, a_withdrawal, State.WITHDRAWN),
    (pending, a_withdrawal, State.WITHDRAWN),
    (offered, a_withdrawal, State.WITHDRAWN),
    (pending, approval, State.ENROLLED),
    (pending, denial, State.REFUSED),
    (offered, acceptance, State.ENROLLED),
    (offered, refusal, State.LAPSED),
]


@pytest.mark.parametrize("limits", OTHERS)
@pytest.mark.parametrize(("begin", "requested", "_state"), CASES)
def test_a_request_about_anothers_agent_is_answered_like_one_about_nobody(
    begin: BeginSession, requested: Requested, _state: State, limits: Limits
) -> None:
    roster, agent = begin()
    before, seats = roster.latest[agent.key], roster.numbers()
    about_them = replace(requested(roster, agent), limits=limits)
    about_nobody = replace(requested(roster, an_agent_of()), limits=limits)
    assert decided(roster, about_them, about_nobody) == []
    theirs, nobodys = roster.results[-2:]
    assert (theirs.state, theirs.reason, theirs.numbers) == (
        nobodys.state,
        nobodys.reason,
        nobodys.numbers,
    )
    assert theirs.state == "refused"
    assert roster.latest[agent.key] is before
    assert roster.numbers() == seats


@pytest.mark.parametrize("limits", OWN)
@pytest.mark.parametrize(("begin", "requested", "state"), CASES)
def test_a_request_about_an_own_agent_has_its_effect(
    begin: BeginSession, requested: Requested, state: State, limits: Limits
) -> None:
    roster, agent = begin()
    assert decided(roster, replace(requested(roster, agent), limits=limits))
    assert state_of(roster, agent) is state


@pytest.mark.parametrize("limits", OTHERS)
def test_nothing_is_said_of_an_enrolment_of_anothers_agent_that_has_ended(limits: Limits) -> None:
    roster, agent = enrolled()
    decided(roster, a_withdrawal(roster, agent))
    assert decided(roster, replace(a_withdrawal(roster, agent), limits=limits)) == []
    assert names_of(decided(roster, a_withdrawal(roster, agent))) == [("EnrolmentRefused", agent.agent_id)]


# ------------------------------------------------------------ several agents


def test_a_list_of_trainees_removes_only_those_whom_its_portal_may_speak_for() -> None:
    roster = a_roster(format="bespoke", audience={"sirets": [RENNES]}, waiting_list="none")
    # Their portals say that one authority belongs to two delegations.
    breton, corsican, new = an_agent_of(), an_agent_of("corse"), an_agent_of("corse")
    decided(roster, a_nomination(roster, [breton, corsican]))
    limits = Limits(delegations=frozenset({Delegation.CORSE}))
    decided(roster, replace(a_nomination(roster, [new]), limits=limits))
    assert states_of(roster, [breton, corsican, new]) == [State.ENROLLED, State.WITHDRAWN, State.ENROLLED]


def test_a_list_of_trainees_changes_nobody_of_another_authority() -> None:
    roster = a_roster(
        format="bespoke", audience={"sirets": [RENNES, NANTES]}, waiting_list="none", approval="employer"
    )
    agent = an_agent_of()
    decided(roster, a_group_request(roster, [agent]))
    claimed = an_agent_of(siret=NANTES, agent_id=agent.agent_id)
    request = replace(a_nomination(roster, [claimed], siret=NANTES), limits=OTHERS[0])
    answer = answer_to(roster, request)
    assert (answer.state, answer.reason) == ("refused", Reason.ALREADY_ENROLLED)
    assert state_of(roster, agent) is State.ENROLLED


@pytest.mark.parametrize("all_or_nothing", [True, False])
def test_a_group_changes_no_enrolment_of_anothers_agent_and_says_nothing_of_it(all_or_nothing: bool) -> None:
    roster, agent = enrolled()
    before = roster.latest[agent.key]
    claimed = an_agent_of(siret=NANTES, agent_id=agent.agent_id, family_name="Martin")
    group = a_group_request(roster, [claimed, an_agent_of(siret=NANTES)], all_or_nothing=all_or_nothing)
    events = decided(roster, replace(group, limits=OTHERS[0]))
    assert roster.latest[agent.key] is before
    assert {event.agent.employer.siret for event in events} == {NANTES}
    assert before.enrolment_id not in {event.enrolment_id for event in events}
