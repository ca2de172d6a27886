"""A simulated portal: publishes CloudEvents to the portals' topics as a foreign program would.

It writes headers and JSON by hand from the published contract and imports none of the project's event
classes, so that whoever plays it checks the contract from outside. It can also send what a broken
program would.
"""

import asyncio
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from local.people import Agent

ENROLMENTS, BESPOKE = "portal.enrolments", "portal.bespoke"

Headers = list[tuple[str, bytes | None]]


class Kind(StrEnum):
    """What a portal asks."""

    ENROLMENT = "EnrolmentRequested"
    GROUP = "GroupEnrolmentRequested"
    WITHDRAWAL = "WithdrawalRequested"
    APPROVAL = "ApprovalDecided"
    OFFER_ANSWER = "SeatOfferAnswered"
    NOMINATION = "TraineesNominated"
    BESPOKE = "BespokeTrainingRequested"


class Mode(StrEnum):
    """The two ways in which a CloudEvent sits in a Kafka record."""

    BINARY = "binary"
    STRUCTURED = "structured"


@dataclass(frozen=True)
class Ask:
    """One request, before it is sent. The same `ce_id` twice is a redelivery.

    `agent` is whom it is about; of several (`agents`: a group, a list of trainees) the first. `says_yes`: an
    offer is accepted, an approval granted, a group is to have all its seats or none.
    """

    session_id: str
    agent: Agent
    kind: Kind = Kind.ENROLMENT
    mode: Mode = Mode.BINARY
    ce_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    odd_headers: tuple[tuple[str, bytes | None], ...] = ()
    agents: tuple[Agent, ...] = ()
    says_yes: bool = True

    @property
    def topic(self) -> str:
        return BESPOKE if self.kind in (Kind.NOMINATION, Kind.BESPOKE) else ENROLMENTS

    @property
    def key(self) -> str:
        return self.agent.siret if self.topic == BESPOKE else self.session_id

    def data(self) -> dict[str, object]:
        """Return the event's data."""
        session = {"session_id": self.session_id}
        about = {**session, "agent_id": self.agent.agent_id}
        several = {"agents": [agent.as_json() for agent in self.agents]}
        authority = {"siret": self.agent.siret}
        match self.kind:
            case Kind.ENROLMENT:
                return {**session, "agent": self.agent.as_json(), "approval": None}
            case Kind.WITHDRAWAL:
                return {**about, "reason": "Empêchement de dernière minute"}
            case Kind.OFFER_ANSWER:
                return {**about, "accepted": self.says_yes}
            case Kind.APPROVAL:
                return {**about, "granted": self.says_yes, "decided_by": "Service formation"}
            case Kind.GROUP:
                officer = officer_of(self.agent)
                return {**session, **several, "requested_by": officer, "all_or_nothing": self.says_yes}
            case Kind.NOMINATION:
                return {**authority, **session, **several, "nominated_by": officer_of(self.agent)}
            case Kind.BESPOKE:
                return {
                    **authority,
                    "authority": self.agent.employer,
                    "delegation": self.agent.delegation,
                    "requested_by": officer_of(self.agent),
                    "theme": "enjeux-ia",
                    "trainees": len(self.agents),
                }


def officer_of(agent: Agent) -> dict[str, str]:
    """Return the training officer of the agent's authority, in this demonstration, as a contact."""
    name, _, town = agent.email.partition("@")
    return {"name": "Nadia Renard", "email": f"formation.{name}@{town}"}


@dataclass(frozen=True)
class Sent:
    """A request that the broker has taken, and where: the offset is its order of receipt in its session."""

    ask: Ask
    partition: int
    offset: int
    sent_at: datetime


