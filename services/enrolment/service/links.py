"""What agents do by the links of their letters: see their enrolments, answer an offer, withdraw, or move."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.links import (
    AgentEnrolments,
    LinkState,
    arranged,
    has_seat_for,
    move_state,
    offer_state,
    seen_by_agent,
    withdrawal_state,
)
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import OfferAnswer, Swap, Withdrawal
from services.enrolment.rules.states import State
from services.enrolment.service import requests
from services.enrolment.store import enrolments, sessions
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Reason

MOST = 100
"""How many enrolments of an agent are shown."""

WrittenTo = Callable[[str], bool]
"""Whether a link was written to an address."""

Linked = tuple[LinkState, EnrolmentInSession | None]
"""Whether what a link is for can still be done, and its enrolment; None where the enrolment is unknown."""


async def offer(tx: Transaction, enrolment_id: UUID, version: int, now: datetime) -> Linked:
    """Return whether the offer stands that was made by this version of the enrolment."""
    found = await enrolments.find(tx, enrolment_id)
    return offer_state(found, version, now), found


async def answer_offer(
    tx: Transaction, enrolment_id: UUID, version: int, *, accepted: bool, policy: Policy, now: datetime
) -> Linked:
    """Take the seat that is offered, or leave it, if the offer stands."""
    found = await enrolments.find(tx, enrolment_id, lock=True)
    state = offer_state(found, version, now)
    if found is None or state is not LinkState.OPEN:
        return state, found
    agent = found.enrolment.agent.key
    answer = OfferAnswer(uuid4(), now, found.session.session_id, agent, accepted, version)
    outcome = await _outcome(tx, answer, policy, now)
    if outcome != (State.ENROLLED if accepted else State.LAPSED):
        return LinkState.OFFER_EXPIRED, found
    return LinkState.SEAT_TAKEN if accepted else LinkState.SEAT_LEFT, found


async def withdrawal(
    tx: Transaction, enrolment_id: UUID, now: datetime, written_to: WrittenTo | None = None
) -> Linked:
    """Return whether one may withdraw from the enrolment, by a link that was written to its address."""
    found = await enrolments.find(tx, enrolment_id)
    return _withdrawal_state(found, now, written_to), found


def _withdrawal_state(
    found: EnrolmentInSession | None, now: datetime, written_to: WrittenTo | None
) -> LinkState:
    if found is not None and written_to is not None and not written_to(found.enrolment.agent.email):
        return LinkState.ADDRESS_CHANGED
    return withdrawal_state(found, now)


async def withdraw(
    tx: Transaction,
    enrolment_id: UUID,
    policy: Policy,
    now: datetime,
    written_to: WrittenTo | None = None,
) -> Linked:
    """Withdraw from the enrolment, if one may."""
    found = await enrolments.find(tx, enrolment_id, lock=True)
    state = _withdrawal_state(found, now, written_to)
    if found is None or state is not LinkState.OPEN:
        return state, found
    agent = found.enrolment.agent.key
    request = Withdrawal(uuid4(), now, found.session.session_id, agent, None)
    outcome = await _outcome(tx, request, policy, now)
    return LinkState.WITHDRAWN if outcome == State.WITHDRAWN else LinkState.ALREADY_ENDED, found


async def move(
    tx: Transaction, enrolment_id: UUID, now: datetime, written_to: WrittenTo
) -> tuple[LinkState, EnrolmentInSession | None, Sequence[SessionState]]:
    """Return whether one may give up the seat for another, and the sessions of the offer that have one."""
    found = await enrolments.find(tx, enrolment_id)
    state = _move_state(found, now, written_to)
    if found is None or state is not LinkState.OPEN:
        return state, found, ()
    agent = found.enrolment.agent
    others = await sessions.others_of_offer(tx, found.session, agent.key, now)
    return state, found, [session for session, seats in others if has_seat_for(session, seats, agent, now)]


def _move_state(found: EnrolmentInSession | None, now: datetime, written_to: WrittenTo) -> LinkState:
    if found is not None and not written_to(found.enrolment.agent.email):
        return LinkState.ADDRESS_CHANGED
    return move_state(found, now)


async def move_to(
    tx: Transaction,
    enrolment_id: UUID,
    to_session_id: UUID,
    *,
    policy: Policy,
    now: datetime,
    written_to: WrittenTo,
) -> tuple[LinkState, SessionState | None] | Reason:
    """Give up the seat for one in another session, or say why the rules refuse it.

    Returns also the session where the agent has a seat then; None where the link opens nothing any more. The
    transaction of what is refused is not to be committed: the page says so, and no letter must.
    """
    # Not locked yet: both sessions are locked at once, by what answers the request.
    found = await enrolments.find(tx, enrolment_id)
    state = _move_state(found, now, written_to)
    if found is None or state is not LinkState.OPEN:
        return state, None
    there = await sessions.find(tx, to_session_id)
    if there is None:
        return Reason.UNKNOWN_SESSION
    agent, session_id = found.enrolment.agent.key, found.session.session_id
    request = Swap(uuid4(), now, session_id, agent, to_session_id)
    answer = (await requests.answer(tx, [request], policy, now))[request.key]
    if answer is None:
        raise LookupError("a session that was there is not")
    return answer.reason or (LinkState.MOVED, there)


async def enrolments_of_agent(
    tx: Transaction, enrolment_id: UUID, written_to: WrittenTo, now: datetime
) -> AgentEnrolments | LinkState:
    """Return the enrolments of the agent whose enrolment this is, the newest `MOST`, or why not.

    Those with the same address alone: whoever has another mailbox of the agent has had no letter about them.
    A link that was written to another address than theirs now may lie in a wrong mailbox: it opens nothing.
    """
    found = await enrolments.find(tx, enrolment_id)
    if found is None:
        return LinkState.UNKNOWN
    agent = found.enrolment.agent
    if not written_to(agent.email):
        return LinkState.ADDRESS_CHANGED
    return arranged([seen_by_agent(known, now) for known in await enrolments.of_agent(tx, agent, MOST)])


async def _outcome(tx: Transaction, request: OfferAnswer | Withdrawal, policy: Policy, now: datetime) -> str:
    answer = (await requests.answer(tx, [request], policy, now))[request.key]
    if answer is None:
        raise LookupError("an enrolment without its session")
    return answer.outcome
