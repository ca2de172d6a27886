"""What the clients of a run do: the steps of the plan, and how agents react to what they hear."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx

from local.people import Population
from local.portal import requests
from local.portal.requests import Request
from tests.proof.clients import AnswerReader, Organiser, RequestSender, Urls, press_link
from tests.proof.history import History
from tests.proof.plan import BY_ORGANISER, Act, RunPlan, SessionInPlan, Step
from tests.proof.sink import MailSink

LETTER_SECONDS = 30.0
"""An agent who has no letter after that does not use its link."""
THEME = "enjeux-ia"
OFFER_PAGE, WITHDRAW_PAGE = "/inscriptions/offre", "/inscriptions/desistement"
GRANTED = 0.8
"""The share of employers who agree."""
LAPSES, BY_LINK, ACCEPTS, LEAVES = 0.2, 0.3, 0.75, 0.03
"""The shares of offers without a reply, of replies by link, of replies that accept, of seats left by link."""


class Actors:
    """``issuers`` has that of each portal; ``links``: the addresses of the service that serves links."""

    def __init__(
        self,
        plan: RunPlan,
        history: History,
        sink: MailSink,
        seed: int,
        *,
        issuers: Mapping[str, str],
        senders: Mapping[str, RequestSender],
        organiser: Organiser,
        links: Urls,
    ) -> None:
        self.plan = plan
        self._history = history
        self._sink = sink
        self._seed = seed
        self._portals = _grouped(issuers)
        self._senders = senders
        self._organiser = organiser
        self._links = links
        people = Population(f"{seed:x}", Random(seed))
        self._agents = [people.agent() for _ in plan.issuers]
        for step in plan.steps:
            if step.act is Act.NOMINATE:  # all of one authority
                employer = self._agents[step.agents[0]].employer
                for number in step.agents:
                    self._agents[number] = replace(self._agents[number], employer=employer)
        self._by_id = {agent.agent_id: number for number, agent in enumerate(self._agents)}
        self._use_links = _agents_who_use_links(plan)
        sink.readers = {self._agents[number].email for number in self._use_links}
        self._sessions: list[str] = []
        self._by_session: dict[str, SessionInPlan] = {}
        self._sent: dict[int, tuple[str, Request]] = {}
        self._readers: Sequence[AnswerReader] = ()
        self._heard: set[str] = set()
        self._erased: set[int] = set()
        self._tasks: dict[asyncio.Task[None], tuple[int, ...]] = {}
        """With the agents for whom they send."""
        self._errors: list[BaseException] = []
        self._is_ending = False

    @asynccontextmanager
    async def listening(self, readers: Sequence[AnswerReader]) -> AsyncIterator[None]:
        """Have the portals read their feeds in the block, until :meth:`read_the_rest`."""
        self._readers = readers
        self._reading = [asyncio.create_task(reader.run()) for reader in readers]
        try:
            yield
        finally:
            await self._stop_reading()

    async def draft_sessions(self) -> None:
        for number, session in enumerate(self.plan.sessions):
            self._sessions.append(await self._organiser.draft(_draft(number, session)))
            self._by_session[self._sessions[-1]] = session
            if session.published_at is None:
                await self._publish(number)

    async def take_steps(self, rate: float) -> None:
        due = time.monotonic()
        for step in self.plan.steps:
            self._begin(self._take(step), *step.agents)
            due += 1 / rate
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def end(self) -> None:
        """From now on every offer is answered at once, and nobody leaves. Wait until all is sent."""
        self._is_ending = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._errors:
            raise self._errors[0]

    async def read_the_rest(self) -> None:
        """Once everything is at rest, read the feeds to their ends."""
        await self._stop_reading()
        for reader in self._readers:
            while await reader.read():
                pass

    def some_session(self) -> str:
        return self._sessions[0]

    def hear(self, answer: Mapping[str, Any]) -> None:
        """Have an agent or employer react once to an answer, though each portal of the issuer hears it."""
        name, data = answer["type"].split(".")[-2], answer["data"]
        reacts_to = ("SeatOffered", "AgentEnrolled", "EnrolmentPending")
        if name not in reacts_to or answer["id"] in self._heard:
            return
        self._heard.add(answer["id"])
        number = self._by_id[data["agent"]["agent_id"]]
        if number in self._erased:
            return
        choices = Random(f"{self._seed} {number} {name}")
        agent, issuer = self._agents[number], data["agent"]["issuer"]
        uses_link = number in self._use_links and not self._is_ending
        session = self._by_session.get(data["session_id"])
        asks_employer = session is not None and session.approval == "employer"
        if name == "EnrolmentPending" and asks_employer:
            granted = choices.random() < GRANTED
            request = requests.approval(data["session_id"], agent, granted=granted)
            self._begin(self._senders[self._portals[issuer][0]].send(request), number)
        elif name == "SeatOffered" and (self._is_ending or choices.random() >= LAPSES):
            accepted = choices.random() < ACCEPTS
            if uses_link and choices.random() < BY_LINK:
                reply = "oui" if accepted else "non"
                reply_by_link = self._by_link(number, data, OFFER_PAGE, "answer offer by link", reponse=reply)
                self._begin(reply_by_link, number)
            else:
                request = requests.offer_answer(data["session_id"], agent, accepted=accepted)
                self._begin(self._senders[self._portals[issuer][0]].send(request), number)
        elif name == "AgentEnrolled" and uses_link and choices.random() < LEAVES:
            leaving = self._by_link(number, data, WITHDRAW_PAGE, "withdraw by link", confirmer="oui")
            self._begin(leaving, number)

    # ------------------------------------------------------------------------------------------- steps

    async def _take(self, step: Step) -> None:
        if step.act is Act.PUBLISH:
            await self._publish(step.session)
        elif step.act in BY_ORGANISER:
            await self._organise(step)
        elif step.act is Act.BULK:
            portal = self._portals[self.plan.issuers[step.agents[0]]][0]
            session_id = self._sessions[step.session]
            seats = [requests.seat(session_id, self._agents[agent]) for agent in step.agents]
            await self._senders[portal].send_in_bulk(seats)
        elif step.act is Act.NOMINATE:
            await self._nominate(step)
        else:
            if step.act is Act.ERASE:
                await self._until_nothing_is_sent_for(step.agents[0])
            portal, request = self._request(step)
            for number in step.agents:
                self._sent[number] = portal, request
            await self._senders[portal].send(request)

    async def _nominate(self, step: Step) -> None:
        """An authority asks for training, the organiser agrees, and the authority names its trainees."""
        agents = [self._agents[number] for number in step.agents]
        sender = self._senders[self._portals[self.plan.issuers[step.agents[0]]][step.number % 2]]
        employer = agents[0].employer
        asked = requests.bespoke(employer, THEME, trainees=len(agents))
        await sender.send(asked)
        session_id = await self._organiser.agree_on_training(asked.id, _private_session())
        await sender.send(requests.nomination(session_id, agents, employer))

    def _request(self, step: Step) -> tuple[str, Request]:
        agents = [self._agents[number] for number in step.agents]
        portals = self._portals[self.plan.issuers[step.agents[0]]]
        portal, session_id = portals[step.number % 2], self._sessions[step.session]
        match step.act:
            case Act.GROUP:
                together = len(agents) > 3
                return portal, requests.group(session_id, agents, all_or_nothing=together, may_wait=together)
            case Act.WITHDRAW:
                return portal, requests.withdrawal(session_id, agents[0])
            case Act.MOVE:
                return portal, requests.swap(session_id, agents[0], self._sessions[step.number])
            case Act.SUBSCRIBE:
                subscribed = step.number // 2 > 0
                return portal, requests.subscription(agents[0], subscribed=subscribed, theme=THEME)
            case Act.BESPOKE:
                return portal, requests.bespoke(agents[0].employer, THEME, trainees=12)
            case Act.ERASE:
                return portal, requests.erasure(agents[0], datetime.now(UTC))
            case Act.INVALID:  # by Kafka: HTTP refuses it at once
                return portals[0], requests.seat(session_id, replace(agents[0], function="stagiaire"))
            case Act.REPEAT if step.agents[0] in self._sent:  # once more, with its id
                return self._sent[step.agents[0]]
        return portal, requests.seat(session_id, agents[0])

    async def _until_nothing_is_sent_for(self, number: int) -> None:
        """A request that is received after the erasure would bring the agent back."""
        self._erased.add(number)
        own = asyncio.current_task()
        while sending := [
            task for task, agents in self._tasks.items() if number in agents and task is not own
        ]:
            await asyncio.wait(sending)

    async def _publish(self, number: int) -> None:
        await self._organiser.publish(self._sessions[number], self.plan.sessions[number].capacity)

    async def _organise(self, step: Step) -> None:
        session_id = self._sessions[step.session]
        if step.act is Act.MESSAGE:
            await self._organiser.write_to_participants(session_id, f"Message {step.number}")
            return
        for _ in range(3):
            with suppress(httpx.HTTPError, AssertionError):  # the page did not open: nothing is changed
                if step.act is Act.SELECT:
                    await self._organiser.select(session_id)
                elif step.act is Act.ATTENDANCE:
                    await self._organiser.record_attendance(session_id, Random(step.number))
                elif step.act is Act.CAPACITY:
                    await self._organiser.change_capacity(session_id, step.number)
                else:
                    await self._organiser.cancel(session_id)
                return
            await asyncio.sleep(1)

    async def _by_link(
        self, number: int, data: Mapping[str, Any], page: str, action: str, **form: str
    ) -> None:
        agent, end = self._agents[number], time.monotonic() + LETTER_SECONDS
        while (link := self._sink.links.get((agent.email, page))) is None:
            if time.monotonic() > end:
                return
            await asyncio.sleep(0.2)
        asked = {"session_id": data["session_id"], "agent_id": agent.agent_id}
        await press_link(self._history, link, self._links, action, asked, **form)

    # ------------------------------------------------------------------------------------------- tasks

    def _begin(self, work: Coroutine[Any, Any, None], *agents: int) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = agents
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    async def _stop_reading(self) -> None:
        for task in self._reading:
            task.cancel()
        for outcome in await asyncio.gather(*self._reading, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


def _grouped(issuers: Mapping[str, str]) -> dict[str, list[str]]:
    portals: dict[str, list[str]] = defaultdict(list)
    for portal, issuer in issuers.items():
        portals[issuer].append(portal)
    return portals


def _agents_who_use_links(plan: RunPlan) -> set[int]:
    """Return the agents of one session. A letter does not tell a program which session it is about.

    No link withdraws from a session that has begun.
    """
    sessions: dict[int, set[int]] = defaultdict(set)
    others: set[int] = set()
    for step in plan.steps:
        if step.act in (Act.BULK, Act.NOMINATE) or plan.sessions[step.session].has_begun:
            others |= set(step.agents)
        for agent in step.agents:
            sessions[agent] |= {step.session, *([step.number] if step.act is Act.MOVE else [])}
    return {agent for agent, places in sessions.items() if len(places) == 1} - others


def _draft(number: int, session: SessionInPlan) -> dict[str, Any]:
    now = datetime.now(UTC)
    starts_at = now - timedelta(hours=1) if session.has_begun else now + timedelta(days=40)
    return {
        "offer_id": "ia-et-territoires",
        "title": f"Session {number}",
        "organiser": "bretagne",
        "enrolment_opens_at": _moment(now - timedelta(days=1)),
        "enrolment_closes_at": _moment(now + timedelta(hours=10 if session.has_begun else 480)),
        "starts_at": _moment(starts_at),
        "ends_at": _moment(starts_at + timedelta(hours=12)),
        "timezone": "Europe/Paris",
        "venue": "Rennes",
        "capacity": session.capacity,
        "waiting_list": session.waiting_list,
        "approval": session.approval,
    }


def _private_session() -> dict[str, Any]:
    """Return a session with fewer seats than some authorities name trainees."""
    starts_at = datetime.now(UTC) + timedelta(days=60)
    return {
        "offer_id": "sur-mesure-enjeux-ia",
        "title": "Les enjeux de l’IA",
        "starts_at": _moment(starts_at),
        "ends_at": _moment(starts_at + timedelta(hours=7)),
        "timezone": "Europe/Paris",
        "capacity": 4,
        "venue": "Hôtel de ville",
    }


def _moment(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()
