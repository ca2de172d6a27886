"""What became of each request, and how full each session is."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.catalogue import Module
from shared.events.reasons import Reason
from shared.events.topics import Topic
from shared.events.vocabulary import (
    MAX_VERSION,
    Agent,
    AgentId,
    AtLeastOne,
    Contact,
    ContractModel,
    Count,
    Email,
    Event,
    Instant,
    Issuer,
    Line,
    MessageText,
    Name,
    Paragraph,
    RequestSource,
    Slug,
    Timezone,
    Url,
    Version,
    at_most,
)


class Decision(Event):
    """Something was decided about one agent's enrolment in one session.

    A request gets exactly one decision carrying its ``request_id`` (a group request: one per agent).
    """

    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_DECISIONS

    enrolment_id: UUID
    version: Version = Field(description="1, 2, 3 … per enrolment.")
    request_id: UUID | None = Field(description="The ce_id that caused it; null where time did.")
    request_source: RequestSource = None
    session_id: UUID
    session_version: int = Field(
        default=0,
        ge=0,
        le=MAX_VERSION,
        description="The state of the session it was taken on; 0: none was known, or an event of before.",
    )
    agent: Agent

    @property
    def key(self) -> str:
        return self.agent.agent_id


class SeatLeft(ContractModel):
    """The enrolment that an agent who moved to another session left; it is published as withdrawn too."""

    session_id: UUID
    enrolment_id: UUID
    version: Version = Field(description="Of the enrolment, now that it has ended.")


class AgentEnrolled(Decision):
    """An agent holds a seat. Published once per seat gained, never for the waiting list."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AgentEnrolled.v1"
    from_waiting_list: bool = Field(
        default=False, description="True when the seat came from the line or from an offer."
    )
    moved_from: SeatLeft | None = Field(
        default=None, description="The seat of the same offer that the agent left for this one."
    )


class AgentWaitlisted(Decision):
    """The session is full and the agent is in line. Not a seat."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AgentWaitlisted.v1"
    position: AtLeastOne = Field(
        description="Place in line when it was decided; 1 is next. Those who wait together have one place."
    )
    together: AtLeastOne | None = Field(
        default=None,
        description="How many wait as one place, with the agent; all get a seat at once. Null: one alone.",
    )


class SeatOffered(Decision):
    """A seat is held for an agent of the waiting list until they answer or the time is over."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SeatOffered.v1"
    hold_until: Instant


class LapseCause(StrEnum):
    """Why an offered seat went to the next in line."""

    EXPIRED = "expired"
    DECLINED = "declined"


class SeatOfferLapsed(Decision):
    """An offered seat was declined, or not answered in time."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SeatOfferLapsed.v1"
    cause: LapseCause = LapseCause.EXPIRED


class NotObtainedReason(StrEnum):
    """Why an agent who waited is given no seat any more."""

    LINE_ENDED = "line_ended"


class SeatNotObtained(Decision):
    """An agent waited until no seat of the session could be given any more. Their enrolment has ended."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SeatNotObtained.v1"
    reason: NotObtainedReason = NotObtainedReason.LINE_ENDED


class Awaiting(StrEnum):
    """Whose word a pending enrolment waits for."""

    EMPLOYER_APPROVAL = "employer_approval"
    SELECTION = "selection"


class EnrolmentPending(Decision):
    """The request is in order and waits for somebody's agreement. Holds no seat."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.EnrolmentPending.v1"
    awaiting: Awaiting


class EnrolmentRefused(Decision):
    """What was asked is refused; ``reason`` says why.

    A refused withdrawal, answer to an offer, approval or move changes nothing (ADR 0007). A move is refused
    in the session that the agent is in.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.EnrolmentRefused.v1"
    reason: Reason
    asked: Literal["enrolment", "withdrawal", "offer", "approval", "swap"] = "enrolment"
    to_session_id: UUID | None = Field(
        default=None, description="Where the agent wanted to move, if that was asked."
    )


class WithdrawnBy(StrEnum):
    """Who ended an enrolment."""

    AGENT = "agent"
    EMPLOYER = "employer"
    SESSION_CANCELLED = "session_cancelled"


