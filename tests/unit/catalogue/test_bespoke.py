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


@pytest.mark.parametrize("state", BespokeState)
def test_a_request_is_handed_over_as_long_as_it_is_answered(state: BespokeState) -> None:
    handed = bespoke.handed_over(a_request(state), ADVISOR)
    if state.is_open:
        assert handed == a_request(state, advisor=ADVISOR, version=2)
    else:
        assert isinstance(handed, RefusedByRule)
    assert isinstance(bespoke.handed_over(a_request(state, requester=None), ADVISOR), RefusedByRule)


def test_what_is_next_can_always_be_answered_and_nothing_can_once_it_is_forgotten_who_asked() -> None:
    steps = [(state, bespoke.next_answer(a_request(state))) for state in BespokeState if state.is_open]
    assert [answer for _, answer in steps] == [QUALIFIED, PROPOSED, AGREED]
    for state, answer in steps:
        assert answer in bespoke.possible_answers(a_request(state))
        assert bespoke.next_answer(a_request(state, requester=None)) is None
        assert bespoke.possible_answers(a_request(state, requester=None)) == ()


def answered(
    request: BespokeRequest, given: BespokeAnswer, session: Session | None = None, now: datetime = WHILE_OPEN
) -> Answered | RefusedByRule:
    if session is None and given is AGREED:
        session = a_session()
    return bespoke.answer(request, given, advisor=ADVISOR, message="Bonjour.", session=session, now=now)


def refusal(outcome: Answered | RefusedByRule) -> tuple[RefusalCode | None, str | None]:
    assert isinstance(outcome, RefusedByRule)
    return outcome.violations[0].code, outcome.violations[0].field


@pytest.mark.parametrize(
    ("state", "possible"),
    [
        (BespokeState.RECEIVED, {QUALIFIED, PROPOSED, DECLINED}),
        (BespokeState.QUALIFIED, {PROPOSED, AGREED, DECLINED}),
        (BespokeState.PROPOSED, {PROPOSED, AGREED, DECLINED}),
        (BespokeState.AGREED, set()),
        (BespokeState.DECLINED, set()),
    ],
)
def test_a_request_goes_forward_and_its_end_is_final(
    state: BespokeState, possible: set[BespokeAnswer]
) -> None:
    assert set(bespoke.possible_answers(a_request(state))) == possible
    can = {given for given in BespokeAnswer if isinstance(answered(a_request(state), given), Answered)}
    assert can == possible


def test_each_answer_is_a_version_and_an_event_to_who_asked() -> None:
    outcome = answered(a_request(), PROPOSED)
    assert isinstance(outcome, Answered)
    assert (outcome.request.version, outcome.request.state) == (2, BespokeState.PROPOSED)
    assert (outcome.request.answered_at, outcome.session) == (WHILE_OPEN, None)
    event = outcome.event
    assert (event.request_id, event.siret, event.answer) == (UUID(int=7), SIRET, PROPOSED)
    assert (event.requested_by, event.advisor, event.message) == (OFFICER, ADVISOR, "Bonjour.")
    assert event.session_id is None


def test_an_agreement_publishes_the_session_of_the_authority_alone() -> None:
    reserved = (ReservedSeats(delegation="corse", seats=3, release_at=WHILE_OPEN),)
    agreed_session = a_session(
        audience=Audience(delegations=("corse",)),
        approval=ApprovalPolicy.EMPLOYER,
        reserved_seats=reserved,
        quota_per_authority=2,
    )
    outcome = answered(a_request(BespokeState.PROPOSED), AGREED, agreed_session)
    assert isinstance(outcome, Answered)
    assert outcome.session is not None
    session = outcome.session.session
    assert session.plan.audience == Audience(sirets=(SIRET,))
    assert (session.plan.approval, session.plan.reserved_seats) == (ApprovalPolicy.NONE, ())
    assert session.plan.quota_per_authority is None
    assert session.status is Status.PUBLISHED
    assert [type(event) for event in outcome.session.events] == [SessionScheduled, SessionOpened]
    assert outcome.request.session_id == outcome.event.session_id == session.session_id


def test_an_agreement_comes_with_a_session_and_nothing_else_does() -> None:
    agreed = bespoke.answer(
        a_request(BespokeState.PROPOSED), AGREED, advisor=ADVISOR, message=None, session=None, now=WHILE_OPEN
    )
    assert refusal(agreed) == (RefusalCode.NO_SESSION, "session")
    assert refusal(answered(a_request(), DECLINED, a_session())) == (RefusalCode.NO_SESSION, "session")


def test_a_session_that_cannot_be_published_is_not_agreed_on() -> None:
    request = a_request(BespokeState.PROPOSED)
    assert refusal(answered(request, AGREED, a_session(), AFTER)) == (
        RefusalCode.SESSION_OVER,
        "session.ends_at",
    )
    assert refusal(answered(request, AGREED, a_session(venue=None))) == (
        RefusalCode.NO_PLACE,
        "session.venue",
    )
    assert refusal(answered(request, AGREED, a_session(starts_at=ENDS))) == (
        RefusalCode.DATES_OUT_OF_ORDER,
        "session.ends_at",
    )


def test_nobody_is_answered_whose_name_was_forgotten() -> None:
    assert refusal(answered(a_request(requester=None), DECLINED))[0] is RefusalCode.NOT_ANSWERABLE
