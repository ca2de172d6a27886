from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from services.enrolment.render.certificates import Certificate
from services.enrolment.rules.eligibility import is_in_audience
from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.links import (
    AgentEnrolments,
    LinkState,
    arranged,
    has_seat_for,
    is_too_new,
    move_state,
    offer_state,
    seen_by_agent,
    withdrawal_state,
)
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.questions import asked_of
from services.enrolment.rules.requests import OfferAnswer, Request, Swap, Withdrawal
from services.enrolment.rules.states import State
from services.enrolment.service import certificates, requests
from services.enrolment.service.corrections import lock_sessions_of
from services.enrolment.service.failures import RefusedByRules
from services.enrolment.store import address_holds, changes, corrections, enrolments, sessions
from shared.database import Transaction
from shared.events.catalogue import Question, SessionState
from shared.events.corrections import RECENT_CORRECTION
from shared.events.portal import QuestionAnswers
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent

MOST = 100


class AgentLink(NamedTuple):
    """``written_to`` tells whether the letter went to an address.

    A letter to a former address may lie in a wrong mailbox, so its link opens nothing.
    """

    enrolment_id: UUID
    written_to: Callable[[str], bool]


class CorrectionLink(NamedTuple):
    """``is_about`` tells whether the correction put an address.

    A link about an earlier correction confirms nothing of a later one.
    """

    enrolment_id: UUID
    written_to: Callable[[str], bool]
    is_about: Callable[[str], bool]


async def opens(tx: Transaction, link: AgentLink, agent: Agent | None, now: datetime) -> LinkState:
    """``agent`` is None for an unknown enrolment. An address that is too new opens nothing (ADR 0069)."""
    if agent is None:
        return LinkState.UNKNOWN
    if not link.written_to(agent.email):
        return LinkState.ADDRESS_CHANGED
    held = await address_holds.held(tx, agent.key, now)
    return LinkState.ADDRESS_TOO_NEW if is_too_new(agent.email, held) else LinkState.OPEN


async def correction(tx: Transaction, link: CorrectionLink, now: datetime) -> LinkState:
    """Return whether the former address that the letter went to may still confirm its correction."""
    agent = await enrolments.agent_of(tx, link.enrolment_id)
    if agent is None:
        return LinkState.UNKNOWN
    confirming = await _confirming(tx, link, agent, now)
    return LinkState.OPEN if confirming else LinkState.NOTHING_TO_CONFIRM


async def confirm_correction(tx: Transaction, link: CorrectionLink, now: datetime) -> LinkState:
    known = await enrolments.agent_of(tx, link.enrolment_id)
    if known is None:
        return LinkState.UNKNOWN
    await lock_sessions_of(tx, known.key)
    agent = await enrolments.agent_of(tx, link.enrolment_id)  # a correction may have come before the lock
    confirming = [] if agent is None else await _confirming(tx, link, agent, now)
    if not confirming:
        return LinkState.NOTHING_TO_CONFIRM
    await address_holds.end(tx, known.key, confirming)
    return LinkState.CORRECTION_CONFIRMED


async def _confirming(tx: Transaction, link: CorrectionLink, agent: Agent, now: datetime) -> list[str]:
    """A request may have given the enrolment another address since the correction."""
    corrected_to = await corrections.last_address(tx, agent.key)
    if not any(map(link.is_about, {agent.email, corrected_to or agent.email})):
        return []
    return [address for address in await address_holds.held(tx, agent.key, now) if link.written_to(address)]


async def _keep_who_corrected(
    tx: Transaction, found: EnrolmentInSession, request: Request, now: datetime
) -> None:
    """Whoever corrected the address lately may have the link: store who, and the address, beside the act."""
    agent = found.enrolment.agent
    corrected = await corrections.last_of_address(tx, agent.key, now - RECENT_CORRECTION)
    if corrected is not None:
        details = {"link_sent_to": agent.email, **corrected}
        await changes.add_details(tx, request.key, found.enrolment.enrolment_id, now, details)


Linked = tuple[LinkState, EnrolmentInSession | None]
"""The enrolment is None if the link opens nothing."""


async def _find(
    tx: Transaction, link: AgentLink, now: datetime, *, lock: bool = False
) -> EnrolmentInSession | LinkState:
    found = await enrolments.find(tx, link.enrolment_id, lock=lock)
    state = await opens(tx, link, None if found is None else found.enrolment.agent, now)
    return found if found is not None and state is LinkState.OPEN else state


async def offer(tx: Transaction, link: AgentLink, version: int, now: datetime) -> Linked:
    found = await _find(tx, link, now)
    return (found, None) if isinstance(found, LinkState) else (offer_state(found, version, now), found)


