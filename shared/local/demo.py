"""`demo`: a day of enrolments on the whole system, and books that are checked to the last mail.

Owns the order of the day and its report. What should happen is in `books.py`, what did is read by
`audit.py`, who asks for what is in `scenario.py`.
"""

import asyncio
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx

from shared.local import audit
from shared.local.audit import Decisions, MailFiles
from shared.local.books import Books, SessionFacts
from shared.local.failures import LocalStackError
from shared.local.people import Population
from shared.local.portal import Ask, Portal, Sent, rubbish
from shared.local.report import summary
from shared.local.running import OFFER_DAY, signals_interrupt
from shared.local.scenario import Day, Stage, drafts, stage
from shared.local.stack import Stack, StackOptions, remove_data
from shared.messaging.broker import KafkaSettings, client_options

PENDING_SESSION_SECONDS = 20
DAY_SECONDS = 75.0
PORTALS = ("inscriptions-en-ligne", "portail-bretagne", "portail-la-reunion")
Say = Callable[[str], None]


def demo(options: StackOptions, say: Say) -> int:
    """Play the demonstration and return the exit code: 0 when the books and the system agree.

    Runs on databases and a broker of its own, made anew, so that what `run` keeps stays as it is.
    """
    began = time.monotonic()
    if options.environment.get("SMTP_HOST"):
        raise LocalStackError("the demonstration reads its own mailbox: run it without SMTP_HOST")
    options = replace(
        options,
        data=options.directory / "demo",
        fresh=True,
        extra={**options.extra, "ENROLMENT_PENDING_SESSION_SECONDS": str(PENDING_SESSION_SECONDS)},
    )
    with signals_interrupt():
        try:
            say("Starting Parcours …")
            with Stack(options, say) as stack:
                if not asyncio.run(audit.is_empty(stack.database_url("enrolment"))):
                    raise LocalStackError(
                        "the demonstration needs an empty enrolment database; this one is in use"
                    )
                say(stack.load_offer(OFFER_DAY.isoformat()))
                report = asyncio.run(_Demonstration(stack, say, began).play())
                (stack.directory / "demo.json").write_text(json.dumps(report.json, indent=2) + "\n")
                say(report.text)
                say("Stopping …")
        except KeyboardInterrupt:
            say("Interrupted.")
            return 130
    if report.clean:
        remove_data(options.directory / "demo")
    verdict = "Every seat and every mail is accounted for" if report.clean else "THE BOOKS DO NOT AGREE"
    say(f"{verdict}: {options.directory / 'demo.json'}")
    return 0 if report.clean else 1


@dataclass(frozen=True)
class Report:
    """What `demo.json` holds, and the same for a person."""

    json: dict[str, Any]
    text: str
    clean: bool


