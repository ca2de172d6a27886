"""The waiting list of one session, in order (rule 2)."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from operator import attrgetter

from services.enrolment.rules.enrolments import Enrolment, Place
from shared.events.vocabulary import EARLIEST

FIRST_PLACE: Place = (1 - 2**31, 0)
"""Before everybody: no priority is higher."""
END_OF_LIST: Place = (1, 0)
"""Behind everybody: no priority is below 0."""
NUMBER_BITS = 20
"""Of a ticket: its last bits tell apart those of one millisecond."""

_place = attrgetter("place")


def first_ticket(moment: datetime) -> int:
    """Return the lowest ticket of this moment's millisecond. Tickets sort by the moment of receipt."""
    return ((moment - EARLIEST) // timedelta(milliseconds=1)) << NUMBER_BITS


class SessionWaitingList:
    """The enrolments that wait; ``len`` is their number. Iterating yields those that are loaded, in order.

    A batch can free only so many seats, so the store loads only so many of the first: ``entries``. Of all
    others only places are needed, to say which one somebody has who joins before them: ``places`` are those
    from ``known_from`` on.
    """

    def __init__(
        self,
        waiting: int = 0,
        entries: Iterable[Enrolment] = (),
        places: Iterable[Place] = (),
        *,
        known_from: Place = FIRST_PLACE,
    ) -> None:
        self._waiting = waiting
        self._entries = sorted(entries, key=_place)
        self._places = sorted(places)
        self._known_from = known_from

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[Enrolment]:
        return iter(self._entries)

    def add(self, enrolment: Enrolment) -> None:
        """Add an enrolment at its place. Raises ``ValueError`` when the places behind it are not known."""
        if enrolment.place < self._known_from:
            raise ValueError("a place in the middle of the waiting list needs the places behind it")
        insort(self._entries, enrolment, key=_place)
        insort(self._places, enrolment.place)
        self._waiting += 1

    def position(self, enrolment: Enrolment) -> int:
        """Return the place of an enrolment that was added; 1 is next."""
        before_known = self._waiting - len(self._places)
        return before_known + bisect_left(self._places, enrolment.place) + 1

    def remove(self, enrolment: Enrolment) -> None:
        """Remove an enrolment, whether it is loaded or not."""
        self._waiting -= 1
        index = bisect_left(self._entries, enrolment.place, key=_place)  # thousands may wait
        if index < len(self._entries) and self._entries[index].enrolment_id == enrolment.enrolment_id:
            del self._entries[index]
        index = bisect_left(self._places, enrolment.place)
        if index < len(self._places) and self._places[index] == enrolment.place:
            del self._places[index]
