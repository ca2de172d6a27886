"""Events of enrolment: decisions on requests, and how full each session is."""

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
    PortalName,
    RequestSource,
    Slug,
    Timezone,
    Url,
    Version,
    at_most,
)


class Decision(Event):
    """A decision on one agent's enrolment in one session.

    Each request is answered by exactly one decision with its ``request_id``; a group request by one per
    agent.
    """

    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_DECISIONS

    enrolment_id: UUID
    version: Version = Field(description="1, 2, 3 … per enrolment.")
    request_id: UUID | None = Field(
        description="The ce_id of the request that caused it; null if time caused it."
    )
    request_source: RequestSource = None
    session_id: UUID
    session_version: int = Field(
        default=0,
        ge=0,
        le=MAX_VERSION,
        description="The version of the session on which it was taken; 0: none was known, or an older event.",
    )
    agent: Agent

    @property
    def key(self) -> str:
        return self.agent.agent_id


class SeatLeft(ContractModel):
    """The enrolment that an agent left by moving to another session. It is also published as withdrawn."""

    session_id: UUID
    enrolment_id: UUID
    version: Version = Field(description="The version of the enrolment, now ended.")


class AgentEnrolled(Decision):
    """An agent has a seat. Published once for each seat, never for the waiting list."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AgentEnrolled.v1"
    from_waiting_list: bool = Field(
        default=False, description="True if the seat came from the waiting list or an offer."
    )
    moved_from: SeatLeft | None = Field(
        default=None, description="The seat of the same offer that the agent left for this one."
    )


class AgentWaitlisted(Decision):
    """The session is full, and the agent is on the waiting list without a seat."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AgentWaitlisted.v1"
    position: AtLeastOne = Field(
        description="Place in line at the decision; 1 is next. Agents who wait together have one place."
    )
    together: AtLeastOne | None = Field(
        default=None,
        description="The number of agents who share this place. They get seats together. Null: one agent.",
    )


class SeatOffered(Decision):
    """A seat is held for an agent of the waiting list until the agent answers or the time is over."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SeatOffered.v1"
    hold_until: Instant
    shortened_from: Instant | None = Field(
        default=None,
        description="The end that an earlier event promised, if the organiser brought the session forward. "
        "Null: a new offer.",
    )


class EndedBecause(StrEnum):
    """What ended an offer, a wait in line, or a pending request."""

    ANSWER = "answer"
    """The agent, the employer or the organiser said no."""
    SILENCE = "silence"
    """Nobody answered in time."""
    SESSION_CHANGED = "session_changed"
    """The organiser brought the session forward."""
    QUOTA = "quota"
    """The agent's authority has all the seats of its quota."""


class LapseCause(StrEnum):
    """Why an offered seat went to the next agent."""

    EXPIRED = "expired"
    DECLINED = "declined"


class SeatOfferLapsed(Decision):
    """An offered seat was declined, or not answered in time."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SeatOfferLapsed.v1"
    cause: LapseCause = LapseCause.EXPIRED
    because: EndedBecause | None = Field(
        default=None,
        description="With `session_changed`, `cause` is `expired`: no time was left for an answer. Null: an "
        "older version published the event.",
    )


class NotObtainedReason(StrEnum):
    """Why a waiting agent can no longer get a seat."""

    LINE_ENDED = "line_ended"


class SeatNotObtained(Decision):
    """An agent waited until the session had no more seats to give. The enrolment has ended."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SeatNotObtained.v1"
    reason: NotObtainedReason = NotObtainedReason.LINE_ENDED
    because: EndedBecause | None = Field(
        default=None,
        description="`session_changed` if the organiser's change ended the waiting list, `quota` if the "
        "agent's authority had all its seats. Null: no seat became free in time.",
    )


class Awaiting(StrEnum):
    """The agreement that a pending enrolment waits for."""

    EMPLOYER_APPROVAL = "employer_approval"
    SELECTION = "selection"


class EnrolmentPending(Decision):
    """The request is valid and waits for an agreement. It holds no seat."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.EnrolmentPending.v1"
    awaiting: Awaiting


class AudiencePart(StrEnum):
    """A limit of a session's audience."""

    FUNCTION = "function"
    EMPLOYER = "employer"
    DELEGATION = "delegation"


