from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from services.enrolment.rules.enrolments import Enrolment, Place
from shared.events.vocabulary import EARLIEST

FIRST_PLACE: Place = (1 - 2**31, 0)
"""Before all places: no priority is higher."""
END_OF_LIST: Place = (1, 0)
"""Behind all places: no priority is below 0."""
NUMBER_BITS = 20
"""The last bits of a ticket separate requests of one millisecond."""

_place = attrgetter("place")


def first_ticket(moment: datetime) -> int:
    return ((moment - EARLIEST) // timedelta(milliseconds=1)) << NUMBER_BITS


@dataclass(slots=True)
class WaitingGroup:
    """A group that waits as one place. ``kept_until`` is when it stops keeping too few seats.

    It is None if the group keeps none. ``is_passed``: that time is over, and places behind pass it until
    enough seats are free.
    """

    priority: int
    members: int = 0
    kept_until: datetime | None = None
    is_passed: bool = False


class SessionWaitingList:
    """The waiting enrolments. ``len`` counts all; iteration yields the loaded ones in order.

    A batch frees few seats, so only the first ``entries`` are loaded. ``places``, from ``known_from`` on,
    suffice to number a newcomer. ``groups`` are all waiting groups by ticket.
    """

    def __init__(
        self,
        waiting: int = 0,
        entries: Iterable[Enrolment] = (),
        places: Iterable[Place] = (),
        *,
        known_from: Place = FIRST_PLACE,
        groups: Mapping[int, WaitingGroup] | None = None,
    ) -> None:
        self._waiting = waiting
        self._entries = sorted(entries, key=_place)
        self._places = sorted(places)
        self._known_from = known_from
        self.groups: dict[int, WaitingGroup] = dict(groups or {})

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[Enrolment]:
        return iter(self._entries)

    def parties(self) -> Iterator[Sequence[Enrolment]]:
        """Yield the loaded enrolments place by place: one agent, or a group."""
        return (tuple(party) for _, party in groupby(self._entries, key=_place))

    def group_of(self, enrolment: Enrolment) -> Sequence[Enrolment]:
        return [waiting for waiting in self._entries if waiting.place == enrolment.place]

    def add(self, enrolment: Enrolment) -> None:
        """Raises ``ValueError`` if the places behind the enrolment's place are unknown."""
        if enrolment.place < self._known_from:
            raise ValueError("a place in the middle of the waiting list needs the places behind it")
        insort(self._entries, enrolment, key=_place)
        insort(self._places, enrolment.place)
        self._waiting += 1
        if enrolment.waits_together and enrolment.ticket is not None:
            group = self.groups.setdefault(enrolment.ticket, WaitingGroup(enrolment.priority))
            group.priority = enrolment.priority
            group.members += 1

    def position(self, enrolment: Enrolment) -> int:
        """The place counts from 1. A group is one place."""
        before_known = self._waiting - len(self._places)
        companions = sum(
            group.members - 1
            for ticket, group in self.groups.items()
            if (-group.priority, ticket) < enrolment.place
        )
        return before_known + bisect_left(self._places, enrolment.place) - companions + 1

    def priority_before_all(self, enrolment: Enrolment) -> int:
        """All places must be known."""
        other = next((place for place in self._places if place != enrolment.place), None)
        if other is None or enrolment.place < other:
            return enrolment.priority
        return 1 - other[0]

    def remove(self, enrolment: Enrolment) -> None:
        self._waiting -= 1
        index = bisect_left(self._entries, enrolment.place, key=_place)  # thousands may wait
        while index < len(self._entries) and self._entries[index].place == enrolment.place:
            if self._entries[index].enrolment_id == enrolment.enrolment_id:
                del self._entries[index]
                break
            index += 1
        index = bisect_left(self._places, enrolment.place)
        if index < len(self._places) and self._places[index] == enrolment.place:
            del self._places[index]
        if enrolment.waits_together and enrolment.ticket is not None:
            group = self.groups[enrolment.ticket]
            group.members -= 1
            if not group.members:
                del self.groups[enrolment.ticket]
