"""When a page says that its log-in is about to end. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.web.logins.store import UNUSED_LASTS

WARNED = timedelta(minutes=5)
"""How long before the end at least, where the page is not opened later: time to save, or to stay."""
STEP = timedelta(minutes=5)
"""The style sheet has a class for each delay."""


@dataclass(frozen=True, slots=True)
class EndingLogin:
    """What a page says of the end of its log-in, ``after`` so many minutes without another page.

    ``is_final``: use prolongs it no more, only another log-in does.
    """

    after: int
    is_final: bool


def ending_of(expires_at: datetime, now: datetime) -> EndingLogin:
    """How the log-in of a page that is opened now ends: unused, or at the end of its time."""
    left = expires_at - now
    steps = max((min(left, UNUSED_LASTS) - WARNED) // STEP, 0)
    return EndingLogin(steps * (STEP // timedelta(minutes=1)), is_final=left <= UNUSED_LASTS)
