from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Employer


@dataclass(slots=True)
class Seats:
    """Taken seats in all, and by delegation and authority if the session counts by employer.

    ``offered`` seats are held for a reply.
    """

    enrolled: int = 0
    offered: int = 0
    by_delegation: Counter[str] = field(default_factory=Counter)
    by_siret: Counter[str] = field(default_factory=Counter)

    @property
    def taken(self) -> int:
        return self.enrolled + self.offered

    def by_employer(self) -> Mapping[str, Mapping[str, int]]:
        return {"delegation": +self.by_delegation, "siret": +self.by_siret}

    def take(self, employer: Employer, number: int = 1) -> None:
        self.by_delegation[employer.delegation] += number
        self.by_siret[employer.siret] += number

    def copy(self) -> "Seats":
        return Seats(self.enrolled, self.offered, self.by_delegation.copy(), self.by_siret.copy())

    def and_kept(self, kept: "Seats") -> "Seats":
        """Add the seats kept for a group (rule 17), which nobody else may take."""
        return Seats(
            self.enrolled + kept.enrolled,
            self.offered,
            self.by_delegation + kept.by_delegation,
            self.by_siret + kept.by_siret,
        )

    def for_all(self, session: SessionState, employers: Sequence[Employer], now: datetime) -> "Seats":
        """Return the seats that agents of these employers may take together.

        All agents fit if ``enrolled`` of the result is the number of employers.
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

        A delegation's agents fill its reserved seats first. Until the release date, free reserved seats are
        kept from delegations without free reserved seats of their own. If more seats are reserved than
        exist, no seat stays empty. A lowered capacity may be exceeded already.
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
        return {
            "quota": session.quota_per_authority,
            "taken_by_authority": self.by_siret[employer.siret],
            "kept_for_others": self._kept_from(employer.delegation, session, now),
        }

    def reaches_quota(self, session: SessionState, employer: Employer) -> bool:
        quota = session.quota_per_authority
        return quota is not None and self.by_siret[employer.siret] >= quota

    def _kept_from(self, delegation: str, session: SessionState, now: datetime) -> int:
        reserved: dict[str, int] = {}
        for reservation in session.reserved_seats:
            if now < reservation.release_at:
                before = reserved.get(reservation.delegation, 0)
                reserved[reservation.delegation] = before + reservation.seats
        unused = {name: max(0, seats - self.by_delegation[name]) for name, seats in reserved.items()}
        return 0 if unused.get(delegation) else sum(unused.values())


def counts_by_employer(session: SessionState) -> bool:
    return bool(session.reserved_seats) or session.quota_per_authority is not None


def next_release(session: SessionState, now: datetime) -> datetime | None:
    releases = (reservation.release_at for reservation in session.reserved_seats)
    return min((release_at for release_at in releases if release_at > now), default=None)
