from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar


class _Employer(Protocol):
    @property
    def siret(self) -> str: ...
    @property
    def delegation(self) -> str: ...


class Applicant(Protocol):
    @property
    def employer(self) -> _Employer: ...


A = TypeVar("A", bound=Applicant)


@dataclass(frozen=True)
class Reservation:
    delegation: str
    seats: int
    release_at: datetime


@dataclass(frozen=True)
class Seats:
    """The rules that limit the seats of a session (rules 1, 3, 4). Without `capacity` there is no limit."""

    capacity: int | None
    quota: int | None = None
    reserved: tuple[Reservation, ...] = ()

    def is_free_for(self, agent: Applicant, taken: Sequence[Applicant], now: datetime) -> bool:
        mine = [other for other in taken if other.employer.siret == agent.employer.siret]
        if self.quota is not None and len(mine) >= self.quota:
            return False
        if self.capacity is None:
            return True
        reserved: Counter[str] = Counter()
        for reservation in self.reserved:
            if now < reservation.release_at:
                reserved[reservation.delegation] += reservation.seats
        reserved -= Counter(other.employer.delegation for other in taken)
        if reserved[agent.employer.delegation]:  # with too many reservations, the first agents get the seats
            return len(taken) < self.capacity
        return len(taken) + reserved.total() < self.capacity

    def are_free_for(self, agents: Sequence[A], taken: Sequence[Applicant], now: datetime) -> list[A]:
        seated: list[A] = []
        for agent in agents:
            if self.is_free_for(agent, [*taken, *seated], now):
                seated.append(agent)
        return seated

    def next_in(
        self,
        line: Sequence[Sequence[A]],
        taken: Sequence[Applicant],
        now: datetime,
        ends_at: datetime,
        passed: Sequence[Sequence[A]] = (),
    ) -> tuple[Sequence[A], list[A]]:
        """Return the next place in line that fits, and the agents before it for whom seats are kept.

        A place is one agent or a group (rule 17). A group keeps the free seats if it only lacks seats, unless
        it was `passed`. Nobody gets a seat after `ends_at`.
        """
        kept: list[A] = []
        for place in line:
            if self.capacity is not None and len(taken) + len(kept) >= self.capacity:
                break
            seated = self.are_free_for(place, [*taken, *kept], now)
            if len(seated) == len(place):
                return place, kept
            if place not in passed and self._only_lacks_seats(place, taken, ends_at):
                kept += seated
        return [], kept

    def _only_lacks_seats(
        self, group: Sequence[Applicant], taken: Sequence[Applicant], ends_at: datetime
    ) -> bool:
        """Return whether the group would fit if agents of other authorities left.

        False if the group and the agents who have seats exceed the quota of an authority, or if the group
        exceeds the seats that are ever released to it.
        """
        by_siret = Counter(agent.employer.siret for agent in [*taken, *group])
        theirs = {agent.employer.siret for agent in group}
        if self.quota is not None and any(by_siret[siret] > self.quota for siret in theirs):
            return False
        never_released: Counter[str] = Counter()
        for reservation in self.reserved:
            if reservation.release_at >= ends_at:
                never_released[reservation.delegation] += reservation.seats
        never_released -= Counter(agent.employer.delegation for agent in group)
        return self.capacity is None or len(group) <= self.capacity - never_released.total()
