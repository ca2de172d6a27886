"""The clock: the only module that reads the time, so that tests can set it; and pauses."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


async def pause(until: asyncio.Event, seconds: float) -> None:
    """Wait ``seconds``, or until the event is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), max(seconds, 0))


def backoff(failures: int, most: float) -> float:
    """Return seconds to pause after failures in a row: doubled each time, at most ``most``, with jitter."""
    return min(most, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 jitter, not a secret
