"""The seats of one session: how many are taken, and who may take another (rules 1, 3 and 4)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Employer


@dataclass(slots=True)
class Seats:
    """Taken seats: in all, and by delegation and authority where that matters.

    ``enrolled`` counts agents' seats, ``offered`` seats held for a reply. Both are taken.
    """

    enrolled: int = 0
    offered: int = 0
    by_delegation: Counter[str] = field(default_factory=Counter)
    by_siret: Counter[str] = field(default_factory=Counter)

    @property
    def taken(self) -> int:
        return self.enrolled + self.offered

    def by_employer(self) -> Mapping[str, Mapping[str, int]]:
        """Return the counts by delegation and authority, to be stored."""
        return {"delegation": +self.by_delegation, "siret": +self.by_siret}

    def take(self, employer: Employer, number: int = 1) -> None:
        """Count ``number`` seats for this employer, beside ``enrolled`` and ``offered``."""
        self.by_delegation[employer.delegation] += number
        self.by_siret[employer.siret] += number

    def copy(self) -> "Seats":
        return Seats(self.enrolled, self.offered, self.by_delegation.copy(), self.by_siret.copy())

    def and_kept(self, kept: "Seats") -> "Seats":
        """Return these seats plus those kept for a group (rule 17): nobody else may take either."""
        return Seats(
            self.enrolled + kept.enrolled,
            self.offered,
            self.by_delegation + kept.by_delegation,
            self.by_siret + kept.by_siret,
        )

    def for_all(self, session: SessionState, employers: Sequence[Employer], now: datetime) -> "Seats":
        """Return the seats that agents of these employers may take together.

        All of them fit if as many are ``enrolled`` in it as there are employers.
        """
        trial, theirs = self.copy(), Seats()
        for employer in employers:
            if session.capacity is not None and trial.taken >= session.capacity:
                break
            if trial.may_take(session, employer, now):
                for seats in (trial, theirs):
                    seats.enrolled += 1
                    seats.take(employer)
        return theirs

    def may_take(self, session: SessionState, employer: Employer, now: datetime) -> bool:
        """Return whether an agent of this employer may take one more seat.

        A delegation's agents fill its reserved seats first. Free reserved seats are kept from other
        delegations until the release date, except from a delegation with free reserved seats of its own. If
        more seats are reserved than exist, no seat stays empty. A lowered capacity may be exceeded already.
        """
        if self.reaches_quota(session, employer):
            return False
        if session.capacity is None:
            return True
        if not session.reserved_seats:
            return self.taken < session.capacity
        return self.taken + self._kept_from(employer.delegation, session, now) < session.capacity

    def numbers_for(
        self, session: SessionState, employer: Employer, now: datetime
    ) -> dict[str, int | str | None]:
        """Return the seats of this authority, its quota, and the number of seats kept from it."""
        return {
            "quota": session.quota_per_authority,
            "taken_by_authority": self.by_siret[employer.siret],
            "kept_for_others": self._kept_from(employer.delegation, session, now),
        }

    def reaches_quota(self, session: SessionState, employer: Employer) -> bool:
        """Return whether this authority has all the seats of its quota."""
        quota = session.quota_per_authority
        return quota is not None and self.by_siret[employer.siret] >= quota

    def _kept_from(self, delegation: str, session: SessionState, now: datetime) -> int:
        """Return the free reserved seats that this delegation may not take."""
        reserved: dict[str, int] = {}
        for reservation in session.reserved_seats:
            if now < reservation.release_at:
                before = reserved.get(reservation.delegation, 0)
                reserved[reservation.delegation] = before + reservation.seats
        unused = {name: max(0, seats - self.by_delegation[name]) for name, seats in reserved.items()}
        return 0 if unused.get(delegation) else sum(unused.values())


def counts_by_employer(session: SessionState) -> bool:
    """Return whether the session counts seats by employer: it has reserved seats or a quota."""
    return bool(session.reserved_seats) or session.quota_per_authority is not None


def next_release(session: SessionState, now: datetime) -> datetime | None:
    """Return when reserved seats are released next, or None."""
    releases = (reservation.release_at for reservation in session.reserved_seats)
    return min((release_at for release_at in releases if release_at > now), default=None)
