from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.console.findings import Finding, Mark
from shared.read_log import Reading


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """``unknown_since`` is how far back an unknown id is searched."""

    reading: Reading
    with_personal_data: bool
    unknown_since: timedelta


@dataclass(slots=True)
class RequestTrace:
    """What is known so far, and the ids for the next questions."""

    identifier: str
    steps: list[Finding] = field(default_factory=list)
    unanswered: list[Finding] = field(default_factory=list)
    event_ids: set[UUID] = field(default_factory=set)
    published: dict[UUID, tuple[str, datetime]] = field(default_factory=dict)
    enrolment_ids: set[UUID] = field(default_factory=set)
    sessions: dict[str, int | None] = field(default_factory=dict)
    received_at: datetime | None = None
    accepted_at: datetime | None = None

    @property
    def known_id(self) -> UUID | None:
        """Return None for a reference."""
        try:
            return UUID(self.identifier)
        except ValueError:
            return None


def step(service: str, what: str, at: datetime | None, found: str) -> Finding:
    return Finding(service, what, Mark.OK, found, at=at)
