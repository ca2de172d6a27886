from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from services.notifier.letters.kinds import DetailRow, EnrolmentState, Letter, LetterDetails, LetterType
from shared.events.seances import NumberedSession
from shared.events.zones import zone_of

MOST_LISTED = 50

SOON = timedelta(days=7)
"""The digest has a session this long before enrolment closes and before it begins."""

_DAYS = UUID("3f1d7c52-5b0a-5b8e-9a6e-2f0c4f6f7a31")
_DIGESTS = UUID("8a0c9d34-6f0e-5a4e-8b57-0f8d5f3c2b19")
_MORNING, _EVENING = time(8), time(20)
_CLOSING = timedelta(minutes=15)
"""A day ends this long before its letter: an event that is just being stored belongs to the next day."""
_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class OrganiserDay:
    """The period of a letter: from the end of the last one, or from ``earliest``.

    ``day_id`` replaces the id of an event that called for the letter.
    """

    organiser: str
    day_id: UUID
    earliest: datetime
    before: datetime
    until: datetime


def day_of(organiser: str, now: datetime) -> OrganiserDay | None:
    """Return the day that ended this morning for the organiser, or None at night."""
    zone = ZoneInfo(zone_of(organiser))
    local = now.astimezone(zone)
    if not _MORNING <= local.time() < _EVENING:
        return None
    morning = datetime.combine(local.date(), _MORNING, zone)
    until = (morning - _CLOSING).astimezone(UTC)
    before = (morning - timedelta(days=1) - _CLOSING).astimezone(UTC)
    day_id = uuid5(_DAYS, f"{organiser} {morning.date().isoformat()}")
    return OrganiserDay(organiser, day_id, until - _LONGEST, before, until)


def digest_id(organiser: str) -> UUID:
    return uuid5(_DIGESTS, organiser)


def returned_letter(returned: Mapping[UUID, int]) -> Letter | None:
    if not returned:
        return None
    rows: list[DetailRow] = [
        {"session": str(session_id), "people": people} for session_id, people in returned.items()
    ]
    details: LetterDetails = {
        "sessions": rows[:MOST_LISTED],
        "in_all": len(rows),
        "people": sum(returned.values()),
    }
    return Letter(LetterType.MAILS_RETURNED, details, needs_session=False)


Counts = Mapping[EnrolmentState, int]


class SinceLast(NamedTuple):
    new: int = 0
    left: int = 0


def digest_letter(
    sessions: Sequence[NumberedSession],
    counts: Mapping[UUID, Counts],
    since_last: Mapping[UUID, SinceLast],
    returned: Mapping[UUID, int],
    now: datetime,
) -> Letter | None:
    """Return None if there is nothing to say. Decisions to take come first. The letter names nobody."""
    rows = [
        {
            **_digest_row(session, counts.get(session.session_id, {}), now),
            **since_last.get(session.session_id, SinceLast())._asdict(),
            "people": returned.get(session.session_id, 0),
        }
        for session in sorted(sessions, key=lambda session: (session.starts_at, session.session_id))
    ]
    to_decide = [row for row in rows if row["to_rank"] or row["minimum_missed"]]
    soon = [row for row in rows if row["soon"] and row not in to_decide]
    with_news = [row for row in rows if row["new"] or row["left"] or row["people"]]
    others = [row for row in with_news if row not in to_decide and row not in soon]
    listed = [*to_decide, *soon, *others]
    if not listed:
        return None
    details: LetterDetails = {
        "sessions": listed[:MOST_LISTED],
        "in_all": len(listed),
        "digest": str(digest_id(sessions[0].organiser)),
        "to_decide": len(to_decide),
        "soon": len(soon),
        "new": sum(number.new for number in since_last.values()),
        "left": sum(number.left for number in since_last.values()),
    }
    return Letter(LetterType.DIGEST, details, needs_session=False)


def _digest_row(session: NumberedSession, counts: Counts, now: datetime) -> DetailRow:
    closes, starts, approval = session.enrolment_closes_at, session.starts_at, session.approval
    enrolled, offered, pending = (
        counts.get(state, 0)
        for state in (EnrolmentState.ENROLLED, EnrolmentState.OFFERED, EnrolmentState.PENDING)
    )
    is_decided_now = closes <= now < starts
    candidates = pending if approval.by_selection else 0
    minimum = session.minimum or 0
    return {
        "session": str(session.session_id),
        "enrolled": enrolled,
        "offered": offered,
        "waiting": counts.get(EnrolmentState.WAITLISTED, 0),
        "pending": pending,
        # Undecided approvals end at the close, so only candidates are left then.
        "to_rank": candidates if closes <= now else 0,
        "minimum_missed": minimum if is_decided_now and enrolled + offered + candidates < minimum else 0,
        "soon": int(any(now < moment <= now + SOON for moment in (closes, starts))),
    }
