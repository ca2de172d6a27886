"""An invalid filter is not applied, and an error says so."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from services.catalogue.rules.lifecycle import instant
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.rules.synonyms import SYNONYMS, plain
from shared import places
from shared.events.vocabulary import CONTROL, Delegation, EnrolmentWindow, Format, Slug
from shared.events.zones import PARIS
from shared.places import Place
from shared.web import french
from shared.web.form_errors import FormError, FormErrors

LONGEST_SEARCH = 200

_CONTROLS = re.compile(f"[{CONTROL}]+")
_MONTHS = {plain(french.month(date(2000, number, 1)).split()[0]): number for number in range(1, 13)}
_YEAR = re.compile("20[0-9]{2}")
_BEFORE_A_MONTH = re.compile("en|de|du|le|au|mois|fin|début|mi")
_DAY = re.compile("[1-9]|[12][0-9]|3[01]|1er")
_LONGEST_NAME = 6
_BEFORE_A_PLACE = re.compile(r"(^|\s)(à|près de|autour de|proche de|vers)$", re.IGNORECASE)
_POSTAL_CODE = re.compile(r"[0-9]{2} ?[0-9]{3}")
_NO_PLACES = frozenset(map(places.plain, SYNONYMS))
"""Subjects, formats and delegations, some of which are the names of small communes too."""
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Choice = TypeVar("Choice", Format, Delegation)


class View(StrEnum):
    LIST = "liste"
    CALENDAR = "calendrier"
    MAP = "carte"


@dataclass(frozen=True, slots=True)
class Filters:
    """A session matches a period or month if a part of it does.

    ``near`` is the place that the text names, and ``about`` the rest of the text.
    """

    text: str = ""
    about: str = ""
    near: Place | None = None
    format: Format | None = None
    delegation: Delegation | None = None
    theme: Slug | None = None
    month: date | None = None
    view: View = View.LIST
    since: date | None = None
    until: date | None = None
    open_only: bool = False
    past_too: bool = False
    errors: FormErrors = field(default_factory=dict)

    def search(self, now: datetime) -> SessionSearch:
        since = max(filter(None, (self.since, self.month)), default=None)
        until = min(filter(None, (self.until, self.month and last_day(self.month))), default=None)
        hide_past = not self.past_too and since is None and until is None
        return SessionSearch(
            now=now,
            format=self.format,
            organiser=self.delegation,
            theme=self.theme,
            text=self.about or None,
            enrolment=EnrolmentWindow.OPEN if self.open_only else None,
            starts_before=None if until is None else _midnight(until + timedelta(days=1)),
            ends_after=_midnight(since) if since else now if hide_past else None,
        )

    def address(self, **more: str) -> dict[str, str | None]:
        given: dict[str, str | None] = {
            "recherche": self.text,
            "format": self.format,
            "delegation": self.delegation,
            "theme": self.theme,
            "mois": None if self.month is None else f"{self.month:%Y-%m}",
            "du": None if self.since is None else self.since.isoformat(),
            "au": None if self.until is None else self.until.isoformat(),
            "ouvertes": "oui" if self.open_only else None,
            "passees": "oui" if self.past_too else None,
            "vue": None if self.view is View.LIST else self.view,
        }
        return given | more

    @property
    def in_detail(self) -> bool:
        used = self.theme, self.since, self.until, self.past_too
        return any(used) or any(name in self.errors for name in ("theme", "du", "au"))

    @property
    def narrowed(self) -> bool:
        return any(value for name, value in self.address().items() if name != "vue")


def read(given: Mapping[str, str], now: datetime | None = None) -> Filters:
    """With ``now``, a month named in the text is the next such month, unless a time is chosen."""
    errors: dict[str, FormError] = {}
    since, until = _date(given, "du", errors), _date(given, "au", errors)
    if since is not None and until is not None and until < since:
        errors["au"] = FormError("period_reversed")
        until = None
    theme = given.get("theme") or None
    if theme is not None and not is_slug(theme):
        errors["theme"] = FormError("unknown_theme")
        theme = None
    text = given.get("recherche", "")
    if len(" ".join(text.split())) > LONGEST_SEARCH:
        errors["recherche"] = FormError("search_cut", LONGEST_SEARCH)
    text, month = searched(text), _month(given, errors)
    if now is not None and month is since is until is None and "mois" not in errors:
        text, month = _month_named(text, now)
    view = next((view for view in View if view == given.get("vue")), View.LIST)
    about, near = (text, None) if now is None or view is not View.LIST else place_named(text)
    return Filters(
        text=text,
        about=about,
        near=near,
        format=_code(given, "format", Format, errors),
        delegation=_code(given, "delegation", Delegation, errors),
        theme=theme,
        month=month,
        view=view,
        since=since,
        until=until,
        open_only=bool(given.get("ouvertes")),
        past_too=bool(given.get("passees")),
        errors=errors,
    )


def reader_of(given: Mapping[str, str]) -> Delegation | None:
    """Return the reader's delegation, from the address of the page."""
    return _code(given, "pour", Delegation, {})


