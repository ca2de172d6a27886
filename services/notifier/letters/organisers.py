"""What organisers hear of their sessions by the day: when, and of which time. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from services.notifier.letters.kinds import DetailRow, Details, Letter, Template
from shared.events.zones import zone_of

MOST_LISTED = 50
"""Sessions that a letter lists; it says how many more there are."""

_DAYS = UUID("3f1d7c52-5b0a-5b8e-9a6e-2f0c4f6f7a31")
_MORNING, _EVENING = time(8), time(20)
_CLOSING = timedelta(minutes=15)
"""A day ends before its letter is written: what is being stored then belongs to the next."""
_LONGEST = timedelta(days=7)
"""What is older was told by nobody, and is told no more."""


@dataclass(frozen=True, slots=True)
class OrganiserDay:
    """A day that a letter tells of, from ``earliest`` at most, or from the end of the last one that was told.

    ``day_id`` stands for the event that calls for the letter; ``before`` is where the day before ended.
    """

    organiser: str
    day_id: UUID
    earliest: datetime
    before: datetime
    until: datetime


def day_of(organiser: str, now: datetime) -> OrganiserDay | None:
    """The day that ended this morning by the organiser's clocks; None in the night, when nobody is told."""
    zone = ZoneInfo(zone_of(organiser))
    local = now.astimezone(zone)
    if not _MORNING <= local.time() < _EVENING:
        return None
    morning = datetime.combine(local.date(), _MORNING, zone)
    until = (morning - _CLOSING).astimezone(UTC)
    before = (morning - timedelta(days=1) - _CLOSING).astimezone(UTC)
    day_id = uuid5(_DAYS, f"{organiser} {morning.date().isoformat()}")
    return OrganiserDay(organiser, day_id, until - _LONGEST, before, until)


def returned_letter(returned: Mapping[UUID, int]) -> Letter | None:
    """The letter of the mails that came back: of how many people of each session; None of nobody.

    It has the sessions in the order of ``returned``, and names nobody.
    """
    if not returned:
        return None
    rows: list[DetailRow] = [
        {"session": str(session_id), "people": people} for session_id, people in returned.items()
    ]
    details: Details = {"sessions": rows[:MOST_LISTED], "in_all": len(rows), "people": sum(returned.values())}
    return Letter(Template.MAILS_RETURNED, details, needs_session=False)
