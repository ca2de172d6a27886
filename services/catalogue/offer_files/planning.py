"""The plans that come of the files' entries: wall-clock times, moved where the offer is, become instants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from services.catalogue import rules
from services.catalogue.offer_files.entries import (
    Kind,
    OfferEntry,
    OfferFile,
    ResourceEntry,
    SessionEntry,
    Source,
)
from services.catalogue.rules import Plan, Terms
from shared.events.catalogue import Audience, Module, ReservedSeats
from shared.events.vocabulary import Format

PARIS = "Europe/Paris"
NAMESPACE = UUID("5b0f2c56-7f0e-5b6e-8f51-0c1d5a7f2a43")
"""Ids of what is loaded are derived from it and the entry's key, so that a second load finds the first."""


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """A session as the files plan it."""

    session_id: UUID
    offer_id: str
    format: Format
    organiser: str
    plan: Plan
    summary: str | None
    experts: tuple[str, ...]
    source: Source
    choices: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """A resource as the files describe it."""

    resource_id: UUID
    kind: Kind
    title: str
    summary: str | None
    url: str
    themes: tuple[str, ...]
    published_at: datetime
    organiser: str | None
    session_id: UUID | None
    source: Source


@dataclass(frozen=True, slots=True)
class PlannedOffer:
    """All that the files say, with instants."""

    themes: dict[str, str]
    offers: tuple[OfferEntry, ...]
    sessions: tuple[PlannedSession, ...]
    resources: tuple[PlannedResource, ...]


def session_id(offer_id: str, key: str) -> UUID:
    """The id of a loaded session."""
    return uuid5(NAMESPACE, f"session/{offer_id}/{key}")


def resource_id(key: str) -> UUID:
    """The id of a loaded resource."""
    return uuid5(NAMESPACE, f"resource/{key}")


def planned(files: Sequence[tuple[str, OfferFile]], shift: timedelta) -> PlannedOffer:
    """All that the files, by name, say, with all dates moved by ``shift``."""
    offers: list[OfferEntry] = []
    sessions: list[PlannedSession] = []
    resources: list[PlannedResource] = []
    for name, file in files:
        offers += file.offers
        sessions += (_session(name, offer, entry, shift) for offer in file.offers for entry in offer.sessions)
        resources += (_resource(entry, shift) for entry in file.resources)
    themes = {entry.theme: entry.title for _, file in files for entry in file.themes}
    return PlannedOffer(themes, tuple(offers), tuple(sessions), tuple(resources))


def _session(file: str, offer: OfferEntry, entry: SessionEntry, shift: timedelta) -> PlannedSession:
    terms: dict[str, Any] = {
        name: getattr(entry if name in entry.model_fields_set else offer.terms, name)
        for name in Terms.model_fields
    }
    zone = terms["timezone"]
    audience = Audience.model_validate(terms["audience"].model_dump())
    days = terms.pop("closes_days_before")

    def at(wall_clock: datetime) -> datetime:
        return rules.instant(wall_clock + shift, zone)

    closes = entry.enrolment_closes_at or entry.starts_at - timedelta(days=days)
    plan = Plan(
        **terms | {"audience": audience},
        title=entry.title or offer.title,
        enrolment_opens_at=at(entry.enrolment_opens_at),
        enrolment_closes_at=at(closes),
        starts_at=at(entry.starts_at),
        ends_at=at(entry.ends_at),
        modules=tuple(
            Module(title=one.title, starts_at=at(one.starts_at), ends_at=at(one.ends_at))
            for one in entry.modules
        ),
        reserved_seats=tuple(
            ReservedSeats(delegation=one.delegation, seats=one.seats, release_at=at(one.release_at))
            for one in entry.reserved_seats
        ),
        venue=entry.venue,
        join_url=entry.join_url,
    )
    return PlannedSession(
        session_id=session_id(offer.offer_id, entry.key),
        offer_id=offer.offer_id,
        format=offer.format,
        organiser=entry.organiser,
        plan=plan,
        summary=entry.summary,
        experts=entry.experts,
        source=entry.source,
        choices=_choices(entry, shift),
        where=f"{file}, offer {offer.offer_id}, session {entry.key}",
    )


_DATES = ("starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at", "modules")


def _choices(entry: SessionEntry, shift: timedelta) -> tuple[str, ...]:
    """What the announcement does not state: no date that was moved, if it states anything at all."""
    if not shift or entry.source is not Source.COMMUNIQUE:
        return entry.choices
    moved = [name for name in _DATES if getattr(entry, name)]
    return tuple(dict.fromkeys((*moved, *entry.choices)))


def _resource(entry: ResourceEntry, shift: timedelta) -> PlannedResource:
    recorded = session_id(*entry.session.split("/", 1)) if entry.session is not None else None
    return PlannedResource(
        resource_id=resource_id(entry.key),
        kind=entry.kind,
        title=entry.title,
        summary=entry.summary,
        url=entry.url,
        themes=entry.themes,
        published_at=rules.instant(entry.published_at + shift, PARIS),
        organiser=entry.organiser,
        session_id=recorded,
        source=entry.source,
    )
