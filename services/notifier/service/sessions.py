from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from services.notifier import letters
from services.notifier.letters import TASK_OF, FanOut, LetterType, NumberedSession
from services.notifier.service import news, trainers
from services.notifier.store import fan_outs, sessions
from shared.database import Transaction
from shared.events.catalogue import SessionOpened, SessionState
from shared.events.cloudevents import Received


async def process(tx: Transaction, received: Sequence[Received[SessionState]], now: datetime) -> None:
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
    changes = {
        session_id: letters.change_of(before.get(session_id), session, now)
        for session_id, session in after.items()
    }
    for session_id, session in newest.items():
        letter = letters.change_for_trainers(before.get(session_id), after[session_id], changes[session_id])
        if letter is not None:
            await trainers.notify(tx, session, letter)
    dropped = await fan_outs.drop_not_started(
        tx, [session_id for session_id, change in changes.items() if change.reschedule]
    )
    begun: list[FanOut] = []
    for session_id, session in newest.items():
        is_new = session_id not in before
        begun += [
            FanOut(session.id, TASK_OF[letter.template], session_id, letter.details, session.received_at)
            for letter in changes[session_id].letters
        ]
        if changes[session_id].reschedule:
            owed = {letter for dropped_id, letter in dropped if dropped_id == session_id}
            if not is_new and before[session_id].starts_at != session.event.starts_at:
                owed &= {LetterType.JOINING}  # the letter about the new date replaces the reminders
            begun += letters.scheduled_fan_outs(session.id, session.event, now, is_new=is_new, owed=owed)
        item = letters.news_of_session(session.event, now) if is_new else None
        if item is not None:
            await news.publish(tx, session.id, item, called_for_at=session.received_at)
    await fan_outs.store(tx, begun)
    for session in received:
        if isinstance(session.event, SessionOpened):
            await _announce_opening(tx, session, now)


async def find(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, NumberedSession]:
    return await sessions.find(tx, ids)


async def _announce_opening(tx: Transaction, opened: Received[SessionState], now: datetime) -> None:
    item = letters.news_of_opening(opened.event, now, opened.received_at)
    if item is not None and letters.is_fresh(item, now):
        await news.publish(tx, opened.id, item, called_for_at=opened.received_at)
