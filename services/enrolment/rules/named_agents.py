"""Agents as organisers name them: by the identifier, with its issuer where two issuers gave the same."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.events.vocabulary import AgentKey


class NamedAgent(NamedTuple):
    """An agent as an organiser wrote it; ``issuer`` is None where only the identifier was written."""

    agent_id: str
    issuer: str | None = None


class AgentsByName:
    """The agents who may be meant, to be found by what was written."""

    def __init__(self, agents: Iterable[AgentKey]) -> None:
        self._by_id: dict[str, list[AgentKey]] = defaultdict(list)
        for agent in agents:
            self._by_id[agent.agent_id].append(agent)

    def find(self, named: NamedAgent) -> AgentKey | None:
        """Return the agent who is meant; None where several may be meant.

        Of nobody's identifier it returns a key that is nobody's.
        """
        if named.issuer is not None:
            return AgentKey(named.issuer, named.agent_id)
        match self._by_id.get(named.agent_id, ()):
            case [agent]:
                return agent
            case []:
                return AgentKey("", named.agent_id)
        return None

    def found(self, named: Sequence[NamedAgent]) -> list[AgentKey]:
        """Return the agents who are meant, in order, without those of whom several may be meant."""
        return [agent for name in named if (agent := self.find(name)) is not None]

    def ambiguous(self, named: Sequence[NamedAgent]) -> tuple[str, ...]:
        """Return the identifiers by which several agents may be meant, each once."""
        return tuple(dict.fromkeys(name.agent_id for name in named if self.find(name) is None))
