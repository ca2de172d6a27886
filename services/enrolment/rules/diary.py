"""Where agents are expected, so that nobody is enrolled in two places at once (off by default)."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Format

_Times = tuple[tuple[datetime, datetime], ...]


@dataclass(slots=True)
class Diary:
    """The live enrolments of the agents that a batch is about, over all sessions."""

    _entries: dict[str, dict[UUID, _Times]] = field(default_factory=lambda: defaultdict(dict))

    def write(self, agent_id: str, session: SessionState) -> None:
        """The agent is enrolled in this session, waits for it, or asked for it."""
        self._entries[agent_id][session.session_id] = _times(session)

    def strike_out(self, agent_id: str, session: SessionState) -> None:
        """They are not any more."""
        self._entries[agent_id].pop(session.session_id, None)

    def overlaps(self, agent_id: str, session: SessionState) -> bool:
        """Whether the agent is expected elsewhere while the session is on."""
        times = _times(session)
        return any(
            starts < other_ends and other_starts < ends
            for session_id, others in self._entries.get(agent_id, {}).items()
            if session_id != session.session_id
            for other_starts, other_ends in others
            for starts, ends in times
        )


def _times(session: SessionState) -> _Times:
    """When one has to be there: during the modules, if there are any. A MOOC is followed when one likes."""
    if session.format is Format.MOOC:
        return ()
    if session.modules:
        return tuple((module.starts_at, module.ends_at) for module in session.modules)
    return ((session.starts_at, session.ends_at),)
