"""Erases an agent after enrolment has, and after the last letters have left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifier.store import erasures, fan_outs, people
from services.notifier.store.events import OUTBOX
from services.notifier.store.people import KnownPerson
from shared import clock, read_log
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.erasure import AgentErased
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.messaging import erasure, progress
from shared.messaging.erasure import Erasure
from shared.personal_data import Subject
from shared.read_log import Reading, ReadKind

ENROLMENT = "enrolment"
"""Its decisions call for letters, so it erases an agent first."""
READS = (Topic.ENROLMENT_DECISIONS, Topic.ENROLMENT_NOTICES)
SERVICES = frozenset(("catalogue", "enrolment", "notifier"))
MOST_OTHERS = 20
LETTERS_WAIT = timedelta(hours=1)
"""Due letters may still leave for this long [choice]."""


async def meant(tx: Transaction, agent: AgentKey, reading: Reading) -> tuple[KnownPerson, list[AgentKey]]:
    (person,) = await people.known(tx, [agent])
    same = await people.with_address(tx, person.address, most=MOST_OTHERS + 1) if person.address else []
    others = [other for other in same if other != agent][:MOST_OTHERS]
    await read_log.record(tx, reading, ReadKind.PERSON, agents=[agent, *others])
    return person, others


async def request(tx: Transaction, agent: AgentKey, now: datetime, reading: Reading) -> UUID:
    request_id = await erasure.request(tx, OUTBOX, agent, now)
    await read_log.record(tx, reading, ReadKind.ERASURE, agents=[agent], about=[request_id])
    return request_id


async def is_asked_here(tx: Transaction, request_id: str) -> bool:
    """Support made this request, although its event may not be read yet."""
    return await erasures.is_asked_here(tx, request_id)


async def process(tx: Transaction, received: Sequence[Received[AgentErased]]) -> None:
    await erasures.save(tx, [record.event for record in received])


async def until(tx: Transaction, request: Erasure) -> datetime | None:
    """Return the moment up to which the agent is erased, or None if it is too early.

    All decisions and messages of enrolment must be read. Due letters may leave for an hour. No letter may be
    on its way.
    """
    answer = await erasures.answer_of(tx, request.request_id, request.request_source, ENROLMENT)
    if answer is None:
        return None
    read = await progress.read_until(tx, READS)
    if read is None or read < answer.erased_at:
        return None
    await fan_outs.hold(tx)
    patient = clock.now() < answer.erased_at + LETTERS_WAIT
    if await erasures.letters_leave(tx, request.agent, patient=patient):
        return None
    return answer.erased_at


async def writes(tx: Transaction, subject: Subject) -> bool:
    return await erasures.writes_to(tx, subject.addresses)


@dataclass(frozen=True, slots=True)
class ErasureState:
    request_id: UUID
    request_source: str
    received_at: datetime
    answers: Mapping[str, datetime]

    @property
    def missing(self) -> frozenset[str]:
        return SERVICES - self.answers.keys()

    @property
    def is_done(self) -> bool:
        return not self.missing


async def states(tx: Transaction, request_id: UUID | None = None) -> list[ErasureState]:
    requests = await erasures.requests(tx, request_id)
    answers = await erasures.answers(tx, [request.request_id for request in requests])
    return [
        ErasureState(
            request.request_id,
            request.request_source,
            request.received_at,
            {
                answer.service: answer.erased_at
                for answer in answers
                if (answer.request_id, answer.request_source) == (request.request_id, request.request_source)
            },
        )
        for request in requests
    ]
