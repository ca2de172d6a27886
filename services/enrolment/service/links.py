from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from services.enrolment.render.certificates import Certificate
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
from services.enrolment.rules.questions import asked_of
from services.enrolment.rules.requests import OfferAnswer, Request, Swap, Withdrawal
from services.enrolment.rules.states import State
from services.enrolment.service import certificates, requests
from services.enrolment.service.failures import RefusedByRules
from services.enrolment.store import changes, corrections, enrolments, sessions
from shared.database import Transaction
from shared.events.catalogue import Question, SessionState
from shared.events.portal import QuestionAnswers
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent

MOST = 100
CORRECTED_LATELY = timedelta(days=30)
"""If staff corrected the address in this time, acts by link are stored with the staff's name [choice]."""


class AgentLink(NamedTuple):
    """``written_to`` tells whether the letter went to an address.

    A letter to a former address may lie in a wrong mailbox, so its link opens nothing.
    """

    enrolment_id: UUID
    written_to: Callable[[str], bool]

    def opens(self, agent: Agent | None) -> LinkState:
        """``agent`` is None for an unknown enrolment."""
        if agent is None:
            return LinkState.UNKNOWN
        return LinkState.OPEN if self.written_to(agent.email) else LinkState.ADDRESS_CHANGED


async def _keep_who_corrected(
    tx: Transaction, found: EnrolmentInSession, request: Request, now: datetime
) -> None:
    """The staff who corrected the address lately may have the link: store their name beside the act."""
    since = now - CORRECTED_LATELY
    corrected = await corrections.last_by_staff(tx, found.enrolment.agent.key, since)
    if corrected is not None:
        await changes.add_details(tx, request.key, found.enrolment.enrolment_id, now, corrected)


Linked = tuple[LinkState, EnrolmentInSession | None]
"""The enrolment is None if the link opens nothing."""


async def _find(tx: Transaction, link: AgentLink, *, lock: bool = False) -> EnrolmentInSession | LinkState:
    found = await enrolments.find(tx, link.enrolment_id, lock=lock)
    state = link.opens(None if found is None else found.enrolment.agent)
    return state if found is None or state is not LinkState.OPEN else found


async def offer(tx: Transaction, link: AgentLink, version: int, now: datetime) -> Linked:
    found = await _find(tx, link)
    return (found, None) if isinstance(found, LinkState) else (offer_state(found, version, now), found)


async def reply_to_offer(
    tx: Transaction, link: AgentLink, version: int, *, accepted: bool, policy: Policy, now: datetime
) -> Linked:
    found = await _find(tx, link, lock=True)
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
    found = await _find(tx, link)
    return (found, None) if isinstance(found, LinkState) else (withdrawal_state(found, now), found)


async def withdraw(tx: Transaction, link: AgentLink, policy: Policy, now: datetime) -> Linked:
    found = await _find(tx, link, lock=True)
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
    """Return also the offer's sessions with a free seat, the same organiser's first."""
    found = await _find(tx, link)
    if isinstance(found, LinkState):
        return found, None, ()
    state = move_state(found, now)
    if state is not LinkState.OPEN:
        return state, found, ()
    agent = found.enrolment.agent
    others = await sessions.others_of_offer(tx, found.session, agent.key, now)
    free = [session for session, seats in others if has_seat_for(session, seats, agent, now)]
    return state, found, sorted(free, key=lambda there: there.organiser != found.session.organiser)


async def questions_of(
    tx: Transaction, link: AgentLink, to_session_id: UUID
) -> tuple[SessionState | None, Sequence[Question]]:
    found = await _find(tx, link)
    if isinstance(found, LinkState):
        return None, ()
    there = await sessions.find(tx, to_session_id)
    if there is None or there.offer_id != found.session.offer_id:
        return None, ()  # refused like an unknown session
    return there, asked_of(there.questions, found.enrolment.agent.function)


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
    found = await _find(tx, link)
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
    tx: Transaction, link: AgentLink
) -> tuple[LinkState, EnrolmentInSession | None, Certificate | None]:
    found = await _find(tx, link)
    if isinstance(found, LinkState):
        return found, None, None
    due = await certificates.of_enrolment(tx, found)
    return LinkState.NOT_CERTIFIED if due is None else LinkState.OPEN, found, due


async def enrolments_of_agent(tx: Transaction, link: AgentLink, now: datetime) -> AgentEnrolments | LinkState:
    """Return the agent's newest enrolments with the letter's address, or why the link is refused."""
    agent = await enrolments.agent_of(tx, link.enrolment_id)
    state = link.opens(agent)
    if agent is None or state is not LinkState.OPEN:
        return state
    return arranged([seen_by_agent(known, now) for known in await enrolments.of_agent(tx, agent, MOST)])
