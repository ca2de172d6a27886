import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

_INVENTED = yaml.safe_load(Path(__file__).with_name("people.yaml").read_text())
GIVEN_NAMES: Sequence[str] = _INVENTED["given_names"]
FAMILY_NAMES: Sequence[str] = _INVENTED["family_names"]
TOWNS: dict[str, str] = _INVENTED["towns"]


@dataclass(frozen=True)
class Authority:
    siret: str
    name: str
    delegation: str
    domain: str
    officer_name: str = "Nadia Renard"

    @classmethod
    def of_delegation(cls, delegation: str, mark: str = "") -> "Authority":
        domain = f"{plain(TOWNS[delegation])}{mark}.example"
        return cls(siret(list(TOWNS).index(delegation)), TOWNS[delegation], delegation, domain)

    @property
    def officer(self) -> dict[str, str]:
        return {"name": self.officer_name, "email": f"formation@{self.domain}"}


@dataclass(frozen=True)
class Agent:
    agent_id: str
    email: str
    given_name: str
    family_name: str
    function: str
    employer: Authority

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    def as_json(self) -> dict[str, Any]:
        employer = self.employer
        return {
            "agent_id": self.agent_id,
            "email": self.email,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "function": self.function,
            "employer": {"siret": employer.siret, "name": employer.name, "delegation": employer.delegation},
        }


class Population:
    def __init__(self, run: str, random: Random) -> None:
        self._run = run
        self._random = random
        self._count = 0

    def agent(self, delegation: str | None = None, function: str = "agent") -> Agent:
        self._count += 1
        place = delegation if delegation in TOWNS else self._random.choice(list(TOWNS))
        given, family = self._random.choice(GIVEN_NAMES), self._random.choice(FAMILY_NAMES)
        employer = Authority.of_delegation(place, f"-{self._run}")
        address = f"{plain(given)}.{plain(family)}.{self._count}@{employer.domain}"
        return Agent(f"IEL-{self._run}-{self._count:05d}", address, given, family, function, employer)


def siret(number: int) -> str:
    return _checked(_checked(f"2199{number:04d}") + "0001")


def _checked(digits: str) -> str:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[::-2]]
    return f"{digits}{-(sum(doubled) + sum(map(int, digits[-2::-2]))) % 10}"


def plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("Œ", "Oe").replace("æ", "ae"))
    kept = "".join(c if c.isascii() and c.isalnum() else " " for c in folded if not unicodedata.combining(c))
    return "-".join(kept.lower().split())
