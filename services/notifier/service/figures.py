from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from services.notifier.letters import NumberedSession
from services.notifier.store import figures, sessions
from services.notifier.store.figures import AuthoritiesReached, CountedFigure, SeatsTaken
from shared.database import Transaction

SummedBy = TypeVar("SummedBy", bound=Hashable)

SETTLED = timedelta(minutes=10)
"""Longer than any transaction takes, so that older rows are complete."""
MONTHS = 12
MOST_SESSIONS = 50
PARIS = ZoneInfo("Europe/Paris")


class FigureKind(StrEnum):
    ASKED = "asked"
    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    ATTENDED = "attended"
    ABSENT = "absent"
    ABSENT_JUSTIFIED = "absent_justified"
    LETTERS = "letters"


@dataclass(frozen=True)
class OfferFigures:
    rows: Sequence[CountedFigure]
    months: Sequence[date]
    period: str
    periods: Sequence[str]
    offers: Sequence[str]
    organisers: Sequence[str]
    counted_until: datetime | None
    titles: Mapping[str, str]
    seats: SeatsTaken
    reached: Sequence[AuthoritiesReached]
    sessions: Mapping[UUID, NumberedSession]
    """The latest whose agents are counted in ``reached``, at most :data:`MOST_SESSIONS`."""

    @cached_property
    def _by_month(self) -> Counter[tuple[date, str]]:
        return _sums(((row.month, row.kind), row.number) for row in self.rows)

    @cached_property
    def _by_offer_and_organiser(self) -> Counter[tuple[tuple[str, str], str]]:
        return _sums((((row.offer_id, row.organiser), row.kind), row.number) for row in self.rows)

    @cached_property
    def _by_reason(self) -> Counter[str]:
        refused = [row for row in self.rows if row.kind == FigureKind.REFUSED]
        return _sums((row.reason, row.number) for row in refused)

    def of_month(self, month: date, kind: str) -> int:
        return self._by_month[month, kind]

    def total(self, kind: str) -> int:
        return sum(self.by_month(kind))

    def has(self, month: date) -> bool:
        return any(self._by_month[month, kind] for kind in FigureKind)

    def of_offer_by_organiser(self, offer_and_organiser: tuple[str, str], kind: str) -> int:
        return self._by_offer_and_organiser[offer_and_organiser, kind]

    @property
    def offers_by_organiser(self) -> list[tuple[str, str]]:
        return sorted({of for of, _ in self._by_offer_and_organiser})

    def by_month(self, kind: str) -> list[int]:
        return [self.of_month(month, kind) for month in self.months]

    @property
    def fill_rate(self) -> int | None:
        return _percent(self.seats.taken, self.seats.capacity)

    @property
    def absence_rate(self) -> int | None:
        """Return the percentage of absences, justified or not, in what was recorded."""
        absent = self.total(FigureKind.ABSENT) + self.total(FigureKind.ABSENT_JUSTIFIED)
        return _percent(absent, absent + self.total(FigureKind.ATTENDED))

    @cached_property
    def _reached_by(self) -> Mapping[tuple[str | None, str | None], AuthoritiesReached]:
        return {(line.offer_id, line.organiser): line for line in self.reached if line.session_id is None}

    @property
    def authorities(self) -> AuthoritiesReached:
        return self._reached_by[None, None]

    def authorities_by(self, offer_and_organiser: tuple[str, str]) -> AuthoritiesReached:
        return self._reached_by.get(offer_and_organiser, AuthoritiesReached(None, *offer_and_organiser, 0, 0))

    @property
    def authorities_by_session(self) -> Sequence[AuthoritiesReached]:
        """Return a line for each session of :attr:`sessions`, the latest first."""
        return [line for line in self.reached if line.session_id in self.sessions]

    @property
    def sessions_are_cut(self) -> bool:
        return len(_sessions_of(self.reached)) > MOST_SESSIONS

    @property
    def refusals(self) -> list[tuple[str, int]]:
        return self._by_reason.most_common()


def _sessions_of(reached: Sequence[AuthoritiesReached]) -> list[UUID]:
    return [line.session_id for line in reached if line.session_id is not None]


def _percent(part: int, whole: int) -> int | None:
    return round(100 * part / whole) if whole else None


def _sums(numbers: Iterable[tuple[SummedBy, int]]) -> Counter[SummedBy]:
    sums: Counter[SummedBy] = Counter()
    for counted, number in numbers:
        sums[counted] += number
    return sums


async def count(tx: Transaction) -> None:
    await figures.count(tx, SETTLED)


async def find(
    tx: Transaction,
    now: datetime,
    *,
    period: str = "",
    offer_id: str | None = None,
    organiser: str | None = None,
    own: str | None = None,
) -> OfferFigures:
    today = now.astimezone(PARIS).date()
    counted = await figures.counted(tx, own)
    known = periods(counted.since or today, today)
    months = known.get(period) or last_months(today)
    first, end, by = months[0], _end_of(months[-1]), own or organiser
    reached = await figures.authorities_reached(tx, first, end, offer_id, by)
    return OfferFigures(
        await figures.find(tx, first, months[-1], offer_id, by),
        months,
        period if period in known else "",
        list(known),
        counted.offers,
        counted.organisers,
        await figures.counted_until(tx),
        await sessions.offer_titles(tx, counted.offers),
        await figures.seats_taken(tx, first, min(now, end), offer_id, by),
        reached,
        await sessions.find(tx, _sessions_of(reached)[:MOST_SESSIONS]),
    )


def _end_of(month: date) -> datetime:
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return datetime.combine(following, time.min, PARIS) - timedelta(microseconds=1)


def periods(since: date, today: date) -> dict[str, list[date]]:
    number, last = since.year * 12 + since.month - 1, today.year * 12 + today.month - 1
    months = [date(month // 12, month % 12 + 1, 1) for month in range(number, last + 1)]
    years = {
        str(year): [month for month in months if month.year == year]
        for year in {month.year for month in months}
    }
    return dict(sorted(years.items(), reverse=True)) | {
        f"{month:%Y-%m}": [month] for month in reversed(months)
    }


def last_months(today: date) -> list[date]:
    number = today.year * 12 + today.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(number - MONTHS + 1, number + 1)]
