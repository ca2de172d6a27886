"""Events of the catalogue: sessions, resources, answers to bespoke requests.

Every event of a compacted topic carries the whole state of its subject and no personal data, so that the
last record of each key is enough to rebuild from.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from shared.events.topics import Topic
from shared.events.vocabulary import (
    ApprovalPolicy,
    AtLeastOne,
    Contact,
    ContractModel,
    Count,
    Email,
    EnrolmentWindow,
    Event,
    Format,
    Function,
    Instant,
    Line,
    Name,
    Paragraph,
    Phase,
    QuestionKind,
    Remark,
    RequestSource,
    Siret,
    Slug,
    Status,
    Timezone,
    Url,
    Version,
    WaitingList,
    at_most,
)


class Module(ContractModel):
    """A séance of a session."""

    title: Line
    starts_at: Instant
    ends_at: Instant


class Audience(ContractModel):
    """The agents that may enrol. An empty list restricts nothing; all three lists must be met."""

    functions: Annotated[tuple[Function, ...], at_most(10)] = Field(default=(), max_length=10)
    sirets: Annotated[tuple[Siret, ...], at_most(5_000)] = Field(default=(), max_length=5_000)
    delegations: Annotated[tuple[Slug, ...], at_most(100)] = Field(default=(), max_length=100)


class ReservedSeats(ContractModel):
    """Seats that only one delegation's agents may take until they are released to all."""

    delegation: Slug
    seats: AtLeastOne
    release_at: Instant


MAX_QUESTIONS = 10
MAX_TRAINERS = 20
CERTIFICATES_WAIT = timedelta(hours=24)


class Question(ContractModel):
    """A question to agents who enrol themselves. Only the organiser reads the answers.

    An answer is kept until ``kept_days`` after the end of the session. The kind ``adjustment`` is built in:
    its id and its words are the same everywhere, and its answer is voluntary.
    """

    question_id: Slug = Field(description="Used by an answer to name the question; unique in the session.")
    kind: QuestionKind
    label: Line = Field(description="The question, in French.")
    choices: Annotated[tuple[Line, ...], at_most(20)] = Field(
        default=(), max_length=20, description="The possible answers to a choice, word for word."
    )
    required: bool = Field(default=False, description="True: a request without an answer is refused.")
    functions: Annotated[tuple[Function, ...], at_most(10)] = Field(
        default=(), max_length=10, description="The functions of agents that are asked. Empty: all."
    )
    kept_days: int = Field(
        default=30, ge=1, le=365, description="How many days after the session's end an answer is kept."
    )


class Prerequisite(ContractModel):
    """The offer whose certificate an agent must have to enrol, from any session and any date."""

    offer_id: Slug
    title: Line = Field(description="The title of the offer.")


class SessionState(Event):
    """The whole state of a session.

    ``phase`` and ``enrolment`` are as of the time of publication: judge by the dates.
    """

    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_SESSIONS

    session_id: UUID
    version: Version = Field(description="1, 2, 3 … per session; ignore an older version.")
    offer_id: Slug
    format: Format
    title: Line
    status: Status
    phase: Phase
    enrolment: EnrolmentWindow
    enrolment_opens_at: Instant
    enrolment_closes_at: Instant = Field(description="Exclusive: at this moment it is too late.")
    starts_at: Instant
    ends_at: Instant = Field(description="Exclusive.")
    timezone: Timezone = Field(description="The time zone in which to write its dates.")
    modules: Annotated[tuple[Module, ...], at_most(100)] = Field(default=(), max_length=100)
    capacity: Count | None = Field(default=None, description="Null: unlimited. 0: no seats.")
    minimum: Count | None = Field(
        default=None,
        ge=1,
        description="How many must take part. With fewer at the close of enrolment, the organiser decides "
        "whether the session takes place. Null: no minimum.",
    )
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = Field(
        default=48, ge=1, le=8_760, description="How many hours an offered seat is held."
    )
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = Audience()
    reserved_seats: Annotated[tuple[ReservedSeats, ...], at_most(100)] = Field(default=(), max_length=100)
    quota_per_authority: Count | None = Field(
        default=None, ge=1, description="The most seats that agents of one SIRET may take. Null: no quota."
    )
    organiser: Slug = Field(description="The delegation, INET or INSET that organises it.")
    venue: Line | None = None
    directions: Line | None = Field(default=None, description="How to get to the venue.")
    join_url: Url | None = None
    questions: Annotated[tuple[Question, ...], at_most(MAX_QUESTIONS)] = Field(
        default=(),
        max_length=MAX_QUESTIONS,
        description="The questions that a request for a seat answers in its ``answers``.",
    )
    joining_days_before: int = Field(
        default=15,
        ge=1,
        le=365,
        description="Days before the start on which joining instructions are sent; a MOOC: at its start.",
    )
    reminder_days_before: int = Field(
        default=7, ge=1, le=365, description="Days before the start on which the first reminder is sent."
    )
    last_reminder_days_before: int = Field(
        default=1, ge=1, le=365, description="Days before the start on which the last reminder is sent."
    )
    prerequisite: Prerequisite | None = Field(
        default=None, description="The offer that must have been attended before. Null: none."
    )
    evaluation_url: Url | None = Field(
        default=None, description="Where participants evaluate the session; only in letters to them."
    )
    trainer_ids: Annotated[tuple[UUID, ...], at_most(MAX_TRAINERS)] = Field(
        default=(),
        max_length=MAX_TRAINERS,
        description="Speakers and trainers, by ids of this session alone; never a name or an address.",
    )

    @property
    def withdrawal_ends_at(self) -> datetime:
        """Return until when an agent may give up a seat. After that, attendance counts (rules 8, 13)."""
        return self.ends_at if self.format is Format.MOOC else self.starts_at

    def certificate_leaves_at(self, recorded_at: datetime) -> datetime:
        """Return when a certificate leaves whose last attendance was recorded at ``recorded_at`` (rule 24).

        What organisers record after the end leaves at once. Nothing more takes place in a cancelled session.
        """
        if self.status is Status.CANCELLED or recorded_at >= self.ends_at:
            return recorded_at
        return self.ends_at + CERTIFICATES_WAIT


