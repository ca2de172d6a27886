"""Records that the catalogue and portals publish on Kafka, and decisions about their sessions."""

from collections.abc import Sequence
from uuid import UUID

from local.kafka import KafkaBroker
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.vocabulary import Agent
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.kafka import KafkaMessage, KafkaPortal, PublishedRecord, collect


async def announce(portal: KafkaPortal, *sessions: SessionState) -> None:
    states = [
        (
            str(session.session_id),
            headers(SessionScheduled.TYPE, source="/services/catalogue"),
            session.model_dump_json().encode(),
        )
        for session in sessions
    ]
    await portal.send("catalogue.sessions", states)


def request_record(
    session: SessionState, agent: Agent | None = None, request_id: UUID | None = None
) -> KafkaMessage:
    head = headers(EnrolmentRequested.TYPE, event_id=request_id)
    return str(session.session_id), head, as_json(enrolment_request(session.session_id, agent))


def requests_for(session: SessionState, number: int) -> list[KafkaMessage]:
    """Requests in order; the agent's id tells the place in that order."""
    return [request_record(session, an_agent(agent_id)) for agent_id in agents_of(session, 0, number)]


def agents_of(session: SessionState, first: int, last: int) -> list[str]:
    return [f"{session.session_id}-{place:05d}" for place in range(first, last)]


async def decisions_about(
    kafka: KafkaBroker, sessions: Sequence[SessionState], number: int, *, seconds: float = 60
) -> list[PublishedRecord]:
    """Wait for ``number`` decisions about these sessions, and return all that have come.

    An event that was published twice stands there twice.
    """
    ids = {str(session.session_id) for session in sessions}

    def ours(found: list[PublishedRecord]) -> list[PublishedRecord]:
        return [decision for decision in found if decision.data.get("session_id") in ids]

    def enough(found: list[PublishedRecord]) -> bool:
        return len({decision.id for decision in ours(found)}) >= number

    return ours(await collect(kafka.bootstrap_servers, "enrolment.decisions", enough, seconds=seconds))
