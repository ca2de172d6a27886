"""A session as other programs read it: the one mapping for LHEO and for schema.org."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ShownSession
from services.catalogue.rules.venues import parts_of
from shared.events.vocabulary import Status

_AN_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DescribedPlace:
    """``street``, ``postal_code`` and ``commune`` are all None if the venue has no postal code."""

    venue: str
    street: str | None = None
    postal_code: str | None = None
    commune: str | None = None

    @classmethod
    def of(cls, venue: str) -> Self:
        parts = parts_of(venue)
        street = ", ".join(filter(None, (parts.name, parts.street)))
        if not (street and parts.commune):
            return cls(venue)
        return cls(venue, street, parts.postal_code, parts.commune)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedSession:
    """Times are in the session's zone. ``place`` is None online."""

    address: str
    title: str
    description: str
    organiser: str
    starts_at: datetime
    ends_at: datetime
    enrolment_opens_at: datetime
    enrolment_closes_at: datetime
    place: DescribedPlace | None
    cancelled: bool


def described(site: str, session: ShownSession, offer: Offer) -> DescribedSession:
    plan, zone = session.plan, ZoneInfo(session.plan.timezone)
    return DescribedSession(
        address=f"{site}/sessions/{session.session_id}",
        title=plan.title,
        description=session.presentation.summary or offer.summary,
        organiser=session.organiser,
        starts_at=plan.starts_at.astimezone(zone),
        ends_at=plan.ends_at.astimezone(zone),
        enrolment_opens_at=plan.enrolment_opens_at.astimezone(zone),
        enrolment_closes_at=plan.enrolment_closes_at.astimezone(zone),
        place=None if plan.venue is None else DescribedPlace.of(plan.venue),
        cancelled=session.status is Status.CANCELLED,
    )


def last_day(end: datetime) -> datetime:
    """Return a moment of the last day before ``end``, which is exclusive."""
    return end - _AN_INSTANT
