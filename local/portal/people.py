import uuid
from collections.abc import Mapping
from random import Random
from typing import Any

from local.people import FAMILY_NAMES, GIVEN_NAMES, Agent, Authority, plain, siret

FUNCTIONS = {
    "agent": "agente ou agent",
    "encadrant": "encadrement",
    "chef_de_service": "direction de service",
    "dirigeant": "direction générale",
}

_AUTHORITIES = (
    Authority(siret(101), "Ville de Ploërmeur", "bretagne", "ploermeur.example"),
    Authority(siret(102), "Métropole du Mas-d’Orb", "occitanie", "masdorb.example", "Hugo Pélissier"),
    Authority(siret(103), "Département du Val-de-Brume", "grand-est", "valdebrume.example", "Solène Müller"),
    Authority(siret(104), "Commune de Trois-Ravines", "la-reunion", "trois-ravines.example", "Joël Hoarau"),
)
AUTHORITIES = {authority.siret: authority for authority in _AUTHORITIES}


def new_agent(given: str, family: str, function: str, employer: Authority, email: str | None = None) -> Agent:
    """Without an address, invent one."""
    number = uuid.uuid4().hex[:8]
    invented_email = f"{plain(given)}.{plain(family)}.{number}@{employer.domain}"
    return Agent(f"EX-{number}", email or invented_email, given, family, function, employer)


def invented(authority: Authority, count: int, random: Random) -> list[Agent]:
    return [
        new_agent(random.choice(GIVEN_NAMES), random.choice(FAMILY_NAMES), "agent", authority)
        for _ in range(count)
    ]


def agent_of(block: Mapping[str, Any]) -> Agent:
    """Raises `KeyError` for an unknown authority."""
    own = {name: block[name] for name in ("agent_id", "email", "given_name", "family_name", "function")}
    return Agent(**own, employer=AUTHORITIES[block["employer"]["siret"]])


def _staff(number: int, *people: tuple[str, str, str]) -> list[Agent]:
    authority = _AUTHORITIES[number - 1]
    return [
        Agent(
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
