"""A session with the numbers of its séances: what of it stands in calendars, and under which number. Pure.

Contracts give a séance no identifier. What an agent's calendar holds is found again by a UID, so each séance
gets a number here when it is first seen, and keeps it whatever is moved, renamed, added or removed around it
(docs/adr/0014). The notifier and enrolment each number a session as its states come: they come
to the same where they read the same states.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from shared.events.catalogue import SessionCancelled, SessionState
from shared.events.vocabulary import Remark

MAX_GONE = 100
"""Séances that were dropped are cancelled in later letters too, the last so many: a session has no more."""


@dataclass(frozen=True, slots=True)
class NumberedModule:
    """One entry of a calendar: a séance, or the session itself where it has none (``title`` is None)."""

    number: int
    title: str | None
    starts_at: datetime
    ends_at: datetime


class NumberedSession(SessionState):
    """The newest state of a session and the numbers of its modules in calendars, in their order."""

    numbers: tuple[int, ...] = Field(
        default=(), description="Empty where nothing has changed yet: each has that of its place."
    )
    last_number: int = Field(default=0, description="The highest that was ever given: none is used twice.")
    gone: tuple[NumberedModule, ...] = Field(
        default=(), description="What was dropped: some calendars may hold it still, so it is cancelled too."
    )

    cancellation_reason: Remark | None = Field(default=None, description="As its cancellation gave it.")

    @property
    def numbered_modules(self) -> tuple[NumberedModule, ...]:
        """What of it stands in a calendar."""
        if not self.modules:
            (number,) = self.numbers or (0,)
            return (NumberedModule(number, None, self.starts_at, self.ends_at),)
        numbers = self.numbers or range(1, len(self.modules) + 1)
        return tuple(
            NumberedModule(number, module.title, module.starts_at, module.ends_at)
            for number, module in zip(numbers, self.modules, strict=True)
        )


def cancellation_reason(session: SessionState) -> str | None:
    """Why a session was cancelled; None: it was not, or nothing was said of it."""
    if isinstance(session, NumberedSession | SessionCancelled):
        return session.cancellation_reason
    return None


def numbered(event: SessionState, before: NumberedSession | None) -> NumberedSession:
    """The session of ``event``, numbered as the state that was known ``before``."""
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
    lambda _old, _new: True,  # both changed: what is left is taken in order
)
"""How a séance is known again, the surest sign first: moved, it has its title; renamed, its time."""


def dropped(before: NumberedSession, after: NumberedSession) -> tuple[NumberedModule, ...]:
    """What stood in calendars before and does not any more."""
    kept = {module.number for module in after.numbered_modules}
    return tuple(module for module in before.numbered_modules if module.number not in kept)
