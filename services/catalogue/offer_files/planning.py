from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.catalogue.offer_files.entries import OfferEntry, OfferFile, ResourceEntry, SessionEntry
from services.catalogue.rules.lifecycle import instant
from services.catalogue.rules.offers import Offer, Source, Terms, loaded_resource_id, loaded_session_id
from services.catalogue.rules.resources import Resource
from services.catalogue.rules.sessions import Loaded, Plan, Presentation, Session
from shared.events.catalogue import Audience, Module, ReservedSeats

PARIS = "Europe/Paris"


@dataclass(frozen=True, slots=True)
class PlannedSession:
    where: str
    session: Session


@dataclass(frozen=True, slots=True)
class OfferFiles:
    shift: timedelta
    themes: dict[str, str]
    offers: tuple[Offer, ...]
    sessions: tuple[PlannedSession, ...]
    resources: tuple[Resource, ...]


def planned(files: Sequence[tuple[str, OfferFile]], shift: timedelta) -> OfferFiles:
    return OfferFiles(
        shift=shift,
        themes={entry.theme: entry.title for _, file in files for entry in file.themes},
        offers=tuple(_offer(entry) for _, file in files for entry in file.offers),
        sessions=tuple(
            PlannedSession(
                f"{name}, offer {offer.offer_id}, session {entry.key}", _session(offer, entry, shift)
            )
            for name, file in files
            for offer in file.offers
            for entry in offer.sessions
        ),
        resources=tuple(_resource(entry, shift) for _, file in files for entry in file.resources),
    )


def _offer(entry: OfferEntry) -> Offer:
    return Offer(
        offer_id=entry.offer_id,
        format=entry.format,
        title=entry.title,
        summary=entry.summary,
        themes=entry.themes,
        terms=Terms.model_validate(entry.terms.model_dump()),
        source=entry.source.value,
        choices=entry.choices,
    )


def _session(offer: OfferEntry, entry: SessionEntry, shift: timedelta) -> Session:
    terms: dict[str, Any] = {
        name: getattr(entry if name in entry.model_fields_set else offer.terms, name)
        for name in Terms.model_fields
    }
    zone = terms["timezone"]
    audience = Audience.model_validate(terms["audience"].model_dump())
    days = terms.pop("closes_days_before")

    def at(wall_clock: datetime) -> datetime:
        return instant(wall_clock + shift, zone)

    closes = entry.enrolment_closes_at or entry.starts_at - timedelta(days=days)
    plan = Plan(
        **terms | {"audience": audience},
        title=entry.title or offer.title,
        enrolment_opens_at=at(entry.enrolment_opens_at),
        enrolment_closes_at=at(closes),
        starts_at=at(entry.starts_at),
        ends_at=at(entry.ends_at),
        modules=tuple(
            Module(title=module.title, starts_at=at(module.starts_at), ends_at=at(module.ends_at))
            for module in entry.modules
        ),
        reserved_seats=tuple(
            ReservedSeats(
                delegation=reserved.delegation, seats=reserved.seats, release_at=at(reserved.release_at)
            )
            for reserved in entry.reserved_seats
        ),
        venue=entry.venue,
        join_url=entry.join_url,
        questions=entry.questions,
    )
    presentation = Presentation(
        summary=entry.summary,
        experts=entry.experts,
        source=entry.source.value,
        choices=_choices(entry, shift),
    )
    return Session(
        session_id=loaded_session_id(offer.offer_id, entry.key),
        offer_id=offer.offer_id,
        format=offer.format,
        organiser=entry.organiser,
        plan=plan,
        presentation=presentation,
        loaded=Loaded(plan, presentation),
    )


_DATES = ("starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at", "modules")


def _choices(entry: SessionEntry, shift: timedelta) -> tuple[str, ...]:
    if not shift or entry.source is not Source.COMMUNIQUE:
        return entry.choices
    moved = [name for name in _DATES if getattr(entry, name)]
    return tuple(dict.fromkeys((*moved, *entry.choices)))


def _resource(entry: ResourceEntry, shift: timedelta) -> Resource:
    recorded = loaded_session_id(*entry.session.split("/", 1)) if entry.session is not None else None
    return Resource(
        resource_id=loaded_resource_id(entry.key),
        kind=entry.kind,
        title=entry.title,
        summary=entry.summary,
        url=entry.url,
        themes=entry.themes,
        published_at=instant(entry.published_at + shift, PARIS),
        organiser=entry.organiser,
        session_id=recorded,
        source=entry.source.value,
    )