class _Demonstration:
    """One day on a running stack."""

    def __init__(self, stack: Stack, say: Say, began: float) -> None:
        if stack.mailbox is None:
            raise LocalStackError("the demonstration needs the stack's own mailbox")
        run = secrets.token_hex(3)
        random = Random(2025)
        self._stack = stack
        self._say = say
        self._began = began
        self._random = random
        self._people = Population(run, random)
        self._books = Books(())
        self._decisions = Decisions(connection_of(stack, "demo-reader"))
        self._mails = MailFiles(stack.mailbox.directory)
        self._portals: list[Portal] = []
        self._unreadable = 0
        self._records = 0
        self._deadline = time.monotonic() + DAY_SECONDS
        self._told = ""
        self._told_at = 0.0

    async def play(self) -> Report:
        """Play the three acts and the replay, wait until all is answered and mailed, and compare."""
        async with AsyncExitStack() as connections:
            api = await connections.enter_async_context(
                httpx.AsyncClient(
                    base_url=self._stack.url("catalogue"),
                    headers={"Authorization": f"Bearer {self._stack.token}"},
                    timeout=30,
                    # A service that died is back in a few seconds: knock again, as any client would.
                    transport=httpx.AsyncHTTPTransport(retries=6),
                    trust_env=False,
                )
            )
            await connections.enter_async_context(self._decisions)
            for name in PORTALS:
                portal = Portal(name, connection_of(self._stack, f"portal-{name}"))
                self._portals.append(await connections.enter_async_context(portal))
            await self._acts(api)
            self._end_of_progress()
            return await self._compare()

    async def _acts(self, api: httpx.AsyncClient) -> None:
        sessions = await self._set_up(api)
        day = Day(sessions, self._people, self._random)
        for facts in sessions.all():
            self._books.add(facts)
        await self._publish(day.first_act())
        await self._publish_rubbish(sessions)
        # Requests for sessions that do not exist are answered last, when patience ends.
        if not await self._answered(but_unknown=True):
            return
        await self._publish(day.second_act(self._books))
        await _post(api, f"/api/v1/sessions/{sessions.to_cancel.session_id}/cancel")
        self._books.cancel(sessions.to_cancel.session_id)
        if not await self._until(lambda: self._decisions.ended == self._books.ended):
            return
        await self._publish(day.third_act())
        if not await self._answered() or not await self._mailed():
            return
        replay = {
            "session_id": sessions.recorded.session_id,
            "title": f"Replay : {sessions.recorded.title}",
            "url": f"https://videos.example.org/replays/{sessions.recorded.session_id}",
        }
        await _post(api, "/api/v1/replays", replay)
        self._books.announce_replay(sessions.recorded.session_id)
        await self._mailed()
        connection = connection_of(self._stack, "demo-auditor")
        remaining = self._deadline - time.monotonic()
        await audit.wait_for(lambda: audit.all_is_read(connection), seconds=remaining)
        self._mails.look()

    async def _set_up(self, api: httpx.AsyncClient) -> Stage:
        """Publish the small sessions, and cast the day from all there are."""
        now = datetime.now(UTC)
        created: dict[str, list[SessionFacts]] = {}
        for part, bodies in drafts(now).items():
            created[part] = []
            for body in bodies:
                draft = await _post(api, "/api/v1/sessions", body)
                published = await _post(api, f"/api/v1/sessions/{draft['session_id']}/publish")
                created[part].append(SessionFacts.of(published))
        return stage(await _all_sessions(api), created, now)

    # ----------------------------------------------------------------------------------- publishing

    async def _publish(self, asks: list[Ask]) -> None:
        """Send requests, an agent's always through the same portal, and enter them in the books."""
        shares: dict[int, list[Ask]] = {number: [] for number in range(len(self._portals))}
        for ask in asks:
            shares[int(ask.agent.agent_id[-5:]) % len(self._portals)].append(ask)
        sent: list[Sent] = []
        for batch in await asyncio.gather(*[self._portals[n].publish(share) for n, share in shares.items()]):
            sent += batch
        self._records += len(sent)
        self._books.record(sent)
        self._progress()

    async def _publish_rubbish(self, sessions: Stage) -> None:
        good = Ask(sessions.popular.session_id, self._people.agent())
        spoilt = rubbish(self._portals[0], good)
        await self._portals[0].publish_raw([*spoilt.parked, *spoilt.ignored])
        self._records += len(spoilt.parked) + len(spoilt.ignored)
        self._unreadable += len(spoilt.parked)

    # -------------------------------------------------------------------------------------- waiting

    async def _answered(self, *, but_unknown: bool = False) -> bool:
        due = {
            ce_id
            for ce_id, answer in self._books.answers.items()
            if not (but_unknown and answer.reason == "unknown_session")
        }
        return await self._until(lambda: due <= self._decisions.answers.keys())

    async def _mailed(self) -> bool:
        async def all_settled() -> bool:
            self._progress()
            superseded = await audit.superseded_mails(self._stack.database_url("notifier"))
            return self._mails.look() + superseded.total() >= self._books.mails.total()

        return await audit.wait_for(all_settled, seconds=self._deadline - time.monotonic())

    async def _until(self, condition: Callable[[], bool]) -> bool:
        async def told() -> bool:
            self._progress()
            return condition()

        return await audit.wait_for(told, seconds=self._deadline - time.monotonic())

    def _progress(self) -> None:
        """Say how far it is: on a terminal in one line that changes, else every few seconds."""
        now = time.monotonic()
        terminal = sys.stdout.isatty()
        if now - self._told_at < (0.25 if terminal else 3):
            return
        self._told_at = now
        line = (
            f"{now - self._began:5.0f} s  {self._records} records published, "
            f"{len(self._decisions.answers)} of {len(self._books.answers)} requests answered, "
            f"{self._mails.look()} of {self._books.mails.total()} mails"
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

    # ------------------------------------------------------------------------------------ comparing

    async def _compare(self) -> Report:
        books, url = self._books, self._stack.database_url
        found = audit.compare_answers(books, self._decisions)
        superseded = await audit.superseded_mails(url("notifier"))
        audit.compare_mails(books, self._mails, found, superseded)
        seats = await audit.compare_seats(books, url("enrolment"), found)
        parked = await audit.parked(url("enrolment"))
        found.note("lost", max(0, self._unreadable - parked), "unreadable records that were not parked")
        found.note("wrong", max(0, parked - self._unreadable), "readable records that were parked")
        trouble = await audit.mails_in_trouble(url("notifier"))
        found.note("wrong", sum(trouble.values()), f"mails in the queue that are not sent: {trouble}")
        answered = [given[0] for ce_id, given in self._decisions.answers.items() if ce_id in books.answers]
        report = {
            "requests": len(books.answers),
            "answers": len(answered),
            "enrolled": seats.enrolled.total(),
            "waitlisted": seats.waiting.total(),
            "refused": dict(sorted(Counter(a.reason for a in answered if a.reason is not None).items())),
            "mails_expected": books.mails.total() - superseded.total(),
            "mails_received": self._mails.received.total(),
            "mails_superseded": superseded.total(),
            "lost": found.lost,
            "duplicated": found.duplicated,
            "overbooked": found.overbooked,
            "parked": parked,
            "seconds": round(time.monotonic() - self._began, 1),
        }
        text = summary(
            report,
            books=books,
            answers=self._decisions.answers,
            seats=seats,
            received=self._mails.received,
            found=found,
        )
        return Report(report, text, found.clean)


def connection_of(stack: Stack, client_id: str) -> dict[str, Any]:
    """Return how to reach the stack's broker: an external one with the security that the environment says."""
    if stack.broker is not None:
        return {"bootstrap_servers": stack.kafka, "client_id": client_id}
    return client_options(KafkaSettings(kafka_bootstrap_servers=stack.kafka), client_id)


async def _post(api: httpx.AsyncClient, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    answer = await api.post(path, json=body) if body is not None else await api.post(path)
    if answer.is_error:
        raise LocalStackError(
            f"the catalogue refused POST {path} with {answer.status_code}: {answer.text[:500]}"
        )
    result: dict[str, Any] = answer.json()
    return result


async def _all_sessions(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        answer = await api.get("/api/v1/sessions", params=query)
        if answer.is_error:
            raise LocalStackError(
                f"the catalogue refused its sessions with {answer.status_code}: {answer.text[:500]}"
            )
        page = answer.json()
        sessions += page["items"]
        cursor = page["next"]
        if cursor is None:
            return sessions