async def reply_to_offer(
    tx: Transaction, link: AgentLink, version: int, *, accepted: bool, policy: Policy, now: datetime
) -> Linked:
    found = await _find(tx, link, now, lock=True)
    if isinstance(found, LinkState):
        return found, None
    state = offer_state(found, version, now)
    if state is not LinkState.OPEN:
        return state, found
    agent = found.enrolment.agent.key
    request = OfferAnswer(uuid4(), now, found.session.session_id, agent, accepted, version)
    result = await requests.process_known(tx, request, policy, now)
    await _keep_who_corrected(tx, found, request, now)
    if result.state != (State.ENROLLED if accepted else State.LAPSED):
        return LinkState.OFFER_EXPIRED, found
    return LinkState.SEAT_TAKEN if accepted else LinkState.SEAT_LEFT, found


async def withdrawal(tx: Transaction, link: AgentLink, now: datetime) -> Linked:
    found = await _find(tx, link, now)
    return (found, None) if isinstance(found, LinkState) else (withdrawal_state(found, now), found)


async def withdraw(tx: Transaction, link: AgentLink, policy: Policy, now: datetime) -> Linked:
    found = await _find(tx, link, now, lock=True)
    if isinstance(found, LinkState):
        return found, None
    state = withdrawal_state(found, now)
    if state is not LinkState.OPEN:
        return state, found
    agent = found.enrolment.agent.key
    request = Withdrawal(uuid4(), now, found.session.session_id, agent, None)
    result = await requests.process_known(tx, request, policy, now)
    await _keep_who_corrected(tx, found, request, now)
    return LinkState.WITHDRAWN if result.state == State.WITHDRAWN else LinkState.ALREADY_ENDED, found


async def move(
    tx: Transaction, link: AgentLink, now: datetime
) -> tuple[LinkState, EnrolmentInSession | None, Sequence[SessionState]]:
    """Return also the offer's sessions with a free seat, nearest first."""
    found = await _find(tx, link, now)
    if isinstance(found, LinkState):
        return found, None, ()
    state = move_state(found, now)
    if state is not LinkState.OPEN:
        return state, found, ()
    agent = found.enrolment.agent
    others = await sessions.others_of_offer(tx, found.session, agent.key, now)
    free = [session for session, seats in others if has_seat_for(session, seats, agent, now)]
    return state, found, free


class MoveChoice(NamedTuple):
    here: SessionState
    there: SessionState
    questions: Sequence[Question]


async def move_choice(
    tx: Transaction, link: AgentLink, to_session_id: UUID, now: datetime
) -> MoveChoice | None:
    """Return what a move would change, or None if :func:`move_to` refuses it whatever is answered."""
    found = await _find(tx, link, now)
    if isinstance(found, LinkState) or move_state(found, now) is not LinkState.OPEN:
        return None
    there, agent = await sessions.find(tx, to_session_id), found.enrolment.agent
    if there is None or there.offer_id != found.session.offer_id or not is_in_audience(there.audience, agent):
        return None
    return MoveChoice(found.session, there, asked_of(there.questions, agent.function))


async def move_to(
    tx: Transaction,
    link: AgentLink,
    to_session_id: UUID,
    answers: QuestionAnswers,
    *,
    policy: Policy,
    now: datetime,
) -> tuple[LinkState, SessionState | None]:
    """Return the new session, or None if the link or its state does not allow the move.

    Raises ``RefusedByRules``: the page says why, and no letter is sent.
    """
    # Not locked yet: the function that moves the agent locks both sessions at once.
    found = await _find(tx, link, now)
    if isinstance(found, LinkState):
        return found, None
    state = move_state(found, now)
    if state is not LinkState.OPEN:
        return state, None
    there = await sessions.find(tx, to_session_id)
    if there is None:
        raise RefusedByRules(Reason.UNKNOWN_SESSION)
    agent, session_id = found.enrolment.agent.key, found.session.session_id
    request = Swap(uuid4(), now, session_id, agent, to_session_id, answers)
    await requests.grant(tx, request, policy, now)
    await _keep_who_corrected(tx, found, request, now)
    return LinkState.MOVED, there


async def certificate(
    tx: Transaction, link: AgentLink, now: datetime
) -> tuple[LinkState, EnrolmentInSession | None, Certificate | None]:
    found = await _find(tx, link, now)
    if isinstance(found, LinkState):
        return found, None, None
    due = await certificates.of_enrolment(tx, found)
    if due is None or due.issued_at > now:
        return LinkState.NOT_CERTIFIED, found, None
    return LinkState.OPEN, found, due


async def enrolments_of_agent(tx: Transaction, link: AgentLink, now: datetime) -> AgentEnrolments | LinkState:
    """Return the agent's newest enrolments with the letter's address, or why the link is refused."""
    agent = await enrolments.agent_of(tx, link.enrolment_id)
    state = await opens(tx, link, agent, now)
    if agent is None or state is not LinkState.OPEN:
        return state
    return arranged([seen_by_agent(known, now) for known in await enrolments.of_agent(tx, agent, MOST)])
