"""Corrections of agents: how somebody is called, and written to, by those that came after some moment."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from shared.events.enrolment import AgentDetailsCorrected
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import Agent, AgentKey


class Correction(NamedTuple):
    """What is right of an agent, of email, given_name and family_name, as somebody said at that time."""

    agent: AgentKey
    at: datetime
    after: Mapping[str, str]


class Corrections:
    """Corrections, given in order of receipt. To apply one costs the same however many there are."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._by_agent: dict[AgentKey, list[Correction]] = {}
        for correction in reversed(list(corrections)):
            newer = self._by_agent.setdefault(correction.agent, [])
            # With what came after it: so one of an agent's says all.
            newer.append(
                correction._replace(after={**correction.after, **newer[-1].after}) if newer else correction
            )
        for newer in self._by_agent.values():
            newer.reverse()

    def apply(self, agent: Agent, moment: datetime) -> Agent:
        """Return the agent as those say that came after ``moment``."""
        after = self.since(agent.key, moment)
        return agent.model_copy(update=dict(after)) if after else agent

    def since(self, agent: AgentKey, moment: datetime) -> Mapping[str, str]:
        """Return what those say of an agent that came after ``moment``."""
        known = self._by_agent.get(agent, [])
        first = bisect_right(known, moment, key=_at)
        return known[first].after if first < len(known) else {}


def changes(corrected: AgentCorrected | AgentDetailsCorrected) -> dict[str, str]:
    """Return what an event corrects."""
    return corrected.model_dump(include={"email", "given_name", "family_name"}, exclude_none=True)


def _at(correction: Correction) -> datetime:
    return correction.at
