"""The times of agents' sessions, so that nobody has two seats at the same time (off by default)."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.events.catalogue import SessionState
from shared.events.vocabulary import AgentKey, Format

_Times = tuple[tuple[datetime, datetime], ...]


@dataclass(slots=True)
class AgentSchedule:
    _entries: dict[AgentKey, dict[UUID, _Times]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, agent: AgentKey, session: SessionState) -> None:
        self._entries[agent][session.session_id] = _times(session)

    def remove(self, agent: AgentKey, session: SessionState) -> None:
        self._entries[agent].pop(session.session_id, None)

    def overlaps(self, agent: AgentKey, session: SessionState, leaves: UUID | None = None) -> bool:
        """``leaves`` is an enrolment that the agent gives up: it does not count."""
        times = _times(session)
        return any(
            starts < other_ends and other_starts < ends
            for session_id, others in self._entries.get(agent, {}).items()
            if session_id not in (session.session_id, leaves)
            for other_starts, other_ends in others
            for starts, ends in times
        )


def _times(session: SessionState) -> _Times:
    """Return the start and end of each module, or of the session. A MOOC has none."""
    if session.format is Format.MOOC:
        return ()
    if session.modules:
        return tuple((module.starts_at, module.ends_at) for module in session.modules)
    return ((session.starts_at, session.ends_at),)
