"""An agent's address or names are corrected: in every enrolment, with a history, before the next decision."""

from services.enrolment.store import corrections, sessions
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events import Event
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentDetailsCorrected
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey
from shared.messaging.outbox import OutboxEvent


async def correct(tx: Transaction, corrected: AgentCorrected, received: Received[Event]) -> None:
    """Correct what enrolments of the agent say, and publish it; nothing where all say it already.

    ``received`` is the event as it came. The sessions are locked, so that no decision with the old address is
    published after the correction.
    """
    agent = AgentKey(received.issuer, corrected.agent_id)
    after = corrected.model_dump(include={"email", "given_name", "family_name"}, exclude_none=True)
    if not after:
        return
    await sessions.lock(tx, await corrections.sessions_of(tx, agent))
    before = await corrections.apply(tx, agent, after)
    if not before:
        return
    await corrections.keep(tx, agent, received.identity, received.received_at, before=before, after=after)
    event = AgentDetailsCorrected(**agent._asdict(), **after, corrected_at=received.received_at)
    await OUTBOX.publish(tx, [OutboxEvent(event, received.traceparent)])
