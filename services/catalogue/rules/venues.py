"""How a venue is written in its one line: ``Mairie, 2 rue du Test, 35000 Rennes``."""

import re
from dataclasses import dataclass

_TOWN = re.compile(r"[0-9]{5} \S")


@dataclass(frozen=True, slots=True)
class VenueParts:
    """A venue without a postal code is a ``name`` alone."""

    name: str
    street: str = ""
    postal_code: str = ""
    commune: str = ""


def parts_of(venue: str) -> VenueParts:
    place, _, town = venue.rpartition(", ")
    if not _TOWN.match(town):
        return VenueParts(venue)
    name, _, street = place.partition(", ")
    if not street and name[:1].isdecimal():
        name, street = "", name
    postal_code, _, commune = town.partition(" ")
    return VenueParts(name, street, postal_code, commune)
