from collections.abc import Sequence
from datetime import datetime
from typing import TypeGuard
from uuid import UUID

from services.notifier import letters
from services.notifier.letters import FanOut, FanOutTask, Letter, NewsItem
from services.notifier.store import fan_outs, news, replays, sessions, withdrawals
from shared.database import Transaction
from shared.events.catalogue import ReplayPublished, ResourceEvent, ResourcePublished, ResourceWithdrawn
from shared.events.cloudevents import Received

ReceivedResource = Received[ReplayPublished | ResourcePublished]


async def process(tx: Transaction, resources: Sequence[Received[ResourceEvent]], now: datetime) -> None:
    """A newer version corrects the letters still to be sent. A withdrawn resource is no longer announced."""
    received = await keep_withdrawals(tx, resources)
    called_for = replay_letters(received)
    await sessions.lock(
        tx, {replay.event.session_id for replay, _ in called_for if replay.event.session_id}, exclusive=True
    )
    saved = await replays.save(tx, called_for)
    await fan_outs.store(tx, [replay.announcement for replay in saved if replay.is_new])
    await replays.correct(tx, [replay.announcement for replay in saved if not replay.is_new])
    for resource in received:
        item = letters.news_of(resource.event)
        if letters.is_fresh(item, now):
            await publish(tx, resource.id, item, called_for_at=resource.received_at)
        else:  # a community that opened long ago may still be followed
            await news.save(tx, resource.id, item)


async def keep_withdrawals(
    tx: Transaction, resources: Sequence[Received[ResourceEvent]]
) -> list[ReceivedResource]:
    withdrawn = [record.event for record in resources if isinstance(record.event, ResourceWithdrawn)]
    await withdrawals.save(tx, withdrawn)
    gone = await withdrawals.known(tx, {record.event.resource_id for record in resources})
    return [record for record in resources if _has_opened(record) and record.event.resource_id not in gone]


def _has_opened(record: Received[ResourceEvent]) -> TypeGuard[ReceivedResource]:
    return not isinstance(record.event, ResourceWithdrawn)


async def publish(tx: Transaction, event_id: UUID, item: NewsItem, *, called_for_at: datetime) -> None:
    """A newer version corrects the letters still to be sent."""
    if await news.save(tx, event_id, item):
        await fan_outs.store(tx, [FanOut(event_id, FanOutTask.NEWS, item.item_id, {}, called_for_at)])


def replay_letters(
    received: Sequence[Received[ResourceEvent]],
) -> list[tuple[Received[ReplayPublished], Letter]]:
    return [
        (resource, letter)
        for resource in received
        if _is_replay(resource) and (letter := letters.replay_letter(resource.event)) is not None
    ]


def _is_replay(record: Received[ResourceEvent]) -> TypeGuard[Received[ReplayPublished]]:
    return isinstance(record.event, ReplayPublished)
