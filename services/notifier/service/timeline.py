"""The story of an agent over all services: what happened is kept as its events are heard."""

from collections.abc import Sequence
from typing import Any

from services.notifier.letters.happenings import happening_of
from services.notifier.store import timeline
from shared.database import Transaction
from shared.events import Event
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentDetailsCorrected, Decision, NewAddressGiven
from shared.events.vocabulary import AgentKey


async def keep(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Keep what these events say happened to agents: codes and ids, no name and no address."""
    rows = [_row(record) for record in received]
    await timeline.add(tx, [row for row in rows if row is not None])


def _row(record: Received[Event]) -> dict[str, Any] | None:
    happened = happening_of(record.event)
    if happened is None:
        return None
    kind, reason = happened
    event = record.event
    decision = event if isinstance(event, Decision) else None
    return {
        "event_id": record.id,
        "at": record.received_at,
        "kind": kind.value,
        "reason": reason,
        **_agent_of(record)._asdict(),
        "enrolment_id": event.enrolment_id if isinstance(event, Decision | NewAddressGiven) else None,
        "session_id": decision and decision.session_id,
        "version": decision and decision.version,
        "request_id": decision and decision.request_id,
    }


def _agent_of(record: Received[Event]) -> AgentKey:
    match record.event:
        case Decision(agent=agent) | NewAddressGiven(agent=agent):
            return agent.key
        case AgentDetailsCorrected(issuer=issuer, agent_id=agent_id):
            return AgentKey(issuer, agent_id)
        case event:
            return AgentKey(record.issuer, event.key)
