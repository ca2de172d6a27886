"""The people of the example: agents and authorities, all invented."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Self

from local.demo.people import FAMILY_NAMES, GIVEN_NAMES, plain, siret


@dataclass(frozen=True)
class Authority:
    """A local authority, whose training officer speaks for it."""

    siret: str
    name: str
    delegation: str
    domain: str
    officer_name: str

    @property
    def officer(self) -> dict[str, str]:
        """The training officer, as a contact."""
        return {"name": self.officer_name, "email": f"formation@{self.domain}"}


@dataclass(frozen=True)
class PortalAgent:
    """An agent, as the portal describes them to Parcours."""

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
        """Return the agent block of a request."""
        employer = self.employer
        return {
            "agent_id": self.agent_id,
            "email": self.email,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "function": self.function,
            "employer": {"siret": employer.siret, "name": employer.name, "delegation": employer.delegation},
        }

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Self:
        """Return the agent of an agent block. Raises `KeyError` for an authority that is not here."""
        own = {name: block[name] for name in ("agent_id", "email", "given_name", "family_name", "function")}
        return cls(**own, employer=AUTHORITIES[block["employer"]["siret"]])

    @classmethod
    def new(cls, given_name: str, family_name: str, email: str, function: str, employer: Authority) -> Self:
        """Return somebody whom nobody knew before."""
        return cls(f"EX-{uuid.uuid4().hex[:8]}", email, given_name, family_name, function, employer)


FUNCTIONS = {
    "agent": "agente ou agent",
    "encadrant": "encadrement",
    "chef_de_service": "direction de service",
    "dirigeant": "direction générale",
}

AUTHORITIES = {
    authority.siret: authority
    for authority in (
        Authority(siret(101), "Ville de Ploërmeur", "bretagne", "ploermeur.example", "Nadia Renard"),
        Authority(siret(102), "Métropole du Mas-d’Orb", "occitanie", "masdorb.example", "Hugo Pélissier"),
        Authority(
            siret(103), "Département du Val-de-Brume", "grand-est", "valdebrume.example", "Solène Müller"
        ),
        Authority(
            siret(104), "Commune de Trois-Ravines", "la-reunion", "trois-ravines.example", "Joël Hoarau"
        ),
    )
}


def _staff(number: int, *people: tuple[str, str, str]) -> list[PortalAgent]:
    authority = list(AUTHORITIES.values())[number - 1]
    return [
        PortalAgent(
            f"EX-{number}{place:02}",
            f"{plain(given)}.{plain(family)}@{authority.domain}",
            given,
            family,
            function,
            authority,
        )
        for place, (given, family, function) in enumerate(people, start=1)
    ]


STAFF = [
    *_staff(1, ("Zoé", "Durand", "agent"), ("Loïc", "Le Goff", "agent"), ("Anaïs", "Kerboeuf", "encadrant")),
    *_staff(2, ("Karim", "Béranger", "agent"), ("Inès", "Ménard", "chef_de_service")),
    *_staff(3, ("François", "Étienne", "dirigeant"), ("Linh", "Nguyễn", "agent")),
    *_staff(4, ("Maëlys", "Payet", "agent"), ("Jean-Baptiste", "Rivière", "agent")),
]
"""Who is there from the start."""


def invented(authority: Authority, count: int, random: Random) -> list[PortalAgent]:
    """Return so many more people of an authority, each new."""
    people = []
    for _ in range(count):
        given, family = random.choice(GIVEN_NAMES), random.choice(FAMILY_NAMES)
        agent = PortalAgent.new(given, family, "", "agent", authority)
        address = f"{plain(given)}.{plain(family)}.{agent.agent_id[3:].lower()}@{authority.domain}"
        people.append(PortalAgent(agent.agent_id, address, given, family, "agent", authority))
    return people
