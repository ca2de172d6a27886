"""News for subscribers: items, followers and times. Pure.

All news between two daily editions goes into one letter.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from shared.events.catalogue import ReplayPublished, ResourcePublished, SessionState
from shared.events.seances import NumberedSession
from shared.events.vocabulary import Format, Status

_EDITIONS = UUID("5b0c1f52-8d43-5f0e-9a43-6f5f9f3f0d17")
_OPENINGS = UUID("0d8d4b51-7d0e-5c55-9a0c-8f0f1f2ad3b7")
_HOUR = time(16)
_ZONE = ZoneInfo("Europe/Paris")
"""The hour is in daytime in every department: 10 or 11 in Martinique, 18 or 19 in La Réunion [choice]."""
_CLOSING = timedelta(minutes=10)
"""In its last minutes an edition takes no new item, because items being stored would miss it."""
_FRESH = timedelta(days=7)
"""Older items are no news, so that a reloaded catalogue announces nothing again."""


class InterestKind(StrEnum):
    THEME = "theme"
    DELEGATION = "delegation"
    COMMUNITY = "community"
    OFFER = "offer"


@dataclass(frozen=True, slots=True, order=True)
class Interest:
    """A theme, the events of a delegation, a community, or the sessions of an offer.

    As text: ``theme:enjeux-ia``. An offer's sessions are those of all delegations, or of one
    (``offer:ia-et-territoires/bretagne``).
    """

    kind: InterestKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> "Interest":
        """Raises ``ValueError``."""
        kind, _, value = text.partition(":")
        return cls(InterestKind(kind), value)

    @classmethod
    def of_offer(cls, offer_id: str, organiser: str | None = None) -> "Interest":
        """Without ``organiser``, all delegations' sessions count."""
        return cls(InterestKind.OFFER, f"{offer_id}/{organiser}" if organiser else offer_id)

    @property
    def offer_id(self) -> str | None:
        """Return None for another kind of interest."""
        return self.value.partition("/")[0] if self.kind is InterestKind.OFFER else None


class NewsKind(StrEnum):
    REPLAY = "replay"
    DOSSIER = "dossier"
    COMMUNITY = "community"
    SESSION = "session"
    OPENING = "opening"


@dataclass(frozen=True, slots=True)
class NewsItem:
    """A session, resource or community that has opened. ``url`` is None for a session, whose page is ours.

    ``session_id`` is a recorded or opened session: its participants get another letter.
    """

    item_id: UUID
    kind: NewsKind
    title: str
    summary: str | None
    url: str | None
    interests: tuple[Interest, ...]
    published_at: datetime
    session_id: UUID | None = None
    event: NumberedSession | None = None

    @property
    def announced(self) -> UUID | None:
        match self.kind:
            case NewsKind.SESSION:
                return self.item_id
            case NewsKind.OPENING:
                return self.session_id
            case _:
                return None


def news_of(event: ReplayPublished | ResourcePublished) -> NewsItem:
    """A community is followed by its first theme [choice], because events do not name the community."""
    interests = [Interest(InterestKind.THEME, theme) for theme in event.themes]
    interests += [Interest(InterestKind.COMMUNITY, theme) for theme in event.themes]
    if isinstance(event, ReplayPublished):
        interests.append(Interest(InterestKind.DELEGATION, event.organiser))
        kind, session_id = NewsKind.REPLAY, event.session_id
    else:
        kind, session_id = NewsKind(event.kind.value), None
    return NewsItem(
        event.resource_id,
        kind,
        event.title,
        event.summary,
        event.url,
        tuple(interests),
        event.published_at,
        session_id,
    )


def still_announced(
    listed: Sequence[NewsItem],
    sessions: Mapping[UUID, NumberedSession],
    followed: Collection[Interest],
    now: datetime,
) -> list[NewsItem]:
    return _without_repetition(
        [
            replace(item, event=event)
            for item in listed
            for event in [sessions.get(item.announced) if item.announced else None]
            if _is_still_news(item, followed, event, now)
        ]
    )


def _is_still_news(
    item: NewsItem, followed: Collection[Interest], session: SessionState | None, now: datetime
) -> bool:
    if not set(item.interests) & set(followed):
        return False
    if item.announced is None:
        return True
    says = news_of_opening if item.kind is NewsKind.OPENING else news_of_session
    return session is not None and says(session, now) is not None


def news_of_session(session: SessionState, now: datetime) -> NewsItem | None:
    """Return None if nobody can enrol or the event is of no interest."""
    if session.format is not Format.LOCAL_EVENT or session.status is not Status.PUBLISHED:
        return None
    if now >= session.enrolment_closes_at:
        return None
    interests = (Interest(InterestKind.DELEGATION, session.organiser),)
    return NewsItem(session.session_id, NewsKind.SESSION, session.title, None, None, interests, now)


def news_of_opening(
    session: SessionState, now: datetime, opened_at: datetime | None = None
) -> NewsItem | None:
    """Return None if the public cannot enrol."""
    if session.status is not Status.PUBLISHED or session.format is Format.BESPOKE or session.audience.sirets:
        return None
    if not session.enrolment_opens_at <= now < session.enrolment_closes_at:
        return None
    interests = Interest.of_offer(session.offer_id), Interest.of_offer(session.offer_id, session.organiser)
    item_id = uuid5(_OPENINGS, str(session.session_id))
    return NewsItem(
        item_id, NewsKind.OPENING, session.title, None, None, interests, opened_at or now, session.session_id
    )


def _without_repetition(items: Sequence[NewsItem]) -> list[NewsItem]:
    opened = {item.session_id for item in items if item.kind is NewsKind.OPENING}
    return [item for item in items if item.kind is not NewsKind.SESSION or item.item_id not in opened]


def is_fresh(item: NewsItem, now: datetime) -> bool:
    return now - item.published_at < _FRESH


@dataclass(frozen=True, slots=True)
class Edition:
    """``edition_id`` replaces the id of an event that called for the letter."""

    edition_id: UUID
    due_at: datetime


def next_edition(now: datetime) -> Edition:
    local = now.astimezone(_ZONE)
    due = local.replace(hour=_HOUR.hour, minute=0, second=0, microsecond=0)
    if due - _CLOSING <= local:
        due += timedelta(days=1)
    return Edition(uuid5(_EDITIONS, due.date().isoformat()), due.astimezone(now.tzinfo))
