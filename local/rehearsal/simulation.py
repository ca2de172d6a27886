"""A queueing model of the first hour. Its inputs are the costs that a rehearsal measured.

Requests wait for enrolment and Postgres, letters for the notifier, Postgres and the mail relay. Time runs in
seconds. Queues are first in, first out, and hold fractions.
"""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

AGENTS, SECONDS = 1_900_000, 3_600
READERS_PER_PROCESS = 2
PARTITIONS = 12
CONNECTIONS_PER_PROCESS = 10
FULL = 0.7
"""How much of each part the recommended size uses at most, at the busiest second."""
LONGEST_SECONDS = 48 * 3_600


def arrived(part: float) -> float:
    """Return the share of the agents who have come after this part of the time.

    The first moment brings 1.5 times the mean, the last 0.5 times.
    """
    return part * (1.5 - part / 2)


@dataclass(frozen=True)
class Costs:
    """Measured for one request, in CPU seconds and bytes; `letters` are the letters that follow from it.

    `store_requests` and `store_letters` are Postgres's work for the connections of enrolment and of the
    notifier, each with its share of the work for all: WAL and vacuum. `others` are the other parts.
    """

    enrolment: float
    notifier: float
    store_requests: float
    store_letters: float
    others: float
    letters: float
    stored: float
    logged: float

    @classmethod
    def of(
        cls, used: Mapping[str, float], *, requests: int, letters: int, stored: int, logged: int
    ) -> "Costs":
        """`used` has the CPU seconds by part, and those of Postgres's connections by database."""
        for_all = used["postgres"] / (used["postgres, enrolment"] + used["postgres, notifier"])
        others = used.keys() - {"enrolment", "notifier", *(part for part in used if "postgres" in part)}
        return cls(
            enrolment=used["enrolment"] / requests,
            notifier=used["notifier"] / requests,
            store_requests=used["postgres, enrolment"] * for_all / requests,
            store_letters=used["postgres, notifier"] * for_all / requests,
            others=sum(used[part] for part in others) / requests,
            letters=letters / requests,
            stored=stored / requests,
            logged=logged / requests,
        )


@dataclass(frozen=True)
class SimulatedSize:
    """`cores` limits all parts together, if they share one machine. `relay` is its letters in a second."""

    enrolment: int = 1
    notifier: int = 1
    store_cores: float = 4
    relay: float = inf
    cores: float = inf
    partitions: int = PARTITIONS

    def parts(self, costs: Costs) -> dict[str, tuple[float, float, float]]:
        """Return each part's capacity for a second, and what a request and its letters take of it."""
        deciding = min(self.enrolment, self.partitions / READERS_PER_PROCESS)
        requests, letters = costs.store_requests, costs.store_letters
        return {
            "enrolment": (deciding, costs.enrolment, 0),
            "notifier": (self.notifier, 0, costs.notifier),
            "postgres": (self.store_cores, requests, letters),
            "relay": (self.relay, 0, costs.letters),
            "machine": (self.cores, costs.enrolment + requests + costs.others, costs.notifier + letters),
        }

    @property
    def connections(self) -> int:
        return CONNECTIONS_PER_PROCESS * (self.enrolment + self.notifier + 1)


@dataclass(frozen=True)
class SimulatedHour:
    """Times in seconds. `use` is the share of each part that the busiest second needs.

    Above 1 a queue grows.
    """

    longest_wait: float
    longest_letter: float
    last_letter: float
    use: Mapping[str, float]

    @property
    def breaks_first(self) -> str:
        return max(self.use, key=self.use.__getitem__)


def simulate(
    installation: SimulatedSize, costs: Costs, agents: float = AGENTS, seconds: int = SECONDS
) -> SimulatedHour:
    parts = installation.parts(costs)
    came, answered, posted = [0.0], [0.0], [0.0]
    while posted[-1] < agents - 0.5 and len(came) < LONGEST_SECONDS:
        came.append(agents * arrived(min(1.0, len(came) / seconds)))
        requests, letters = _served(came[-1] - answered[-1], answered[-1] - posted[-1], parts.values())
        posted.append(posted[-1] + letters)
        answered.append(answered[-1] + requests)
    peak = agents * arrived(1 / seconds)
    return SimulatedHour(
        longest_wait=_longest(came, answered),
        longest_letter=_longest(came, posted),
        last_letter=len(posted) - 1,
        use={part: peak * (request + letter) / most for part, (most, request, letter) in parts.items()},
    )


def _served(
    requests: float, letters: float, parts: Iterable[tuple[float, float, float]]
) -> tuple[float, float]:
    """Return the requests and letters of one second. Where a part lacks time, letters yield to requests."""
    for most, request, letter in parts:
        requests = min(requests, most / request) if request else requests
        letters = min(letters, (most - requests * request) / letter) if letter else letters
    return requests, letters


def _longest(came: Sequence[float], served: Sequence[float]) -> float:
    """Return the longest time between the arrival of an agent and the service of the same agent."""
    return max(bisect.bisect_left(served, number - 1e-6) - second for second, number in enumerate(came))


def recommended(costs: Costs, agents: float = AGENTS, seconds: int = SECONDS) -> SimulatedSize:
    """Return an installation in which no part is used above `FULL`."""
    peak = agents * arrived(1 / seconds) / FULL
    enrolment = ceil(peak * costs.enrolment)
    return SimulatedSize(
        enrolment=enrolment,
        notifier=ceil(peak * costs.notifier),
        store_cores=ceil(peak * (costs.store_requests + costs.store_letters)),
        relay=ceil(peak * costs.letters / 100) * 100,
        partitions=max(PARTITIONS, READERS_PER_PROCESS * enrolment),
    )