class EnrolmentWithdrawn(Decision):
    """A live enrolment has ended: given up, or its session was cancelled (ADR 0004).

    Where ``attendance_kept``, what was to come of it has ended, and attendance stays (ADR 0042).
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.EnrolmentWithdrawn.v1"
    by: WithdrawnBy = WithdrawnBy.AGENT
    reason: Paragraph | None = None
    attendance_kept: bool = Field(
        default=False,
        description="The session was cancelled after attendance was recorded: it stays, and the certificate "
        "follows what took place.",
    )
    moved_to: UUID | None = Field(
        default=None, description="The session of the same offer in which the agent has a seat instead."
    )
    joined_to: UUID | None = Field(
        default=None,
        description="The enrolment that stays, of the same person by another issuer in the same session.",
    )


class Attendance(StrEnum):
    """What was seen of an agent at a module."""

    ATTENDED = "attended"
    ABSENT = "absent"
    ABSENT_JUSTIFIED = "absent_justified"


class AttendanceRecorded(Decision):
    """Attendance at one module was recorded; ``certified`` when the certificate became due."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AttendanceRecorded.v1"
    module: Line | None = Field(default=None, description="Title of the module; null: the whole session.")
    attendance: Attendance
    certified: bool = False


class CorrectedBy(StrEnum):
    """In which role somebody corrected an agent's address or names."""

    AGENT = "agent"
    ORGANISER = "organiser"
    PORTAL = "portal"
    SUPPORT = "support"


class AgentDetailsCorrected(Event):
    """An agent's address or names were corrected. Decisions before it have the old ones, those after the new.

    Between services: portals made the correction.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AgentDetailsCorrected.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_DECISIONS
    agent_id: AgentId
    issuer: Issuer
    email: Email | None = Field(default=None, description="Null: unchanged; so are the names.")
    given_name: Name | None = None
    family_name: Name | None = None
    corrected_at: Instant = Field(description="When the correction was received.")
    corrected_by: CorrectedBy | None = Field(
        default=None,
        description="In which role: support is also an operator at the command line. Null: an older version "
        "published the event.",
    )

    @property
    def key(self) -> str:
        return self.agent_id


class NewAddressGiven(Event):
    """An agent says where mails are to reach them from now on: whoever reads that mailbox is to confirm it.

    Nothing is corrected yet. Between services; after all decisions about the agent that were made before.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.NewAddressGiven.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_DECISIONS
    request_id: UUID = Field(description="What the link that confirms it names.")
    enrolment_id: UUID = Field(description="The one by whose page it was given.")
    agent: Agent = Field(description="As they are until it is confirmed.")
    new_address: Email
    given_at: Instant

    @property
    def key(self) -> str:
        return self.agent.agent_id


class SessionPart(StrEnum):
    """What changed in a session."""

    DATES = "dates"
    PLACE = "place"
    LINK = "link"


class SessionChangedForAgent(Event):
    """The dates, the place or the link of a session changed: published for each agent who is in it, or waits.

    Only on the portals' topics of answers. ``session_version`` tells it from what is older. The link itself
    is in letters alone.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SessionChangedForAgent.v1"
    TOPIC: ClassVar[Topic] = Topic.PORTAL_ANSWERS
    session_id: UUID
    session_version: Version
    enrolment_id: UUID
    agent: Agent
    changed: tuple[SessionPart, ...] = Field(min_length=1)
    starts_at: Instant
    ends_at: Instant = Field(description="Exclusive.")
    timezone: Timezone = Field(description="The zone its dates are to be written in.")
    modules: Annotated[tuple[Module, ...], at_most(100)] = Field(default=(), max_length=100)
    venue: Line | None = None
    join_url: Url | None = Field(default=None, description="Always null: the link is in letters alone.")

    @property
    def key(self) -> str:
        return self.agent.agent_id


class SessionOccupancyChanged(Event):
    """How many seats are taken, whole. At most one per session per batch of requests."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SessionOccupancyChanged.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_OCCUPANCY
    session_id: UUID
    version: Version
    capacity: Count | None = Field(description="Null: unlimited.")
    enrolled: Count
    waiting: Count
    offered: Count

    @property
    def key(self) -> str:
        return str(self.session_id)


