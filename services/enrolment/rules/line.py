"""The waiting list of one session, in order (rule 2)."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter

from services.enrolment.rules.words import Enrolment

_place = attrgetter("place")


class Line:
    """Who waits: ``len`` of them, of whom those that may be next are at hand, in order.

    A batch can free only so many seats, so the store loads only so many heads; ``whole`` says that it has
    loaded everybody, which a place in the middle needs.
    """

    def __init__(self, waiting: int = 0, entries: Iterable[Enrolment] = (), *, whole: bool = False) -> None:
        self._waiting = waiting
        self._entries = sorted(entries, key=_place)
        self.whole = whole

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[Enrolment]:
        return iter(self._entries)

    def join_the_end(self, enrolment: Enrolment) -> None:
        """Queue behind everybody."""
        insort(self._entries, enrolment, key=_place)  # the end, and always in order, by which all are found
        self._waiting += 1

    def join(self, enrolment: Enrolment) -> None:
        """Queue where priority and order of receipt say. Raises ``ValueError`` when not all are at hand."""
        if not self.whole:
            raise ValueError("a place in the middle of the line needs the whole line")
        insort(self._entries, enrolment, key=_place)
        self._waiting += 1

    def position(self, enrolment: Enrolment) -> int:
        """The place in line of somebody who waits, 1 being next. Needs the whole line."""
        return 1 + bisect_left(self._entries, enrolment.place, key=_place)

    def leave(self, enrolment: Enrolment) -> None:
        """Give up a place; whether its holder is at hand or not."""
        self._waiting -= 1
        index = self._index(enrolment)
        if index is not None:
            del self._entries[index]

    def _index(self, enrolment: Enrolment) -> int | None:
        """Where it stands among those at hand: found by its place, since a line may be of many thousands."""
        index = bisect_left(self._entries, enrolment.place, key=_place)
        at_hand = index < len(self._entries)
        return index if at_hand and self._entries[index].enrolment_id == enrolment.enrolment_id else None
