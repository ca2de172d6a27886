"""What portals ask. Published by portals outside this system; answered, never echoed."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from shared.events.catalogue import MAX_QUESTIONS
from shared.events.topics import Topic
from shared.events.vocabulary import (
    Adjustment,
    Agent,
    AgentId,
    AgentKey,
    Contact,
    ContractModel,
    Email,
    Event,
    Instant,
    Issuer,
    Name,
    Paragraph,
    Siret,
    Slug,
    at_most,
)

MAX_GROUP = 500
"""Agents in one group request or nomination."""


class Approval(ContractModel):
    """The employer's agreement, given on the portal's side before the request was sent."""

    approved_by: Name
    approved_at: Instant


def _of_one_kind(value: object, judge: ValidatorFunctionWrapHandler) -> object:
    """Say one thing of what is no answer: each kind has its own complaint, under a name of pydantic's."""
    try:
        return judge(value)
    except ValidationError:
        raise ValueError(
            "is no answer: true, false, a whole number up to 1,000,000, text of 1 to 1,000 characters, or a "
            "list of adjustments"
        ) from None


AnswerValue = Annotated[
    StrictBool
    | Annotated[StrictInt, Field(ge=0, le=1_000_000)]
    | Annotated[Paragraph, Field(max_length=1000)]
    | Annotated[tuple[Adjustment, ...], at_most(10), Field(min_length=1, max_length=10)],
    WrapValidator(_of_one_kind),
]


class QuestionAnswer(ContractModel):
    """What an agent answers to a question of the session.

    Text for a ``text`` and, word for word, a ``choice``; true or false for a ``yes_no``; a whole number for a
    ``number``; for an ``adjustment`` what is needed. A question that is not answered is left out.
    """

    question_id: Slug
    value: AnswerValue


def _each_question_once(answers: tuple[QuestionAnswer, ...]) -> tuple[QuestionAnswer, ...]:
    if len({answer.question_id for answer in answers}) < len(answers):
        raise ValueError("a question is answered twice")
    return answers


QuestionAnswers = Annotated[
    tuple[QuestionAnswer, ...],
    at_most(MAX_QUESTIONS),
    AfterValidator(_each_question_once),
    Field(
        max_length=MAX_QUESTIONS,
        description="To the session's questions, each once. Only its organiser reads them.",
    ),
]


class _SessionRequest(Event):
    """Something asked about one session: keyed by it, so that order of receipt is order in line."""

    TOPIC: ClassVar[Topic] = Topic.PORTAL_ENROLMENTS
    session_id: UUID

    @property
    def key(self) -> str:
        return str(self.session_id)


class EnrolmentRequested(_SessionRequest):
    """An agent asks for a seat. Answered by exactly one event that carries its ``ce_id`` as request_id."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.EnrolmentRequested.v1"
    agent: Agent
    approval: Approval | None = Field(default=None, description="Null: nobody has approved yet.")
    answers: QuestionAnswers = ()


class GroupEnrolmentRequested(_SessionRequest):
    """A training officer asks for several agents at once. One answer per agent."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.GroupEnrolmentRequested.v1"
    agents: Annotated[tuple[Agent, ...], at_most(MAX_GROUP)] = Field(
        min_length=1, max_length=MAX_GROUP, description="In order of preference."
    )
    requested_by: Contact
    all_or_nothing: bool = Field(default=False, description="True: all get a seat or nobody does.")
    may_wait: bool = Field(
        default=False,
        description="True, with all_or_nothing: where there are too few seats all wait as one place in line, "
        "and get their seats at once.",
    )

    @field_validator("agents")
    @classmethod
    def _each_once(cls, agents: tuple[Agent, ...]) -> tuple[Agent, ...]:
        if len({agent.agent_id for agent in agents}) < len(agents):
            raise ValueError("an agent stands twice in the group")
        return agents


class WithdrawalRequested(_SessionRequest):
    """An agent, or their employer, gives up a seat or a place in line."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.WithdrawalRequested.v1"
    agent_id: AgentId
    by: Literal["agent", "employer"] = "agent"
    reason: Paragraph | None = None


class ApprovalDecided(_SessionRequest):
    """The employer has decided about an enrolment that was pending its approval."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.ApprovalDecided.v1"
    agent_id: AgentId
    granted: bool
    decided_by: Name
    reason: Paragraph | None = None


