"""Requests for one session must lie in one partition, where they are judged in order of receipt.

A request for limited seats in another partition could overtake an earlier one, so it is refused. A trial
portal is served all the same, with a notice in each answer.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from prometheus_client import Counter

from services.enrolment.rules.requests import PortalRequest, Request, request_of
from services.enrolment.store import partition_numbers, sessions
from services.enrolment.store import requests as store
from shared import clock
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.outcomes import RejectionCode
from shared.messaging.partitions import PartitionNumber, lies_right, partition_of
from shared.messaging.portals.admission import Rejected, rejected

_READ_AGAIN_SECONDS = 60.0

MISROUTED = Counter(
    "parcours_requests_misrouted_total",
    "New requests that lay in another partition than their session's, refused or not.",
    ["portal"],
)

RequestReceived = Received[PortalRequest]


@dataclass(frozen=True, slots=True)
class CheckedRequests:
    requests: list[Request]
    refused: list[Rejected]


class PartitionCheck:
    """Knows the partition count of the request topic.

    Partitions may have been added a moment ago, so the broker is asked before a refusal. Otherwise the number
    stored by another process is read once a minute, and the broker is asked at most once a minute about
    misplaced requests of a trial, unless one lies in a partition that was added.
    """

    def __init__(self, ask_broker: Callable[[], Awaitable[int]]) -> None:
        self._ask_broker = ask_broker
        self._numbers: list[PartitionNumber] = []
        self._read_at = self._asked_at = float("-inf")

    async def check(self, tx: Transaction, received: Sequence[RequestReceived]) -> CheckedRequests:
        """Raises ``ConnectionError`` if the broker must be asked and does not answer."""
        elsewhere = await self._elsewhere(tx, received)
        requests = [request_of(record) for record in received]
        if not elsewhere:
            return CheckedRequests(requests, [])
        limited = await sessions.limited(tx, {requests[index].session_id for index in elsewhere})
        known = await store.known(tx, [requests[index] for index in elsewhere])
        refused: dict[int, Rejected] = {}
        for index in elsewhere:
            request = requests[index]
            if request.key not in known:
                tx.count(MISROUTED.labels(received[index].portal or ""))
            if not limited.get(request.session_id, True):
                continue
            if _is_of_trial(received[index]):
                requests[index] = replace(request, misrouted=True)
            elif request.key not in known:  # an answered request keeps its answer
                refused[index] = self._refusal(received[index])
        return CheckedRequests(
            [request for index, request in enumerate(requests) if index not in refused],
            list(refused.values()),
        )

    async def _elsewhere(self, tx: Transaction, received: Sequence[RequestReceived]) -> list[int]:
        if time.monotonic() - self._read_at > _READ_AGAIN_SECONDS:
            self._numbers = await partition_numbers.known(tx)
            self._read_at = time.monotonic()
        misplaced = self._misplaced(received)
        if not misplaced:
            return []
        asked_lately = time.monotonic() - self._asked_at < _READ_AGAIN_SECONDS
        if asked_lately and not any(self._must_ask(received[index]) for index in misplaced):
            return misplaced
        self._numbers = await partition_numbers.save_number(tx, await self._ask_broker(), clock.now())
        self._asked_at = time.monotonic()
        return self._misplaced(received)

    def _misplaced(self, received: Sequence[RequestReceived]) -> list[int]:
        return [
            index
            for index, request in enumerate(received)
            if not lies_right(request.record, request.event.key, self._numbers)
        ]

    def _must_ask(self, request: RequestReceived) -> bool:
        is_added = request.record.partition >= max((known.number for known in self._numbers), default=0)
        return is_added or not _is_of_trial(request)

    def _refusal(self, request: RequestReceived) -> Rejected:
        number = next(known.number for known in self._numbers if known.until is None)
        belongs = partition_of(request.event.key, number)
        return rejected(
            request,
            RejectionCode.WRONG_PARTITION,
            f"The record lies in partition {request.record.partition}, and requests for this session belong "
            f"in {belongs} of {number}: that of the key session_id, in lower case, by murmur2. With "
            "librdkafka set partitioner=murmur2_random, and send the request again.",
        )


def _is_of_trial(request: RequestReceived) -> bool:
    return request.sender is not None and request.sender.unsigned
