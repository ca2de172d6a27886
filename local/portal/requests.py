"""What a portal can ask: the data of each event, its type, its topic, its key. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.portal.people import Authority, PortalAgent

ENROLMENTS, BESPOKE, AGENTS = "portal.enrolments", "portal.bespoke", "portal.agents"
MAX_GROUP = 500


@dataclass(frozen=True)
class Request:
    """One request, before it is sent. `name` is the event's, without owner and version."""

    topic: str
    key: str
    name: str
    data: dict[str, Any]

    @property
    def type(self) -> str:
        return f"fr.cnfpt.portal.{self.name}.v1"


def seat(session_id: str, agent: PortalAgent, answers: Sequence[dict[str, Any]] = ()) -> Request:
    """An agent asks for a seat, and answers the session's questions; their employer has said nothing yet."""
    return _of_session(
        "EnrolmentRequested", session_id, agent=agent.as_json(), approval=None, answers=list(answers)
    )


def group(
    session_id: str,
    agents: Sequence[PortalAgent],
    authority: Authority,
    *,
    all_or_nothing: bool,
    may_wait: bool = False,
) -> Request:
    """An authority asks for several of its agents at once."""
    return _of_session(
        "GroupEnrolmentRequested",
        session_id,
        agents=[agent.as_json() for agent in agents],
        requested_by=authority.officer,
        all_or_nothing=all_or_nothing,
        may_wait=may_wait,
    )


def withdrawal(session_id: str, agent_id: str, *, by: str, reason: str | None) -> Request:
    """An agent (`by` is `agent`) or the authority (`employer`) gives up a seat or a place in line."""
    return _of_session("WithdrawalRequested", session_id, agent_id=agent_id, by=by, reason=reason or None)


def offer_answer(session_id: str, agent_id: str, *, accepted: bool) -> Request:
    """An agent takes or leaves the seat that is held for them."""
    return _of_session("SeatOfferAnswered", session_id, agent_id=agent_id, accepted=accepted)


def swap(
    session_id: str, agent_id: str, to_session_id: str, answers: Sequence[dict[str, Any]] = ()
) -> Request:
    """An agent who has a seat wants one in another session of the same offer, and answers its questions."""
    return _of_session(
        "SessionSwapRequested",
        session_id,
        agent_id=agent_id,
        to_session_id=to_session_id,
        answers=list(answers),
    )


def correction(agent_id: str, email: str) -> Request:
    """An agent has another address."""
    return _of_agent("AgentCorrected", agent_id, email=email)


def subscription(agent: PortalAgent, offer_id: str, *, subscribed: bool) -> Request:
    """An agent wants to hear when a session of an offer opens, or not any more."""
    return _of_agent(
        "SubscriptionChanged",
        agent.agent_id,
        email=agent.email,
        given_name=agent.given_name,
        family_name=agent.family_name,
        offer=offer_id,
        subscribed=subscribed,
    )


def erasure(agent_id: str, requested_at: datetime) -> Request:
    """An agent asks that what is known of them be erased."""
    return _of_agent("AgentErasureRequested", agent_id, requested_at=requested_at.isoformat())


def approval(
    session_id: str, agent_id: str, authority: Authority, *, granted: bool, reason: str | None
) -> Request:
    """An authority agrees to the enrolment of its agent, or does not."""
    return _of_session(
        "ApprovalDecided",
        session_id,
        agent_id=agent_id,
        granted=granted,
        decided_by=authority.officer["name"],
        reason=reason or None,
    )


def bespoke(authority: Authority, theme: str, trainees: int, message: str | None) -> Request:
    """An authority asks its delegation for training of its own."""
    return _of_authority(
        "BespokeTrainingRequested",
        authority.siret,
        authority=authority.name,
        delegation=authority.delegation,
        requested_by=authority.officer,
        theme=theme,
        trainees=trainees,
        message=message or None,
    )


def nomination(session_id: str, agents: Sequence[PortalAgent], authority: Authority) -> Request:
    """An authority names who takes part in its own session; the list is whole each time."""
    return _of_authority(
        "TraineesNominated",
        authority.siret,
        session_id=session_id,
        agents=[agent.as_json() for agent in agents],
        nominated_by=authority.officer,
    )


def _of_session(name: str, session_id: str, **data: Any) -> Request:
    return Request(ENROLMENTS, session_id, name, {"session_id": session_id, **data})


def _of_agent(name: str, agent_id: str, **data: Any) -> Request:
    return Request(AGENTS, agent_id, name, {"agent_id": agent_id, **data})


def _of_authority(name: str, siret: str, **data: Any) -> Request:
    return Request(BESPOKE, siret, name, {"siret": siret, **data})
