"""Events of mails. They never contain the address or the text."""

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
    issuer: Issuer = Field(default="", description="The issuer of the agent_id.")
    template: Slug = Field(description="The letter, for example enrolment-confirmed.")
    cause_id: UUID = Field(description="The ce_id of the event that called for the letter.")
    session_id: UUID | None = None
    enrolment_id: UUID | None = None


class EmailSent(_Delivery):
    """The relay accepted the mail. Does not say that it was read."""

    TYPE: ClassVar[str] = "fr.cnfpt.notifier.EmailSent.v1"
    message_id: Line
    sent_at: Instant


class BounceKind(StrEnum):
    """Whether another attempt can help."""

    HARD = "hard"
    SOFT = "soft"


class EmailBounced(_Delivery):
    """An accepted mail came back, or the relay refused its address.

    An address that is refused at once is also reported by EmailFailed.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.notifier.EmailBounced.v1"
    message_id: Line
    kind: BounceKind
    status: Line | None = Field(default=None, description="RFC 3463 code, for example 5.1.1.")
    bounced_at: Instant
    suppressed: bool = Field(
        default=False,
        description="The address gets no more mails: it is bad, or too many mails came back.",
    )


class EmailFailed(_Delivery):
    """The relay refused the mail for good, or all attempts were used up."""

    TYPE: ClassVar[str] = "fr.cnfpt.notifier.EmailFailed.v1"
    smtp_code: int | None = Field(default=None, description="Null: the relay was never reached.")
    failed_at: Instant
    suppressed: bool = Field(
        default=False,
        description="The address is bad, or gets no more mails because earlier mails came back.",
    )


MailEnd = EmailSent | EmailFailed

EVENTS: tuple[type[Event], ...] = (EmailSent, EmailBounced, EmailFailed)
