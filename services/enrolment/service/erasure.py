"""Erasure of an agent: seats are given up first; attendance stays as a number."""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Withdrawal
from services.enrolment.service import requests
from services.enrolment.store import attendance, enrolments
from services.enrolment.store import requests as store
from shared import clock
from shared.database import Transaction, is_temporary
from shared.events.cloudevents import Received
from shared.events.vocabulary import AgentKey, Event
from shared.messaging import erasure
from shared.messaging.erasure import Erasure
from shared.personal_data import Subject

log = logging.getLogger(__name__)


async def withdraw(tx: Transaction, received: Sequence[Received[Event]], policy: Policy) -> None:
    """Withdraw agents to be erased from all their sessions.

    The job (:func:`give_up`) does the rest: enrolments by earlier requests that are read later, and sessions
    that fail here.
    """
    until = {
        agent: record.received_at for record in received if (agent := erasure.agent_of(record)) is not None
    }
    withdrawals = [
        withdrawal
        for agent, moment in until.items()
        for enrolment_id in await enrolments.live_of_agent(tx, agent, moment)
        if (withdrawal := await _withdrawal(tx, enrolment_id, agent, moment)) is not None
    ]
    if not withdrawals:
        return
    try:
        async with tx.savepoint():
            await requests.process(tx, withdrawals, policy, clock.now())
    except Exception as error:
        if is_temporary(error):
            raise
        log.exception("Agents who ask to be forgotten cannot be withdrawn at once; the job tries again")


async def _withdrawal(
    tx: Transaction, enrolment_id: UUID, agent: AgentKey, moment: datetime, *, lock: bool = False
) -> Withdrawal | None:
    """Return None if there is nothing to withdraw from."""
    found = await enrolments.find(tx, enrolment_id, lock=lock)
    if found is None or judge_withdrawal(found.session, found.enrolment, moment) is not None:
        return None
    return Withdrawal(uuid4(), moment, found.session.session_id, agent, None)


async def give_up(tx: Transaction, request: Erasure, policy: Policy) -> datetime | None:
    """Withdraw the agent from one session; the seat goes to the next agent.

    Returns None if the agent's requests still wait or more sessions may be left, else the moment until which
    the agent's requests are erased. A seat in a session that has begun is kept.
    """
    if await store.waits(tx, request.agent, request.received_at):
        return None
    for enrolment_id in await enrolments.live_of_agent(tx, request.agent, request.received_at):
        withdrawal = await _withdrawal(tx, enrolment_id, request.agent, request.received_at, lock=True)
        if withdrawal is not None:
            await requests.process(tx, [withdrawal], policy, clock.now())
            return None  # one session for each transaction, and its event must be published first
    return request.received_at


async def answers(tx: Transaction, subject: Subject) -> bool:
    """Return whether a person who is no agent still gets the answer to a list."""
    return await store.waits_of_sender(tx, subject.addresses)


async def keep_numbers(tx: Transaction, agent: AgentKey, until: datetime) -> None:
    await attendance.count_erased(tx, agent, until)
