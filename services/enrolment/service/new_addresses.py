"""Agents correct their address from "Mes inscriptions" (rule 19), once the new mailbox confirms it.

The old address is notified. The answer is the same whether the new address is known or not.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from services.enrolment.rules.links import LinkState
from services.enrolment.service import links
from services.enrolment.service.corrections import correct_by_agent, lock_sessions_of
from services.enrolment.service.links import AgentLink
from services.enrolment.store import corrections, enrolments, new_addresses
from services.enrolment.store.outbox import OUTBOX
from shared import limits
from shared.database import Transaction
from shared.events.enrolment import NewAddressGiven
from shared.events.vocabulary import AgentKey
from shared.rates import Rate

A_DAY = Rate(3, 86_400)
"""Each given address gets a letter, and may belong to another person [choice]."""


class AddressLink(NamedTuple):
    request_id: UUID
    written_to: Callable[[str], bool]


async def opens(tx: Transaction, link: AgentLink, now: datetime) -> LinkState:
    """A new address is that of all enrolments, so a link to only one of several addresses may not give it."""
    agent = await enrolments.agent_of(tx, link.enrolment_id)
    state = await links.opens(tx, link, agent, now)
    if agent is None or state is not LinkState.OPEN:
        return state
    return LinkState.ADDRESSES_DIFFER if await enrolments.has_other_address(tx, agent) else state


async def give(
    tx: Transaction, link: AgentLink, address: str, digest: Callable[[str, str], bytes], now: datetime
) -> LinkState:
    state = await opens(tx, link, now)
    agent = await enrolments.agent_of(tx, link.enrolment_id)
    if agent is None or state is not LinkState.OPEN:
        return state
    if not await limits.take(tx, digest("new addresses", f"{agent.issuer}\0{agent.agent_id}"), A_DAY):
        return LinkState.TOO_MANY_ADDRESSES
    given = NewAddressGiven(
        request_id=uuid4(),
        enrolment_id=link.enrolment_id,
        agent=agent,
        new_address=address,
        given_at=now,
    )
    await new_addresses.keep(tx, given)
    await OUTBOX.publish(tx, [given])
    return LinkState.ADDRESS_GIVEN


async def state(tx: Transaction, link: AddressLink) -> LinkState:
    """The link confirms nothing if the agent's address has been corrected since, even if it came back."""
    given = await new_addresses.find(tx, link.request_id)
    if given is None or not link.written_to(given.address):
        return LinkState.UNKNOWN
    agent = await enrolments.agent_of(tx, given.enrolment_id)
    if agent is None:
        return LinkState.UNKNOWN
    if agent.email == given.address:
        return LinkState.ADDRESS_CORRECTED
    corrected = await corrections.last_of_address(tx, agent.key, given.given_at)
    if corrected is not None or agent.email != given.present:
        return LinkState.ADDRESS_CHANGED
    return LinkState.ADDRESSES_DIFFER if await enrolments.has_other_address(tx, agent) else LinkState.OPEN


async def confirm(tx: Transaction, link: AddressLink, now: datetime) -> LinkState:
    """Correct the agent if the link still confirms it. Repeating has no effect."""
    given = await new_addresses.find(tx, link.request_id)
    if given is None:
        return LinkState.UNKNOWN
    agent = AgentKey(given.issuer, given.agent_id)
    await lock_sessions_of(tx, agent)
    found = await state(tx, link)
    if found is not LinkState.OPEN:
        return found
    await correct_by_agent(tx, agent, {"email": given.address}, now)
    return LinkState.ADDRESS_CORRECTED
