"""The offer as it stands in files: what an entry may say, and the plans that come of it.

Owns the format of ``offer/*.yaml``. Times there are wall-clock times of the session's zone, so that a
shifted offer still starts at 9 h 30 and the MOOC still ends at midnight. Nothing here knows the database.

Every entry says where it comes from: ``communique`` (the CNFPT's announcement of 26 February 2025 says
so) or ``illustrative`` (made up to show the format). In an entry of the first kind, ``choices`` names the
fields that the announcement does not state and that are ours; the dates are among them once they are shifted.
Titles and summaries name no date, which would stay where it was.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import yaml
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, ValidationError

from services.catalogue import rules
from services.catalogue.rules import Plan, Terms
from shared.events.catalogue import Audience, Module, ReservedSeats
from shared.events.vocabulary import Delegation, Format, Line, Paragraph, Slug, Url

OFFER = Path(__file__).parent / "offer"
"""The offer that comes with the service."""

PARIS = "Europe/Paris"
NAMESPACE = UUID("5b0f2c56-7f0e-5b6e-8f51-0c1d5a7f2a43")
"""Ids of what is loaded are derived from it and the entry's key, so that a second load finds the first."""


class OfferError(Exception):
    """The offer's files cannot be loaded; one line per fault, each naming file and entry."""


class Source(StrEnum):
    """Where an entry comes from."""

    COMMUNIQUE = "communique"
    ILLUSTRATIVE = "illustrative"


class Kind(StrEnum):
    """What a resource is."""

    REPLAY = "replay"
    DOSSIER = "dossier"
    COMMUNITY = "community"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Sourced(_Strict):
    source: Source
    choices: tuple[str, ...] = ()


class AudienceEntry(Audience, extra="forbid"):
    """Who may enrol."""


class TermsEntry(Terms, extra="forbid"):
    """What the offer's sessions have unless they say otherwise."""

    audience: AudienceEntry = AudienceEntry()


class ModuleEntry(_Strict):
    """A séance."""

    title: Line
    starts_at: NaiveDatetime
    ends_at: NaiveDatetime


class ReservedSeatsEntry(_Strict):
    """Seats for one delegation's agents, until ``release_at``."""

    delegation: Delegation
    seats: int = Field(ge=1)
    release_at: NaiveDatetime


class SessionEntry(_Sourced, TermsEntry, extra="forbid"):
    """A session. ``key`` tells it from the offer's others, for ever: its id is made of it."""

    key: Slug
    organiser: Delegation
    title: Line | None = None
    summary: Paragraph | None = None
    experts: tuple[Line, ...] = ()
    enrolment_opens_at: NaiveDatetime
    enrolment_closes_at: NaiveDatetime | None = None
    starts_at: NaiveDatetime
    ends_at: NaiveDatetime
    modules: tuple[ModuleEntry, ...] = ()
    reserved_seats: tuple[ReservedSeatsEntry, ...] = ()
    venue: Line | None = None
    join_url: Url | None = None


class OfferEntry(_Sourced):
    """An offer and its sessions."""

    offer_id: Slug
    format: Format
    title: Line
    summary: Paragraph
    themes: tuple[Slug, ...] = ()
    terms: TermsEntry = TermsEntry()
    sessions: tuple[SessionEntry, ...] = ()


class ResourceEntry(_Sourced):
    """A resource open to everyone. A replay says who organised what was recorded, and of which session."""

    key: Slug
    kind: Kind
    title: Line
    summary: Paragraph | None = None
    url: Url
    themes: tuple[Slug, ...] = ()
    published_at: NaiveDatetime
    organiser: Delegation | None = None
    session: str | None = Field(default=None, description="offer_id/key of the session it recorded.")


class ThemeEntry(_Strict):
    """A word that offers and resources share."""

    theme: Slug
    title: Line


class OfferFile(_Strict):
    """One file. Any of the three lists may be missing."""

    themes: tuple[ThemeEntry, ...] = ()
    offers: tuple[OfferEntry, ...] = ()
    resources: tuple[ResourceEntry, ...] = ()


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


