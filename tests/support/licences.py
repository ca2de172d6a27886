"""``python -m tests.support.licences``: writes docs/licences.md, the licences of what the services run with.

A licence is what the package's own metadata say: the SPDX expression, else its classifiers, else its field
``License``. What another work inside a package is under is not looked at.
"""

import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from itertools import starmap
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "licences.md"
SERVICES = ("catalogue", "enrolment", "notifier")

ALLOWED = {
    "Apache-2.0",
    "BSD License",  # of a package that does not say which of the two: both are permissive
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "LGPL-2.0-or-later",  # of libraries that are used as they are
    "MIT",
    "MIT-0",
    "MPL-2.0",  # of certifi, a list of certificate authorities, which is used as it is
    "PSF-2.0",
}
"""What may be in an image: permissive, or reciprocal for the library alone. Another one is a decision."""

_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD License",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_PARTS = re.compile(r"\s+(?:AND|OR)\s+|[()]")


@dataclass(frozen=True, slots=True)
class Package:
    """A locked package as it is installed here, and the services that run with it."""

    name: str
    licence: str
    services: tuple[str, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether each licence that is named may be in an image of ours."""
        return all(part in ALLOWED for part in _PARTS.split(self.licence) if part)

    @property
    def title(self) -> str:
        """Its name, and the services unless it is all three."""
        return self.name if self.services == SERVICES else f"{self.name} ({', '.join(self.services)})"


def locked() -> dict[str, tuple[str, ...]]:
    """The services that run with each package that is needed on this system, by its name."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for service in SERVICES:
        for requirement in _requirements(ROOT / "requirements" / f"{service}.txt"):
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] += (service,)
    return dict(sorted(found.items()))


def packages() -> list[Package]:
    """Each package that is locked for a service, by its name."""
    return [Package(name, licence_in(_metadata(name)), services) for name, services in locked().items()]


def licence_in(fields: Message) -> str:
    """What a package's metadata say; of several classifiers, all: they do not say whether one may choose."""
    expression = fields.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [str(text).split(" :: ") for text in fields.get_all("Classifier", [])]
    names = [_SPDX.get(parts[-1], parts[-1]) for parts in classifiers if parts[0] == "License"]
    field = str(fields.get("License") or "none is named").splitlines()[0]
    return " AND ".join(names) or _SPDX.get(field, field)


def document(found: list[Package]) -> str:
    """The document, whole: the packages of each licence."""
    titles: dict[str, list[str]] = defaultdict(list)
    for package in found:
        titles[package.licence].append(package.title)
    return "\n".join([_HEAD, *starmap(_line, sorted(titles.items())), ""])


def _line(licence: str, titles: list[str]) -> str:
    text = f"- {licence}: {', '.join(titles)}"
    return textwrap.fill(text, 120, subsequent_indent="  ", break_on_hyphens=False)


def _metadata(name: str) -> Message:
    """What a package says of itself; headers, as of a mail, which are not all in the type of importlib."""
    fields = metadata.metadata(name)
    assert isinstance(fields, Message)
    return fields


def _requirements(lock: Path) -> Iterator[Requirement]:
    for line in lock.read_text().splitlines():
        if line[:1].isalnum():
            yield Requirement(line.removesuffix("\\").strip())


_HEAD = """\
# Licences

The packages that the services run with on Linux, from the locks in `requirements/`, by the licence that their
metadata name. Unless all three services run with a package, its name is followed by theirs. `make licences`
writes this file; a test fails for a licence that `tests/support/licences.py` does not allow. `make sbom`
writes the same with versions.

`shared/places/places.tsv.gz` holds data of `@etalab/decoupage-administratif` (MIT) and GeoNames (CC BY 4.0).
"""


if __name__ == "__main__":
    DOCUMENT.write_text(document(packages()))
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)} is written\n")
