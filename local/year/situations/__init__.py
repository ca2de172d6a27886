"""The situations of the year, from the YAML files of this folder. The expected letters are written by hand.

A file has `people` and `situations`. A person is `Given, Family, delegation`, with a function if it is not
`agent`; or is `like` another person with another `email`; or is a `name` with an `email` and the `bespoke`
request that they made. An `email` without @ is another person's. `figurant-7` is any person who fills a seat.

A situation has its `sessions`, its `acts` (a line each: moment, verb of `acts.py`, words, `name=value`) and
what each person `hears`, a line each (`timeline.py`). The clock also stops at its `stops`. `forgotten` names
the agents who are in no database after a moment.
"""

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from local.people import Agent, Authority, plain
from local.year.acts import VERBS, Year, iso, whole_days

MARK = "an25"
"""Each identifier and address of the year contains it. A row without it is about nobody of the year."""
PUBLISHED = "2025-02-27 10:00"
OPENS = "2025-03-03 09:00"
_OPTION = re.compile(r"([a-z_]+)=(.*)")
_KINDS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
    Path(__file__).parents[1].joinpath("kinds.yaml").read_text()
)


@dataclass(frozen=True)
class Act:
    at: str
    does: Callable[[Year], Awaitable[None]]


@dataclass(frozen=True)
class Listener:
    """A person whose letters and portal's answers are collected, with the expected ones.

    The portal reads about the agent of `agent_id`, and about the request for training named `bespoke`.
    """

    name: str
    address: str
    expected: str
    agent_id: str = ""
    bespoke: str | None = None


@dataclass(frozen=True)
class Situation:
    """`rules` says where docs/domain.md has the rules that it shows."""

    title: str
    rules: str
    acts: Sequence[Act]
    listeners: Sequence[Listener]
    stops: Sequence[str]
    forgotten: Mapping[str, Agent]


class People(dict[str, Agent]):
    def __init__(self) -> None:
        super().__init__()
        self.bespoke: dict[str, str] = {}

    def __missing__(self, name: str) -> Agent:
        if not re.fullmatch(r"figurant-\d+", name):
            raise KeyError(f"{name} is nobody of the year")
        anybody = _agent("Camille", "Martin", "bretagne")
        address = f"{name}@{anybody.employer.domain}"
        self[name] = replace(anybody, agent_id=f"{MARK}-{name}", email=address)
        return self[name]

    def add(self, name: str, described: str | Mapping[str, str]) -> None:
        if isinstance(described, str):
            self[name] = _agent(*described.split(", "))
            return
        email = described["email"]
        address = f"{email}.{MARK}.example" if "@" in email else self[email].email
        if "like" in described:
            self[name] = replace(self[described["like"]], email=address)
        else:
            nowhere = Authority.of_delegation("bretagne", f".{MARK}")
            self[name] = Agent("", address, described["name"], "", "agent", nowhere)
        if "bespoke" in described:
            self.bespoke[name] = described["bespoke"]


def _agent(given: str, family: str, delegation: str, function: str = "agent") -> Agent:
    employer = Authority.of_delegation(delegation, f".{MARK}")
    employer = replace(employer, domain=f"{plain(family)}.{employer.domain}")
    identifier = f"{MARK}-{plain(given)}-{plain(family)}"
    return Agent(identifier, f"{plain(given)}@{employer.domain}", given, family, function, employer)


@cache
def load() -> tuple[People, Sequence[Situation]]:
    files = [yaml.safe_load(path.read_text()) for path in sorted(Path(__file__).parent.glob("*.yaml"))]
    people = People()
    for file in files:
        for name, described in file["people"].items():
            people.add(name, described)
    return people, [_situation(written, people) for file in files for written in file["situations"]]


def _situation(written: Mapping[str, Any], people: People) -> Situation:
    acts = [
        Act(PUBLISHED, partial(Year.publish_session, name=name, draft=_draft(**session)))
        for name, session in written.get("sessions", {}).items()
    ]
    return Situation(
        written["title"],
        written["rules"],
        acts + [_act(line) for line in written.get("acts", "").splitlines()],
        [_listener(people, name, expected) for name, expected in written["hears"].items()],
        written.get("stops", ()),
        {at: people[name] for at, name in written.get("forgotten", {}).items()},
    )


def _act(line: str) -> Act:
    day, hour, verb, *rest = shlex.split(line)
    arguments = [word for word in rest if not _OPTION.fullmatch(word)]
    options = {found[1]: found[2] for word in rest if (found := _OPTION.fullmatch(word))}
    return Act(f"{day} {hour}", lambda year: VERBS[verb](year, *arguments, **options))


def _listener(people: People, name: str, expected: str) -> Listener:
    person = people[name]
    return Listener(person.name.strip(), person.email, expected, person.agent_id, people.bespoke.get(name))


def _draft(
    kind: str, title: str, day: str, capacity: int, *, hours: str = "09:30-17:00", **terms: Any
) -> dict[str, Any]:
    first, last = hours.split("-")
    days = [str(each) for each in terms.pop("days", [day])]
    return {
        **_KINDS[kind],
        "title": title,
        "capacity": capacity,
        "enrolment_opens_at": iso(terms.pop("opens", OPENS)),
        "starts_at": iso(f"{days[0]} {first}"),
        "ends_at": iso(f"{days[-1]} {last}"),
        "timezone": "Europe/Paris",
        **({"modules": whole_days(days)} if len(days) > 1 else {}),
        **terms,
    }
