"""Bespoke requests: what may be answered when, and the private session of an agreement."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.catalogue.rules import bespoke
from services.catalogue.rules.bespoke import Answered, BespokeRequest, BespokeState
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule
from services.catalogue.rules.sessions import Session
from shared.events.catalogue import (
    Audience,
    BespokeAnswer,
    ReservedSeats,
    SessionOpened,
    SessionScheduled,
)
from shared.events.vocabulary import ApprovalPolicy, Contact, Format, Status
from tests.unit.catalogue.builders import AFTER, ENDS, WHILE_OPEN, a_draft, a_plan

SIRET = "21350238800019"
OFFICER = Contact(name="Léa Martin", email="lea.martin@ville-exemple.fr")
ADVISOR = Contact(name="Paul Petit", email="paul.petit@delegation.example")
QUALIFIED, PROPOSED, AGREED, DECLINED = BespokeAnswer


def a_request(state: BespokeState = BespokeState.RECEIVED, **given: Any) -> BespokeRequest:
    fields: dict[str, Any] = {
        "bespoke_id": UUID(int=7),
        "request_id": UUID(int=7),
        "source": "/portals/iel",
        "portal": "iel",
        "siret": SIRET,
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "theme": "enjeux-ia",
        "trainees": 15,
        "received_at": datetime(2025, 3, 1, tzinfo=UTC),
        "requester": OFFICER,
    }
    return BespokeRequest(**fields | {"state": state} | given)


def a_session(**plan: Any) -> Session:
    private = bespoke.private_plan(a_plan(**plan), SIRET)
    return replace(a_draft(), format=Format.BESPOKE, plan=private, version=0)


def answered(
    request: BespokeRequest, given: BespokeAnswer, session: Session | None = None, now: datetime = WHILE_OPEN
) -> Answered | RefusedByRule:
    return bespoke.answer(request, given, advisor=ADVISOR, message="Bonjour.", session=session, now=now)


@pytest.mark.parametrize(
    ("state", "possible", "following"),
    [
        (BespokeState.RECEIVED, {QUALIFIED, PROPOSED, DECLINED}, QUALIFIED),
        (BespokeState.QUALIFIED, {PROPOSED, AGREED, DECLINED}, PROPOSED),
        (BespokeState.PROPOSED, {PROPOSED, AGREED, DECLINED}, AGREED),
        (BespokeState.AGREED, set(), None),
        (BespokeState.DECLINED, set(), None),
    ],
)
def test_a_request_goes_forward_its_end_is_final_and_a_forgotten_requester_is_not_answered(
    state: BespokeState, possible: set[BespokeAnswer], following: BespokeAnswer | None
) -> None:
    request = a_request(state)
    assert set(bespoke.possible_answers(request)) == possible
    assert bespoke.next_answer(request) is following
    outcomes = {
        given: answered(request, given, a_session() if given is AGREED else None) for given in BespokeAnswer
    }
    assert {given for given, outcome in outcomes.items() if isinstance(outcome, Answered)} == possible
    handed = bespoke.handed_over(request, ADVISOR)
    assert isinstance(handed, RefusedByRule) is not state.is_open
    assert not state.is_open or handed == a_request(state, advisor=ADVISOR, version=2)
    forgotten = a_request(state, requester=None)
    assert (bespoke.possible_answers(forgotten), bespoke.next_answer(forgotten)) == ((), None)
    assert isinstance(bespoke.handed_over(forgotten, ADVISOR), RefusedByRule)


def test_each_answer_is_a_version_and_an_event_to_the_requester() -> None:
    outcome = answered(a_request(), PROPOSED)
    assert isinstance(outcome, Answered)
    assert (outcome.request.version, outcome.request.state) == (2, BespokeState.PROPOSED)
    assert (outcome.request.answered_at, outcome.session) == (WHILE_OPEN, None)
    event = outcome.event
    assert (event.request_id, event.siret, event.answer) == (UUID(int=7), SIRET, PROPOSED)
    assert (event.requested_by, event.advisor, event.message) == (OFFICER, ADVISOR, "Bonjour.")
    assert event.session_id is None


def test_an_agreement_publishes_the_session_of_the_authority_alone() -> None:
    session = a_session(
        audience=Audience(delegations=("corse",)),
        approval=ApprovalPolicy.EMPLOYER,
        reserved_seats=(ReservedSeats(delegation="corse", seats=3, release_at=WHILE_OPEN),),
        quota_per_authority=2,
    )
    outcome = answered(a_request(BespokeState.PROPOSED), AGREED, session)
    assert isinstance(outcome, Answered)
    assert outcome.session is not None
    agreed = outcome.session.session
    assert agreed.plan.audience == Audience(sirets=(SIRET,))
    assert (agreed.plan.approval, agreed.plan.reserved_seats) == (ApprovalPolicy.NONE, ())
    assert (agreed.plan.quota_per_authority, agreed.status) == (None, Status.PUBLISHED)
    assert [type(event) for event in outcome.session.events] == [SessionScheduled, SessionOpened]
    assert outcome.request.session_id == outcome.event.session_id == agreed.session_id


@pytest.mark.parametrize(
    ("outcome", "code", "field"),
    [
        (answered(a_request(BespokeState.PROPOSED), AGREED), RefusalCode.NO_SESSION, "session"),
        (answered(a_request(), DECLINED, a_session()), RefusalCode.NO_SESSION, "session"),
        (
            answered(a_request(BespokeState.PROPOSED), AGREED, a_session(), AFTER),
            *(RefusalCode.SESSION_OVER, "session.ends_at"),
        ),
        (
            answered(a_request(BespokeState.PROPOSED), AGREED, a_session(venue=None)),
            *(RefusalCode.NO_PLACE, "session.venue"),
        ),
        (
            answered(a_request(BespokeState.PROPOSED), AGREED, a_session(starts_at=ENDS)),
            *(RefusalCode.DATES_OUT_OF_ORDER, "session.ends_at"),
        ),
        (answered(a_request(requester=None), DECLINED), RefusalCode.NOT_ANSWERABLE, None),
    ],
)
def test_an_answer_is_refused(
    outcome: Answered | RefusedByRule, code: RefusalCode, field: str | None
) -> None:
    assert isinstance(outcome, RefusedByRule)
    violation = outcome.violations[0]
    assert (violation.code, violation.field) == (code, field or violation.field)
