"""Clients of a run: portals by Kafka and by HTTP, organisers on pages, agents by links in letters."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from local.demo.portal import record_of
from local.portal.envelope import SigningKey
from local.portal.requests import Request
from tests.pages.visitor import Visitor
from tests.proof.history import FAILED, OK, UNKNOWN, ClientOperation, History

PATIENCE_SECONDS = 5.0
"""A client that has no answer after that asks another process."""
PAUSE_SECONDS = 0.5
MOST_CONNECTIONS = 20
"""Of a portal. The pool of httpx compares each waiting request with each connection."""
PAGE = 500
"""Answers that a portal reads at once."""
SECRET = "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM="
KEY = SigningKey.of("proof", SECRET)
_ADVISOR = {"name": "Claire Hébrard", "email": "conseil@cnfpt.example"}

Urls = Callable[[], Sequence[str]]
"""The addresses of the processes of a service that run now."""


def write_registry(path: Path, issuers: Mapping[str, str]) -> Path:
    """Write the file of portals. They sign by Kafka and have a token for HTTP. ``issuers``: by portal."""
    entries = [
        {
            "portal": portal,
            "issuer": issuer,
            "contact": "equipe@portail.example",
            "authentication": "signature",
            "keys": [{"id": KEY.id, "secret": SECRET, "not_after": None}],
            "tokens": [{"sha256": hashlib.sha256(token_of(portal).encode()).hexdigest(), "not_after": None}],
            "answers": ["kafka", "http"],
        }
        for portal, issuer in issuers.items()
    ]
    path.write_text(json.dumps(entries))
    return path


def token_of(portal: str) -> str:
    return f"token-of-the-portal-{portal}"


@dataclass(frozen=True)
class Web:
    """Asks a process of a service at random, as a load balancer does."""

    client: httpx.AsyncClient
    urls: Urls
    choices: Random

    @classmethod
    @asynccontextmanager
    async def connect(cls, urls: Urls, token: str, choices: Random) -> AsyncIterator["Web"]:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            yield cls(client, urls, choices)

    async def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Raises ``httpx.TransportError``, also if no process runs."""
        urls = self.urls()
        if not urls:
            raise httpx.ConnectError("no process runs")
        return await self.client.request(method, f"{self.choices.choice(urls)}{path}", **request)


class RequestSender:
    """A portal. It sends a request again, with the same id, until it knows that the request was taken."""

    def __init__(self, portal: str, history: History) -> None:
        self.portal = portal
        self.source = f"/portals/{portal}"
        self._history = history

    async def send(self, request: Request) -> None:
        while True:
            with self._history.operation(
                self.portal,
                request.name,
                source=self.source,
                request_id=request.id,
                session_id=request.session_id,
                agents=[agent.agent_id for agent in request.agents],
            ) as operation:
                await self.try_to_send(request, operation)
            if operation.state != UNKNOWN:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def send_in_bulk(self, requests: Sequence[Request]) -> None:
        """Send the requests without waiting for the answer to each. Send again those that may be lost."""
        raise NotImplementedError

    async def try_to_send(self, request: Request, operation: ClientOperation) -> None:
        raise NotImplementedError


class KafkaSender(RequestSender):
    def __init__(self, portal: str, history: History, producer: AIOKafkaProducer) -> None:
        super().__init__(portal, history)
        self._producer = producer

    async def try_to_send(self, request: Request, operation: ClientOperation) -> None:
        if error := await self._error_of(request):
            operation.state, operation.result = UNKNOWN, error

    async def send_in_bulk(self, requests: Sequence[Request]) -> None:
        waiting = list(requests)
        while waiting:
            ids = [request.id for request in waiting]
            with self._history.operation(
                self.portal, "requests in bulk", source=self.source, request_ids=ids
            ) as operation:
                errors = await asyncio.gather(*map(self._error_of, waiting))
                waiting = [request for request, error in zip(waiting, errors, strict=True) if error]
                operation.result = {"unknown": [request.id for request in waiting]}
            await asyncio.sleep(PAUSE_SECONDS if waiting else 0)

    async def _error_of(self, request: Request) -> str | None:
        """Return None if Kafka has the request, or why this is unknown."""
        key, value, headers = record_of(request, self.source, KEY, datetime.now(UTC))
        try:
            await self._producer.send_and_wait(request.topic, value, key, headers=headers)
        except KafkaError as error:
            return type(error).__name__
        return None


