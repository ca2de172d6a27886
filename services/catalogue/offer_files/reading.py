from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import ValidationError

from services.catalogue.offer_files.entries import OfferFile, Sourced
from services.catalogue.offer_files.planning import PARIS, OfferFiles, planned
from services.catalogue.rules.resources import Kind
from services.catalogue.rules.validity import unpublishable
from shared import clock

OFFER = Path(__file__).parents[1] / "offer"


class OfferError(Exception):
    pass


def read(directory: Path, *, shift: timedelta = timedelta(0)) -> OfferFiles:
    """Read every ``*.yaml`` of ``directory``, with all dates moved by ``shift`` (whole days).

    Raises :class:`OfferError` with every fault, or if there is nothing to read.
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
    if faults:
        raise OfferError("\n".join(faults))
    offer = planned(files, shift)
    faults += _impossible(offer)
    if faults:
        raise OfferError("\n".join(faults))
    return offer


def whole_weeks_since(day: date) -> timedelta:
    """Return the whole weeks that move ``day`` into the seven days that end today in Paris."""
    today = clock.now().astimezone(ZoneInfo(PARIS)).date()
    return timedelta(weeks=(today - day).days // 7)


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


def _unknown_choices(entry: Sourced, where: str) -> Iterator[str]:
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


def _impossible(offer: OfferFiles) -> Iterator[str]:
    for entry in offer.sessions:
        for violation in unpublishable(entry.session.plan, entry.session.format):
            field = f"{violation.field}: " if violation.field else ""
            yield f"{entry.where}: {field}{violation.detail}"
