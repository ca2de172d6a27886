"""The outcomes of requests of portals that no decision answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.enrolment.rules import outcomes
from services.enrolment.rules.requests import Position, Request
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.vocabulary import Agent, Delegation, Limits
from tests.support.builders import an_agent
from tests.support.rosters import a_nomination, a_roster, a_withdrawal, an_approval, an_offer_answer, decided
from tests.support.scenarios import play

POSITION = Position("portal.enrolments", 3, 17)


def of_portal(request: Request, **changes: Any) -> Any:
    return replace(request, source="/portals/iel", portal="iel", position=POSITION, **changes)


def outcomes_of(roster: SessionRoster, request: Request) -> list[outcomes.PortalOutcome]:
    before = len(roster.outcomes)
    decided(roster, request)
    return [outcome for outcome, _ in roster.outcomes[before:]]


@pytest.mark.parametrize("request_about", [a_withdrawal, an_approval, an_offer_answer])
def test_a_request_about_no_enrolment_is_rejected_to_the_portal_that_sent_it(
    request_about: Callable[[SessionRoster, Agent], Request],
) -> None:
    roster = a_roster()
    request = of_portal(request_about(roster, an_agent()))
    [rejection] = outcomes_of(roster, request)
    assert isinstance(rejection, RequestRejected)
    assert (rejection.request_id, rejection.portal) == (request.request_id, "iel")
    assert (rejection.topic, rejection.partition, rejection.offset) == POSITION
    assert (rejection.code, rejection.problems[0].pointer) == (RejectionCode.NOT_YOURS, "/agent_id")


def test_an_agent_for_whom_the_portal_may_not_speak_is_rejected_like_an_unknown_agent() -> None:
    played = play("seats=1 | ask a")
    limits = Limits(frozenset({Delegation.CORSE}), None)
    of_another, of_nobody = (
        outcomes_of(played.roster, of_portal(a_withdrawal(played.roster, agent), limits=limits))[0]
        for agent in (played.agents["a"], an_agent())
    )
    assert of_another.model_dump(exclude={"request_id"}) == of_nobody.model_dump(exclude={"request_id"})


def test_what_a_decision_answers_has_no_outcome() -> None:
    played = play("seats=1 | ask a")
    for _ in ("withdrawn", "refused"):
        assert outcomes_of(played.roster, of_portal(a_withdrawal(played.roster, played.agents["a"]))) == []


def test_a_list_that_changes_nothing_or_is_outdated_is_accepted() -> None:
    played = play("private | at during+hour | nominate a")
    accepted = {"request_source": "/portals/iel", "portal": "iel"}
    for received_at in (played.moment("during+day"), played.moment("during")):
        request = of_portal(a_nomination(played.roster, [played.agents["a"]], received_at=received_at))
        assert outcomes_of(played.roster, request) == [
            RequestAccepted(request_id=request.request_id, **accepted)
        ]


def test_what_no_portal_requested_has_no_outcome() -> None:
    roster = a_roster()
    request = a_withdrawal(roster, an_agent())
    assert outcomes_of(roster, request) == []
    assert outcomes.no_session(request) is None
    assert outcomes.nothing_new(request) is None


def test_a_session_that_nobody_knows_is_a_problem_of_its_id() -> None:
    rejection = outcomes.no_session(of_portal(a_withdrawal(a_roster(), an_agent())))
    assert rejection is not None
    assert (rejection.code, rejection.problems[0].pointer) == (RejectionCode.INVALID, "/session_id")
