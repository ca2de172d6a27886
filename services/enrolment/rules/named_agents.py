from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.events.vocabulary import AgentKey


class NamedAgent(NamedTuple):
    """``issuer`` is None if only the identifier was typed."""

    agent_id: str
    issuer: str | None = None


class AgentsByName:
    def __init__(self, agents: Iterable[AgentKey]) -> None:
        self._by_id: dict[str, list[AgentKey]] = defaultdict(list)
        for agent in agents:
            self._by_id[agent.agent_id].append(agent)

    def find(self, named: NamedAgent) -> AgentKey | None:
        """Return None if several agents match. An unknown identifier gives an unused key."""
        if named.issuer is not None:
            return AgentKey(named.issuer, named.agent_id)
        match self._by_id.get(named.agent_id, ()):
            case [agent]:
                return agent
            case []:
                return AgentKey("", named.agent_id)
        return None

    def found(self, named: Sequence[NamedAgent]) -> list[AgentKey]:
        return [agent for name in named if (agent := self.find(name)) is not None]

    def ambiguous(self, named: Sequence[NamedAgent]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.agent_id for name in named if self.find(name) is None))
