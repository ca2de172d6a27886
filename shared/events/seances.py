"""A session with the numbers of its séances in calendars. Pure.

Contracts give a séance no identifier, but a calendar finds an entry by its UID. So each séance gets a number
when it is first seen, and keeps it whatever is moved, renamed, added or removed (docs/adr/0014). The
notifier and enrolment number sessions independently: from the same states they get the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from shared.events.catalogue import SessionCancelled, SessionState
from shared.events.vocabulary import Remark

MAX_GONE = 100
"""Later letters still cancel at most so many dropped séances; a session has no more."""


@dataclass(frozen=True, slots=True)
class NumberedModule:
    """An entry of a calendar: a séance, or the session itself (``title`` None)."""

    number: int
    title: str | None
    starts_at: datetime
    ends_at: datetime


class NumberedSession(SessionState):
    """The newest state of a session, with the numbers of its modules, in their order."""

    numbers: tuple[int, ...] = Field(
        default=(), description="Empty while nothing has changed: each number is the place."
    )
    last_number: int = Field(default=0, description="The highest number ever given; none is used twice.")
    gone: tuple[NumberedModule, ...] = Field(
        default=(), description="Dropped entries: calendars may still have them, so they are cancelled too."
    )

    cancellation_reason: Remark | None = Field(default=None, description="As its cancellation gave it.")

    @property
    def numbered_modules(self) -> tuple[NumberedModule, ...]:
        if not self.modules:
            (number,) = self.numbers or (0,)
            return (NumberedModule(number, None, self.starts_at, self.ends_at),)
        numbers = self.numbers or range(1, len(self.modules) + 1)
        return tuple(
            NumberedModule(number, module.title, module.starts_at, module.ends_at)
            for number, module in zip(numbers, self.modules, strict=True)
        )


def cancellation_reason(session: SessionState) -> str | None:
    """Return why a session was cancelled, or None."""
    if isinstance(session, NumberedSession | SessionCancelled):
        return session.cancellation_reason
    return None


def numbered(event: SessionState, before: NumberedSession | None) -> NumberedSession:
    """Number the session of ``event`` like the state known ``before``."""
    fresh = NumberedSession.model_validate(dict(event))
    if before is None:
        return fresh
    left = list(before.numbered_modules)
    last = max(before.last_number, *(module.number for module in left))
    numbers: dict[int, int] = {}
    numbered_modules = fresh.numbered_modules
    for are_alike in _ALIKE:
        for place, module in enumerate(numbered_modules):
            old = next((known for known in left if are_alike(known, module)), None)
            if place not in numbers and old is not None:
                numbers[place] = old.number
                left.remove(old)
    for place in range(len(numbered_modules)):
        if place not in numbers:
            last += 1
            numbers[place] = last
    ordered = tuple(numbers[place] for place in range(len(numbered_modules)))
    gone = (*before.gone, *left)[-MAX_GONE:]
    return fresh.model_copy(update={"numbers": ordered, "last_number": last, "gone": gone})


_ALIKE: tuple[Callable[[NumberedModule, NumberedModule], bool], ...] = (
    lambda old, new: (old.title, old.starts_at) == (new.title, new.starts_at),
    lambda old, new: old.title == new.title,
    lambda old, new: old.starts_at == new.starts_at,
    lambda _old, _new: True,  # both changed: take the remaining ones in order
)
"""Signs of the same séance, the best first: a moved séance has its title, a renamed one its time."""


def dropped(before: NumberedSession, after: NumberedSession) -> tuple[NumberedModule, ...]:
    """Return the entries that are no longer in calendars."""
    kept = {module.number for module in after.numbered_modules}
    return tuple(module for module in before.numbered_modules if module.number not in kept)
