from collections.abc import Sequence
from typing import Any

from sqlmodel import col, select

from services.notifier.letters.happenings import Happening
from services.notifier.tables import TimelineRow
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentDetailsCorrected, Decision, NewAddressGiven
from shared.events.vocabulary import AgentKey, Event
from shared.read_log import ReadKind, ReadLogRow
from shared.statements import insert_many

Happened = tuple[Received[Event], Happening, str | None]


async def add(tx: Transaction, happened: Sequence[Happened]) -> None:
    if happened:
        await insert_many(tx, TimelineRow, [_row(*happening) for happening in happened])


async def of_agent(tx: Transaction, agent: AgentKey, *, most: int) -> list[TimelineRow]:
    found = select(TimelineRow).where(
        col(TimelineRow.issuer) == agent.issuer, col(TimelineRow.agent_id) == agent.agent_id
    )
    newest_first = found.order_by(col(TimelineRow.at).desc(), col(TimelineRow.id).desc())
    return list(await tx.scalars(newest_first.limit(most)))


async def corrections_asked(tx: Transaction, agent: AgentKey) -> list[ReadLogRow]:
    asked = select(ReadLogRow).where(
        col(ReadLogRow.agent_id) == agent.agent_id,
        col(ReadLogRow.issuer) == agent.issuer,
        col(ReadLogRow.kind) == ReadKind.CORRECTION.value,
    )
    return list(await tx.scalars(asked))


def _row(record: Received[Event], kind: Happening, reason: str | None) -> dict[str, Any]:
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
        "siret": decision and decision.agent.employer.siret,
    }


def _agent_of(record: Received[Event]) -> AgentKey:
    match record.event:
        case Decision(agent=agent) | NewAddressGiven(agent=agent):
            return agent.key
        case AgentDetailsCorrected(issuer=issuer, agent_id=agent_id):
            return AgentKey(issuer, agent_id)
        case event:
            return AgentKey(record.issuer, event.key)
