"""An agent is forgotten: what they still have is given up first; of their attendance a number stays."""

from datetime import datetime
from uuid import uuid4

from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Withdrawal
from services.enrolment.service import requests
from services.enrolment.store import attendance, enrolments
from services.enrolment.store import requests as store
from shared import clock
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.messaging.erasure import Erasure


async def give_up(tx: Transaction, erasure: Erasure, policy: Policy) -> datetime | None:
    """Withdraw the agent from a session, if there is one left; its seat is given on. None: there may be more.

    Where the agent has sat already there is no seat to give on, and nothing to withdraw. What they requested
    before is answered first. Returns until when what they requested is to be erased.
    """
    if await store.waits(tx, erasure.received_at):
        return None
    for enrolment_id in await enrolments.live_of_agent(tx, erasure.agent, erasure.received_at):
        found = await enrolments.find(tx, enrolment_id, lock=True)
        if found is None:
            continue
        session_id = found.session.session_id
        if judge_withdrawal(found.session, found.enrolment, erasure.received_at) is None:
            request = Withdrawal(uuid4(), erasure.received_at, session_id, erasure.agent, None)
            await requests.answer(tx, [request], policy, clock.now())
            return None  # one session in one transaction, and the event of it is to be published
    return erasure.received_at


async def keep_numbers(tx: Transaction, agent: AgentKey, until: datetime) -> None:
    """Count the agent's attendance among that of those who are forgotten."""
    await attendance.count_erased(tx, agent, until)
