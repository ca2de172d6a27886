"""How many small writes become one, and who ends the wait for more of them."""

import asyncio
from collections.abc import Sequence

from services.notifier.delivery.batching import Batcher

NEVER = 3600.0


class Written:
    """Keeps the batches that were written. A write ends when ``free`` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.free = asyncio.Event()

    async def __call__(self, batch: Sequence[int]) -> None:
        self.batches.append(list(batch))
        self.begun.set()
        await self.free.wait()
        self.free.clear()


async def test_what_comes_while_a_write_is_in_progress_is_written_together() -> None:
    written = Written()
    batcher = Batcher(written)
    first = batcher.put(1)
    await written.begun.wait()
    others = batcher.put(2), batcher.put(3)
    written.free.set()
    await first
    written.free.set()
    await asyncio.gather(*others)
    assert written.batches == [[1], [2, 3]]


async def test_a_result_that_is_needed_ends_the_wait_for_more_but_not_once_it_is_written() -> None:
    written = Written()
    batcher = Batcher(written, linger=NEVER)
    results = batcher.put(1), batcher.put(2)
    batcher.hurry(results[0])
    await written.begun.wait()
    batcher.hurry(results[1])
    written.begun.clear()
    third = batcher.put(3)
    written.free.set()
    await asyncio.gather(*results)
    fourth = batcher.put(4)
    await asyncio.sleep(0)
    assert written.batches == [[1, 2]], "the third waits for others"
    batcher.hurry(third)
    written.free.set()
    await asyncio.gather(third, fourth)
    assert written.batches == [[1, 2], [3, 4]]


async def test_a_flush_waits_for_nothing_more() -> None:
    written = Written()
    batcher = Batcher(written, linger=NEVER)
    result = batcher.put(1)
    written.free.set()
    await batcher.flush()
    assert result.done()
    assert written.batches == [[1]]
