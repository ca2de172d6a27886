"""The waiting list of one session, in order (rule 2)."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter

from services.enrolment.rules.enrolments import Enrolment

_place = attrgetter("place")


class SessionWaitingList:
    """The enrolments that wait; ``len`` is their number. Iterating yields those that are loaded, in order.

    A batch can free only so many seats, so the store loads only so many of the first. ``whole``: it has
    loaded all, which :meth:`insert` and :meth:`position` need.
    """

    def __init__(self, waiting: int = 0, entries: Iterable[Enrolment] = (), *, whole: bool = False) -> None:
        self._waiting = waiting
        self._entries = sorted(entries, key=_place)
        self.whole = whole

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[Enrolment]:
        return iter(self._entries)

    def append(self, enrolment: Enrolment) -> None:
        """Add an enrolment at its place, which is the end where not all are loaded."""
        insort(self._entries, enrolment, key=_place)  # by its place, by which remove() finds it
        self._waiting += 1

    def insert(self, enrolment: Enrolment) -> None:
        """Add an enrolment at its place. Raises ``ValueError`` when not all are loaded."""
        if not self.whole:
            raise ValueError("a place in the middle of the waiting list needs the whole list")
        insort(self._entries, enrolment, key=_place)
        self._waiting += 1

    def position(self, enrolment: Enrolment) -> int:
        """Return the place of an enrolment that waits; 1 is next. Needs the whole list."""
        return 1 + bisect_left(self._entries, enrolment.place, key=_place)

    def position_of_newest(self, enrolment: Enrolment) -> int:
        """Return the place of the enrolment that was added last: at the end, where not all are loaded."""
        return self.position(enrolment) if self.whole else self._waiting

    def remove(self, enrolment: Enrolment) -> None:
        """Remove an enrolment, whether it is loaded or not."""
        self._waiting -= 1
        index = self._index(enrolment)
        if index is not None:
            del self._entries[index]

    def _index(self, enrolment: Enrolment) -> int | None:
        """Return its index among those loaded, or None; a binary search, since thousands may wait."""
        index = bisect_left(self._entries, enrolment.place, key=_place)
        is_loaded = index < len(self._entries)
        return index if is_loaded and self._entries[index].enrolment_id == enrolment.enrolment_id else None
