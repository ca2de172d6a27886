import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, cycle, islice
from pathlib import Path
from random import Random

from local import credentials
from local.demo.day import Day
from local.demo.portal import Portal, record_of, utc_now
from local.demo.sessions import draft
from local.model.session import CatalogueSession
from local.people import TOWNS, Population
from local.portal import requests
from local.portal.envelope import SigningKey
from local.portal.requests import Request
from local.rehearsal.measuring import CpuMeter
from local.rehearsal.organisers import CATALOGUE, ENROLMENT, Organiser, form_of
from local.rehearsal.simulation import arrived
from local.services import start_again

AGENTS, SESSIONS, SECONDS = 200_000, 5_000, 900.0
_TICK_SECONDS = 0.2
_BETWEEN_TASKS_SECONDS = 20.0
_SENT_TWICE, _ASKED_AGAIN, _LEAVING = 0.01, 0.005, 0.02
_FILE_IS_READ_SECONDS = 3.0  # the services look at the registry of portals each second
_KINDS = (("event", 20, 1.0), ("event", 45, 1.0), ("webinar", 60, 2.0), ("event", 30, 1.2))
"""Kind, capacity and demand of the sessions, in turn. A full webinar refuses; others have waiting lists."""
_NATIONAL_SHARE = 0.03
"""The share of the agents who want one webinar, which has half as many seats."""


@dataclass(frozen=True)
class OpenSessions:
    """`demand` has the sessions of the crowd.

    `by_hand` has one session of each delegation; its organiser enrols people on the page.
    """

    demand: Mapping[CatalogueSession, float]
    by_hand: Sequence[CatalogueSession]
    to_cancel: CatalogueSession


@dataclass
class Rehearsal:
    """`pages` has milliseconds, `used` CPU seconds by part.

    `happened` has what happened, when it began and how many seconds it took.
    """

    size: float
    registry: Path
    tokens: Mapping[str, str]
    opened_at: datetime = field(default_factory=utc_now)
    pages: list[float] = field(default_factory=list)
    happened: list[tuple[str, datetime, float]] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=dict)

    @property
    def agents(self) -> int:
        return round(AGENTS * self.size)

    @property
    def seconds(self) -> float:
        return SECONDS * self.size

    @contextlib.contextmanager
    def noting(self, what: str) -> Iterator[None]:
        began, at = time.monotonic(), utc_now()
        yield
        self.happened.append((what, at, time.monotonic() - began))


