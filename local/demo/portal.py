"""A simulated portal: publishes CloudEvents to the portals' topics as a foreign program would.

It writes headers and JSON by hand from the published contract and imports none of the project's event
classes, so that whoever plays it checks the contract from outside. It can also send what a broken
program would.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from local.demo.people import Agent
from local.portal.signing import SIGNED, SigningKey

ENROLMENTS, BESPOKE, AGENTS = "portal.enrolments", "portal.bespoke", "portal.agents"

Headers = list[tuple[str, bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value, headers."""


Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class RequestKind(StrEnum):
    """What a portal requests."""

    ENROLMENT = "EnrolmentRequested"
    GROUP = "GroupEnrolmentRequested"
    WITHDRAWAL = "WithdrawalRequested"
    APPROVAL = "ApprovalDecided"
    OFFER_ANSWER = "SeatOfferAnswered"
    SWAP = "SessionSwapRequested"
    NOMINATION = "TraineesNominated"
    BESPOKE = "BespokeTrainingRequested"
    SUBSCRIPTION = "SubscriptionChanged"
    CORRECTION = "AgentCorrected"
    ERASURE = "AgentErasureRequested"


_TOPICS = {
    RequestKind.NOMINATION: BESPOKE,
    RequestKind.BESPOKE: BESPOKE,
    RequestKind.SUBSCRIPTION: AGENTS,
    RequestKind.CORRECTION: AGENTS,
    RequestKind.ERASURE: AGENTS,
}
"""Where a request lies that is about no session's seats."""


class ContentMode(StrEnum):
    """The two ways in which a CloudEvent sits in a Kafka record."""

    BINARY = "binary"
    STRUCTURED = "structured"


@dataclass(frozen=True)
class PortalRequest:
    """One request, before it is sent. The same `ce_id` twice is a redelivery.

    `agent` is whom it is about; of several (`agents`: a group, a list of trainees) the first. `says_yes`: an
    offer is accepted, an approval granted, a group is to have all its seats or none, a theme is subscribed
    to. A group that `may_wait` waits as one place. `to_session_id`: where the agent wants to move. `theme`:
    what is followed, or what training is of. `answers`: to the questions
    of the session, by their ids. Of who is corrected, `agent` has the new address; who is to be
    forgotten asked for it at `asked_at`.
    """

    session_id: str
    agent: Agent
    kind: RequestKind = RequestKind.ENROLMENT
    mode: ContentMode = ContentMode.BINARY
    ce_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extra_headers: tuple[tuple[str, bytes | None], ...] = ()
    agents: tuple[Agent, ...] = ()
    says_yes: bool = True
    may_wait: bool = False
    to_session_id: str = ""
    theme: str = "enjeux-ia"
    answers: Mapping[str, str] = field(default_factory=dict)
    asked_at: str = field(default_factory=lambda: _now().isoformat())

    @property
    def topic(self) -> str:
        return _TOPICS.get(self.kind, ENROLMENTS)

    @property
    def key(self) -> str:
        keys = {ENROLMENTS: self.session_id, BESPOKE: self.agent.siret, AGENTS: self.agent.agent_id}
        return keys[self.topic]

    def data(self) -> dict[str, object]:
        """Return the event's data."""
        session = {"session_id": self.session_id}
        enrolment = {**session, "agent_id": self.agent.agent_id}
        several = {"agents": [agent.as_json() for agent in self.agents]}
        authority = {"siret": self.agent.siret}
        addressed: dict[str, object] = {"agent_id": self.agent.agent_id, "email": self.agent.email}
        match self.kind:
            case RequestKind.ENROLMENT:
                answers = [{"question_id": name, "value": value} for name, value in self.answers.items()]
                return {**session, "agent": self.agent.as_json(), "approval": None, "answers": answers}
            case RequestKind.WITHDRAWAL:
                return {**enrolment, "reason": "Empêchement de dernière minute"}
            case RequestKind.OFFER_ANSWER:
                return {**enrolment, "accepted": self.says_yes}
            case RequestKind.SWAP:
                return {**enrolment, "to_session_id": self.to_session_id}
            case RequestKind.APPROVAL:
                return {**enrolment, "granted": self.says_yes, "decided_by": "Service formation"}
            case RequestKind.GROUP:
                officer = officer_of(self.agent)
                together = {"all_or_nothing": self.says_yes, "may_wait": self.may_wait}
                return {**session, **several, "requested_by": officer, **together}
            case RequestKind.NOMINATION:
                return {**authority, **session, **several, "nominated_by": officer_of(self.agent)}
            case RequestKind.BESPOKE:
                return {
                    **authority,
                    "authority": self.agent.employer,
                    "delegation": self.agent.delegation,
                    "requested_by": officer_of(self.agent),
                    "theme": self.theme,
                    "trainees": len(self.agents),
                }
            case RequestKind.SUBSCRIPTION:
                return {**addressed, "theme": self.theme, "subscribed": self.says_yes}
            case RequestKind.CORRECTION:
                return addressed
            case RequestKind.ERASURE:
                return {"agent_id": self.agent.agent_id, "requested_at": self.asked_at}


def officer_of(agent: Agent) -> dict[str, str]:
    """Return the training officer of the agent's authority, in this demonstration, as a contact."""
    name, _, town = agent.email.partition("@")
    return {"name": "Nadia Renard", "email": f"formation.{name}@{town}"}


