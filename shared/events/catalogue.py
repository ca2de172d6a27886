"""What the catalogue says: the sessions, the resources, the answers to bespoke requests.

Every event of a compacted topic carries the whole state of its subject and no personal data: the last
record of each key is enough to rebuild from.
"""

from datetime import datetime
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
    """Who may enrol. An empty list restricts nothing; the three lists are all to be met."""

    functions: Annotated[tuple[Function, ...], at_most(10)] = Field(default=(), max_length=10)
    sirets: Annotated[tuple[Siret, ...], at_most(5_000)] = Field(default=(), max_length=5_000)
    delegations: Annotated[tuple[Slug, ...], at_most(100)] = Field(default=(), max_length=100)


class ReservedSeats(ContractModel):
    """Seats that only one delegation's agents may take until they are released to all."""

    delegation: Slug
    seats: AtLeastOne
    release_at: Instant


MAX_QUESTIONS = 10
"""Questions of one session."""
MAX_TRAINERS = 20
"""Trainers of one session."""


class Question(ContractModel):
    """What the organiser asks of whoever enrols themselves; only the organiser reads the answers.

    An answer is kept until so many days after the session's end. The kind ``adjustment`` is built in: its id
    and its words are the same everywhere, and its answer is voluntary.
    """

    question_id: Slug = Field(description="By which an answer names it; unique in the session.")
    kind: QuestionKind
    label: Line = Field(description="The question, in French.")
    choices: Annotated[tuple[Line, ...], at_most(20)] = Field(
        default=(), max_length=20, description="Of a choice: what may be answered, word for word."
    )
    required: bool = Field(default=False, description="True: without an answer the request is refused.")
    functions: Annotated[tuple[Function, ...], at_most(10)] = Field(
        default=(), max_length=10, description="Of whom it is asked. Empty: of everybody."
    )
    kept_days: int = Field(
        default=30, ge=1, le=365, description="How many days after the session's end an answer is kept."
    )


class Prerequisite(ContractModel):
    """The offer whose certificate an agent must have to enrol: of any session of it, of any date."""

    offer_id: Slug
    title: Line = Field(description="Of the offer.")


class SessionState(Event):
    """A session, whole.

    ``phase`` and ``enrolment`` are what the clock said when it was published: judge by the dates.
    """

    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_SESSIONS

    session_id: UUID
    version: Version = Field(description="1, 2, 3 … per session; an older one is to be ignored.")
    offer_id: Slug
    format: Format
    title: Line
    status: Status
    phase: Phase
    enrolment: EnrolmentWindow
    enrolment_opens_at: Instant
    enrolment_closes_at: Instant = Field(description="Exclusive: at this instant it is too late.")
    starts_at: Instant
    ends_at: Instant = Field(description="Exclusive.")
    timezone: Timezone = Field(description="The zone its dates are to be written in.")
    modules: Annotated[tuple[Module, ...], at_most(100)] = Field(default=(), max_length=100)
    capacity: Count | None = Field(default=None, description="Null: unlimited. 0: no seat.")
    minimum: Count | None = Field(
        default=None,
        ge=1,
        description="How many must take part; fewer at the close of enrolment: the organiser decides "
        "whether it takes place. Null: no minimum.",
    )
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = Field(default=48, ge=1, le=8_760, description="Hours an offered seat is held.")
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = Audience()
    reserved_seats: Annotated[tuple[ReservedSeats, ...], at_most(100)] = Field(default=(), max_length=100)
    quota_per_authority: Count | None = Field(
        default=None, ge=1, description="Most seats that agents of one SIRET may take. Null: no quota."
    )
    organiser: Slug = Field(description="The delegation, INET or INSET that organises it.")
    venue: Line | None = None
    join_url: Url | None = None
    questions: Annotated[tuple[Question, ...], at_most(MAX_QUESTIONS)] = Field(
        default=(),
        max_length=MAX_QUESTIONS,
        description="What a request for a seat is to answer, in its ``answers``.",
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
        default=None, description="What must have been attended before. Null: nothing."
    )
    evaluation_url: Url | None = Field(
        default=None, description="Where who attended says what they thought of it; in letters to them alone."
    )
    trainer_ids: Annotated[tuple[UUID, ...], at_most(MAX_TRAINERS)] = Field(
        default=(),
        max_length=MAX_TRAINERS,
        description="Who speaks or teaches, by ids of this session alone; never a name or an address.",
    )

    @property
    def key(self) -> str:
        return str(self.session_id)

    @property
    def withdrawal_ends_at(self) -> datetime:
        """Until when who has a seat may give it up; after that, attendance says who came (rules 8, 13)."""
        return self.ends_at if self.format is Format.MOOC else self.starts_at


