"""Agents as organisers name them: by identifier, with the issuer if two issuers use the same one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.events.vocabulary import AgentKey


class NamedAgent(NamedTuple):
    """An agent as an organiser typed it. ``issuer`` is None if only the identifier was typed."""

    agent_id: str
    issuer: str | None = None


class AgentsByName:
    """The agents that typed names can mean."""

    def __init__(self, agents: Iterable[AgentKey]) -> None:
        self._by_id: dict[str, list[AgentKey]] = defaultdict(list)
        for agent in agents:
            self._by_id[agent.agent_id].append(agent)

    def find(self, named: NamedAgent) -> AgentKey | None:
        """Return the agent, or None if several match. An unknown identifier gives a key of nobody."""
        if named.issuer is not None:
            return AgentKey(named.issuer, named.agent_id)
        match self._by_id.get(named.agent_id, ()):
            case [agent]:
                return agent
            case []:
                return AgentKey("", named.agent_id)
        return None

    def found(self, named: Sequence[NamedAgent]) -> list[AgentKey]:
        """Return the agents in order, without ambiguous ones."""
        return [agent for name in named if (agent := self.find(name)) is not None]

    def ambiguous(self, named: Sequence[NamedAgent]) -> tuple[str, ...]:
        """Return the ambiguous identifiers, each once."""
        return tuple(dict.fromkeys(name.agent_id for name in named if self.find(name) is None))
