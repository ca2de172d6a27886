"""The people of the year: who is named in a situation, and who only fills a seat."""

from dataclasses import dataclass, replace

from local.demo.people import TOWNS, Agent, plain, siret

MARK = "an25"
"""In each identifier and address of the year: where it is not, nobody of the year is."""


def person(given: str, family: str, delegation: str, function: str = "agent") -> Agent:
    """Return an invented agent of that delegation's authority."""
    town = TOWNS[delegation]
    return Agent(
        agent_id=f"{MARK}-{plain(given)}-{plain(family)}",
        email=f"{plain(given)}.{plain(family)}@{plain(town)}.{MARK}.example",
        given_name=given,
        family_name=family,
        function=function,
        siret=siret(list(TOWNS).index(delegation)),
        employer=town,
        delegation=delegation,
    )


def extra(number: int, delegation: str, function: str = "agent") -> Agent:
    """Return somebody who fills a seat, and whom nobody listens to."""
    return replace(
        person("Camille", "Martin", delegation, function),
        agent_id=f"{MARK}-figurant-{number}",
        email=f"figurant.{number}@{plain(TOWNS[delegation])}.{MARK}.example",
    )


@dataclass(frozen=True)
class Listener:
    """Whose letters and portal's answers are listened to.

    `agent_id`: of whom the portal hears; `requests`: the ids of requests whose answers are theirs.
    `expected`: what they hear, by hand from docs/domain.md, a line each (`timeline.py`).
    """

    name: str
    address: str
    expected: str
    agent_id: str = ""
    requests: tuple[str, ...] = ()


def listens(agent: Agent, expected: str, *requests: str) -> Listener:
    """Return the listener that an agent is."""
    name = f"{agent.given_name} {agent.family_name}"
    return Listener(name, agent.email, expected, agent.agent_id, requests)
