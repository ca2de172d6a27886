"""Requests of portals, published by programs outside this system."""

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


class Approval(ContractModel):
    """The employer's agreement, given on the portal's side before the request was sent."""

    approved_by: Name
    approved_at: Instant


def _of_one_kind(value: object, judge: ValidatorFunctionWrapHandler) -> object:
    """Report one error for a bad value; pydantic would report one for each kind, under its own names."""
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
    """An agent's answer to a question of the session.

    Text for a ``text`` and, word for word, for a ``choice``; true or false for a ``yes_no``; a whole number
    for a ``number``; a list of needs for an ``adjustment``. Leave out questions without an answer.
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
        description="Answers to questions of the session, each once. Only its organiser reads them.",
    ),
]


class _SessionRequest(Event):
    """A request about one session. The session is its key, so that order of receipt is order in line."""

    TOPIC: ClassVar[Topic] = Topic.PORTAL_ENROLMENTS
    session_id: UUID


class EnrolmentRequested(_SessionRequest):
    """An agent asks for a seat. Answered by exactly one event with its ``ce_id`` as request_id."""

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
    requested_by: Contact = Field(
        description="Neither stored nor written to: the portal, which gets the answers, tells its officer."
    )
    all_or_nothing: bool = Field(default=False, description="True: all agents get a seat, or none.")
    may_wait: bool = Field(
        default=False,
        description="True, with all_or_nothing: if there are too few seats, all wait as one place in line, "
        "and get their seats at once.",
    )

    @field_validator("agents")
    @classmethod
    def _each_once(cls, agents: tuple[Agent, ...]) -> tuple[Agent, ...]:
        if len({agent.agent_id for agent in agents}) < len(agents):
            raise ValueError("an agent stands twice in the group")
        return agents


class WithdrawalRequested(_SessionRequest):
    """An agent, or the employer, gives up a seat or a place in line."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.WithdrawalRequested.v1"
    agent_id: AgentId
    by: Literal["agent", "employer"] = "agent"
    reason: Paragraph | None = None


class ApprovalDecided(_SessionRequest):
    """The employer has decided on an enrolment that was pending its approval."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.ApprovalDecided.v1"
    agent_id: AgentId
    granted: bool
    decided_by: Name
    reason: Paragraph | None = None


class SeatOfferAnswered(_SessionRequest):
    """An agent accepts or declines the seat that was offered from the waiting list."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.SeatOfferAnswered.v1"
    agent_id: AgentId
    accepted: bool


class SessionSwapRequested(_SessionRequest):
    """An agent with a seat in ``session_id`` asks for a seat in another session of the same offer instead.

    Answered by the decision on the new seat, or by a refusal that leaves the present seat.
    """

    TYPE: ClassVar[str] = "fr.cnfpt.portal.SessionSwapRequested.v1"
    to_session_id: UUID = Field(
        description="The session in which the agent wants a seat; not the present session."
    )
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
    """The authority names the participants of its private session; may be sent again, whole."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.TraineesNominated.v1"
    session_id: UUID
    agents: Annotated[tuple[Agent, ...], at_most(MAX_GROUP)] = Field(min_length=1, max_length=MAX_GROUP)
    nominated_by: Contact


class AgentRequest(Event):
    """A portal's request about one of its agents."""

    TOPIC: ClassVar[Topic] = Topic.PORTAL_AGENTS
    agent_id: AgentId

    def agent_of(self, sender: str) -> AgentKey:
        """``sender`` is the issuer of the portal that sent the request, if any."""
        return AgentKey(sender, self.agent_id)


class SubscriptionChanged(AgentRequest):
    """An agent subscribes to a theme, a delegation, a community or an offer, or ends the subscription.

    With an ``offer``, the ``delegation`` limits its sessions and is not itself subscribed to.
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
        description="Notify when a session of this offer opens for enrolment, of the delegation or of any.",
    )


class _AskedByOperators(AgentRequest):
    """A request that our own service may also make, at an operator's command, for any issuer."""

    issuer: Issuer = Field(
        default="",
        description="The issuer of the agent_id. In a portal's request, always the issuer of the portal.",
    )

    def agent_of(self, sender: str) -> AgentKey:
        return super().agent_of(self.issuer or sender)


class AgentCorrected(_AskedByOperators):
    """An agent's address or names were wrong, or have changed. Null: unchanged."""

    TYPE: ClassVar[str] = "fr.cnfpt.portal.AgentCorrected.v1"
    email: Email | None = None
    given_name: Name | None = None
    family_name: Name | None = None


class AgentErasureRequested(_AskedByOperators):
    """An agent asks to be erased (RGPD, article 17)."""

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
