"""The one place that asks what time it is, so that tests can answer; and that waits for a time."""

import asyncio
import contextlib
from datetime import UTC, datetime


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


async def pause(until: asyncio.Event, seconds: float) -> None:
    """Wait ``seconds``, or until the event is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), max(seconds, 0))
