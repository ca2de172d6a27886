"""What people do in the year, each with its moment; `Year` does it on the running stack."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from local.demo.api_client import ApiClient, submit_page
from local.demo.people import Agent
from local.demo.portal import Portal, PortalRequest, RequestKind
from local.failures import LocalStackError
from local.year.hearing import Letters

PARIS = ZoneInfo("Europe/Paris")
_OFFER_PAGE = "/inscriptions/offre"
_ADVISOR = {"name": "Claire Hébrard", "email": "conseil@cnfpt.example"}


def paris(written: str) -> datetime:
    """Return a moment that is written as clocks in Paris show it: `2025-03-10 10:00`."""
    return datetime.fromisoformat(written).replace(tzinfo=PARIS)


def iso(written: str) -> str:
    """Return that moment as the APIs take it."""
    return paris(written).astimezone(UTC).isoformat()


def request_id(name: str) -> str:
    """Return the id of the request that has this name in the year."""
    return str(uuid5(NAMESPACE_URL, f"year/{name}"))


class Year:
    """The running year: sessions by their names here, the portal, the APIs, the letters."""

    def __init__(self, portal: Portal, catalogue: ApiClient, enrolment: ApiClient, letters: Letters) -> None:
        self.portal = portal
        self.catalogue = catalogue
        self.enrolment = enrolment
        self.letters = letters
        self.sessions: dict[str, str] = {}

    async def find_mooc(self) -> None:
        """Find the session of the offer's own MOOC."""
        sessions = await self.catalogue.items("/api/v1/sessions")
        (self.sessions["mooc"],) = [each["session_id"] for each in sessions if each["format"] == "mooc"]

    async def publish_session(self, name: str, draft: Mapping[str, Any]) -> None:
        """Draft a session and publish it."""
        self.sessions[name] = (await self.catalogue.call("POST", "/api/v1/sessions", draft))["session_id"]
        await self.catalogue.call("POST", f"/api/v1/sessions/{self.sessions[name]}/publish")

    async def roster(self, session: str) -> dict[str, dict[str, Any]]:
        """Return the entries of a session's roster, by the agents' addresses."""
        entries = await self.enrolment.items(f"/api/v1/sessions/{self.sessions[session]}/roster")
        return {entry["agent"]["email"]: entry for entry in entries}


@dataclass(frozen=True)
class Act:
    """Something that is done at a moment."""

    at: str
    does: Callable[[Year], Awaitable[object]]


def asks(at: str, agent: Agent, session: str, kind: RequestKind = RequestKind.ENROLMENT, **how: Any) -> Act:
    """An agent, or who speaks for them, asks something about a session by the portal."""

    async def send(year: Year) -> None:
        wanted: dict[str, Any] = {
            name: year.sessions[value] if name == "to_session_id" else value for name, value in how.items()
        }
        session_id = year.sessions.get(session, request_id(session))
        await year.portal.publish([PortalRequest(session_id, agent, kind, **wanted)])

    return Act(at, send)


def withdraws(at: str, agent: Agent, session: str) -> Act:
    """An agent withdraws."""
    return asks(at, agent, session, RequestKind.WITHDRAWAL)


def is_approved(at: str, agent: Agent, session: str) -> Act:
    """The agent's employer agrees."""
    return asks(at, agent, session, RequestKind.APPROVAL)


def publishes(at: str, name: str, draft: Mapping[str, Any]) -> Act:
    """An organiser publishes a session."""
    return Act(at, lambda year: year.publish_session(name, draft))


def changes(at: str, session: str, **fields: Any) -> Act:
    """The organiser changes a session."""
    return Act(
        at, lambda year: year.catalogue.call("PATCH", f"/api/v1/sessions/{year.sessions[session]}", fields)
    )


def cancels(at: str, session: str) -> Act:
    """The organiser cancels a session."""
    return Act(
        at, lambda year: year.catalogue.call("POST", f"/api/v1/sessions/{year.sessions[session]}/cancel")
    )


def ranks(at: str, session: str, *candidates: Agent) -> Act:
    """The organiser ranks all who applied, the first first."""
    ranking = {"ranked": [agent.agent_id for agent in candidates]}
    return Act(
        at,
        lambda year: year.enrolment.call(
            "PUT", f"/api/v1/sessions/{year.sessions[session]}/selection", ranking
        ),
    )