def read(directory: Path, *, shift: timedelta = timedelta(0)) -> PlannedOffer:
    """Read every ``*.yaml`` of ``directory``, with all its dates moved by ``shift``, whole days.

    Raises :class:`OfferError` with every fault found, or when there is nothing to read.
    """
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        raise OfferError(f"{directory} has no *.yaml file: name the offer's folder with --directory")
    faults: list[str] = []
    files: list[tuple[str, OfferFile]] = []
    for path in paths:
        file, found = _parse(path)
        faults += found
        if file is not None:
            files.append((path.name, file))
    if not faults:
        faults += _contradictions(files)
    planned = _planned(files, shift) if not faults else None
    if planned is not None:
        faults += _impossible(planned)
    if planned is None or faults:
        raise OfferError("\n".join(faults))
    return planned


def _parse(path: Path) -> tuple[OfferFile | None, list[str]]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, [f"{path.name}: is not readable YAML: {' '.join(str(error).split())}"]
    if not isinstance(raw, dict):
        return None, [f"{path.name}: has no lists “offers”, “resources” or “themes”"]
    try:
        return OfferFile.model_validate(raw), []
    except ValidationError as error:
        return None, [
            f"{path.name}{_entry(raw, fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        ]


_NAMED_BY = {
    "offers": ("offer", "offer_id"),
    "sessions": ("session", "key"),
    "resources": ("resource", "key"),
    "themes": ("theme", "theme"),
}


def _entry(raw: Any, location: Sequence[str | int]) -> str:
    """Where a fault is, in the words of the file: ``, offer x, session y: field``."""
    names, fields = "", []
    list_name = None
    for step in location:
        if isinstance(step, int) and list_name in _NAMED_BY and isinstance(raw, list) and step < len(raw):
            word, key = _NAMED_BY[list_name]
            name = raw[step].get(key) if isinstance(raw[step], dict) else None
            names += f", {word} {name or f'number {step + 1}'}"
            fields.clear()
        else:
            fields.append(str(step))
        list_name = step if isinstance(step, str) else None
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            raw = None
    return names + (f": {'.'.join(fields)}" if fields else "")


def _contradictions(files: Sequence[tuple[str, OfferFile]]) -> Iterator[str]:
    """What one entry says against another or against itself."""
    themes = {entry.theme for _, file in files for entry in file.themes}
    sessions = {
        f"{offer.offer_id}/{session.key}"
        for _, file in files
        for offer in file.offers
        for session in offer.sessions
    }
    seen: set[str] = set()
    for name, file in files:
        for offer in file.offers:
            where = f"{name}, offer {offer.offer_id}"
            yield from _twice(f"offer {offer.offer_id}", where, seen)
            yield from _unknown_themes(offer.themes, themes, where)
            yield from _unknown_choices(offer, where)
            for session in offer.sessions:
                within = f"{where}, session {session.key}"
                yield from _twice(f"session {offer.offer_id}/{session.key}", within, seen)
                yield from _unknown_choices(session, within)
        for resource in file.resources:
            where = f"{name}, resource {resource.key}"
            yield from _twice(f"resource {resource.key}", where, seen)
            yield from _unknown_themes(resource.themes, themes, where)
            yield from _unknown_choices(resource, where)
            if resource.kind is Kind.REPLAY and resource.organiser is None:
                yield f"{where}: organiser: a replay needs the organiser of what it recorded"
            if resource.kind is not Kind.REPLAY and resource.session is not None:
                yield f"{where}: session: only a replay records a session"
            elif resource.session is not None and resource.session not in sessions:
                yield f"{where}: session: {resource.session} is in no file"


def _unknown_choices(entry: _Sourced, where: str) -> Iterator[str]:
    for name in entry.choices:
        if name not in type(entry).model_fields:
            yield f"{where}: choices: {name!r} is not a field of this entry"


def _twice(what: str, where: str, seen: set[str]) -> Iterator[str]:
    if what in seen:
        yield f"{where}: is there twice"
    seen.add(what)


def _unknown_themes(themes: Iterable[str], known: set[str], where: str) -> Iterator[str]:
    for theme in themes:
        if theme not in known:
            yield f"{where}: themes: {theme} is not in any list of themes"


def _planned(files: Sequence[tuple[str, OfferFile]], shift: timedelta) -> PlannedOffer:
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


def _impossible(planned: PlannedOffer) -> Iterator[str]:
    for session in planned.sessions:
        for problem in rules.unpublishable(session.plan, session.format):
            field = f"{problem.field}: " if problem.field else ""
            yield f"{session.where}: {field}{problem.detail}"