class HttpSender(RequestSender):
    def __init__(self, portal: str, history: History, web: Web) -> None:
        super().__init__(portal, history)
        self._web = web
        self._connections = asyncio.Semaphore(MOST_CONNECTIONS)

    async def try_to_send(self, request: Request, operation: ClientOperation) -> None:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": request.id,
            "ce-source": self.source,
            "ce-type": request.type,
            "ce-time": datetime.now(UTC).isoformat(),
            "content-type": "application/json",
        }
        try:
            async with self._connections:
                answer = await self._web.call("POST", "/api/v1/events", json=request.data, headers=headers)
        except httpx.TransportError as error:
            operation.state, operation.result = UNKNOWN, type(error).__name__
        else:
            operation.state = _state_after(answer, operation)


class AnswerReader:
    """A portal that reads its feed. ``hear`` is called with each answer."""

    def __init__(
        self, portal: str, history: History, web: Web, hear: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.portal = portal
        self.after = 0
        self._history = history
        self._web = web
        self._hear = hear

    async def run(self) -> None:
        while True:
            if await self.read(wait=2) < PAGE:  # a page for each answer would cost the service more than it
                await asyncio.sleep(PAUSE_SECONDS)

    async def read(self, wait: int = 0) -> int:
        """Return how many answers came."""
        query = {"after": self.after, "wait": wait, "limit": PAGE}
        items: list[dict[str, Any]] = []
        with self._history.operation(self.portal, "read answers", after=self.after) as operation:
            try:
                answer = await self._web.call("GET", "/api/v1/answers", params=query)
            except httpx.TransportError as error:
                operation.state, operation.result = UNKNOWN, type(error).__name__
            else:
                operation.state = _state_after(answer, operation)
                if answer.is_success:
                    page = answer.json()
                    items, self.after = page["items"], page["next"]
                    operation.result = {"next": self.after, "ids": [item["id"] for item in items]}
        for item in items:
            self._hear(item)
        return len(items)


class Organiser:
    """Uses pages of the catalogue, one after the other, and the API of ``enrolments``."""

    def __init__(self, history: History, web: Web, enrolments: Web, token: str) -> None:
        self._history = history
        self._web = web
        self._enrolments = enrolments
        self._token = token
        self._at_work = asyncio.Lock()

    async def draft(self, draft: Mapping[str, Any]) -> str:
        """Before faults begin: a draft that is asked for twice is made twice."""
        answer = await self._web.call("POST", "/api/v1/sessions", json=draft)
        return str(answer.raise_for_status().json()["session_id"])

    async def publish(self, session_id: str, capacity: int) -> None:
        asked = {"session_id": session_id, "capacity": capacity}
        path = f"/api/v1/sessions/{session_id}/publish"
        state = UNKNOWN
        while state == UNKNOWN:
            state, _ = await self._ask(self._web, "publish session", asked, "POST", path)
            await asyncio.sleep(PAUSE_SECONDS if state == UNKNOWN else 0)

    async def change_capacity(self, session_id: str, capacity: int) -> None:
        async with self._at_work:
            visitor = await self._opened(f"/gestion/sessions/{session_id}/places")
            visitor.fill("Nombre de places", str(capacity))
            await visitor.press("Voir les conséquences")
            asked = {"session_id": session_id, "capacity": capacity}
            await self._confirm(visitor, "Passer à", "modifiee", "change capacity", asked)

    async def cancel(self, session_id: str) -> None:
        async with self._at_work:
            visitor = await self._opened(f"/gestion/sessions/{session_id}/annuler")
            asked = {"session_id": session_id}
            await self._confirm(visitor, "Annuler la session", "annulee", "cancel session", asked)

    async def write_to_participants(self, session_id: str, text: str) -> None:
        path = f"/api/v1/sessions/{session_id}/messages"
        message = {"text": text, "audience": ["enrolled"]}
        asked = {"session_id": session_id}
        await self._ask(
            self._enrolments, "write to participants", asked, "POST", path, message, keep="message_id"
        )

    async def select(self, session_id: str) -> None:
        """The last candidate in the roster comes first. A candidate who comes meanwhile makes it fail."""
        agents = await self._agents_in(session_id, "pending_selection")
        ranked = [{"agent_id": agent["agent_id"], "issuer": agent["issuer"]} for agent in reversed(agents)]
        asked = {"session_id": session_id, "ranked": [agent["agent_id"] for agent in ranked]}
        path = f"/api/v1/sessions/{session_id}/selection"
        await self._ask(self._enrolments, "select", asked, "PUT", path, {"ranked": ranked})

    async def record_attendance(self, session_id: str, choices: Random) -> None:
        """Note each participant present or absent, whatever was noted before."""
        async with self._at_work:
            agents = await self._agents_in(session_id, "enrolled", "certified", "absent")
            marks = {agent["agent_id"]: choices.choice(("attended", "absent")) for agent in agents}
            records = [{"agent_id": agent_id, "attendance": mark} for agent_id, mark in marks.items()]
            if records:
                asked = {"session_id": session_id, "marks": marks}
                path = f"/api/v1/sessions/{session_id}/attendance"
                sent = {"records": records}
                await self._ask(self._enrolments, "record attendance", asked, "POST", path, sent)

    async def agree_on_training(self, bespoke_id: str, session: Mapping[str, Any]) -> str:
        """Propose and agree once the request is there. Return the id of the private session."""
        path, asked = f"/api/v1/bespoke-requests/{bespoke_id}", {"bespoke_id": bespoke_id}
        while True:
            state, known = await self._ask(
                self._web, "look at training", asked, "GET", path, keep="session_id"
            )
            if state == OK and known["session_id"]:
                return str(known["session_id"])
            if state == OK:
                answer: dict[str, Any] = {"answer": "agreed", "session": session}
                if known["state"] == "received":
                    answer = {"answer": "proposed"}
                sent = {"advisor": _ADVISOR, **answer}
                await self._ask(self._web, "answer training", asked, "POST", f"{path}/answers", sent)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _agents_in(self, session_id: str, *states: str) -> list[dict[str, Any]]:
        """Raises ``httpx.HTTPError``."""
        query = {"state": list(states), "limit": 200}
        found = await self._enrolments.call("GET", f"/api/v1/sessions/{session_id}/roster", params=query)
        return [entry["agent"] for entry in found.raise_for_status().json()["items"]]

    async def _ask(  # noqa: PLR0917 the request, and what is written of it
        self,
        web: Web,
        action: str,
        asked: Mapping[str, Any],
        method: str,
        path: str,
        sent: Any = None,
        keep: str = "",
    ) -> tuple[str, dict[str, Any]]:
        """Return what is known of the operation, and the answer. The history keeps this part of it."""
        with self._history.operation("organiser", action, **asked) as operation:
            try:
                answer = await web.call(method, path, json=sent)
            except httpx.TransportError as error:
                operation.state, operation.result = UNKNOWN, type(error).__name__
                return UNKNOWN, {}
            operation.state = _state_after(answer, operation)
            document: dict[str, Any] = answer.json() if answer.is_success else {}
            if keep in document:
                operation.result = {keep: document[keep]}
            return operation.state, document

    async def _opened(self, path: str) -> Visitor:
        base = self._web.choices.choice(self._web.urls() or [""])
        visitor = Visitor(self._web.client)
        await visitor.go(f"{base}{path}")
        if visitor.named("Se connecter", "button"):
            visitor.fill("Jeton d’accès", self._token)
            await visitor.press("Se connecter")
            await visitor.go(f"{base}{path}")
        return visitor

    async def _confirm(
        self, visitor: Visitor, button: str, done: str, action: str, asked: Mapping[str, Any]
    ) -> None:
        assert visitor.named(button, "button"), f"{visitor.url}: {visitor.answer.status_code}, no {button}"
        with self._history.operation("organiser", action, **asked) as operation:
            try:
                await visitor.press(button)
            except httpx.TransportError as error:
                operation.state, operation.result = UNKNOWN, type(error).__name__
            else:
                operation.state = _state_after(visitor.answer, operation)
                if operation.state != UNKNOWN and done not in visitor.url:
                    operation.state = FAILED


async def press_link(
    history: History, link: str, urls: Urls, action: str, asked: Mapping[str, Any], **form: str
) -> None:
    """Open the page behind a link in a letter and press its button, until there is an answer."""
    while True:
        with history.operation("agent", action, **asked) as operation:
            url = link.replace(f"http://{urlsplit(link).netloc}", next(iter(urls()), ""))
            try:
                async with httpx.AsyncClient(
                    timeout=PATIENCE_SECONDS, trust_env=False, follow_redirects=True
                ) as browser:
                    page = await browser.get(url)
                    answer = await browser.post(url, data=form) if page.is_success else page
            except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
                operation.state, operation.result = UNKNOWN, type(error).__name__
            else:
                operation.state = _state_after(answer, operation)
        if operation.state != UNKNOWN:
            return
        await asyncio.sleep(PAUSE_SECONDS)


def _state_after(answer: httpx.Response, operation: ClientOperation) -> str:
    """Return what the client knows: a service in trouble may have done what it was asked."""
    operation.result = answer.status_code
    if answer.is_server_error:
        return UNKNOWN
    return operation.state if answer.is_success else FAILED