def attends(at: str, agent: Agent, session: str, modules: Sequence[int] = (1,)) -> Act:
    """The organiser records that an agent came to these séances; by address, as the roster has them."""

    async def record(year: Year) -> None:
        named = (await year.roster(session))[agent.email]["agent"]
        seen = [
            {
                "agent_id": named["agent_id"],
                "issuer": named["issuer"],
                "module": module,
                "attendance": "attended",
            }
            for module in modules
        ]
        await year.enrolment.call(
            "POST", f"/api/v1/sessions/{year.sessions[session]}/attendance", {"records": seen}
        )

    return Act(at, record)


def enrols_by_hand(at: str, agent: Agent, session: str) -> Act:
    """The organiser enrols who stands at the door."""
    body = {name: value for name, value in agent.as_json().items() if name != "agent_id"}
    return Act(
        at,
        lambda year: year.enrolment.call(
            "POST", f"/api/v1/sessions/{year.sessions[session]}/enrolments", body
        ),
    )


def publishes_replay(at: str, session: str, *themes: str) -> Act:
    """The organiser opens the recording to everyone."""

    async def publish(year: Year) -> None:
        recording = {
            "session_id": year.sessions[session],
            "title": "L’IA et les marchés publics, l’enregistrement",
            "url": f"https://videos.example.org/replays/{session}",
            "themes": themes,
        }
        await year.catalogue.call("POST", "/api/v1/replays", recording)

    return Act(at, publish)


def accepts_by_link(at: str, agent: Agent) -> Act:
    """An agent accepts the seat that is offered, on the page behind the link in the letter."""

    async def accept(year: Year) -> None:
        year.letters.look()
        link = year.letters.link(agent.email, _OFFER_PAGE)
        if link is None:
            raise LocalStackError(f"no letter to {agent.given_name} {agent.family_name} offers a seat")
        for _ in range(60):
            if await submit_page(link, reponse="oui"):
                return
            await asyncio.sleep(0.5)
        raise LocalStackError("the page of an offer is away for half a minute")

    return Act(at, accept)


def asks_for_training(at: str, name: str, agents: Sequence[Agent]) -> Act:
    """The training officer of an authority asks its delegation for training of its own."""
    return asks(
        at, agents[0], name, RequestKind.BESPOKE, agents=tuple(agents), ce_id=request_id(f"{name}/asked")
    )


def answers_authority(at: str, name: str, answer: str, session: Mapping[str, Any] | None = None) -> Act:
    """The delegation answers; the session that is agreed on gets the name of the request."""

    async def send(year: Year) -> None:
        path = f"/api/v1/bespoke-requests/{request_id(f'{name}/asked')}/answers"
        body = {"advisor": _ADVISOR, "answer": answer} | ({} if session is None else {"session": session})
        answered = await year.catalogue.call("POST", path, body)
        if answered["session_id"] is not None:
            year.sessions[name] = answered["session_id"]

    return Act(at, send)


def nominates(at: str, name: str, agents: Sequence[Agent], number: int = 1) -> Act:
    """The officer sends the list of trainees; `number` tells one list from the next."""
    return asks(
        at,
        agents[0],
        name,
        RequestKind.NOMINATION,
        agents=tuple(agents),
        ce_id=request_id(f"{name}/list {number}"),
    )


def is_corrected(at: str, agent: Agent) -> Act:
    """The portal corrects an agent's address to the one that `agent` has."""
    return asks(at, agent, "", RequestKind.CORRECTION, ce_id=correction(agent))


def correction(agent: Agent) -> str:
    """Return the id of the request of `is_corrected`."""
    return request_id(f"{agent.agent_id}/corrected")


def subscribes(at: str, agent: Agent, theme: str, *, subscribed: bool = True) -> Act:
    """An agent follows a theme, or does not any more."""
    wanted = subscription(agent, theme, subscribed=subscribed)
    return asks(at, agent, "", RequestKind.SUBSCRIPTION, theme=theme, says_yes=subscribed, ce_id=wanted)


def subscription(agent: Agent, theme: str, *, subscribed: bool = True) -> str:
    """Return the id of the request of `subscribes`."""
    return request_id(f"{agent.agent_id}/{theme}/{subscribed}")


def is_forgotten(at: str, agent: Agent) -> Act:
    """An agent wants to be forgotten."""
    return asks(at, agent, "", RequestKind.ERASURE, ce_id=erasure(agent), asked_at=iso(at))


def erasure(agent: Agent) -> str:
    """Return the id of the request of `is_forgotten`."""
    return request_id(f"{agent.agent_id}/forgotten")