class EnrolmentRefused(Decision):
    """A request is refused; ``reason`` says why.

    A refused withdrawal, answer to an offer, approval or move changes nothing (ADR 0007). The refusal of a
    move is about the session that the agent is in.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.EnrolmentRefused.v1"
    reason: Reason
    asked: Literal["enrolment", "withdrawal", "offer", "approval", "swap"] = "enrolment"
    to_session_id: UUID | None = Field(
        default=None, description="The session to which the agent asked to move, if so."
    )
    outside: Annotated[tuple[AudiencePart, ...], at_most(3)] = Field(
        default=(),
        max_length=3,
        description="Of `not_eligible`: the limits of the session's audience that exclude the agent.",
    )
    instead: Line | None = Field(
        default=None,
        description="The event to send instead. After a no to an enrolment that waits for no approval it is "
        "`fr.cnfpt.portal.WithdrawalRequested.v1`, with `by` `employer`.",
    )
    because: EndedBecause | None = Field(
        default=None,
        description="Of `approval_denied` and `not_selected`: whether somebody said no, or nobody answered "
        "in time. Null: the reason says all, or an older version published the event.",
    )


class WithdrawnBy(StrEnum):
    """The cause of the end of an enrolment."""

    AGENT = "agent"
    EMPLOYER = "employer"
    SESSION_CANCELLED = "session_cancelled"


class EnrolmentWithdrawn(Decision):
    """A live enrolment has ended: the agent gave it up, or its session was cancelled (ADR 0004).

    With ``attendance_kept``, the enrolment has ended and its attendance stays (ADR 0042).
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.EnrolmentWithdrawn.v1"
    by: WithdrawnBy = WithdrawnBy.AGENT
    reason: Paragraph | None = None
    attendance_kept: bool = Field(
        default=False,
        description="The session was cancelled after attendance was recorded. The attendance stays and "
        "decides on the certificate.",
    )
    moved_to: UUID | None = Field(
        default=None, description="The session of the same offer in which the agent now has a seat."
    )
    joined_to: UUID | None = Field(
        default=None,
        description="The enrolment that stays: the same person, by another issuer, in the same session.",
    )


class Attendance(StrEnum):
    """The attendance of an agent at a module."""

    ATTENDED = "attended"
    ABSENT = "absent"
    ABSENT_JUSTIFIED = "absent_justified"


class AttendanceRecorded(Decision):
    """Attendance at one module was recorded; ``certified`` if a certificate became due, or another one."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.AttendanceRecorded.v1"
    module: Line | None = Field(default=None, description="The title of the module; null: the whole session.")
    attendance: Attendance
    certified: bool = False
    certificate_void: bool = Field(
        default=False,
        description="The certificate that was due before is void. With `certified`, another one replaces it.",
    )


class CorrectedBy(StrEnum):
    """In which role somebody corrected an agent's address or names."""

    AGENT = "agent"
    ORGANISER = "organiser"
    PORTAL = "portal"
    SUPPORT = "support"


MAX_CONFIRMING = 20


class AgentDetailsCorrected(Event):
    """An agent's address or names were corrected. Earlier decisions have the old ones, later ones the new.

    Published between services only: portals sent the correction.
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
    held_until: Instant | None = Field(
        default=None,
        description="Until then, links to the new address open nothing, unless a reader of `may_confirm` "
        "confirms the correction. Null: nothing is held, or an older version published the event.",
    )
    may_confirm: Annotated[tuple[Email, ...], at_most(MAX_CONFIRMING)] = Field(
        default=(),
        max_length=MAX_CONFIRMING,
        description="The former addresses, in lower case, whose readers may confirm. They may be from "
        "before an earlier correction.",
    )


class NewAddressGiven(Event):
    """An agent gave a new address, which the reader of that mailbox must confirm. Nothing is corrected yet.

    Published between services only, after all earlier decisions about the agent.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.NewAddressGiven.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_DECISIONS
    request_id: UUID = Field(description="The id in the link that confirms the address.")
    enrolment_id: UUID = Field(description="The enrolment on whose page it was given.")
    agent: Agent = Field(description="The agent with the address that is valid until then.")
    new_address: Email
    given_at: Instant

    @property
    def key(self) -> str:
        return self.agent.agent_id


class SessionPart(StrEnum):
    """The part of a session that changed."""

    DATES = "dates"
    PLACE = "place"
    LINK = "link"


