"""What is done in the year, each with its moment, on a running stack (`Year`); what is asked by a portal."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from local.demo.api_client import ApiClient
from local.demo.observed import reading
from local.demo.people import Agent
from local.demo.portal import Portal, PortalRequest, RequestKind
from local.failures import LocalStackError
from local.readiness import wait_until
from local.services import SupervisedProcess
from local.stack import READY_SECONDS, Stack
from local.year.hearing import Letters
from local.year.quiet import PATIENCE_SECONDS

PARIS = ZoneInfo("Europe/Paris")
_DECISIONS_ARE_READ = "SELECT min(read_until) >= $1 FROM read_progress WHERE topic = 'enrolment.decisions'"


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
    """The running year: sessions by their names here, the stack, the portal, the APIs, the letters."""

    def __init__(self, stack: Stack, portal: Portal, catalogue: ApiClient, enrolment: ApiClient) -> None:
        if stack.mailbox is None:
            raise LocalStackError("the year needs the stack's own mailbox")
        self.stack = stack
        self.portal = portal
        self.catalogue = catalogue
        self.enrolment = enrolment
        self.letters = Letters(stack.mailbox.directory)
        self.sessions: dict[str, str] = {}

    async def find_mooc(self) -> None:
        """Find the session of the offer's own MOOC."""
        sessions = await self.catalogue.items("/api/v1/sessions")
        (self.sessions["mooc"],) = [
            session["session_id"] for session in sessions if session["format"] == "mooc"
        ]

    async def publish_session(self, name: str, draft: Mapping[str, Any]) -> None:
        """Draft a session and publish it."""
        self.sessions[name] = (await self.catalogue.call("POST", "/api/v1/sessions", draft))["session_id"]
        await self.catalogue.call("POST", f"/api/v1/sessions/{self.sessions[name]}/publish")

    async def start_notifier_again(self, **settings: str) -> None:
        """Start the notifier again, with these settings too: what it does by the minute is done now."""
        processes = [process for process in self.stack.services if process.service == "notifier"]
        for process in processes:
            process.env = {**process.env, **settings}
        await asyncio.to_thread(start_again, processes)

    async def wait_until_decisions_are_read(self, moment: datetime) -> None:
        """Return once the notifier knows that it has read all that was decided before a moment."""
        began = time.monotonic()
        async with reading(self.stack.database_url("notifier")) as database:
            while not await database.fetchval(_DECISIONS_ARE_READ, moment):
                if time.monotonic() - began > PATIENCE_SECONDS:
                    raise LocalStackError("some decisions are never read")
                await asyncio.sleep(0.1)

    async def roster(self, session: str) -> dict[str, dict[str, Any]]:
        """Return the entries of a session's roster, by the agents' addresses."""
        entries = await self.enrolment.items(f"/api/v1/sessions/{self.sessions[session]}/roster")
        return {entry["agent"]["email"]: entry for entry in entries}


def start_again(processes: Sequence[SupervisedProcess]) -> None:
    """Stop processes of the stack, which starts them again, and return once they are ready."""
    for process in processes:
        if process.child is not None:
            process.child.stop()
    for process in processes:
        wait_until(process.ready, seconds=READY_SECONDS, what=f"{process.name} being ready again")


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


def ask_together(at: str, agents: Sequence[Agent], session: str, *, may_wait: bool = False) -> Act:
    """A training officer asks for all of these, or for nobody."""
    return asks(at, agents[0], session, RequestKind.GROUP, agents=tuple(agents), may_wait=may_wait)


def withdraws(at: str, agent: Agent, session: str) -> Act:
    """An agent withdraws."""
    return asks(at, agent, session, RequestKind.WITHDRAWAL)


def is_approved(at: str, agent: Agent, session: str) -> Act:
    """The agent's employer agrees."""
    return asks(at, agent, session, RequestKind.APPROVAL)


def asks_for_training(at: str, name: str, agents: Sequence[Agent]) -> Act:
    """The training officer of an authority asks its delegation for training of its own."""
    return asks(
        at, agents[0], name, RequestKind.BESPOKE, agents=tuple(agents), ce_id=request_id(f"{name}/asked")
    )


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


def sends_what_is_not_valid(at: str, agent: Agent, session: str) -> Act:
    """The portal sends a request for an agent with a function that there is not."""
    wrong = replace(agent, function="stagiaire")
    return asks(at, wrong, session, ce_id=not_valid(agent))


def not_valid(agent: Agent) -> str:
    """Return the id of the request of `sends_what_is_not_valid`."""
    return request_id(f"{agent.agent_id}/not valid")


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
