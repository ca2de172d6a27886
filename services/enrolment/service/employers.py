"""The employers that an organiser's search and an enrolment list know."""

import re
from collections import defaultdict
from collections.abc import Sequence

from stdnum.fr import siret

from services.enrolment.rules.roster_lines import plain
from services.enrolment.store import enrolments
from shared import places
from shared.auth import Principal
from shared.database import Transaction
from shared.events.vocabulary import Employer
from shared.places import Place
from shared.web import french

SIMILAR = 20
SUGGESTED = 100
_LENGTH_OF_SIREN, _LENGTH_OF_SIRET = 9, 14
_COMMUNE = re.compile(r"(?:ville|commune|mairie) (de |d |du |des )?")
_ARTICLES = {"du ": "le ", "des ": "les "}
_KINDS_OF_GROUP = ("cc ", "ca ", "cu ")
_GROUP = re.compile(r"^(?:cc|ca|cu|communaute (?:de communes|d agglomeration|urbaine)) ")


def is_siret(typed: str) -> bool:
    """Return whether a text looks like a SIRET; its last digit may be wrong."""
    return typed.isascii() and typed.isdigit() and len(typed) == _LENGTH_OF_SIRET


class EmployerDirectory:
    """The employers of one organiser's sessions, then those ``elsewhere``, then communes and EPCIs.

    Last come the employers ``found`` in the State's register, whatever their names.
    """

    def __init__(
        self,
        employers: Sequence[Employer],
        elsewhere: Sequence[Employer] = (),
        found: Sequence[Employer] = (),
    ) -> None:
        self._own = employers
        self._elsewhere = elsewhere
        self._found = found
        self._by_siret = {employer.siret: employer for employer in (*found, *elsewhere, *employers)}
        self._by_siren: dict[str, list[Employer]] = defaultdict(list)
        self._by_name: dict[str, list[Employer]] = defaultdict(list)
        for employer in self._by_siret.values():
            self._by_siren[employer.siret[:_LENGTH_OF_SIREN]].append(employer)
            self._by_name[plain(employer.name)].append(employer)

    def with_found(self, found: Sequence[Employer]) -> "EmployerDirectory":
        return EmployerDirectory(self._own, self._elsewhere, found)

    def with_siret(self, number: str) -> Employer | None:
        known = self._by_siret.get(number)
        if known is not None or not (is_siret(number) and siret.is_valid(number)):
            return known
        place = places.with_siren(number[:_LENGTH_OF_SIREN])
        return None if place is None else _public_employer(place, number)

    def called(self, name: str, number: str) -> Sequence[Employer]:
        """Return the employer with the SIRET, or those with the name. The name may be a SIRET."""
        typed = "".join((number or name).split())
        if number or is_siret(typed):
            known = self.with_siret(typed)
            return () if known is None else (known,)
        return self._by_name.get(plain(name), ())

    def public(self, name: str) -> Sequence[Employer]:
        """Return the communes or EPCIs with this name.

        Where nobody has said a SIRET of theirs, it is that of the first establishment [choice].
        """
        found = (place for place in _places_called(name) if place.siren)
        return [
            employer
            for place in found
            for employer in self._by_siren.get(place.siren) or [_public_employer(place, place.first_siret)]
        ]

    def similar(self, name: str) -> Sequence[Employer]:
        """Return at most :data:`SIMILAR` employers whose name has these words or their beginnings."""
        beginnings = [f" {word}" for word in plain(name).split()]
        found = [
            employer
            for known, employers in sorted(self._by_name.items())
            if all(beginning in f" {known}" for beginning in beginnings)
            for employer in employers
        ]
        by_siret = {employer.siret: employer for employer in (*self.public(name), *found, *self._found)}
        return list(by_siret.values())[:SIMILAR] if beginnings else ()

    @property
    def names(self) -> Sequence[str]:
        """Return at most :data:`SUGGESTED` names of the organiser's own in their order."""
        return sorted({employer.name for employer in self._own}, key=plain)[:SUGGESTED]


def _places_called(name: str) -> Sequence[Place]:
    """Return the communes and EPCIs called ``Mairie du Mans`` or ``Communauté de communes du Clunisois``."""
    sought = places.plain(name)
    found = _COMMUNE.match(sought)
    if found is not None:
        return places.named(_ARTICLES.get(found[1], "") + sought[found.end() :])
    bare = _GROUP.sub("", sought)
    named = (places.named(f"{kind}{bare}") for kind in ("", *_KINDS_OF_GROUP))
    return next((known for known in named if known), ())


def _public_employer(place: Place, number: str) -> Employer:
    name = f"Commune {french.of(place.name)}" if place.is_commune else place.name
    return Employer(siret=number, name=name, delegation=place.delegation)


async def employers_for(
    tx: Transaction, organiser: Principal, *, everywhere: bool = False
) -> EmployerDirectory:
    """``everywhere`` adds the employers of other organisers' sessions, after the own ones."""
    own = await enrolments.employers_of_organiser(tx, organiser.delegation)
    others = everywhere and organiser.delegation is not None
    return EmployerDirectory(own, await enrolments.employers_of_organiser(tx, None) if others else ())
