import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.people import Agent, Authority

ENROLMENTS, BESPOKE, AGENTS = "portal.enrolments", "portal.bespoke", "portal.agents"
MAX_GROUP = 500


@dataclass(frozen=True)
class Request:
    """A request to Parcours. A second record with the same `id` is a redelivery.

    `name` is the event's type without owner and version. `agents` are the agents whom the request concerns,
    or one agent of the authority that sends it.
    """

    topic: str
    key: str
    name: str
    data: dict[str, Any]
    agents: tuple[Agent, ...] = ()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def type(self) -> str:
        return f"fr.cnfpt.portal.{self.name}.v1"

    @property
    def session_id(self) -> str:
        return str(self.data.get("session_id", ""))


def seat(session_id: str, agent: Agent, answers: Sequence[dict[str, Any]] = ()) -> Request:
    data = {"agent": agent.as_json(), "approval": None, "answers": list(answers)}
    return _of_session("EnrolmentRequested", session_id, (agent,), **data)


def group(
    session_id: str, agents: Sequence[Agent], *, all_or_nothing: bool, may_wait: bool = False
) -> Request:
    return _of_session(
        "GroupEnrolmentRequested",
        session_id,
        tuple(agents),
        agents=[agent.as_json() for agent in agents],
        requested_by=agents[0].employer.officer,
        all_or_nothing=all_or_nothing,
        may_wait=may_wait,
    )


def withdrawal(session_id: str, agent: Agent, *, by: str = "agent", reason: str = "") -> Request:
    return _of_agent_in("WithdrawalRequested", session_id, agent, by=by, reason=reason or None)


def offer_answer(session_id: str, agent: Agent, *, accepted: bool) -> Request:
    return _of_agent_in("SeatOfferAnswered", session_id, agent, accepted=accepted)


def swap(session_id: str, agent: Agent, to_session_id: str, answers: Sequence[Any] = ()) -> Request:
    moved = {"to_session_id": to_session_id, "answers": list(answers)}
    return _of_agent_in("SessionSwapRequested", session_id, agent, **moved)


def approval(session_id: str, agent: Agent, *, granted: bool, reason: str = "") -> Request:
    decided_by = agent.employer.officer_name
    decision = {"granted": granted, "decided_by": decided_by, "reason": reason or None}
    return _of_agent_in("ApprovalDecided", session_id, agent, **decision)


def correction(agent: Agent, email: str) -> Request:
    return _of_agent("AgentCorrected", agent, email=email)


def subscription(agent: Agent, *, subscribed: bool, **followed: str) -> Request:
    named = {"email": agent.email, "given_name": agent.given_name, "family_name": agent.family_name}
    return _of_agent("SubscriptionChanged", agent, **named, **followed, subscribed=subscribed)


def erasure(agent: Agent, requested_at: datetime) -> Request:
    return _of_agent("AgentErasureRequested", agent, requested_at=requested_at.isoformat())


def bespoke(authority: Authority, theme: str, trainees: int, message: str = "") -> Request:
    return _of_authority(
        "BespokeTrainingRequested",
        authority,
        (),
        authority=authority.name,
        delegation=authority.delegation,
        requested_by=authority.officer,
        theme=theme,
        trainees=trainees,
        message=message or None,
    )


def nomination(session_id: str, agents: Sequence[Agent], authority: Authority) -> Request:
    return _of_authority(
        "TraineesNominated",
        authority,
        tuple(agents),
        session_id=session_id,
        agents=[agent.as_json() for agent in agents],
        nominated_by=authority.officer,
    )


def _of_session(name: str, session_id: str, about: tuple[Agent, ...], **data: Any) -> Request:
    return Request(ENROLMENTS, session_id, name, {"session_id": session_id, **data}, about)


def _of_agent_in(name: str, session_id: str, agent: Agent, **data: Any) -> Request:
    return _of_session(name, session_id, (agent,), agent_id=agent.agent_id, **data)


def _of_agent(name: str, agent: Agent, **data: Any) -> Request:
    return Request(AGENTS, agent.agent_id, name, {"agent_id": agent.agent_id, **data}, (agent,))


def _of_authority(name: str, by: Authority, about: tuple[Agent, ...], **data: Any) -> Request:
    return Request(BESPOKE, by.siret, name, {"siret": by.siret, **data}, about)