class SessionScheduled(SessionState):
    """A session was published. First event of every session. A draft has no event."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionScheduled.v1"


class SessionOpened(SessionState):
    """Enrolment has just opened. Published once, at the instant."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionOpened.v1"


class SessionChanged(SessionState):
    """Somebody changed a published session: its dates, place, capacity or rules."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionChanged.v1"


class SessionClosed(SessionState):
    """Enrolment has just closed. Published once, at the instant."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionClosed.v1"


class SessionCancelled(SessionState):
    """The session will not take place. Final."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionCancelled.v1"
    cancellation_reason: Remark | None = Field(
        default=None,
        description="What the organiser wrote of it to all who are in it; of nobody. Null: nothing.",
    )


class SessionCompleted(SessionState):
    """The session has ended. Published once, at the instant; says nothing of who attended."""

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

    @property
    def key(self) -> str:
        return str(self.resource_id)


class ReplayPublished(_Resource):
    """The recording of a session is open to everyone."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.ReplayPublished.v1"
    session_id: UUID | None = Field(
        default=None, description="The session that was recorded, if it had one here."
    )
    organiser: Slug


class ResourceKind(StrEnum):
    """What a resource is, when it is not a replay."""

    DOSSIER = "dossier"
    COMMUNITY = "community"


class ResourcePublished(_Resource):
    """A dossier documentaire or an e-communauté is open to everyone."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.ResourcePublished.v1"
    kind: ResourceKind


class ResourceWithdrawn(Event):
    """A replay, a dossier or a community was published by mistake, and is not to be shown any more. Final.

    Says nothing of what it was: this is what stays of it on the topic.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.ResourceWithdrawn.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_RESOURCES
    resource_id: UUID
    version: Version
    withdrawn_at: Instant

    @property
    def key(self) -> str:
        return str(self.resource_id)


ResourceEvent = ReplayPublished | ResourcePublished | ResourceWithdrawn
"""What is said of resources."""


class BespokeRequestReceived(Event):
    """An authority's request for bespoke training is with its delegation, which will answer it.

    Published once for each request. Never says what the authority wrote beside.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.BespokeRequestReceived.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_BESPOKE
    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested.")
    request_source: RequestSource = None
    siret: Siret
    authority: Name
    delegation: Slug = Field(description="Who will answer.")
    theme: Slug
    trainees: AtLeastOne
    wished_from: Instant | None = None
    wished_until: Instant | None = None
    requested_by: Contact
    received_at: Instant

    @property
    def key(self) -> str:
        return self.siret

    @property
    def identity(self) -> str:
        return f"{self.request_id} {self.request_source}"


class BespokeAnswer(StrEnum):
    """Where a bespoke request stands, for the authority."""

    QUALIFIED = "qualified"
    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"


class BespokeRequestAnswered(Event):
    """A delegation answered an authority's request for bespoke training."""

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.BespokeRequestAnswered.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_BESPOKE
    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested it answers.")
    request_source: RequestSource = None
    siret: Siret
    answer: BespokeAnswer
    requested_by: Contact
    advisor: Contact
    message: Paragraph | None = None
    session_id: UUID | None = Field(default=None, description="The private session, once agreed.")

    @property
    def key(self) -> str:
        return self.siret

    @property
    def answer_key(self) -> str:
        return str(self.request_id)


class BespokeRequestClosed(Event):
    """Nobody can answer a bespoke request any more, since who made it asked to be forgotten. It names nobody.

    None is published of a request that is forgotten because its time is over.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.BespokeRequestClosed.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_BESPOKE
    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested.")
    request_source: RequestSource = None
    siret: Siret

    @property
    def key(self) -> str:
        return self.siret


class SessionTrainer(ContractModel):
    """Who speaks or teaches in a session."""

    trainer_id: UUID = Field(description="Of this session and this address alone.")
    name: Name
    email: Email | None = Field(default=None, description="Never shown; null: nobody writes to them.")


class SessionTrainersChanged(Event):
    """Who speaks or teaches in a published session, all of them: it was published with them, or changed.

    The session's state names them by id alone, since it stays for ever.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.catalogue.SessionTrainersChanged.v1"
    TOPIC: ClassVar[Topic] = Topic.CATALOGUE_TRAINERS
    session_id: UUID
    session_version: Version = Field(description="Of the state that names them; an older list is ignored.")
    trainers: Annotated[tuple[SessionTrainer, ...], at_most(MAX_TRAINERS)] = Field(
        default=(), max_length=MAX_TRAINERS
    )

    @property
    def key(self) -> str:
        return str(self.session_id)


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
