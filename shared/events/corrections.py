"""Corrections of agents' names and addresses."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.events.enrolment import AgentDetailsCorrected
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.events.vocabulary import Agent, AgentKey

RECENT_CORRECTION = timedelta(days=30)
"""For so long after a correction, an act by link may be another person's who has the new address, and a mail
that comes back may have been sent to the former one [choice]."""


class Correction(NamedTuple):
    """Known values among email, given_name and family_name of an agent."""

    agent: AgentKey
    at: datetime
    after: Mapping[str, str]


class Corrections:
    """Corrections in order of receipt. Applying them costs the same however many there are."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._newest: dict[AgentKey, dict[str, tuple[datetime, str]]] = {}
        for agent, at, after in corrections:
            newest = self._newest.setdefault(agent, {})
            newest |= {name: (at, value) for name, value in after.items()}

    def __bool__(self) -> bool:
        return bool(self._newest)

    def apply(self, agent: Agent, moment: datetime) -> Agent:
        """Apply the corrections after ``moment``."""
        after = self.since(agent.key, moment)
        return agent.model_copy(update=dict(after)) if after else agent

    def since(self, agent: AgentKey, moment: datetime) -> Mapping[str, str]:
        newest = self._newest.get(agent, {})
        return {name: value for name, (at, value) in newest.items() if at > moment}


def changes(event: AgentCorrected | AgentDetailsCorrected | SubscriptionChanged) -> dict[str, str]:
    """Return an event's values of an agent's address and names."""
    return event.model_dump(include={"email", "given_name", "family_name"}, exclude_none=True)
