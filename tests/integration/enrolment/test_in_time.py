"""An answer given in time is good, however late the service comes to read it."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import httpx
from sqlalchemy import text

from local.kafka import KafkaBroker
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Request, SeatRequest, Withdrawal
from services.enrolment.service import requests as service
from services.enrolment.service import sessions
from shared import clock
from shared.database import Database
from shared.events.portal import EnrolmentRequested, SeatOfferAnswered
from tests.conftest import RunService
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal, collect

HELD = timedelta(hours=1)


async def test_a_service_that_was_away_reads_the_answers_before_it_lets_offers_lapse(
    kafka: KafkaBroker,
    enrolment_url: str,
    database: Database,
    run_service: RunService,
    eventually: Callable[..., Awaitable[None]],
) -> None:
    session, seated = open_now(capacity=1, waiting_list="offer"), an_agent()
    waiting = an_agent(issuer="essai")  # of the portal that sends the answer
    policy = Policy(longest_hold=HELD)
    begun = clock.now() - 2 * HELD

    async def ask(now: datetime, *requests: Request) -> None:
        async with database.transaction() as tx:
            await service.process(tx, requests, policy, now)

    def members(now: datetime) -> tuple[uuid.UUID, datetime, uuid.UUID]:
        return uuid.uuid4(), now, session.session_id

    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, policy, begun)
    await ask(
        begun, SeatRequest(*members(begun), seated, False), SeatRequest(*members(begun), waiting, False)
    )
    key, answer_id = str(session.session_id), uuid.uuid4()
    answer = {"session_id": str(session.session_id), "agent_id": waiting.agent_id, "accepted": True}
    # Behind more than one batch of others, all of which are read when the offer is over.
    others = [
        (key, headers(EnrolmentRequested.TYPE), as_json(enrolment_request(session.session_id)))
        for _ in range(1_200)
    ]
    record = headers(SeatOfferAnswered.TYPE, event_id=answer_id), as_json(answer)
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [*others, (key, *record)])
        offered = clock.now() - HELD + timedelta(seconds=0.1)  # so it is over once the broker has the answer
        await ask(offered, Withdrawal(*members(offered), seated.key, None))

    async def is_over() -> bool:
        return clock.now() > offered + HELD

    await eventually(is_over, "the offer is over")
    run_service("enrolment", enrolment_url, kafka.bootstrap_servers, ENROLMENT_GRACE_SECONDS="0")

    async def outcome() -> str | None:
        async with database.quiet_transaction() as tx:
            found: str | None = await tx.scalar(
                text("SELECT outcome FROM request WHERE request_id = :id"), {"id": answer_id}
            )
            return found

    async def is_answered() -> bool:
        return await outcome() is not None

    await eventually(is_answered, "the answer is answered")
    assert await outcome() == "enrolled"


async def test_a_request_for_a_session_that_never_comes_is_refused_unknown_session(
    kafka: KafkaBroker, enrolment_url: str, run_service: RunService
) -> None:
    session, request_id = open_now(), uuid.uuid4()
    record = (
        headers(EnrolmentRequested.TYPE, event_id=request_id),
        as_json(enrolment_request(session.session_id)),
    )
    service = run_service(
        "enrolment", enrolment_url, kafka.bootstrap_servers, ENROLMENT_PENDING_SESSION_SECONDS="0.5"
    )
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [(str(session.session_id), *record)])
        found = await collect(
            kafka.bootstrap_servers,
            "enrolment.decisions",
            lambda found: any(decision.data["request_id"] == str(request_id) for decision in found),
        )
    [refused] = [decision for decision in found if decision.data["request_id"] == str(request_id)]
    assert (refused.type, refused.data["reason"]) == ("EnrolmentRefused", "unknown_session")
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{service.url}/api/v1/requests/{request_id}")
    assert answer.json()["reason"] == "unknown_session"