class SeatOfferAnswered(_SessionRequest):
    """An agent takes, or leaves, the seat that was offered from the waiting list."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.SeatOfferAnswered.v1"
    agent_id: AgentId
    accepted: bool


class SessionSwapRequested(_SessionRequest):
    """An agent who has a seat in ``session_id`` asks for one in another session of the same offer instead.

    Answered by the decision about the new seat, or by a refusal that leaves the seat they have.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.portal.SessionSwapRequested.v1"
    to_session_id: UUID = Field(description="Where the agent wants a seat; not the session they are in.")
    agent_id: AgentId
    answers: QuestionAnswers = ()

    @field_validator("to_session_id")
    @classmethod
    def _elsewhere(cls, to_session_id: UUID, info: ValidationInfo) -> UUID:
        if to_session_id == info.data.get("session_id"):
            raise ValueError("is the session that the agent is to leave")
        return to_session_id


class _BespokeRequest(Event):
    TOPIC: ClassVar[Topic] = Topic.PORTAL_BESPOKE
    siret: Siret

    @property
    def key(self) -> str:
        return self.siret


class BespokeTrainingRequested(_BespokeRequest):
    """An authority asks a delegation for training of its own. Not an enrolment."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.BespokeTrainingRequested.v1"
    authority: Name
    delegation: Slug
    requested_by: Contact
    theme: Slug
    trainees: int = Field(ge=1, le=MAX_GROUP, description="How many agents are expected.")
    wished_from: Instant | None = None
    wished_until: Instant | None = None
    message: Paragraph | None = None


class TraineesNominated(_BespokeRequest):
    """The authority names who takes part in its private session; may be sent again, whole."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.TraineesNominated.v1"
    session_id: UUID
    agents: Annotated[tuple[Agent, ...], at_most(MAX_GROUP)] = Field(min_length=1, max_length=MAX_GROUP)
    nominated_by: Contact


class _AgentRequest(Event):
    TOPIC: ClassVar[Topic] = Topic.PORTAL_AGENTS
    agent_id: AgentId

    @property
    def key(self) -> str:
        return self.agent_id


class SubscriptionChanged(_AgentRequest):
    """An agent subscribes to a theme, a delegation's events, a community or an offer's sessions, or stops.

    With an ``offer`` the ``delegation`` says whose sessions, and not that its events are followed.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.portal.SubscriptionChanged.v1"
    email: Email
    given_name: Name | None = None
    family_name: Name | None = None
    theme: Slug | None = None
    delegation: Slug | None = None
    community: Slug | None = None
    subscribed: bool
    offer: Slug | None = Field(
        default=None,
        description="To be notified when a session of it opens for enrolment: of the delegation, or of any.",
    )


class _AskedByOperators(_AgentRequest):
    """What a service of ours may ask for too, at an operator's command: it has no issuer of its own."""

    issuer: Issuer = Field(
        default="",
        description="Who gave the agent_id. Of a portal's request, its own issuer, whatever it says.",
    )

    def agent_of(self, sender: str) -> AgentKey:
        """Return the agent; ``sender`` is the issuer of the portal that sent the request, if one did."""
        return AgentKey(self.issuer or sender, self.agent_id)


class AgentCorrected(_AskedByOperators):
    """An agent's address or names were wrong, or have changed. Null: unchanged."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.AgentCorrected.v1"
    email: Email | None = None
    given_name: Name | None = None
    family_name: Name | None = None


class AgentErasureRequested(_AskedByOperators):
    """An agent asks that what is known of them be erased (RGPD, article 17)."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.AgentErasureRequested.v1"
    requested_at: Instant


EVENTS: tuple[type[Event], ...] = (
    EnrolmentRequested,
    GroupEnrolmentRequested,
    WithdrawalRequested,
    ApprovalDecided,
    SeatOfferAnswered,
    SessionSwapRequested,
    BespokeTrainingRequested,
    TraineesNominated,
    SubscriptionChanged,
    AgentCorrected,
    AgentErasureRequested,
)
