"""Which mail a worker gets next: answers first, and while they come, few letters to many beside them."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from services.notifier.delivery.work_queue import RECENT_SECONDS, SHARE, WorkQueue
from services.notifier.letters import LetterContext, LetterType, Priority
from services.notifier.store.claims import Claim, Claimed
from tests.unit.notifier.builders import a_mail
from tests.unit.notifier.test_domains import Clock

WORKERS = 8


def a_claimed(priority: Priority) -> Claimed:
    claim = Claim(uuid4(), 1)
    return Claimed(a_mail(LetterType.CONFIRMED), LetterContext(), claim, priority, 0, timedelta(hours=1))


def queue_of(*priorities: Priority) -> tuple[WorkQueue, Clock]:
    """A queue in which such mails wait, and a clock."""
    clock = Clock()
    queue = WorkQueue(WORKERS, monotonic=clock)
    for priority in priorities:
        queue.put(a_claimed(priority))
    return queue, clock


async def taken(queue: WorkQueue) -> list[Claimed]:
    """What workers get that ask as long as they get something."""
    mails: list[Claimed] = []
    while True:
        asking = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        if not asking.done():
            asking.cancel()
            return mails
        mail = asking.result()
        assert mail is not None
        mails.append(mail)


async def test_the_most_urgent_goes_first_and_of_those_the_one_that_came_first() -> None:
    queue, _ = queue_of(Priority.NEWS, Priority.REMINDER, Priority.ANSWER, Priority.ANSWER)
    first, second = queue._waiting[Priority.ANSWER]

    got = await taken(queue)

    assert got[:2] == [first, second]
    assert [mail.priority for mail in got[2:]] == [Priority.REMINDER, Priority.NEWS]


async def test_while_answers_come_letters_to_many_have_a_share_of_the_workers() -> None:
    queue, clock = queue_of(Priority.ANSWER, *[Priority.REMINDER, Priority.NEWS] * WORKERS)

    answer, *to_many = await taken(queue)

    assert answer.priority is Priority.ANSWER
    assert len(to_many) == WORKERS // SHARE
    queue.put(a_claimed(Priority.ANSWER))
    assert len(await taken(queue)) == 1, "an answer never waits for them"
    queue.finished(to_many[0])
    assert len(await taken(queue)) == 1, "one ended, another begins"
    clock.now += RECENT_SECONDS + 0.1
    assert len(await taken(queue)) == WORKERS - WORKERS // SHARE, "no answers come: they have all workers"


async def test_a_waiting_worker_is_woken_by_a_mail_by_the_end_of_a_letter_to_many_and_by_the_close() -> None:
    queue, _ = queue_of(Priority.ANSWER, *[Priority.NEWS] * WORKERS)
    answer, to_many, *_ = await taken(queue)
    first, second, third, fourth = (asyncio.ensure_future(queue.get()) for _ in range(4))
    await turns()
    queue.put(answer)
    await turns()
    assert first.result() is answer
    assert not second.done()
    queue.finished(to_many)
    await turns()
    assert second.result() is not None
    queue.close()
    queue.put(answer)
    await turns()
    assert third.result() is fourth.result() is None


async def turns() -> None:
    """Let every task that can go on have its turn."""
    for _ in range(3):
        await asyncio.sleep(0)