class SessionScheduled(SessionState):
    """A session was published. First event of every session. A draft has no event."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionScheduled.v1"


class SessionOpened(SessionState):
    """Enrolment has just opened. Published once, at that moment."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionOpened.v1"


class SessionChanged(SessionState):
    """A published session was changed: its dates, place, capacity or rules."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionChanged.v1"


class SessionClosed(SessionState):
    """Enrolment has just closed. Published once, at that moment."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionClosed.v1"


class SessionCancelled(SessionState):
    """The session will not take place. Final."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionCancelled.v1"
    cancellation_reason: Remark | None = Field(
        default=None,
        description="What the organiser wrote about it to all participants; it names nobody. Null: nothing.",
    )


class SessionCompleted(SessionState):
    """The session has ended. Published once, at that moment; does not say which agents attended."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionCompleted.v1"


class _Resource(Event):
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_RESOURCES
    resource_id: UUID
    version: Version
    title: Line
    summary: Paragraph | None = None
    url: Url
    themes: Annotated[tuple[Slug, ...], at_most(100)] = Field(default=(), max_length=100)
    published_at: Instant


class ReplayPublished(_Resource):
    """The recording of a session is open to everyone."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.ReplayPublished.v1"
    session_id: UUID | None = Field(
        default=None, description="The session that was recorded, if it had one here."
    )
    organiser: Slug


class ResourceKind(StrEnum):
    """The kind of a resource that is no replay."""

    DOSSIER = "dossier"
    COMMUNITY = "community"


class ResourcePublished(_Resource):
    """A dossier documentaire or an e-communauté is open to everyone."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.ResourcePublished.v1"
    kind: ResourceKind


class ResourceWithdrawn(Event):
    """A replay, a dossier or a community was published by mistake and must not be shown any more. Final.

    Does not say what it was: only this event stays on the topic.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.ResourceWithdrawn.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_RESOURCES
    resource_id: UUID
    version: Version
    withdrawn_at: Instant


ResourceEvent = ReplayPublished | ResourcePublished | ResourceWithdrawn


class BespokeRequestReceived(Event):
    """A delegation has received an authority's request for bespoke training and will answer it.

    Published once for each request. Never contains the message of the authority.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.BespokeRequestReceived.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_BESPOKE
    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested.")
    request_source: RequestSource = None
    siret: Siret
    authority: Name
    delegation: Slug = Field(description="The delegation that will answer.")
    theme: Slug
    trainees: AtLeastOne
    wished_from: Instant | None = None
    wished_until: Instant | None = None
    requested_by: Contact
    received_at: Instant

    @property
    def identity(self) -> str:
        return f"{self.request_id} {self.request_source}"


class BespokeAnswer(StrEnum):
    """The state of a bespoke request, as the authority sees it."""

    QUALIFIED = "qualified"
    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"


class BespokeRequestAnswered(Event):
    """A delegation answered an authority's request for bespoke training."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.BespokeRequestAnswered.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_BESPOKE
    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested that it answers.")
    request_source: RequestSource = None
    siret: Siret
    answer: BespokeAnswer
    requested_by: Contact
    advisor: Contact
    message: Paragraph | None = None
    session_id: UUID | None = Field(default=None, description="The private session, once agreed.")

    @property
    def answer_key(self) -> str:
        return str(self.request_id)


class BespokeRequestClosed(Event):
    """A bespoke request can no longer be answered: its author asked to be forgotten. Names nobody.

    Not published for a request whose retention ends.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.BespokeRequestClosed.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_BESPOKE
    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested.")
    request_source: RequestSource = None
    siret: Siret


class SessionTrainer(ContractModel):
    """A speaker or trainer of a session."""

    trainer_id: UUID = Field(description="Valid for this session and this address alone.")
    name: Name
    email: Email | None = Field(default=None, description="Never shown. Null: no letters.")


class SessionTrainersChanged(Event):
    """All speakers and trainers of a published session: it was published with them, or they changed.

    The session itself names them by id alone, since its record is never deleted.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionTrainersChanged.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_TRAINERS
    session_id: UUID
    session_version: Version = Field(
        description="The version of the session that names them; ignore an older list."
    )
    trainers: Annotated[tuple[SessionTrainer, ...], at_most(MAX_TRAINERS)] = Field(
        default=(), max_length=MAX_TRAINERS
    )


SESSION_EVENTS: tuple[type[SessionState], ...] = (
    SessionScheduled,
    SessionOpened,
    SessionChanged,
    SessionClosed,
    SessionCancelled,
    SessionCompleted,
)
EVENTS: tuple[type[Event], ...] = (
    *SESSION_EVENTS,
    ReplayPublished,
    ResourcePublished,
    ResourceWithdrawn,
    BespokeRequestReceived,
    BespokeRequestAnswered,
    BespokeRequestClosed,
    SessionTrainersChanged,
)
