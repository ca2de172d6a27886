"""A portal limited to some authorities neither changes nor learns of the enrolments of other agents."""

from dataclasses import replace

import pytest

from shared.events.reasons import Reason
from shared.events.vocabulary import Delegation, Limits
from tests.support.rosters import (
    NANTES,
    RENNES,
    a_group_request,
    a_nomination,
    a_roster,
    a_withdrawal,
    an_agent_of,
    answer_to,
    decided,
    states_of,
)
from tests.support.scenarios import REQUESTS, play

OTHERS = [
    Limits(sirets=frozenset({NANTES})),
    Limits(delegations=frozenset({Delegation.CORSE})),
    Limits(delegations=frozenset({Delegation.BRETAGNE}), sirets=frozenset()),
]
"""Of portals that may not speak for agents of Rennes, in Bretagne."""
OWN = [Limits(), Limits(sirets=frozenset({RENNES})), Limits(delegations=frozenset({Delegation.BRETAGNE}))]

CASES = [
    ("seats=1 | ask a > E", "leave", "X"),
    ("approval=employer | ask a > P", "leave", "X"),
    ("seats=0 list=offer | ask a | seats=1 > O", "leave", "X"),
    ("approval=employer | ask a > P", "agree", "E"),
    ("approval=employer | ask a > P", "deny", "R"),
    ("seats=0 list=offer | ask a | seats=1 > O", "yes", "E"),
    ("seats=0 list=offer | ask a | seats=1 > O", "no", "L"),
]


@pytest.mark.parametrize("limits", OTHERS)
@pytest.mark.parametrize(("scenario", "verb", "_state"), CASES)
def test_a_request_about_another_agent_is_answered_like_one_about_nobody(
    scenario: str, verb: str, _state: str, limits: Limits
) -> None:
    played = play(scenario)
    roster, before, numbers = played.roster, played.enrolment("a"), played.roster.numbers()
    about_both = REQUESTS[verb](roster, [played.agents["a"], an_agent_of()])
    roster.decisions.clear()
    assert decided(roster, *(replace(request, limits=limits) for request in about_both)) == []
    other, nobody = roster.results[-2:]
    assert (other.state, other.reason, other.numbers) == (nobody.state, nobody.reason, nobody.numbers)
    assert other.state == "refused"
    assert (played.enrolment("a"), roster.numbers()) == (before, numbers)


@pytest.mark.parametrize("limits", OWN)
@pytest.mark.parametrize(("scenario", "verb", "state"), CASES)
def test_a_request_about_an_own_agent_has_its_effect(
    scenario: str, verb: str, state: str, limits: Limits
) -> None:
    played = play(scenario)
    [request] = REQUESTS[verb](played.roster, [played.agents["a"]])
    decided(played.roster, replace(request, limits=limits))
    assert played.states == state


@pytest.mark.parametrize("limits", OTHERS)
def test_nothing_is_said_of_an_enrolment_of_another_agent_that_has_ended(limits: Limits) -> None:
    played = play("seats=1 | ask a | leave a")
    again = a_withdrawal(played.roster, played.agents["a"])
    assert decided(played.roster, replace(again, limits=limits)) == []
    assert len(decided(played.roster, again)) == 1


# ------------------------------------------------------------ several agents


def test_a_list_of_trainees_removes_only_agents_whom_its_portal_may_speak_for() -> None:
    roster = a_roster(format="bespoke", audience={"sirets": [RENNES]}, waiting_list="none")
    # Their portals say that one authority belongs to two delegations.
    breton, corsican, new = an_agent_of(), an_agent_of("corse"), an_agent_of("corse")
    decided(roster, a_nomination(roster, [breton, corsican]))
    limits = Limits(delegations=frozenset({Delegation.CORSE}))
    decided(roster, replace(a_nomination(roster, [new]), limits=limits))
    assert states_of(roster, [breton, corsican, new]) == ["enrolled", "withdrawn", "enrolled"]


def test_a_list_of_trainees_changes_no_agent_of_another_authority() -> None:
    played = play("private for=rennes+nantes | group a")
    claimed = an_agent_of(siret=NANTES, agent_id="a")
    request = replace(a_nomination(played.roster, [claimed], siret=NANTES), limits=OTHERS[0])
    answer = answer_to(played.roster, request)
    assert (answer.state, answer.reason, played.states) == ("refused", Reason.ALREADY_ENROLLED, "E")


@pytest.mark.parametrize("all_or_nothing", [True, False])
def test_a_group_changes_no_enrolment_of_another_agent_and_says_nothing_of_it(all_or_nothing: bool) -> None:
    played = play("seats=3 | ask a")
    roster, before = played.roster, played.enrolment("a")
    claimed = an_agent_of(siret=NANTES, agent_id="a", family_name="Martin")
    group = a_group_request(roster, [claimed, an_agent_of(siret=NANTES)], all_or_nothing=all_or_nothing)
    events = decided(roster, replace(group, limits=OTHERS[0]))
    assert played.enrolment("a") is before
    assert {event.agent.employer.siret for event in events} == {NANTES}
    assert before.enrolment_id not in {event.enrolment_id for event in events}