class OrganiserNotice(Event):
    """The organiser of a session must do something, now that enrolment has closed.

    Published once for each close of enrolment, when every request received by then is answered. Nothing
    happens to the session by itself.
    """

    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_NOTICES
    session_id: UUID
    session_version: Version
    organiser: Slug = Field(description="The delegation, INET or INSET that decides.")

    @property
    def key(self) -> str:
        return str(self.session_id)

    @property
    def identity(self) -> str:
        return f"{self.session_id} {self.session_version}"


class SelectionDue(OrganiserNotice):
    """Candidates wait for the organiser to rank them. Published by the rules of :class:`OrganiserNotice`."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SelectionDue.v1"
    candidates: AtLeastOne
    capacity: Count | None = Field(default=None, description="Seats in all. Null: no limit.")
    enrolled: Count = Field(description="Seats that are given already.")


class MinimumMissed(OrganiserNotice):
    """Fewer take part in a session than it needs, now that enrolment has closed: its organiser decides.

    Published once for each close of enrolment, when every request received by then is answered. Nothing
    happens to the session by itself.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.MinimumMissed.v1"
    minimum: AtLeastOne
    enrolled: Count
    offered: Count = Field(description="Seats held for an answer; they count for the minimum.")
    candidates: Count = Field(description="Who waits for the selection; they count for the minimum.")


class MessageAudience(StrEnum):
    """Where those stand in a session to whom its organiser writes."""

    ENROLLED = "enrolled"
    """Who has a seat, also once attendance was recorded."""
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    PENDING = "pending"


class ParticipantsMessaged(Event):
    """The organiser of a session writes to who is in it. Published when the letters are to leave.

    Never says who they are. Who stands as it says when their letter is written gets it, each person once.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.ParticipantsMessaged.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_NOTICES
    message_id: UUID
    session_id: UUID
    session_version: Version
    text: MessageText
    link: Url | None = Field(default=None, description="Shown whole, on a line of its own.")
    audience: Annotated[tuple[MessageAudience, ...], at_most(4)] = Field(min_length=1, max_length=4)
    enrolment_ids: Annotated[tuple[UUID, ...], at_most(500)] | None = Field(
        default=None, max_length=500, description="Of those, only these. Null: all of them."
    )

    @property
    def key(self) -> str:
        return str(self.session_id)

    @property
    def identity(self) -> str:
        return str(self.message_id)


class NominationOutcome(StrEnum):
    """What became of somebody whom an authority named for its session."""

    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    PENDING = "pending"
    REFUSED = "refused"


class NominatedTrainee(ContractModel):
    """Somebody of a list of trainees, by their enrolment."""

    enrolment_id: UUID
    outcome: NominationOutcome
    reason: Reason | None = Field(default=None, description="Why they were refused.")


class NominationAnswered(Event):
    """A list of trainees is decided: whoever sent it is notified who has a seat, who has none, and why.

    Published once for each list, also where it changes nothing. Never says who the trainees are.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.NominationAnswered.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_NOTICES
    request_id: UUID = Field(description="The ce_id of the list.")
    request_source: RequestSource = None
    session_id: UUID
    session_version: Version
    nominated_by: Contact
    trainees: Annotated[tuple[NominatedTrainee, ...], at_most(500)] = Field(min_length=1, max_length=500)
    replaced: Annotated[tuple[UUID, ...], at_most(1000)] = Field(
        default=(), max_length=1000, description="The enrolments that ended, as the list names them no more."
    )

    @property
    def key(self) -> str:
        return str(self.session_id)

    @property
    def identity(self) -> str:
        return f"{self.request_id} {self.request_source}"


DECISIONS: tuple[type[Decision], ...] = (
    AgentEnrolled,
    AgentWaitlisted,
    SeatOffered,
    SeatOfferLapsed,
    SeatNotObtained,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    AttendanceRecorded,
)
EVENTS: tuple[type[Event], ...] = (
    *DECISIONS,
    AgentDetailsCorrected,
    NewAddressGiven,
    SessionChangedForAgent,
    SessionOccupancyChanged,
    MinimumMissed,
    SelectionDue,
    ParticipantsMessaged,
    NominationAnswered,
)
