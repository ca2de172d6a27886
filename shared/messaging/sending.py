"""Sends the events of a pass. An event that the broker never takes stops only its own key.

Rows of the outbox come in, in order; nothing is stored here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, UnknownTopicOrPartitionError

from shared.database import Row
from shared.events import cloudevents
from shared.events.topics import MAX_RECORD_BYTES, is_of_portals
from shared.messaging import traces
from shared.messaging.portals.registry import INTAKE_KEY_ID
from shared.messaging.portals.signatures import SignedAttributes, sign
from shared.messaging.producer import NEVER, TOO_LARGE, Headers, OutgoingRecord, Producer
from shared.observability import logged_ids

log = logging.getLogger(__name__)

PASS = 1_000
"""The most events of one bucket in a pass. A pass adds buckets up to this number."""

_BEHIND = "an event of its key and topic that is held back stands before it"
_NO_TOPIC = "the topic does not exist"

Sendable = Sequence[tuple[Row, OutgoingRecord]]


@dataclass(slots=True)
class SendResult:
    """The results of a pass. An event without a result stays for the next pass.

    ``refused`` and ``waiting`` are by id, with the reason. ``failure`` is an error after which the broker may
    still take some events. ``is_broken``: the numbers of the producer have a gap, and it can send no more.
    """

    sent: list[Row] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    waiting: dict[int, str] = field(default_factory=dict)
    failure: BaseException | None = None
    is_broken: bool = False
    stopped: set[tuple[str, str]] = field(default_factory=set)

    def refuse(self, row: Row, reason: str) -> None:
        """If an earlier event of the same key and topic was refused, this one waits behind it."""
        if (row.topic, row.key) in self.stopped:
            self.waiting[row.id] = _BEHIND
            return
        self.stopped.add((row.topic, row.key))
        self.refused[row.id] = reason
        with logged_ids(event_id=row.event_id, trace_id=cloudevents.trace_id_of(row.traceparent)):
            log.error("Event %s to %s is refused for good (%s): see outbox list", row.id, row.topic, reason)

    def take_failure(self) -> BaseException:
        """Return the failure to raise, and drop it.

        A local of the raising frame would hold it in a cycle, with all events of the pass.
        """
        failure, self.failure = self.failure, None
        if failure is None:
            raise ValueError("the pass has not failed")
        return failure


class Sending:
    """``intake_key`` signs requests that portals sent by HTTP."""

    def __init__(self, intake_key: bytes | None) -> None:
        self._intake_key = intake_key
        self._suspects: set[int] = set()

    async def send(self, producer: Producer, rows: Sequence[Row]) -> SendResult:
        result = SendResult()
        with traces.publishing(rows, result.sent) as contexts:
            await self._send(producer, rows, contexts, result)
        return result

    async def _send(
        self, producer: Producer, rows: Sequence[Row], contexts: Mapping[int, str], result: SendResult
    ) -> None:
        unusable = await producer.unusable({row.topic for row in rows if row.topic is not None})
        sendable = self._plan(rows, unusable, contexts, result)
        if len(rows) < PASS:  # there are no more: another process sent or refused any others
            self._suspects.intersection_update(row.id for row in rows)
        suspects = [(row, record) for row, record in sendable if row.id in self._suspects]
        if suspects:
            await self._send_alone(producer, suspects, result)
        elif sendable:
            await self._send_together(producer, sendable, result)

    def _plan(
        self,
        rows: Sequence[Row],
        unusable: Mapping[str, KafkaError],
        contexts: Mapping[int, str],
        result: SendResult,
    ) -> Sendable:
        sendable = []
        for row in rows:
            if row.topic is None:  # the portal only reads by HTTP
                result.sent.append(row)
            elif row.is_behind or (row.topic, row.key) in result.stopped:
                result.waiting[row.id] = _BEHIND
            elif isinstance(unusable.get(row.topic), UnknownTopicOrPartitionError):
                result.waiting[row.id] = _NO_TOPIC
            elif row.topic in unusable:
                result.refuse(row, describe(unusable[row.topic]))
            elif (record := self._record(row, contexts)).is_too_large:
                result.refuse(
                    row, f"{len(record.value)} bytes of data; {MAX_RECORD_BYTES} are allowed in all"
                )
            else:
                sendable.append((row, record))
        return sendable

    def _record(self, row: Row, contexts: Mapping[int, str]) -> OutgoingRecord:
        headers = _headers(row, contexts.get(row.id, row.traceparent), self._intake_key)
        return OutgoingRecord(row.topic, row.key.encode(), row.data.encode(), headers)

    async def _send_together(self, producer: Producer, sendable: Sendable, result: SendResult) -> None:
        answers = await producer.send([record for _, record in sendable])
        unsent: set[tuple[str, str]] = set()
        for (row, _), error in zip(sendable, answers, strict=True):
            if error is None and (row.topic, row.key) not in unsent:
                result.sent.append(row)
                continue
            unsent.add((row.topic, row.key))
            if isinstance(error, TOO_LARGE):
                self._suspects.add(row.id)
            elif isinstance(error, NEVER):
                result.refuse(row, describe(error))
        result.is_broken = any(answers)
        known: tuple[type[KafkaError], ...] = (*TOO_LARGE, *NEVER)
        if any(isinstance(error, TOO_LARGE) for error in answers):
            known = (*known, OutOfOrderSequenceNumber)  # the error of the batches after it
        failures = [error for error in answers if error is not None and not isinstance(error, known)]
        result.failure = failures[0] if failures else None

    async def _send_alone(self, producer: Producer, suspects: Sendable, result: SendResult) -> None:
        """Send a too large batch record by record. Stop at the first error."""
        for row, record in suspects:
            [error] = await producer.send([record])
            if error is None:
                result.sent.append(row)
            elif isinstance(error, (*TOO_LARGE, *NEVER)):
                result.refuse(row, describe(error))
            else:
                result.failure = error
            self._suspects.discard(row.id)
            if error is not None:
                result.is_broken = True
                return


def _headers(row: Row, traceparent: str | None, intake_key: bytes | None) -> Headers:
    headers = cloudevents.headers(
        cloudevents.attributes(
            event_id=row.event_id,
            event_type=row.type,
            source=row.source,
            time=row.created_at,
            subject=row.key,
            traceparent=traceparent,
        )
    )
    if row.misrouted:
        headers.append(("ce_misrouted", b"true"))
    if intake_key is None or not is_of_portals(row.topic):
        return headers
    given = dict(headers)
    attributes = SignedAttributes(
        *(given[f"ce_{name}"].decode() for name in ("id", "source", "type", "time"))
    )
    signature = sign(intake_key, INTAKE_KEY_ID, attributes, row.data.encode())
    return [*headers, ("ce_keyid", INTAKE_KEY_ID.encode()), ("ce_signature", signature.encode())]


def describe(error: BaseException) -> str:
    """Return the error in one line."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
