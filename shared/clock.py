"""The only module that reads the time, so that tests can set it."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


async def pause(until: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), max(seconds, 0))


def backoff(failures: int, most: float) -> float:
    """The pause in seconds doubles up to ``most``, with jitter."""
    return min(most, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 jitter, not a secret
