"""The communes, EPCIs and departments of France: which one a text names, and how far two are apart.

Source: ``places.tsv.gz``, which ``make places`` writes from ``@etalab/decoupage-administratif`` (MIT; data of
INSEE and La Poste) and from GeoNames (CC BY 4.0).
"""

import functools
import gzip
import itertools
import math
import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from stdnum import luhn

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Delegation

FILE = Path(__file__).with_name("places.tsv.gz")

_EARTH_KM = 6_371.0
_POSTAL_CODE = re.compile(r"\b\d{5}\b")


@dataclass(frozen=True, slots=True)
class Place:
    """A commune, an EPCI (a group of communes) or a department.

    ``latitude`` and ``longitude`` are in degrees. A department has no ``siren`` here.
    """

    name: str
    department: str
    delegation: Delegation
    latitude: float
    longitude: float
    siren: str = ""
    is_commune: bool = False

    @property
    def first_siret(self) -> str:
        """Return the SIRET of its first establishment, as SIRENE numbers establishments."""
        number = f"{self.siren}0001"
        return number + str(luhn.calc_check_digit(number))


def with_siren(siren: str) -> Place | None:
    """Return the commune or EPCI with this number."""
    return _places().with_siren(int(siren)) if siren.isascii() and siren.isdigit() else None


def named(text: str) -> Sequence[Place]:
    """Return the places with this name, postal code or department number; the largest commune first."""
    return _places().named(text)


@functools.cache
def of_delegation(delegation: Delegation) -> Place | None:
    """Return the middle of the delegation's departments, or None if it has none."""
    own = [place for place in _places().departments if place.delegation == delegation]
    if not own:
        return None
    north, east = (sum(map(attrgetter(name), own)) / len(own) for name in ("latitude", "longitude"))
    return Place("", "", delegation, north, east)


@functools.lru_cache(maxsize=8192)
def of_venue(venue: str, delegation: str) -> Place | None:
    """Return the commune of ``2 rue du Test, 35000 Rennes`` or ``Rennes, 2 rue du Test``.

    Of communes with the same name the delegation's own comes first.
    """
    code = _POSTAL_CODE.search(venue)
    if code is not None:
        found = named(code[0])
        return (
            next((place for place in found if plain(place.name) in plain(venue)), *found[:1])
            if found
            else None
        )
    for part in reversed(venue.split(",")):
        if found := named(part):
            return next((place for place in found if place.delegation == delegation), found[0])
    return None


def kilometres(first: Place, second: Place) -> float:
    """Return the distance as the crow flies."""
    north, other_north = math.radians(first.latitude), math.radians(second.latitude)
    east = math.radians(second.longitude - first.longitude)
    half = (
        math.sin((other_north - north) / 2) ** 2
        + math.cos(north) * math.cos(other_north) * math.sin(east / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(math.sqrt(half))


def nearness(session: SessionState) -> Callable[[SessionState], tuple[float, bool, datetime, UUID]]:
    """Return a key that sorts other sessions by their distance from this one, then by start.

    Sessions without a known place come last, the same organiser's first.
    """
    here = of_session(session)

    def key(other: SessionState) -> tuple[float, bool, datetime, UUID]:
        there = of_session(other)
        distance = math.inf if here is None or there is None else kilometres(here, there)
        return distance, other.organiser != session.organiser, other.starts_at, other.session_id

    return key


def of_session(session: SessionState) -> Place | None:
    return None if session.venue is None else of_venue(session.venue, session.organiser)


def map_link(venue: str | None, delegation: str) -> str | None:
    """Return a ``geo:`` link (RFC 5870), which opens the reader's own map at the venue.

    Returns None if no commune is known.
    """
    if venue is None or (place := of_venue(venue, delegation)) is None:
        return None
    return f"geo:{place.latitude},{place.longitude}?q={quote(venue, errors='replace')}"


def plain(name: str) -> str:
    """Return the name in lower case, without accents and hyphens; ``saint`` for ``st``."""
    apart = unicodedata.normalize("NFD", name.lower().replace("œ", "oe").replace("’", "'"))
    letters = "".join(" " if sign in "-'" else sign for sign in apart if not unicodedata.combining(sign))
    return " ".join({"st": "saint", "ste": "sainte"}.get(word, word) for word in letters.split())


class _Places:
    """Rows of the file as bytes, because 35,000 objects would take ten times the memory."""

    def __init__(self, rows: bytes) -> None:
        self._rows = rows
        self._begins = array("I", [0, *(match.end() for match in re.finditer(b"\n", rows))])
        self._departments: dict[str, int] = {}
        coded: list[tuple[int, int]] = []
        numbered: list[tuple[int, int]] = []
        for number, row in enumerate(rows.split(b"\n")):
            _, _, department, _, codes, _, _, siren = row.split(b"\t")
            if siren:
                numbered.append((int(siren), number))
            elif not codes:
                self._departments[department.decode()] = number
            coded += [(int(code), number) for code in codes.split()]
        self._codes, self._coded = _columns(coded)
        self._sirens, self._authorities = _columns(numbered)

    def named(self, text: str) -> Sequence[Place]:
        sought = plain(text)
        if re.fullmatch(r"\d{2,3}|2[ab]", sought):
            number = self._departments.get(sought.upper())
            return [] if number is None else [self._place(number)]
        if re.fullmatch(r"\d{2} ?\d{3}", sought):
            return [self._place(number) for number in self._with_code(int(sought.replace(" ", "")))]
        name = sought.encode(errors="replace")
        begin = bisect_left(self._begins, name, key=self._name)
        numbers = range(begin, len(self._begins))
        return [
            self._place(number)
            for number in itertools.takewhile(
                lambda number: self._name(self._begins[number]) == name, numbers
            )
        ]

    @property
    def departments(self) -> Sequence[Place]:
        return [self._place(number) for number in self._departments.values()]

    def with_siren(self, siren: int) -> Place | None:
        at = bisect_left(self._sirens, siren)
        found = at < len(self._sirens) and self._sirens[at] == siren
        return self._place(self._authorities[at]) if found else None

    def _with_code(self, code: int) -> Sequence[int]:
        return self._coded[bisect_left(self._codes, code) : bisect_right(self._codes, code)]

    def _name(self, begin: int) -> bytes:
        return self._rows[begin : self._rows.index(b"\t", begin)]

    def _place(self, number: int) -> Place:
        begin = self._begins[number]
        end = self._rows.find(b"\n", begin)
        row = self._rows[begin : end if end >= 0 else None].decode()
        _, name, department, delegation, codes, latitude, longitude, siren = row.split("\t")
        lies = float(latitude), float(longitude)
        return Place(name, department, Delegation(delegation), *lies, siren, bool(codes))


def _columns(pairs: list[tuple[int, int]]) -> "tuple[array[int], array[int]]":
    pairs.sort()
    return array("I", [first for first, _ in pairs]), array("I", [second for _, second in pairs])


@functools.cache
def _places() -> _Places:
    return _Places(gzip.decompress(FILE.read_bytes()))
