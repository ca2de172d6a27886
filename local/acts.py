"""The day, played on a running stack: what is published and called in which order, and what is waited for."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, Self

from local import audit
from local.apis import Api, press
from local.audit import Decisions, MailFiles
from local.books import Books, SessionFacts
from local.drafts import drafts, private_session
from local.failures import LocalStackError
from local.people import Population
from local.portal import Ask, Portal, Sent, officer_of, rubbish
from local.scenario import Day, Stage, stage
from local.stack import Stack
from shared.messaging.broker import KafkaSettings, client_options

DAY_SECONDS = 90.0
PORTALS = ("inscriptions-en-ligne", "portail-bretagne", "portail-la-reunion")
OFFER_PAGE = "/inscriptions/offre"
Say = Callable[[str], None]


class TimeIsUp(Exception):
    """What was waited for did not come: the comparison says what is missing."""


class Acts:
    """One day on a running stack; an async context manager. `play` it, then compare `books` with the rest."""

    def __init__(self, stack: Stack, say: Say, began: float, run: str) -> None:
        if stack.mailbox is None:
            raise LocalStackError("the demonstration needs the stack's own mailbox")
        self.books = Books(())
        self.decisions = Decisions(connection_of(stack, "demo-reader"))
        self.mails = MailFiles(stack.mailbox.directory)
        self.selected: dict[str, int] = {}
        self.unreadable = 0
        self._records = 0
        self._random = Random(2025)
        self._people = Population(run, self._random)
        self._stack = stack
        self._say = say
        self._began = began
        self._deadline = time.monotonic() + DAY_SECONDS
        self._told = ""
        self._told_at = 0.0
        self._portals = [Portal(name, connection_of(stack, f"portal-{name}")) for name in PORTALS]
        self._catalogue = Api("catalogue", stack.url("catalogue"), stack.token)
        self._enrolment = Api("enrolment service", stack.url("enrolment"), stack.token)
        self._connections = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._connections.enter_async_context(self.decisions)
        for portal in self._portals:
            await self._connections.enter_async_context(portal)
        for api in (self._catalogue, self._enrolment):
            await self._connections.enter_async_context(api)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.aclose()

    async def play(self) -> None:
        """Play the day, and wait until all is answered and mailed; for so long as the day lasts."""
        try:
            await self._play()
        except TimeIsUp as late:
            self._say(f"Not in time: {late}")
        self._end_of_progress()

    async def _play(self) -> None:
        sessions = await self._set_up()
        day = Day(sessions, self._people, self._random)
        await self._many_ask(day, sessions)
        await self._some_leave(day, sessions)
        await self._offers(day)
        await self._cancel(sessions.the("to_cancel"))
        await self._release(sessions.the("reserved"))
        await self._lapse(day, sessions.the("offers"))
        await self._by_link(day, sessions.the("by_link"))
        await self._publish(day.third_act())
        await self._answered()
        await self._followed("enrolled", "withdrawn")
        await self._mailed()
        await self._replay(sessions.the("recorded"))
        connection = connection_of(self._stack, "demo-auditor")
        await self._until("that everything is read", lambda: audit.all_is_read(connection))
        self.mails.look()

    # --------------------------------------------------------------------------------------- the acts

    async def _set_up(self) -> Stage:
        """Publish the small sessions, and cast the day from all there are."""
        now = datetime.now(UTC)
        created: dict[str, list[SessionFacts]] = {}
        for part, bodies in drafts(now).items():
            created[part] = []
            for body in bodies:
                draft = await self._catalogue.call("POST", "/api/v1/sessions", body)
                published = await self._catalogue.call(
                    "POST", f"/api/v1/sessions/{draft['session_id']}/publish"
                )
                created[part].append(SessionFacts.of(published))
        cast = stage(await self._catalogue.every("/api/v1/sessions"), created, now)
        for facts in cast.all():
            self.books.add(facts)
        return cast

    async def _many_ask(self, day: Day, sessions: Stage) -> None:
        """Agents, groups and an authority ask; what cannot be read comes too."""
        bespoke, trainees = day.asks_for_bespoke()
        await self._publish([bespoke])
        await self._publish(day.first_act())
        for group in day.groups():  # one after the other: portals of their own would race
            await self._publish([group])
        await self._publish(day.reserved())
        await self._publish_rubbish(sessions)
        private = await self._agree(bespoke)
        await self._publish(day.bespoke(private, trainees))
        # Requests for sessions that do not exist are answered last, when patience ends.
        await self._answered(but_unknown=True)

    async def _agree(self, bespoke: Ask) -> SessionFacts:
        """The delegation proposes, then agrees on a private session."""
        path = f"/api/v1/bespoke-requests/{bespoke.ce_id}"
        await self._until("the authority's request", lambda: self._catalogue.exists(path))
        await self._answer_officer(bespoke, {"answer": "proposed"})
        session = private_session(datetime.now(UTC))
        agreed = await self._answer_officer(bespoke, {"answer": "agreed", "session": session})
        shown = await self._catalogue.call("GET", f"/api/v1/sessions/{agreed['session_id']}")
        facts = SessionFacts.of(shown)
        self.books.add(facts)
        return facts

    async def _answer_officer(self, bespoke: Ask, answer: dict[str, Any]) -> dict[str, Any]:
        advisor = {"name": "Claire Hébrard", "email": "conseil.occitanie@cnfpt.example"}
        answered = await self._catalogue.call(
            "POST", f"/api/v1/bespoke-requests/{bespoke.ce_id}/answers", {"advisor": advisor, **answer}
        )
        self.books.answer_officer(officer_of(bespoke.agent)["email"])
        return answered

    async def _some_leave(self, day: Day, sessions: Stage) -> None:
        """Seats are freed, employers decide, the organiser ranks who applied."""
        await self._rank(day, sessions.the("selection"))
        leaving, _ = day.one_leaves(self.books, "selection")
        await self._publish([*day.second_act(self.books), *day.employers(self.books), leaving])

    async def _rank(self, day: Day, session: SessionFacts) -> None:
        ranked, not_selected = day.ranking(self.books)
        self.selected = await self._enrolment.call(
            "PUT",
            f"/api/v1/sessions/{session.session_id}/selection",
            {"ranked": ranked, "not_selected": not_selected},
        )
        self.books.select(session.session_id, ranked, not_selected)

    async def _offers(self, day: Day) -> None:
        """Who has an offer takes or leaves it; who is next then takes it; one stays silent."""
        for declining in (True, False):
            await self._followed("offered")
            await self._publish(day.answers_to_offers(self.books, declining=declining))
        await self._answered(but_unknown=True)

    async def _cancel(self, session: SessionFacts) -> None:
        await self._catalogue.call("POST", f"/api/v1/sessions/{session.session_id}/cancel")
        self.books.cancel(session.session_id)
        await self._followed("cancelled")

    async def _release(self, session: SessionFacts) -> None:
        """The reserved seats are released sooner than was planned: by the clock, while others wait."""
        release_at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        reserved = [
            {"delegation": delegation, "seats": seats, "release_at": release_at}
            for delegation, seats in session.reserved
        ]
        await self._catalogue.call(
            "PATCH", f"/api/v1/sessions/{session.session_id}", {"reserved_seats": reserved}
        )
        self.books.release(session.session_id)

    async def _lapse(self, day: Day, session: SessionFacts) -> None:
        """Time runs out for who said nothing, and the next one takes the seat."""
        self.books.lapse(session.session_id)
        await self._followed("lapsed", "offered")
        await self._publish(day.late_acceptance(self.books))

    async def _by_link(self, day: Day, session: SessionFacts) -> None:
        """An offer is accepted by the link in its mail, once the mails before it have gone."""
        await self._mailed(but_unknown=True)
        leaving, first = day.one_leaves(self.books, "by_link")
        await self._publish([leaving])

        async def has_come() -> bool:
            return self.mails.link_to(first.email, OFFER_PAGE) is not None

        await self._until("the mail of an offer", has_come)
        await press(self.mails.link_to(first.email, OFFER_PAGE) or "", reponse="oui")
        self.books.answer_by_link(session.session_id, first, accepted=True)

    async def _replay(self, session: SessionFacts) -> None:
        replay = {
            "session_id": session.session_id,
            "title": f"{session.title}, l’enregistrement",
            "url": f"https://videos.example.org/replays/{session.session_id}",
        }
        await self._catalogue.call("POST", "/api/v1/replays", replay)
        self.books.announce_replay(session.session_id)
        await self._mailed()

    # ------------------------------------------------------------------------------------- publishing

    async def _publish(self, asks: list[Ask]) -> None:
        """Send requests, an agent's always through the same portal, and enter them in the books."""
        shares: dict[int, list[Ask]] = {number: [] for number in range(len(self._portals))}
        for ask in asks:
            shares[int(ask.agent.agent_id[-5:]) % len(self._portals)].append(ask)
        sent: list[Sent] = []
        for batch in await asyncio.gather(*[self._portals[n].publish(share) for n, share in shares.items()]):
            sent += batch
        self._records += len(sent)
        self.books.record(sent)
        self._progress()

    async def _publish_rubbish(self, sessions: Stage) -> None:
        good = Ask(sessions.the("popular").session_id, self._people.agent())
        spoilt = rubbish(self._portals[0], good)
        await self._portals[0].publish_raw([*spoilt.parked, *spoilt.ignored])
        self._records += len(spoilt.parked) + len(spoilt.ignored)
        self.unreadable += len(spoilt.parked)

    # --------------------------------------------------------------------------------------- waiting

    async def _answered(self, *, but_unknown: bool = False) -> None:
        due = {
            key
            for key, answer in self.books.answers.items()
            if not (but_unknown and answer.reason == "unknown_session")
        }

        async def all_answered() -> bool:
            return due <= self.decisions.answers.keys()

        await self._until("answers", all_answered)

    async def _followed(self, *outcomes: str) -> None:
        """Return once all of these outcomes have followed, from requests or from the clock.

        Only these: one thing that is wrong elsewhere must not end the day for what comes after it.
        """

        async def all_followed() -> bool:
            return all(self.books.following(one) <= self.decisions.followed for one in outcomes)

        await self._until(f"who is {' or '.join(outcomes)}", all_followed)

    async def _mailed(self, *, but_unknown: bool = False) -> None:
        late = sum(answer.reason == "unknown_session" for answer in self.books.answers.values())

        async def all_settled() -> bool:
            superseded = await audit.superseded_mails(self._stack.database_url("notifier"))
            due = self.books.mails.total() - (late if but_unknown else 0)
            return self.mails.look() + superseded.total() >= due

        await self._until("mails", all_settled)

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return when the condition is true. Raises `TimeIsUp` when the day is over before."""

        async def told() -> bool:
            self._progress()
            return await condition()

        if not await audit.wait_for(told, seconds=self._deadline - time.monotonic()):
            raise TimeIsUp(what)

    def _progress(self) -> None:
        """Say how far it is: on a terminal in one line that changes, else every few seconds."""
        now = time.monotonic()
        terminal = sys.stdout.isatty()
        if now - self._told_at < (0.25 if terminal else 3):
            return
        self._told_at = now
        line = (
            f"{now - self._began:5.0f} s  {self._records} records published, "
            f"{len(self.decisions.answers)} of {self.books.due()} answers, "
            f"{self.mails.look()} of {self.books.mails.total()} mails"
        )
        if terminal:
            sys.stdout.write(f"\r\033[K{line}")
            sys.stdout.flush()
        elif line[9:] != self._told:
            self._say(line)
        self._told = line[9:]

    def _end_of_progress(self) -> None:
        self._told_at = 0
        self._progress()
        if sys.stdout.isatty():
            self._say("")


def connection_of(stack: Stack, client_id: str) -> dict[str, Any]:
    """Return how to reach the stack's broker: an external one with the security that the environment says."""
    if stack.broker is not None:
        return {"bootstrap_servers": stack.kafka, "client_id": client_id}
    return client_options(KafkaSettings(kafka_bootstrap_servers=stack.kafka), client_id)