class SessionChangedForAgent(Event):
    """The dates, place or link of a session changed. Published for each agent who is enrolled or waits.

    Only on the topics of portals' answers. ``session_version`` tells older news from newer. The link itself
    is only in letters.
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
    timezone: Timezone = Field(description="The time zone in which to write its dates.")
    modules: Annotated[tuple[Module, ...], at_most(100)] = Field(default=(), max_length=100)
    venue: Line | None = None
    join_url: Url | None = Field(default=None, description="Always null: the link is only in letters.")

    @property
    def key(self) -> str:
        return self.agent.agent_id


class SessionOccupancyChanged(Event):
    """The seats of a session, whole. At most one event per session per batch of requests."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SessionOccupancyChanged.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_OCCUPANCY
    session_id: UUID
    version: Version
    capacity: Count | None = Field(description="Null: unlimited.")
    enrolled: Count
    waiting: Count
    offered: Count


class OrganiserNotice(Event):
    """The organiser of a session must act, now that enrolment has closed.

    Published once for each close of enrolment, after every request received by then is answered. Nothing
    happens to the session by itself.
    """

    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_NOTICES
    session_id: UUID
    session_version: Version
    organiser: Slug = Field(description="The delegation, INET or INSET that decides.")

    @property
    def identity(self) -> str:
        return f"{self.session_id} {self.session_version}"


class SelectionDue(OrganiserNotice):
    """Candidates wait for the organiser to rank them. Published by the rules of :class:`OrganiserNotice`."""

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.SelectionDue.v1"
    candidates: AtLeastOne
    capacity: Count | None = Field(default=None, description="All seats. Null: no limit.")
    enrolled: Count = Field(description="Seats that are taken already.")


class MinimumMissed(OrganiserNotice):
    """Enrolment has closed, and the session has fewer agents than it needs. The organiser decides what to do.

    Published once for each close of enrolment, after every request received by then is answered, and when
    the minimum is lost between the close and the start. Nothing happens to the session by itself.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.MinimumMissed.v1"
    minimum: AtLeastOne
    enrolled: Count
    offered: Count = Field(description="Seats held for an answer; they count towards the minimum.")
    candidates: Count = Field(
        description="Agents who wait for the selection; they count towards the minimum."
    )


class MessageAudience(StrEnum):
    """The states of enrolments to which an organiser's message goes."""

    ENROLLED = "enrolled"
    """Agents with a seat, also after attendance was recorded."""
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    PENDING = "pending"


class ParticipantsMessaged(Event):
    """The organiser of a session writes to its participants. Published when the letters are to leave.

    Never names the participants. Each person gets the letter once, if in one of these states when it is
    written.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.ParticipantsMessaged.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_NOTICES
    message_id: UUID
    session_id: UUID
    session_version: Version
    text: MessageText
    link: Url | None = Field(default=None, description="Shown in full, on its own line.")
    audience: Annotated[tuple[MessageAudience, ...], at_most(4)] = Field(min_length=1, max_length=4)
    enrolment_ids: Annotated[tuple[UUID, ...], at_most(500)] | None = Field(
        default=None, max_length=500, description="Only these enrolments among them. Null: all."
    )

    @property
    def identity(self) -> str:
        return str(self.message_id)


class NominationOutcome(StrEnum):
    """The state of a trainee whom an authority nominated for its session."""

    ENROLLED = "enrolled"
    WAITLISTED = "waitlisted"
    OFFERED = "offered"
    PENDING = "pending"
    REFUSED = "refused"


class NominatedTrainee(ContractModel):
    """A nominated trainee, by enrolment."""

    enrolment_id: UUID
    outcome: NominationOutcome
    reason: Reason | None = Field(default=None, description="Why the trainee was refused.")


class NominationAnswered(Event):
    """A list of trainees is decided: its sender is told which trainees have a seat, and why others have none.

    Published once for each list, even if it changes nothing. Never names the trainees.
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
        default=(),
        max_length=1000,
        description="The enrolments that ended because the list no longer names them.",
    )

    @property
    def identity(self) -> str:
        return f"{self.request_id} {self.request_source}"


class WebhookDisabled(Event):
    """A portal's webhook takes no events any more, and nothing is sent to it until an operator replays it.

    Published three days after its first failure, or at once if the portal wants no more events.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.enrolment.WebhookDisabled.v1"
    TOPIC: ClassVar[Topic] = Topic.ENROLMENT_NOTICES
    portal: PortalName
    contact: Email = Field(description="The portal's, of PORTALS_FILE.")
    failing_since: Instant
    reason: Line = Field(description="Why the last attempt failed, such as `status 503`.")

    @property
    def key(self) -> str:
        return self.portal

    @property
    def identity(self) -> str:
        return f"{self.portal} {self.failing_since.isoformat()}"


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
    WebhookDisabled,
)
