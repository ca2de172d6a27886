"""Corrections of agents: how somebody is called, and written to, by those that came after some moment."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from shared.events.enrolment import AgentDetailsCorrected
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.events.vocabulary import Agent, AgentKey


class Correction(NamedTuple):
    """What is right of an agent, of email, given_name and family_name, as somebody said at that time."""

    agent: AgentKey
    at: datetime
    after: Mapping[str, str]


class Corrections:
    """Corrections, given in order of receipt. To apply one costs the same however many there are."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._newest: dict[AgentKey, dict[str, tuple[datetime, str]]] = {}
        for agent, at, after in corrections:
            newest = self._newest.setdefault(agent, {})
            newest |= {name: (at, value) for name, value in after.items()}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._newest)

    def apply(self, agent: Agent, moment: datetime) -> Agent:
        """Return the agent as those say that came after ``moment``."""
        after = self.since(agent.key, moment)
        return agent.model_copy(update=dict(after)) if after else agent

    def since(self, agent: AgentKey, moment: datetime) -> Mapping[str, str]:
        """Return what those say of an agent that came after ``moment``."""
        newest = self._newest.get(agent, {})
        return {name: value for name, (at, value) in newest.items() if at > moment}


def changes(event: AgentCorrected | AgentDetailsCorrected | SubscriptionChanged) -> dict[str, str]:
    """Return what an event says of an agent's address and names."""
    return event.model_dump(include={"email", "given_name", "family_name"}, exclude_none=True)
