"""Sessions for tests: say what matters, the rest is an ordinary Tuesday in April."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.catalogue.rules.changes import schedule
from services.catalogue.rules.sessions import Announcement, Plan, Session
from shared.events.catalogue import Module
from shared.events.vocabulary import Format, Status

OPENS = datetime(2025, 3, 3, 8, tzinfo=UTC)
CLOSES = datetime(2025, 4, 10, 7, 30, tzinfo=UTC)
STARTS = datetime(2025, 4, 15, 7, 30, tzinfo=UTC)
ENDS = datetime(2025, 4, 15, 15, tzinfo=UTC)

BEFORE = datetime(2025, 3, 1, tzinfo=UTC)
WHILE_OPEN = datetime(2025, 3, 20, tzinfo=UTC)
WHILE_CLOSED = datetime(2025, 4, 12, tzinfo=UTC)
WHILE_RUNNING = datetime(2025, 4, 15, 10, tzinfo=UTC)
AFTER = datetime(2025, 4, 16, tzinfo=UTC)


def a_plan(**given: Any) -> Plan:
    fields: dict[str, Any] = {
        "title": "IA et territoires à Lyon",
        "enrolment_opens_at": OPENS,
        "enrolment_closes_at": CLOSES,
        "starts_at": STARTS,
        "ends_at": ENDS,
        "timezone": "Europe/Paris",
        "capacity": 100,
        "venue": "Délégation, Lyon",
    }
    return Plan(**fields | given)


def a_draft(**given: Any) -> Session:
    return Session(
        session_id=UUID("11111111-1111-4111-8111-111111111111"),
        offer_id="ia-et-territoires",
        format=Format.LOCAL_EVENT,
        organiser="auvergne-rhone-alpes",
        plan=a_plan(**given),
        version=1,
    )


def a_published_session(*, at: datetime = BEFORE, **given: Any) -> Session:
    """Published at ``at``, with all that the clock owed by then announced."""
    session = schedule(a_draft(**given), at).session
    assert session.status is Status.PUBLISHED
    return session


def a_module(title: str, starts_at: datetime, ends_at: datetime) -> Module:
    return Module(title=title, starts_at=starts_at, ends_at=ends_at)


NOTHING, OPENED, CLOSED, COMPLETED = Announcement
