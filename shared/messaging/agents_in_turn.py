"""An agent's records on ``portal.agents`` wait behind the agent's failed erasure or correction.

A record that waits is parked. It is handled as soon as the failed one is redriven or discarded. An erasure
waits for no correction: it ends what was to be corrected.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlmodel import col, select

from shared.database import Transaction
from shared.events.cloudevents import Received, Record
from shared.events.portal import AgentCorrected, AgentErasureRequested, AgentRequest, SubscriptionChanged
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey, Event
from shared.messaging.dead_letters import DeadLetter, Parked, dead_letter_of
from shared.messaging.tables import DeadLetterRow

WAITS = "waits behind an earlier record of this agent"
"""The error of a dead letter that only waits."""
WAITED_FOR = AgentErasureRequested, AgentCorrected

Read = Callable[[Record], object]
"""Reads a record as its consumer does."""


def agent_of(delivery: object) -> AgentKey | None:
    """Return None if the record is no request about an agent on ``portal.agents``."""
    if isinstance(delivery, Received) and isinstance(delivery.event, AgentRequest):
        return delivery.event.agent_of(delivery.issuer)
    return None


def is_waited_for(delivery: object) -> bool:
    """Return whether later records of the agent wait if this one fails."""
    return isinstance(delivery, Received) and isinstance(delivery.event, WAITED_FOR)


def waits(event: Received[Event], failed: Iterable[object]) -> bool:
    """Return whether the event waits behind one of the ``failed`` records."""
    agent = agent_of(event)
    return agent is not None and any(
        is_waited_for(before)
        and agent_of(before) == agent
        and not (isinstance(event.event, AgentErasureRequested) and _is_correction(before))
        for before in failed
    )


def _is_correction(delivery: object) -> bool:
    return isinstance(delivery, Received) and isinstance(delivery.event, AgentCorrected)


async def split(
    tx: Transaction, events: Sequence[Received[Event]], read: Read
) -> tuple[list[Received[Event]], list[Parked]]:
    """Return the events to handle now, and those that wait.

    Nobody can redrive or discard what they wait for before the transaction ends.
    """
    if not any(isinstance(event.event, AgentRequest) for event in events):
        return list(events), []
    failed = [read(letter.record) for letter in await _parked(tx, WAITED_FOR)]
    behind = [event for event in events if waits(event, failed)]
    return [event for event in events if event not in behind], [
        Parked.received(event, WAITS) for event in behind
    ]


async def now_due(tx: Transaction, agents: set[AgentKey], read: Read) -> list[DeadLetter]:
    """Return the parked records of these agents that no longer wait behind a failed one, in order."""
    due: list[DeadLetter] = []
    failed: set[AgentKey] = set()
    for letter in await _parked(tx, (*WAITED_FOR, SubscriptionChanged)):
        delivery = read(letter.record)
        agent = agent_of(delivery)
        if agent is None or agent not in agents - failed:
            continue
        if letter.error == WAITS:
            due.append(letter)
        elif is_waited_for(delivery):
            failed.add(agent)
    return due


async def _parked(tx: Transaction, types: Sequence[type[AgentRequest]]) -> list[DeadLetter]:
    """The agents are in the values: the key of a portal's record decides nothing."""
    parked = (
        select(DeadLetterRow)
        .where(
            col(DeadLetterRow.state) == "parked",
            col(DeadLetterRow.topic) == Topic.PORTAL_AGENTS,
            col(DeadLetterRow.event_type).in_([event.TYPE for event in types]),
        )
        .order_by(col(DeadLetterRow.offset), col(DeadLetterRow.id))
    )
    return [dead_letter_of(row) for row in await tx.scalars(parked.with_for_update(read=True))]