class Hour(Day):
    """Agents come by three portals, while organisers work and operators change things."""

    pause_seconds = 1.0  # a look among 200,000 mails takes time itself

    async def rehearse(self, rehearsal: Rehearsal) -> None:
        random = Random(2025)
        offer = await self._open(rehearsal, random)
        meter = CpuMeter(self._stack.pids)
        try:
            await self._play_all(rehearsal, offer, Population(secrets.token_hex(3), random), random, meter)
            await self._wait_for_the_end()
        finally:
            rehearsal.used = meter.read()

    async def _play_all(
        self, rehearsal: Rehearsal, offer: OpenSessions, people: Population, random: Random, meter: CpuMeter
    ) -> None:
        over, forms = asyncio.Event(), asyncio.Lock()
        urls = {CATALOGUE: self._stack.url("catalogue"), ENROLMENT: self._stack.url("enrolment")}
        async with AsyncExitStack() as browsers:
            organisers = {
                name: await browsers.enter_async_context(Organiser.at_work(urls, token, rehearsal.pages))
                for name, token in rehearsal.tokens.items()
            }
            rehearsal.opened_at = utc_now()
            working = [
                asyncio.create_task(
                    self._work(session, organisers[session.organiser], offer, people, over=over, forms=forms)
                )
                for session in offer.by_hand
            ]
            await asyncio.gather(
                self._arrive(rehearsal, offer.demand, people, random),
                self._cancel_on_page(rehearsal, offer.to_cancel, organisers, people),
                self._rotate_key(rehearsal, self._portals[1], offer.by_hand[1], people),
                self._replace_service(rehearsal, forms, meter),
            )
            over.set()
            await asyncio.gather(*working)

    async def _open(self, rehearsal: Rehearsal, random: Random) -> OpenSessions:
        each = max(3, round(SESSIONS * rehearsal.size / len(TOWNS)))
        terms = [("event", 3), ("webinar", round(rehearsal.agents * _NATIONAL_SHARE / 2) + 100)]
        terms += [(kind, capacity) for kind, capacity, _ in islice(cycle(_KINDS), each - 2)]

        async def publish(delegation: str) -> list[CatalogueSession]:
            return [
                await self._publish_session(
                    draft(
                        utc_now(),
                        number % 200,
                        kind=kind,
                        title=f"L’IA dans les services, session n° {number + 1}",
                        organiser=delegation,
                        capacity=capacity,
                    )
                )
                for number, (kind, capacity) in enumerate(terms)
            ]

        published = await asyncio.gather(*map(publish, TOWNS))
        demand: dict[CatalogueSession, float] = {}
        for sessions in published:
            of_delegation = random.uniform(0.6, 1.4)
            for session, (_, _, wanted) in zip(sessions[2:], cycle(_KINDS), strict=False):
                demand[session] = of_delegation * wanted
            for session in sessions:
                self.model.add_session(session)
        to_cancel, national, *_ = (sessions[1] for sessions in published)
        demand[national] = sum(demand.values()) * _NATIONAL_SHARE
        await self._wait_until_all_is_read()
        return OpenSessions(demand, [sessions[0] for sessions in published], to_cancel)

    # ------------------------------------------------------------------------------------------ the crowd

    async def _arrive(
        self,
        rehearsal: Rehearsal,
        demand: Mapping[CatalogueSession, float],
        people: Population,
        random: Random,
    ) -> None:
        """Send what is due by the clock, however long the answers take."""
        sessions, weights = list(demand), list(accumulate(demand.values()))
        began, came = time.monotonic(), 0
        while came < rehearsal.agents:
            part = min(1.0, (time.monotonic() - began) / rehearsal.seconds)
            coming = round(rehearsal.agents * arrived(part)) - came
            wanted = random.choices(sessions, cum_weights=weights, k=coming)
            asked = [requests.seat(session.session_id, people.agent(session.organiser)) for session in wanted]
            twice = [request for request in asked if random.random() < _SENT_TWICE]
            again = [
                requests.seat(request.session_id, request.agents[0])
                for request in asked
                if random.random() < _ASKED_AGAIN
            ]
            await self._publish([*asked, *twice, *again, *self._leaving(wanted, random)])
            came += coming
            await asyncio.sleep(_TICK_SECONDS)

    def _leaving(self, sessions: Sequence[CatalogueSession], random: Random) -> Iterator[Request]:
        """Each seat that becomes free goes to the next agent in line."""
        for session_id in sorted({session.session_id for session in sessions}):
            enrolled = self.model.sessions[session_id].enrolled
            if enrolled and random.random() < _LEAVING:
                yield requests.withdrawal(session_id, random.choice(list(enrolled.values())))

    # ------------------------------------------------------------------------------------------ meanwhile

    async def _work(
        self,
        session: CatalogueSession,
        organiser: Organiser,
        offer: OpenSessions,
        people: Population,
        *,
        over: asyncio.Event,
        forms: asyncio.Lock,
    ) -> None:
        random = Random(session.organiser)
        own = [each for each in offer.demand if each.organiser == session.organiser]
        while not over.is_set():
            await organiser.read(ENROLMENT)
            await organiser.read(f"{ENROLMENT}/sessions/{random.choice(own).session_id}")
            await organiser.read(CATALOGUE)
            async with forms:
                await self._enrol_on_page(session, organiser, people)
            with contextlib.suppress(TimeoutError):
                pause = random.uniform(0.5, 1.5) * _BETWEEN_TASKS_SECONDS
                await asyncio.wait_for(over.wait(), pause)

    async def _enrol_on_page(
        self, session: CatalogueSession, organiser: Organiser, people: Population
    ) -> None:
        agent = people.agent(session.organiser)
        await organiser.submit(f"{ENROLMENT}/sessions/{session.session_id}/ajout", **form_of(agent))
        roster = await self._enrolment.items(f"/api/v1/sessions/{session.session_id}/roster")
        (agent_id,) = (
            entry["agent"]["agent_id"] for entry in roster if entry["agent"]["email"] == agent.email
        )
        enrolled = dataclasses.replace(agent, agent_id=agent_id)
        self.model.enrol_by_hand(session.session_id, enrolled, above_capacity=False)

    async def _cancel_on_page(
        self,
        rehearsal: Rehearsal,
        session: CatalogueSession,
        organisers: Mapping[str, Organiser],
        people: Population,
    ) -> None:
        def seats(number: int) -> list[Request]:
            return [requests.seat(session.session_id, people.agent()) for _ in range(number)]

        await asyncio.sleep(0.2 * rehearsal.seconds)
        await self._publish(seats(120))
        await self._wait_for_answers()
        with rehearsal.noting("cancelled"):
            await organisers[session.organiser].submit(f"{CATALOGUE}/sessions/{session.session_id}/annuler")
            self.model.cancel(session.session_id)
            await self._wait_for_consequences("cancelled")
        await self._publish(seats(15))

    async def _rotate_key(
        self, rehearsal: Rehearsal, portal: Portal, session: CatalogueSession, people: Population
    ) -> None:
        """The former key ends once all requests that it signed are answered. A later one is refused."""
        await asyncio.sleep(0.4 * rehearsal.seconds)
        name, former = portal.source.rpartition("/")[2], portal.key
        with rehearsal.noting("rotated"):
            new = SigningKey.of(*credentials.add_key(rehearsal.registry, name))
            await asyncio.sleep(_FILE_IS_READ_SECONDS)
            portal.key = new
            await asyncio.sleep(_FILE_IS_READ_SECONDS)
            await self._wait_for_answers()
            credentials.end_first_key(rehearsal.registry, name, utc_now())
        await asyncio.sleep(_FILE_IS_READ_SECONDS)
        late = requests.seat(session.session_id, people.agent())
        await portal.publish_raw([record_of(late, portal.source, former, utc_now())])
        self._malformed += 1

    async def _replace_service(self, rehearsal: Rehearsal, forms: asyncio.Lock, meter: CpuMeter) -> None:
        await asyncio.sleep(0.6 * rehearsal.seconds)
        (process, *_) = (each for each in self._stack.services if each.service == "enrolment")
        async with forms:  # a form that is lost on its way would be a person's to send again
            with rehearsal.noting("replaced"):
                meter.read()
                await asyncio.to_thread(start_again, [process])
