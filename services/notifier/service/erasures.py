"""An agent is forgotten: after the enrolments are, and the last letters about them have left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifier.store import erasures, fan_outs, people
from services.notifier.store.events import OUTBOX
from services.notifier.store.people import KnownPerson
from shared import clock, read_log
from shared.database import Transaction
from shared.events.erasure import AgentErased
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.messaging import erasure, progress
from shared.messaging.erasure import Erasure
from shared.personal_data import Subject
from shared.read_log import Reading, ReadKind

ENROLMENT = "enrolment"
"""The service that has to forget an agent first: what it decides calls for letters."""
SERVICES = frozenset(("catalogue", "enrolment", "notifier"))
"""Who answers each request."""
MOST_OTHERS = 20
"""Agents with the same address who are named beside one who is to be forgotten."""
LETTERS_WAIT = timedelta(hours=1)
"""How long letters that are due may still leave, such as that of a seat given up [choice]."""


async def meant(tx: Transaction, agent: AgentKey, reading: Reading) -> tuple[KnownPerson, list[AgentKey]]:
    """Return who an agent is, and the other agents with the same address. Who reads is recorded."""
    (person,) = await people.known(tx, [agent])
    same = await people.with_address(tx, person.address, most=MOST_OTHERS + 1) if person.address else []
    others = [other for other in same if other != agent][:MOST_OTHERS]
    await read_log.record(tx, reading, ReadKind.PERSON, agents=[agent, *others])
    return person, others


async def request(tx: Transaction, agent: AgentKey, now: datetime, reading: Reading) -> UUID:
    """Ask all services, this one too, to forget an agent. Returns the id of the request.

    Who asks is recorded.
    """
    request_id = await erasure.request(tx, OUTBOX, agent, now)
    await read_log.record(tx, reading, ReadKind.ERASURE, agents=[agent], about=[request_id])
    return request_id


async def is_asked_here(tx: Transaction, request_id: str) -> bool:
    """Return whether support asked for this, also while the request has not come back to this service."""
    return await erasures.is_asked_here(tx, request_id)


async def record(tx: Transaction, answers: Sequence[AgentErased]) -> None:
    """Keep what services answered."""
    await erasures.save(tx, answers)


async def until(tx: Transaction, request: Erasure) -> datetime | None:
    """Return until when what came is to be erased: all that enrolment decided. None: not yet.

    What it decided is read first, and letters that are due may leave, for an hour; none is on its way then.
    """
    answer = await erasures.answer_of(tx, request.request_id, request.request_source, ENROLMENT)
    if answer is None:
        return None
    read = await progress.read_until(tx, Topic.ENROLMENT_DECISIONS)
    if read is None or read < answer.erased_at:
        return None
    await fan_outs.hold(tx)
    patient = clock.now() < answer.erased_at + LETTERS_WAIT
    if await erasures.letters_leave(tx, request.agent, patient=patient):
        return None
    return answer.erased_at


async def writes(tx: Transaction, subject: Subject) -> bool:
    """Return whether a letter to somebody who is no agent is on its way."""
    return await erasures.writes_to(tx, subject.addresses)


@dataclass(frozen=True, slots=True)
class ErasureState:
    """A request to forget an agent, and when each service has done it. Names nobody."""

    request_id: UUID
    request_source: str
    received_at: datetime
    answers: Mapping[str, datetime]

    @property
    def missing(self) -> frozenset[str]:
        """The services that have not answered."""
        return SERVICES - self.answers.keys()

    @property
    def is_done(self) -> bool:
        return not self.missing


async def states(tx: Transaction, request_id: UUID | None = None) -> list[ErasureState]:
    """Return how far requests are, the newest first: those of one id, or the last hundred."""
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
