from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.enrolment.rules.overview import BespokeStep
from services.enrolment.store import bespoke_tasks
from shared.database import Transaction
from shared.events.catalogue import (
    BespokeAnswer,
    BespokeRequestAnswered,
    BespokeRequestClosed,
    BespokeRequestReceived,
)
from shared.events.cloudevents import Received

BespokeEvent = BespokeRequestReceived | BespokeRequestAnswered | BespokeRequestClosed


async def record_progress(tx: Transaction, received: Sequence[Received[BespokeEvent]]) -> None:
    """Requests older than the table have no data but their step."""
    rows: dict[tuple[UUID, str], dict[str, Any]] = {}
    for record in received:
        event = record.event
        key = event.request_id, event.request_source or ""
        row = rows.setdefault(
            key,
            {
                "request_id": key[0],
                "source": key[1],
                "delegation": None,
                "authority": None,
                "trainees": None,
                "since": record.received_at,
                "step": BespokeStep.NEW.value,
            },
        )
        step = _step_of(event)
        if isinstance(event, BespokeRequestReceived):
            row |= {name: getattr(event, name) for name in ("delegation", "authority", "trainees")}
            if row["step"] == step:
                row["since"] = event.received_at
        elif step > row["step"]:
            row |= {"step": step.value, "since": record.received_at}
    await bespoke_tasks.save(tx, rows.values())


def _step_of(event: BespokeEvent) -> BespokeStep:
    if isinstance(event, BespokeRequestReceived):
        return BespokeStep.NEW
    if isinstance(event, BespokeRequestClosed):
        return BespokeStep.DONE
    return BespokeStep.TAKEN_ON if event.answer is BespokeAnswer.QUALIFIED else BespokeStep.DONE
