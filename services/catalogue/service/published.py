from collections.abc import Sequence
from datetime import datetime

from services.catalogue.rules.lifecycle import event_of
from services.catalogue.store import resources, sessions
from shared.database import Transaction
from shared.events.catalogue import ResourceEvent, SessionCancelled, SessionChanged, SessionState
from shared.events.vocabulary import Status
from shared.messaging.projections import Compared

_BY_THE_CLOCK = {"phase", "enrolment"}


async def resume(tx: Transaction, states: Sequence[SessionState], published: Sequence[ResourceEvent]) -> None:
    """Continue from the published versions, because consumers drop a version that is not newer.

    The stored state is published with the next change.
    """
    await sessions.raise_versions(tx, {state.session_id: state.version for state in states})
    await resources.raise_versions(tx, {state.resource_id: state.version for state in published})


async def compare(
    tx: Transaction, states: Sequence[SessionState], published: Sequence[ResourceEvent], now: datetime
) -> list[Compared]:
    stored = [
        event_of(session, SessionCancelled if session.status is Status.CANCELLED else SessionChanged, now)
        for session in await sessions.all_published(tx)
    ]
    return [
        Compared(
            "session",
            {str(state.session_id): state.model_dump(exclude=_BY_THE_CLOCK) for state in states},
            {str(state.session_id): state.model_dump(exclude=_BY_THE_CLOCK) for state in stored},
        ),
        Compared(
            "resource",
            {str(state.resource_id): state.model_dump() for state in published},
            {str(state.resource_id): state.model_dump() for state in await resources.events(tx)},
        ),
    ]
