"""Events for portals whose request led to no decision: it was rejected, or it needs none.

Only the portal that sent the request gets them. Every service publishes them under enrolment's type names,
so that portals handle one name; ``ce_source`` names the service.
"""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.events.topics import Topic
from shared.events.vocabulary import Event, FieldProblem, Line, PortalName


class RejectionCode(StrEnum):
    """Why a record of a portal has no effect."""

    UNREADABLE = "unreadable"
    """It is no CloudEvent: an attribute is missing, or a structured event is no JSON."""
    INVALID = "invalid"
    """It is a CloudEvent whose data is no JSON, or breaks its contract."""
    UNKNOWN_TYPE = "unknown_type"
    NOT_AUTHENTICATED = "not_authenticated"
    UNKNOWN_PORTAL = "unknown_portal"
    NOT_YOURS = "not_yours"
    WRONG_PARTITION = "wrong_partition"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"


class _Outcome(Event):
    TOPIC: ClassVar[Topic] = Topic.REQUESTS_OUTCOMES

    request_source: Line = Field(description="The ce_source of the request.")
    portal: PortalName


class RequestRejected(_Outcome):
    """A record of a portal has no effect. Never quotes the record."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.RequestRejected.v1"
    request_id: UUID | None = Field(description="The ce_id of the record; null if it cannot be read.")
    topic: Line = Field(description="The topic of the record; see partition and offset.")
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    code: RejectionCode
    problems: tuple[FieldProblem, ...] = ()

    @property
    def key(self) -> str:
        return self.answer_key if self.request_id is None else str(self.request_id)

    @property
    def answer_key(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"


class RequestAccepted(_Outcome):
    """A request that no decision answers was accepted: bespoke training, a subscription."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.RequestAccepted.v1"
    request_id: UUID = Field(description="The ce_id of the request.")


EVENTS: tuple[type[Event], ...] = (RequestRejected, RequestAccepted)
