from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.notifier import letters
from services.notifier.letters import TEMPLATE_OF, FanOutTask, LetterType
from services.notifier.store import fan_outs, queue, sessions
from services.notifier.tables import FanOutRow
from shared.database import Transaction


async def in_progress(tx: Transaction) -> tuple[int, float]:
    """Return how many fan-outs are not done, and the age of the oldest in seconds."""
    return await fan_outs.in_progress(tx)


async def any_waiting(tx: Transaction) -> bool:
    return await fan_outs.any_waiting(tx)


async def next_slice(tx: Transaction, now: datetime, *, most: int) -> int | None:
    """Queue the next slice of the oldest fan-out. Returns its size, or None if nothing is left.

    A due fan-out only begins. Two processes never work on the same one.
    """
    if sessions_due := await fan_outs.due_sessions(tx):
        await sessions.lock(tx, sessions_due, exclusive=True)
        await fan_outs.begin_due(tx, sessions_due)
        return 0
    fan_out = await fan_outs.lock_oldest(tx)
    if fan_out is None:
        return None
    task = FanOutTask(fan_out.task)
    ids = await fan_outs.next_ids(tx, fan_out, most=most)
    if ids:
        template = TEMPLATE_OF.get(task, LetterType.NEWS)
        mail_ids = await _queue(tx, fan_out, template, ids, now)
        called_for_by = {"cloudevents.event_id": fan_out.event_id}
        await queue.trace(tx, f"fan-out {task}", template, mail_ids, called_for_by)
    await fan_outs.advance(tx, fan_out, ids, done=len(ids) < most)
    return len(ids)


async def _queue(
    tx: Transaction, fan_out: FanOutRow, template: LetterType, ids: Sequence[UUID], now: datetime
) -> Sequence[UUID]:
    match FanOutTask(fan_out.task):
        case FanOutTask.NEWS:
            return await fan_outs.queue_news(tx, fan_out, letters.next_edition(now), ids)
        case FanOutTask.MESSAGE:
            return await fan_outs.queue_message(tx, fan_out, ids)
        case task if fan_out.due_at is None:
            # An agent enrolled after a change has read the new facts. A replay is for everyone.
            only_before = task is not FanOutTask.REPLAY
            return await fan_outs.queue_letters(tx, fan_out, template, ids, only_before=only_before)
    return await fan_outs.queue_scheduled(
        tx,
        template,
        ids,
        moment=fan_out.details["moment"],
        due_at=fan_out.due_at,
        before=fan_out.called_for_at,
    )
