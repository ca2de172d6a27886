"""The commands of organisers: the same classes for JSON bodies, forms and bulk forms."""

from typing import Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from shared.events.portal import QuestionAnswers
from shared.events.vocabulary import Agent, Email, Employer, Function, Line, Name, Paragraph
from shared.messaging.portals.registry import OWN_ISSUER

MAX_PRIORITY = 1000


class Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriorityChange(Command):
    """Another priority for a waiting agent. The author is the token's owner."""

    priority: int = Field(
        ge=0, le=MAX_PRIORITY, description="Higher priorities are served first. The default is 0."
    )
    reason: Line


class ServedFirst(Command):
    reason: Line


class WithdrawalByOrganiser(Command):
    """An organiser withdraws an agent, because the agent or employer asked by telephone or mail."""

    by: Literal["agent", "employer"]
    reason: Paragraph | None = None


_HOW_KNOWN = Field(
    description=("How and when you learned it, for example by telephone. The reason is kept with its author.")
)


class OfferAnswerByOrganiser(Command):
    """The agent's reply to an offer, as the organiser learned it. The author is the token's owner."""

    accepted: bool
    reason: Line = _HOW_KNOWN


class ApprovalByOrganiser(Command):
    """The employer's decision, as the organiser learned it. The author is the token's owner."""

    granted: bool
    reason: Line = _HOW_KNOWN


class JoinByOrganiser(Command):
    """The enrolment of the same person that ends."""

    enrolment_id: UUID


class MoveByOrganiser(Command):
    """The session to which an agent moves, of the same offer and organiser."""

    to_session_id: UUID
    answers: QuestionAnswers = ()


class EnrolmentByHand(Command):
    """The person whom the organiser enrols."""

    email: Email
    given_name: Name
    family_name: Name
    function: Function
    employer: Employer
    approved: bool = Field(
        default=False, description="The employer has agreed, if the session needs an agreement."
    )
    above_capacity: Paragraph | None = Field(
        default=None,
        description=(
            "Why the agent gets a seat although none is free. The reason is kept. Null: only a free seat."
        ),
    )
    answers: QuestionAnswers = ()

    def agent(self) -> Agent:
        """Return the agent with a new identifier of our own issuer."""
        return Agent(
            agent_id=uuid4().hex,
            issuer=OWN_ISSUER,
            **{name: getattr(self, name) for name in set(Agent.model_fields) - {"agent_id", "issuer"}},
        )


class AgentCorrection(Command):
    """An agent's address or names were wrong, or have changed. What is left out stays."""

    email: Email | None = None
    given_name: Name | None = None
    family_name: Name | None = None

    @property
    def changes(self) -> dict[str, str]:
        return self.model_dump(exclude_none=True)
