"""When a webhook is tried again, and when it is given up."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

PATIENCE = timedelta(days=3)
"""A webhook that takes nothing for this long is disabled."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=6)
_GROWS_UNTIL = 13
"""Failures after which the pause has its full length. The power of more failures would overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """``cursor`` is the number in the portal's feed of the last event taken, before the first one not taken.

    ``reason`` is why the webhook failed last.
    """

    portal: str
    cursor: int
    failures: int = 0
    failing_since: datetime | None = None
    next_attempt_at: datetime | None = None
    disabled_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookFailure:
    """``gone`` is True if the portal wants nothing more at this address (HTTP 410)."""

    reason: str
    gone: bool = False


def after_attempt(
    state: WebhookState, cursor: int, failure: WebhookFailure | None, now: datetime
) -> WebhookState:
    """Return the state after events up to ``cursor`` were taken, and the next one was not if it failed."""
    if failure is None:
        return WebhookState(portal=state.portal, cursor=cursor)
    moved = cursor > state.cursor
    since = now if moved or state.failing_since is None else state.failing_since
    failures = 1 if moved else state.failures + 1
    given_up = failure.gone or now - since >= PATIENCE
    return replace(
        state,
        cursor=cursor,
        failures=failures,
        failing_since=since,
        next_attempt_at=now + pause_after(failures),
        disabled_at=now if given_up else None,
        reason=failure.reason,
    )


def pause_after(failures: int) -> timedelta:
    doubled: int = 1 << min(failures - 1, _GROWS_UNTIL)
    return min(_FIRST_PAUSE * doubled, _LONGEST_PAUSE)
