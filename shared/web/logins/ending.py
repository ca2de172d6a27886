from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.web.logins.store import UNUSED_LASTS

WARNED = timedelta(minutes=5)
STEP = timedelta(minutes=5)
"""The style sheet has a class for each delay."""


@dataclass(frozen=True, slots=True)
class EndingLogin:
    """The warning appears ``after`` this many minutes. ``is_final``: use no longer prolongs the log-in."""

    after: int
    is_final: bool


def ending_of(expires_at: datetime, now: datetime) -> EndingLogin:
    left = expires_at - now
    steps = max((min(left, UNUSED_LASTS) - WARNED) // STEP, 0)
    return EndingLogin(steps * (STEP // timedelta(minutes=1)), is_final=left <= UNUSED_LASTS)
