import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any, Self

from local.api_client import ApiClient, submit_page
from local.demo.comparison import Observed
from local.demo.decisions import DecisionLog, read_databases, superseded_mails
from local.demo.portal import Portal, malformed_records, utc_now
from local.demo.progress import Progress, Say
from local.demo.requests import Crowd, RequestScript
from local.demo.sessions import (
    ORGANISERS_ADDRESS,
    DemoSessions,
    choose_sessions,
    private_session,
    small_sessions,
)
from local.model.day import ReferenceModel
from local.model.session import CatalogueSession
from local.observing import Mailbox, all_is_read
from local.people import Agent, Population
from local.portal import requests
from local.portal.envelope import SigningKey
from local.portal.requests import Request
from local.stack import Stack

PATIENCE_SECONDS = 90.0
"""Give up after this time without progress. It exceeds the longest hold of a seat in `make faults`."""
OFFER_PAGE = "/inscriptions/offre"
CORRECTION_PAGE = "/inscriptions/adresse-corrigee"


class TimeIsUp(Exception):
    """An awaited effect did not come in time."""


class Day:
    pause_seconds = 0.2

    def __init__(
        self,
        stack: Stack,
        progress: Progress,
        *,
        decisions: DecisionLog,
        portals: Sequence[Portal],
        catalogue: ApiClient,
        enrolment: ApiClient,
    ) -> None:
        self.model = ReferenceModel()
        self._stack = stack
        self._progress = progress
        self._decisions = decisions
        self._mails = Mailbox(stack.mailbox.directory)
        self._portals = portals
        self._catalogue = catalogue
        self._enrolment = enrolment
        self._selection: Counter[str] = Counter()
        self._malformed = 0

    @classmethod
    @asynccontextmanager
    async def begin(
        cls, stack: Stack, keys: Mapping[str, SigningKey], say: Say, began: float
    ) -> AsyncIterator[Self]:
        """`keys` has the key of each portal; `began` is when the command started."""
        async with AsyncExitStack() as connections:
            enter = connections.enter_async_context
            portals = [
                Portal.connect(
                    name, key, stack.kafka_client(f"portal-{name}"), idempotent=stack.broker_is_idempotent
                )
                for name, key in keys.items()
            ]
            yield cls(
                stack,
                Progress(say, began),
                decisions=await enter(DecisionLog.follow(stack.kafka_client("demo-reader"))),
                portals=[await enter(portal) for portal in portals],
                catalogue=await enter(ApiClient.connect("catalogue", stack.url("catalogue"), stack.token)),
                enrolment=await enter(
                    ApiClient.connect("enrolment service", stack.url("enrolment"), stack.token)
                ),
            )

    async def play(self, acts: Coroutine[Any, Any, None]) -> None:
        """Stop early if nothing arrives for `PATIENCE_SECONDS`."""
        try:
            await acts
        except TimeIsUp as late:
            self._progress.say(f"Not in time: {late}")
        self._show_progress(last=True)

    async def observed(self) -> Observed:
        url = self._stack.database_url
        databases = await read_databases(url("enrolment"), url("notifier"), self.model.requests)
        self._mails.look()
        return Observed(self._decisions, self._mails, databases, self._selection, self._malformed)

    async def acts(self, crowd: Crowd) -> None:
        sessions = await self._publish_sessions(crowd.most_sessions)
        random = Random(2025)
        script = RequestScript(self.model, sessions, Population(secrets.token_hex(3), random), random, crowd)
        await self._request_seats(script)
        await self._enrol_by_hand(script, sessions.of_part("by_hand"))
        await self._rank(script, "selection")
        await self._publish([*script.withdrawals(), *script.approvals()])
        await self._publish(script.moves())
        await self._answer_offers(script)
        await asyncio.gather(
            self._let_offers_lapse(script, sessions.of_part("offers")),
            self._change_sessions(script, sessions),
        )
        await self._accept_by_link(script, sessions.of_part("by_link"))
        await self._wait_for_consequences("not_obtained")
        await self._publish(script.after_close())
        await self._wait_for_the_end()

    # --------------------------------------------------------------------------------------- the acts

    async def _publish_sessions(self, most: int | None) -> DemoSessions:
        now = utc_now()

        async def publish_all(drafts: Sequence[Mapping[str, Any]]) -> list[CatalogueSession]:
            return await asyncio.gather(*map(self._publish_session, drafts))

        parts = small_sessions(now)
        published = await asyncio.gather(*map(publish_all, parts.values()))
        small = dict(zip(parts, published, strict=True))
        chosen = choose_sessions(await self._catalogue.items("/api/v1/sessions"), small, now, most)
        for session in chosen.all():
            self.model.add_session(session)
        return chosen

    async def _publish_session(self, draft: Mapping[str, Any]) -> CatalogueSession:
        session_id = (await self._catalogue.call("POST", "/api/v1/sessions", draft))["session_id"]
        path = f"/api/v1/sessions/{session_id}/publish"
        return CatalogueSession.of(await self._catalogue.call("POST", path))

    async def _request_seats(self, script: RequestScript) -> None:
        trainees = script.trainees()
        bespoke = requests.bespoke(trainees[0].employer, "enjeux-ia", len(trainees))
        await self._publish([bespoke])
        await self._publish(script.crowd())
        for request in [*script.groups(), *script.waiting_together()]:  # in this order, whatever the portal
            await self._publish([request])
        await self._publish(script.reserved_seats())
        await self._publish_malformed(script.malformed())
        private = await self._agree_on_private_session(bespoke)
        await self._publish(script.nominations(private, trainees))
        # Requests for unknown sessions are answered last, when patience ends.
        await self._wait_for_answers(but_unknown=True)

    async def _agree_on_private_session(self, bespoke: Request) -> CatalogueSession:
        path = f"/api/v1/bespoke-requests/{bespoke.id}"
        await self._wait_until("the authority's request", lambda: self._catalogue.exists(path))
        advisor = {"name": "Claire Hébrard", "email": "conseil.occitanie@cnfpt.example"}

        async def answer(**answer: object) -> dict[str, Any]:
            self.model.answer_officer(bespoke.data["requested_by"]["email"])
            return await self._catalogue.call("POST", f"{path}/answers", {"advisor": advisor, **answer})

        await answer(answer="proposed")
        answered = await answer(answer="agreed", session=private_session(utc_now()))
        document = await self._catalogue.call("GET", f"/api/v1/sessions/{answered['session_id']}")
        session = CatalogueSession.of(document)
        self.model.add_session(session)
        return session

    async def _rank(self, script: RequestScript, part: str) -> None:
        session_id = script.modelled(part).terms.session_id
        ranked, not_selected = script.ranking(part)
        ranking = {"ranked": ranked, "not_selected": not_selected}
        self._selection += Counter(
            await self._enrolment.call("PUT", f"/api/v1/sessions/{session_id}/selection", ranking)
        )
        self.model.select(session_id, ranked, not_selected)

    async def _enrol_by_hand(self, script: RequestScript, session: CatalogueSession) -> None:
        for agent, reason in script.by_hand():
            wanted = {name: value for name, value in agent.as_json().items() if name != "agent_id"}
            path = f"/api/v1/sessions/{session.session_id}/enrolments"
            entry = await self._enrolment.call("POST", path, {**wanted, "above_capacity": reason})
            enrolled = replace(agent, agent_id=entry["agent"]["agent_id"])  # the service makes up the id
            self.model.enrol_by_hand(session.session_id, enrolled, above_capacity=reason is not None)
        await self._publish(script.after_hand())

    async def _answer_offers(self, script: RequestScript) -> None:
        for declining in (True, False):
            await self._wait_for_consequences("offered")
            await self._publish(script.answers_to_offers(declining=declining))
        await self._wait_for_answers(but_unknown=True)

    async def _change_sessions(self, script: RequestScript, sessions: DemoSessions) -> None:
        await self._rank(script, "two_steps")
        await self._cancel(sessions.of_part("to_cancel"))
        await self._release_reserved_seats(sessions.of_part("reserved"))
        await self._close_enrolment([sessions.of_part("full"), sessions.of_part("too_few")])
        await self._correct(script.with_new_addresses())
        await self._publish_replay(sessions.of_part("recorded"))
        await self._wait_for_consequences("cancelled")
        await self._publish(script.after_cancellation())

    async def _cancel(self, session: CatalogueSession) -> None:
        await self._catalogue.call("POST", f"/api/v1/sessions/{session.session_id}/cancel")
        self.model.cancel(session.session_id)

    async def _release_reserved_seats(self, session: CatalogueSession) -> None:
        release_at = (utc_now() + timedelta(seconds=2)).isoformat()
        reserved = [
            {"delegation": reservation.delegation, "seats": reservation.seats, "release_at": release_at}
            for reservation in session.seats.reserved
        ]
        await self._change(session, reserved_seats=reserved)
        self.model.release_reserved_seats(session.session_id)

    async def _close_enrolment(self, sessions: Sequence[CatalogueSession]) -> None:
        for session in sessions:
            closes_at = utc_now() + timedelta(seconds=2)
            await self._change(session, enrolment_closes_at=closes_at.isoformat())
            self.model.close_enrolment(session.session_id, closes_at, ORGANISERS_ADDRESS)

    async def _change(self, session: CatalogueSession, **fields: object) -> None:
        await self._catalogue.call("PATCH", f"/api/v1/sessions/{session.session_id}", fields)

    async def _correct(self, agents: Sequence[Agent]) -> None:
        async def all_came() -> bool:
            self._mails.look()
            came = self._mails.by_address() + await superseded_mails(self._stack.database_url("notifier"))
            return all(came[agent.email] >= self.model.mails[agent.email] for agent in agents)

        async def all_corrected() -> bool:
            return self.model.corrections <= self._decisions.corrections

        await self._wait_until("mails to addresses that change", all_came)
        await self._publish([requests.correction(agent, f"nouvelle.{agent.email}") for agent in agents])
        await self._wait_until("corrections", all_corrected)
        for agent in agents:
            await self._follow_link(agent.email, CORRECTION_PAGE, confirmer="oui")

    async def _publish_replay(self, session: CatalogueSession) -> None:
        replay = {
            "session_id": session.session_id,
            "title": f"{session.title}, l’enregistrement",
            "url": f"https://videos.example.org/replays/{session.session_id}",
        }
        await self._catalogue.call("POST", "/api/v1/replays", replay)
        self.model.publish_replay(session.session_id)

    async def _let_offers_lapse(self, script: RequestScript, session: CatalogueSession) -> None:
        self.model.let_offers_lapse(session.session_id)
        await self._wait_for_consequences("lapsed", "offered")
        await self._publish(script.acceptance_after_lapse())

    async def _accept_by_link(self, script: RequestScript, session: CatalogueSession) -> None:
        await self._wait_for_mails(but_unknown=True)
        agent = next(iter(self.model.sessions[session.session_id].waiting.values()))
        await self._publish(script.freeing_a_seat())
        await self._follow_link(agent.email, OFFER_PAGE, reponse="oui")
        self.model.answer_by_link(session.session_id, agent)

    async def _follow_link(self, address: str, page: str, **fields: str) -> None:
        async def has_come() -> bool:
            return self._mails.link_to(address, page) is not None

        await self._wait_until(f"a link to {page}", has_come)
        link = self._mails.link_to(address, page) or ""
        await self._wait_until(f"the page {page}", lambda: submit_page(link, **fields))

    # ------------------------------------------------------------------------------------- publishing

    async def _publish(self, requests: Sequence[Request]) -> None:
        shares: list[list[Request]] = [[] for _ in self._portals]
        for request in requests:
            number = int(request.agents[0].agent_id[-5:]) if request.agents else 0
            shares[number % len(shares)].append(request)
        published = await asyncio.gather(
            *(portal.publish(share) for portal, share in zip(self._portals, shares, strict=True))
        )
        self._progress.records += len(requests)
        self.model.receive([sent for share in published for sent in share])
        self._show_progress()

    async def _publish_malformed(self, request: Request) -> None:
        portal = self._portals[0]
        records = malformed_records(request, portal.source, portal.key)
        await portal.publish_raw(records)
        self._progress.records += len(records)
        self._malformed += len(records)

    # --------------------------------------------------------------------------------------- waiting

    async def _wait_for_the_end(self) -> None:
        await self._wait_for_answers()
        await self._wait_for_consequences("enrolled", "withdrawn")
        await self._wait_for_mails()
        await self._wait_until_all_is_read()

    async def _wait_until_all_is_read(self) -> None:
        connection = self._stack.kafka_client("demo-auditor")
        await self._wait_until("that everything is read", lambda: all_is_read(connection))

    async def _wait_for_answers(self, *, but_unknown: bool = False) -> None:
        due = {
            key
            for key, verdict in self.model.answers.items()
            if not (but_unknown and verdict.reason == "unknown_session")
        }

        async def all_answered() -> bool:
            return due <= self._decisions.answers.keys()

        await self._wait_until("answers", all_answered)

    async def _wait_for_consequences(self, *states: str) -> None:
        """Return once all consequences with these states have come.

        If a consequence with another state fails, the later steps still run.
        """

        async def all_came() -> bool:
            came = self._decisions.consequences
            return all(self.model.consequences_of(state) <= came for state in states)

        await self._wait_until(f"who is {' or '.join(states)}", all_came)

    async def _wait_for_mails(self, *, but_unknown: bool = False) -> None:
        late = sum(verdict.reason == "unknown_session" for verdict in self.model.answers.values())
        due = self.model.mails.total() - (late if but_unknown else 0)

        async def all_settled() -> bool:
            superseded = await superseded_mails(self._stack.database_url("notifier"))
            return self._mails.look() + superseded.total() >= due

        await self._wait_until("mails", all_settled)

    async def _wait_until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Raises `TimeIsUp` when nothing has come for too long."""
        began = time.monotonic()
        while not await condition():
            if time.monotonic() - max(began, self._progress.made_at) > PATIENCE_SECONDS:
                raise TimeIsUp(what)
            self._show_progress()
            await asyncio.sleep(self.pause_seconds)

    def _show_progress(self, *, last: bool = False) -> None:
        def counts() -> str:
            return (
                f"{len(self._decisions.answers)} of {self.model.answers_due()} answers, "
                f"{self._mails.look()} of {self.model.mails.total()} mails"
            )

        self._progress.show(counts, last=last)
