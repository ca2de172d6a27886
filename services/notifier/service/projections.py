from collections.abc import Sequence
from datetime import datetime

from services.notifier import letters
from services.notifier.service.news import keep_withdrawals, replay_letters
from services.notifier.store import fan_outs, news, replays, sessions
from shared.database import Transaction
from shared.events.catalogue import ResourceEvent, SessionState
from shared.events.cloudevents import Received
from shared.messaging.projections import Compared


async def restore(
    tx: Transaction,
    states: Sequence[Received[SessionState]],
    resources: Sequence[Received[ResourceEvent]],
    now: datetime,
) -> None:
    """Store sessions, replays and news again, and plan letters of unknown sessions. Nobody is written to."""
    ids = {state.event.session_id for state in states}
    await sessions.lock(tx, ids, exclusive=True)
    before = await sessions.find(tx, ids)
    await sessions.save(
        tx, [letters.numbered(state.event, before.get(state.event.session_id)) for state in states]
    )
    unknown = [state for state in states if state.event.session_id not in before]
    for state in unknown:
        item = letters.news_of_session(state.event, now)
        if item is not None:
            await news.save(tx, state.id, item)
    opened = await keep_withdrawals(tx, resources)
    await replays.save(tx, replay_letters(opened))
    for resource in opened:
        await news.save(tx, resource.id, letters.news_of(resource.event))
    await fan_outs.store(
        tx,
        [fan_out for state in unknown for fan_out in letters.scheduled_fan_outs(state.id, state.event, now)],
    )


async def compare(
    tx: Transaction, states: Sequence[Received[SessionState]], resources: Sequence[Received[ResourceEvent]]
) -> list[Compared]:
    """News are not compared, because they record the announcements already made to subscribers."""
    published = {str(state.event.session_id): state.event.model_dump(mode="json") for state in states}
    recorded = {
        str(replay.event.resource_id): {"version": 0, "session_id": replay.event.session_id}
        for replay, _ in replay_letters(resources)
    }
    return [
        Compared(
            "session", published, {str(row.session_id): row.state for row in await sessions.all_rows(tx)}
        ),
        Compared(
            "replay",
            recorded,
            {
                str(row.resource_id): {"version": 0, "session_id": row.session_id}
                for row in await replays.all_rows(tx)
            },
        ),
    ]