class Portal:
    """One portal, connected to the broker; an async context manager."""

    def __init__(self, name: str, connection: Mapping[str, Any]) -> None:
        self.source = f"/portals/{name}"
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._connection, acks="all", linger_ms=5, max_request_size=1_000_000
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def publish(self, asks: Iterable[Ask]) -> list[Sent]:
        """Send requests in their order and return them once the broker has acknowledged all."""
        waiting = []
        for ask in asks:
            value, headers = self.record(ask)
            waiting.append(
                (ask, datetime.now(UTC), await self._send(ask.topic, ask.key.encode(), value, headers))
            )
        return [
            Sent(ask, place.partition, place.offset, sent_at)
            for ask, sent_at, place in [(ask, at, await future) for ask, at, future in waiting]
        ]

    async def publish_raw(self, records: Sequence[tuple[bytes | None, bytes | None, Headers]]) -> None:
        """Send records to the topic of enrolments as they are: key, value, headers."""
        await asyncio.gather(*[await self._send(ENROLMENTS, *record) for record in records])

    def record(self, ask: Ask) -> tuple[bytes, Headers]:
        """Return the value and the headers of a request, as CloudEvents' Kafka binding has them."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        attributes = {
            "specversion": "1.0",
            "id": ask.ce_id,
            "type": f"fr.cnfpt.portal.{ask.kind}.v1",
            "source": self.source,
            "time": now,
            "subject": ask.key,
        }
        headers: Headers
        if ask.mode is Mode.STRUCTURED:
            whole = {**attributes, "datacontenttype": "application/json", "data": ask.data()}
            headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
            return json.dumps(whole, ensure_ascii=False).encode(), headers + list(ask.odd_headers)
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        headers += [
            ("content-type", b"application/json"),
            ("traceparent", f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01".encode()),
            *ask.odd_headers,
        ]
        return json.dumps(ask.data(), ensure_ascii=False).encode(), headers

    async def _send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> "asyncio.Future[Any]":
        if self._producer is None:
            raise RuntimeError("the portal is not connected: use `async with`")
        future: asyncio.Future[Any] = await self._producer.send(topic, value, key, headers=headers)
        return future


@dataclass(frozen=True)
class Rubbish:
    """What a broken program sends: records to be parked, and one that is simply not for us."""

    parked: list[tuple[bytes | None, bytes | None, Headers]]
    ignored: list[tuple[bytes | None, bytes | None, Headers]]


def rubbish(portal: Portal, good: Ask) -> Rubbish:
    """Return unreadable records, each a spoilt copy of a good request, in the good one's partition."""
    value, headers = portal.record(good)
    data = good.data()
    key = good.session_id.encode()

    def with_header(name: str, content: bytes | None) -> Headers:
        return [(known, content if known == name else old) for known, old in _renewed(headers)]

    def spoilt(**changes: object) -> bytes:
        return json.dumps({**data, **changes}).encode()

    agent = good.agent.as_json()
    ignored: list[tuple[bytes | None, bytes | None, Headers]] = [
        (key, value, with_header("ce_type", b"fr.cnfpt.portal.SomethingNew.v1"))
    ]
    parked: list[tuple[bytes | None, bytes | None, Headers]] = [
        (key, b"\xff\xfe\x00 not text at all", _renewed(headers)),
        (key, value[: len(value) // 2], _renewed(headers)),
        (key, b"[]", _renewed(headers)),
        (key, None, _renewed(headers)),
        (key, value, []),
        (key, value, with_header("ce_id", None)),
        (key, value, with_header("ce_id", b"\xe9\xff")),
        (key, value, with_header("ce_id", b"not-a-uuid")),
        (key, value, with_header("ce_type", None)),
        (key, json.dumps({"session_id": good.session_id}).encode(), _renewed(headers)),
        (key, spoilt(session_id=17), _renewed(headers)),
        (key, spoilt(agent={**agent, "function": "stagiaire"}), _renewed(headers)),
        (key, spoilt(agent={**agent, "email": "a@b.example\r\nBcc: c@d.example"}), _renewed(headers)),
        (key, spoilt(agent={**agent, "given_name": "Zoé\nDurand"}), _renewed(headers)),
        (key, b"{" + b" " * 900_000, _renewed(headers)),
        (None, b"{", [("content-type", b"application/cloudevents+json")]),
    ]
    return Rubbish(parked, ignored)


def _renewed(headers: Headers) -> Headers:
    """The same headers with an id of their own: each spoilt record is an event of its own."""
    return [(name, str(uuid.uuid4()).encode() if name == "ce_id" else value) for name, value in headers]
