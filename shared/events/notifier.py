"""What became of each mail. Never the address, never the text."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.events.topics import Topic
from shared.events.vocabulary import AgentId, Event, Instant, Issuer, Line, Slug


class _Delivery(Event):
    TOPIC: ClassVar[Topic] = Topic.NOTIFIER_DELIVERIES
    mail_id: UUID
    agent_id: AgentId
    issuer: Issuer = Field(default="", description="Who gave the agent_id.")
    template: Slug = Field(description="Which letter, for example enrolment-confirmed.")
    cause_id: UUID = Field(description="The ce_id of the event that called for the letter.")
    session_id: UUID | None = None
    enrolment_id: UUID | None = None

    @property
    def key(self) -> str:
        return self.agent_id


class EmailSent(_Delivery):
    """The relay accepted the mail. Says nothing of its being read."""

    TYPE: ClassVar[str] = "fr.cnfpt.notifier.EmailSent.v1"
    message_id: Line
    sent_at: Instant


class BounceKind(StrEnum):
    """Whether trying again can help."""

    HARD = "hard"
    SOFT = "soft"


class EmailBounced(_Delivery):
    """A mail came back that had been accepted, or its address was refused as such.

    An address that is refused at once is also reported by EmailFailed.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.notifier.EmailBounced.v1"
    message_id: Line
    kind: BounceKind
    status: Line | None = Field(default=None, description="RFC 3463 code, for example 5.1.1.")
    bounced_at: Instant
    suppressed: bool = Field(
        default=False,
        description="The address is written to no more: it is bad, or mails came back from it too often.",
    )


class EmailFailed(_Delivery):
    """The relay refused the mail for good, or every attempt was used up."""

    TYPE: ClassVar[str] = "fr.cnfpt.notifier.EmailFailed.v1"
    smtp_code: int | None = Field(default=None, description="Null: the relay was never reached.")
    failed_at: Instant
    suppressed: bool = Field(
        default=False, description="The address is bad, or is written to no more for an earlier return."
    )


MailEnd = EmailSent | EmailFailed
"""Says that a mail will not be tried any more."""

EVENTS: tuple[type[Event], ...] = (EmailSent, EmailBounced, EmailFailed)
