"""Sessions, kept so that letters can speak of them; what changes of one is written to the enrolled."""

from collections.abc import Sequence
from datetime import datetime

from services.notifier import letters
from services.notifier.letters import FanOut, FanOutTask
from services.notifier.service import news
from services.notifier.store import fan_outs, sessions
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Received


async def update(tx: Transaction, received: Sequence[Received[SessionState]], now: datetime) -> None:
    """Keep the newest state of each session; write what changed to the enrolled, and schedule letters."""
    newest = {
        session.event.session_id: session
        for session in sorted(received, key=lambda session: session.event.version)
    }
    await sessions.lock(tx, newest, exclusive=True)
    before = await sessions.find(tx, newest)
    after = {
        session_id: letters.numbered(session.event, before.get(session_id))
        for session_id, session in newest.items()
    }
    await sessions.save(tx, after.values())
    begun: list[FanOut] = []
    for session_id, session in newest.items():
        is_new = session_id not in before
        change = letters.change_of(before.get(session_id), after[session_id], now)
        tasks = [(letters.TASK_OF[letter.template], letter.details) for letter in change.letters]
        if change.reschedule:
            tasks.append((FanOutTask.SCHEDULE, {"first": is_new}))
        begun += [
            FanOut(session.id, task, session_id, details, session.received_at) for task, details in tasks
        ]
        item = letters.news_of_session(session.event, now) if is_new else None
        if item is not None:
            await news.publish(tx, session.id, item, called_for_at=session.received_at)
    await fan_outs.begin(tx, begun)
