"""The event that a service has forgotten an agent. Names nobody."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.events.topics import Topic
from shared.events.vocabulary import Event, Instant, Line, Slug


class AgentErased(Event):
    """A service has forgotten the agent of a request. Each service says it once."""

    TOPIC: ClassVar[Topic] = Topic.AGENTS_ERASED
    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AgentErased.v1"
    request_id: UUID = Field(description="The ce_id of the AgentErasureRequested, or a command's own.")
    request_source: Line = Field(description="The ce_source of that request, or /commands/person.")
    service: Slug = Field(description="The service that says it: catalogue, enrolment or notifier.")
    erased_at: Instant


EVENTS: tuple[type[Event], ...] = (AgentErased,)