def signing_keys(registry: Path, names: Collection[str]) -> dict[str, SigningKey]:
    """Return the key of each of these portals in a registry, by the portal's name."""
    return {
        entry["portal"]: SigningKey.of(key["id"], key["secret"])
        for entry in json.loads(registry.read_text())
        if entry["portal"] in names
        for key in entry["keys"]
    }


@dataclass(frozen=True)
class SentRequest:
    """A request that the broker has taken, and where: the offset is its order of receipt in its session."""

    request: PortalRequest
    partition: int
    offset: int
    sent_at: datetime


class Portal:
    """One portal, connected to the broker."""

    def __init__(self, name: str, key: SigningKey, producer: AIOKafkaProducer, now: Clock) -> None:
        self.source = f"/portals/{name}"
        self.key = key
        self._producer = producer
        self._now = now

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        name: str,
        key: SigningKey,
        connection: Mapping[str, Any],
        *,
        idempotent: bool,
        now: Clock = _now,
    ) -> AsyncIterator["Portal"]:
        """Give a portal that is connected as aiokafka's `connection` says.

        `idempotent`: what it sends again counts where it lay first, which is where the model puts it. The
        embedded broker cannot do that. `now`: its clock.
        """
        producer = AIOKafkaProducer(
            **connection,
            acks="all",
            enable_idempotence=idempotent,
            linger_ms=5,
            max_request_size=1_000_000,
        )
        await producer.start()
        try:
            yield cls(name, key, producer, now)
        finally:
            await producer.stop()

    async def publish(self, requests: Iterable[PortalRequest]) -> list[SentRequest]:
        """Send requests in their order and return them once the broker has acknowledged all."""
        sending = []
        for request in requests:
            sent_at = self._now()
            record = record_of(request, self.source, self.key, sent_at)
            sending.append((request, sent_at, await self._send(request.topic, record)))
        return [
            SentRequest(request, place.partition, place.offset, sent_at)
            for request, sent_at, place in [(request, at, await future) for request, at, future in sending]
        ]

    async def publish_raw(self, records: Sequence[Record]) -> None:
        """Send records to the topic of enrolments as they are."""
        await asyncio.gather(*[await self._send(ENROLMENTS, record) for record in records])

    async def _send(self, topic: str, record: Record) -> "asyncio.Future[Any]":
        key, value, headers = record
        future: asyncio.Future[Any] = await self._producer.send(topic, value, key, headers=headers)
        return future


def record_of(
    request: PortalRequest, source: str, key: SigningKey, sent_at: datetime | None = None
) -> tuple[bytes, bytes, Headers]:
    """Return the record of a request, as CloudEvents' Kafka binding has it, signed."""
    attributes = {
        "specversion": "1.0",
        "id": request.ce_id,
        "type": f"fr.cnfpt.portal.{request.kind}.v1",
        "source": source,
        "time": (sent_at or _now()).isoformat().replace("+00:00", "Z"),
        "subject": request.key,
    }
    document: Mapping[str, object] = request.data()
    headers: Headers
    if request.mode is ContentMode.STRUCTURED:
        document = {**attributes, "datacontenttype": "application/json", "data": document}
        headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    else:
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        traceparent = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
        headers += [("content-type", b"application/json"), ("traceparent", traceparent.encode())]
    value = json.dumps(document, ensure_ascii=False).encode()
    headers += [("ce_keyid", key.id.encode()), ("ce_signature", key.sign(attributes, value))]
    return request.key.encode(), value, [*headers, *request.extra_headers]


def malformed_records(good: PortalRequest, source: str, signing_key: SigningKey) -> list[Record]:
    """Return what a broken program sends, each a spoilt copy of a good request, in the good one's partition.

    Each is signed, as well as it can be, so that it is its content that is refused; the last is not.
    """
    key, value, headers = record_of(good, source, signing_key)
    data, agent = good.data(), good.agent.as_json()

    def spoilt(content: bytes | None = value, **changed_headers: bytes | None) -> Record:
        """The record with other content or headers, and an id of its own: it is an event of its own."""
        changes = {"ce_id": str(uuid.uuid4()).encode(), **changed_headers}
        given = {name: changes.get(name, kept) for name, kept in headers}
        attributes = {name: (given[f"ce_{name}"] or b"").decode(errors="replace") for name in SIGNED}
        given["ce_signature"] = signing_key.sign(attributes, content or b"")
        return key, content, list(given.items())

    def with_data(**changes: object) -> Record:
        return spoilt(json.dumps({**data, **changes}).encode())

    return [
        spoilt(b"\xff\xfe\x00 not text at all"),
        spoilt(value[: len(value) // 2]),
        spoilt(b"[]"),
        spoilt(None),
        (key, value, []),
        spoilt(ce_id=None),
        spoilt(ce_id=b"\xe9\xff"),
        spoilt(ce_id=b"not-a-uuid"),
        spoilt(ce_type=None),
        spoilt(json.dumps({"session_id": good.session_id}).encode()),
        with_data(session_id=17),
        with_data(agent={**agent, "function": "stagiaire"}),
        with_data(agent={**agent, "email": "a@b.example\r\nBcc: c@d.example"}),
        with_data(agent={**agent, "given_name": "Zoé\nDurand"}),
        spoilt(b"{" + b" " * 900_000),
        (None, b"{", [("content-type", b"application/cloudevents+json")]),
        spoilt(ce_type=b"fr.cnfpt.portal.SomethingNew.v1"),
        (key, value, [(name, b"v1," if name == "ce_signature" else kept) for name, kept in headers]),
    ]
