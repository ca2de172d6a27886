"""What becomes of a request that no decision answers: said to the portal that sent it, and to nobody else.

The types are enrolment's, which tells portals, whichever service says it (``ce_source``): a portal looks for
one name.
"""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.events.topics import Topic
from shared.events.vocabulary import Event, FieldProblem, Line

PortalName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=60)]
"""The name of a portal in the registry."""


class RejectionCode(StrEnum):
    """Why a record of a portal has no effect."""

    UNREADABLE = "unreadable"
    """It is no CloudEvent: an attribute is missing, or a structured one is no JSON."""
    INVALID = "invalid"
    """It is one, and its data are not as its type says, or are no JSON."""
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
    """A record of a portal has no effect. Never says what was written in it."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.RequestRejected.v1"
    request_id: UUID | None = Field(description="The ce_id of the record; null where it cannot be read.")
    topic: Line = Field(description="Where the record lies, with partition and offset.")
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
    """A request was taken in that no decision answers: for training of an authority's own, a subscription."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.RequestAccepted.v1"
    request_id: UUID = Field(description="The ce_id of the request.")

    @property
    def key(self) -> str:
        return str(self.request_id)


EVENTS: tuple[type[Event], ...] = (RequestRejected, RequestAccepted)
