"""Agents' addresses and names are corrected: in every enrolment, with a history, before the next decision."""

from collections.abc import Sequence

from services.enrolment.store import corrections, sessions
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events import Event
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentDetailsCorrected
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey
from shared.messaging.erasure import agent_of
from shared.messaging.outbox import OutboxEvent


async def lock_sessions(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Lock the sessions of the agents whom these corrections and erasures are about.

    No decision with an old address is published after its correction. Those of all agents at once, in the
    order in which decisions lock them.
    """
    corrected = [
        AgentKey(request.issuer, request.event.agent_id)
        for request in received
        if isinstance(request.event, AgentCorrected) and _changes(request.event)
    ]
    forgotten = [agent for request in received if (agent := agent_of(request)) is not None]
    await sessions.lock(tx, await corrections.sessions_of(tx, {*corrected, *forgotten}))


async def correct(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Correct what enrolments say of agents, as those of these events ask that are corrections, in order.

    Their sessions are locked (:func:`lock_sessions`).
    """
    wanted = [
        (AgentKey(request.issuer, request.event.agent_id), after, request)
        for request in received
        if isinstance(request.event, AgentCorrected) and (after := _changes(request.event))
    ]
    for agent, after, request in wanted:
        await _correct(tx, agent, after, request)


def _changes(corrected: AgentCorrected) -> dict[str, str]:
    return corrected.model_dump(include={"email", "given_name", "family_name"}, exclude_none=True)


async def _correct(tx: Transaction, agent: AgentKey, after: dict[str, str], request: Received[Event]) -> None:
    """Correct all enrolments of an agent, and publish it; nothing where all say it already."""
    before = await corrections.apply(tx, agent, after)
    if not before:
        return
    await corrections.keep(tx, agent, request.identity, request.received_at, before=before, after=after)
    event = AgentDetailsCorrected(**agent._asdict(), **after, corrected_at=request.received_at)
    await OUTBOX.publish(tx, [OutboxEvent(event, request.traceparent)])
