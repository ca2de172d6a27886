"""What a portal is told where no decision answers its request: exactly one thing, which hints at nobody."""

from dataclasses import replace
from typing import Any

import pytest

from services.enrolment.rules import outcomes
from services.enrolment.rules.requests import Nomination, Position, Request, Withdrawal
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.vocabulary import Delegation, Limits
from tests.support.builders import an_agent
from tests.support.rosters import (
    a_nomination,
    a_roster,
    a_seat_request,
    a_withdrawal,
    an_approval,
    an_offer_answer,
    decided,
    enrol,
)

PRIVATE: dict[str, Any] = {"format": "bespoke", "audience": {"sirets": ["21350238800019"]}}
POSITION = Position("portal.enrolments", 3, 17)


def of_portal(request: Any, **changes: Any) -> Any:
    return replace(request, source="/portals/iel", portal="iel", position=POSITION, **changes)


def notified(roster: SessionRoster, request: Request) -> list[outcomes.PortalOutcome]:
    before = len(roster.outcomes)
    decided(roster, request)
    return [outcome for outcome, _ in roster.outcomes[before:]]


@pytest.mark.parametrize("request_about", [a_withdrawal, an_approval, an_offer_answer])
def test_a_request_about_no_enrolment_is_rejected_to_the_portal_that_sent_it(request_about: Any) -> None:
    roster = a_roster()
    request = of_portal(request_about(roster, an_agent()))

    [rejection] = notified(roster, request)

    assert isinstance(rejection, RequestRejected)
    assert (rejection.request_id, rejection.portal) == (request.request_id, "iel")
    assert (rejection.topic, rejection.partition, rejection.offset) == POSITION
    assert (rejection.code, rejection.problems[0].pointer) == (RejectionCode.NOT_YOURS, "/agent_id")


def test_an_agent_of_whom_the_portal_may_not_speak_is_rejected_like_one_who_does_not_exist() -> None:
    roster, theirs = a_roster(), an_agent()
    enrol(roster, theirs)
    limits = Limits(frozenset({Delegation.CORSE}), None)

    [of_another] = notified(roster, of_portal(a_withdrawal(roster, theirs), limits=limits))
    [of_nobody] = notified(roster, of_portal(a_withdrawal(roster, an_agent()), limits=limits))

    assert of_another.model_dump(exclude={"request_id"}) == of_nobody.model_dump(exclude={"request_id"})


def test_what_a_decision_answers_is_not_told_twice() -> None:
    roster, agent = a_roster(), an_agent()

    assert notified(roster, of_portal(a_seat_request(roster, agent))) == []
    assert notified(roster, of_portal(a_withdrawal(roster, agent))) == []
    assert notified(roster, of_portal(a_withdrawal(roster, agent))) == []
    assert len(roster.decisions) == 3


def test_a_list_that_changes_nothing_is_accepted() -> None:
    roster, agent = a_roster(**PRIVATE), an_agent()
    first, again = (of_portal(a_nomination(roster, [agent])) for _ in range(2))
    assert isinstance(first, Nomination)

    assert notified(roster, first) == []

    assert notified(roster, again) == [
        RequestAccepted(request_id=again.request_id, request_source="/portals/iel", portal="iel")
    ]


def test_nobody_is_told_of_what_no_portal_requested() -> None:
    roster = a_roster()
    request = a_withdrawal(roster, an_agent())
    assert isinstance(request, Withdrawal)

    assert notified(roster, request) == []
    assert outcomes.no_session(request) is None
    assert outcomes.nothing_new(request) is None


def test_a_session_that_nobody_knows_is_a_problem_of_its_id() -> None:
    rejection = outcomes.no_session(of_portal(a_withdrawal(a_roster(), an_agent())))

    assert rejection is not None
    assert (rejection.code, rejection.problems[0].pointer) == (RejectionCode.INVALID, "/session_id")