def place_of_reader(given: Mapping[str, str]) -> Place | None:
    """Return the place near which the reader searched, from the address of the page."""
    department, _, name = given.get("pres", "")[:LONGEST_SEARCH].partition(" ")
    return next((place for place in places.named(name) if place.department == department), None)


def in_address(place: Place | None) -> str | None:
    """Return the text from which :func:`place_of_reader` finds the place."""
    return f"{place.department} {place.name}" if place else None


def months(now: datetime, chosen: date | None) -> dict[str, str]:
    first = now.astimezone(ZoneInfo(PARIS)).date().replace(day=1)
    offered = [
        date(first.year + (first.month - 1 + number) // 12, (first.month - 1 + number) % 12 + 1, 1)
        for number in range(12)
    ]
    every = sorted({*offered, *([chosen] if chosen else [])})
    return {f"{month:%Y-%m}": french.month(month) for month in every}


def searched(text: str) -> str:
    return " ".join(_CONTROLS.sub(" ", text[: 2 * LONGEST_SEARCH]).split())[:LONGEST_SEARCH].strip()


def _midnight(day: date) -> datetime:
    return instant(datetime(day.year, day.month, day.day), PARIS)  # noqa: DTZ001 a wall clock's


def _month_named(text: str, now: datetime) -> tuple[str, date | None]:
    """``nantes en décembre`` is Nantes, and the next December."""
    typed = text.split()
    for place, word in enumerate(typed):
        if (number := _MONTHS.get(plain(word))) is None:
            continue
        today = now.astimezone(ZoneInfo(PARIS)).date()
        year, rest = today.year + (number < today.month), typed[place + 1 :]
        if rest and _YEAR.fullmatch(rest[0]):
            year, rest = int(rest[0]), rest[1:]
        before = typed[:place]
        if before and _DAY.fullmatch(before[-1].lower()):
            before.pop()
        while before and _BEFORE_A_MONTH.fullmatch(before[-1].lower()):
            before.pop()
        return " ".join(before + rest), date(year, number, 1)
    return text, None


def place_named(text: str, *, at_end: bool = False) -> tuple[str, Place | None]:
    """``webinaire près de Nantes`` is ``webinaire``, near Nantes.

    A name counts if it is the whole text, or follows ``à`` or ``près de``; with ``at_end`` also at the end of
    the text. A postal code counts everywhere.
    """
    typed = text.split()
    if '"' in text or any(word.startswith("-") or word == "or" for word in typed):
        return text, None
    for size in range(min(_LONGEST_NAME, len(typed)), 0, -1):
        for start in range(len(typed) - size + 1):
            name, rest = " ".join(typed[start : start + size]), typed[start + size :]
            before = _BEFORE_A_PLACE.sub("", " ".join(typed[:start]))
            is_whole, follows = not before and not rest, len(before.split()) < start
            counts = is_whole or follows or _POSTAL_CODE.fullmatch(name) or (at_end and not rest)
            if counts and places.plain(name) not in _NO_PLACES and (found := places.named(name)):
                return " ".join([*before.split(), *rest]), found[0]
    return text, None


def _date(given: Mapping[str, str], name: str, errors: dict[str, FormError]) -> date | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year < 2100:
        errors[name] = FormError("impossible_date")
        return None
    return day


def _month(given: Mapping[str, str], errors: dict[str, FormError]) -> date | None:
    text = given.get("mois", "").strip()
    found: dict[str, FormError] = {}
    day = _date({"mois": f"{text}-01"}, "mois", found) if text else None
    errors.update(found)
    return day


def last_day(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _code(
    given: Mapping[str, str], name: str, codes: type[Choice], errors: dict[str, FormError]
) -> Choice | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    try:
        return codes(text)
    except ValueError:
        errors[name] = FormError("unknown_code")
        return None


def is_slug(text: str) -> bool:
    return len(text) <= 100 and _SLUG.fullmatch(text) is not None
