"""Figures: how often what happened, by month, offer and organiser, for who answers for the offer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.notifier.store import figures
from services.notifier.tables import FigureRow
from shared.database import Transaction

SETTLED = timedelta(minutes=10)
"""What was recorded so long ago is not being written any more: a statement ends after 65 seconds."""
MONTHS = 12


class FigureKind(StrEnum):
    """What is counted, in the order of tables."""

    ASKED = "asked"
    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    ATTENDED = "attended"
    ABSENT = "absent"
    LETTERS = "letters"


@dataclass(frozen=True, slots=True)
class OfferFigures:
    """Figures from ``since`` on, and sums of them."""

    rows: Sequence[FigureRow]
    months: Sequence[date]
    offers: Sequence[str]
    organisers: Sequence[str]
    counted_until: datetime | None
    _by_month: Counter[tuple[date, str]] = field(init=False)
    _by_place: Counter[tuple[tuple[str, str], str]] = field(init=False)
    _by_reason: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        """Add up."""
        by_month: Counter[tuple[date, str]] = Counter()
        by_place: Counter[tuple[tuple[str, str], str]] = Counter()
        by_reason: Counter[str] = Counter()
        for row in self.rows:
            by_month[row.month, row.kind] += row.number
            by_place[(row.offer_id, row.organiser), row.kind] += row.number
            if row.kind == FigureKind.REFUSED:
                by_reason[row.reason] += row.number
        object.__setattr__(self, "_by_month", by_month)
        object.__setattr__(self, "_by_place", by_place)
        object.__setattr__(self, "_by_reason", by_reason)

    def of_month(self, month: date, kind: str) -> int:
        """How often something happened in a month."""
        return self._by_month[month, kind]

    def has(self, month: date) -> bool:
        """Whether anything is counted in a month."""
        return any(self._by_month[month, kind] for kind in FigureKind)

    def of_place(self, place: tuple[str, str], kind: str) -> int:
        """How often something happened for an offer and an organiser."""
        return self._by_place[place, kind]

    @property
    def places(self) -> list[tuple[str, str]]:
        """The offers, with their organisers, of which there is anything."""
        return sorted({place for place, _ in self._by_place})

    @property
    def highest(self) -> int:
        """The largest number of requests, or of seats, of a month."""
        shown = (FigureKind.ASKED, FigureKind.ENROLLED)
        return max(self.of_month(month, kind) for month in self.months for kind in shown)

    @property
    def refusals(self) -> list[tuple[str, int]]:
        """The reasons of refusals, the most frequent first."""
        return self._by_reason.most_common()


async def count(tx: Transaction) -> None:
    """Count what is new."""
    await figures.count(tx, SETTLED)


async def find(tx: Transaction, today: date, offer_id: str, organiser: str) -> OfferFigures:
    """Return the figures of the last twelve months."""
    months = last_months(today)
    offers, organisers = await figures.places(tx)
    rows = await figures.find(tx, months[0], offer_id, organiser)
    return OfferFigures(rows, months, offers, organisers, await figures.counted_until(tx))


def last_months(today: date) -> list[date]:
    """Return the first days of the last twelve months, that of today the last."""
    number = today.year * 12 + today.month - 1
    return [date(each // 12, each % 12 + 1, 1) for each in range(number - MONTHS + 1, number + 1)]
