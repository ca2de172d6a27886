"""An answer given in time is good, however late the service comes to read it."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from services.enrolment import desk
from services.enrolment.rules import Policy, Request, SeatRequest, Withdrawal
from shared import clock
from shared.database import Database
from shared.events.portal import EnrolmentRequested, SeatOfferAnswered
from tests.conftest import Broker
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import Portal
from tests.support.processes import ServiceProcess

HELD = timedelta(seconds=2)


@pytest.mark.kafka
async def test_a_service_that_was_away_reads_the_answers_before_it_lets_offers_lapse(
    kafka: Broker,
    enrolment_url: str,
    database: Database,
    run_service: Callable[..., ServiceProcess],
    eventually: Callable[..., Awaitable[None]],
) -> None:
    session, seated, waiting = open_now(capacity=1, waiting_list="offer"), an_agent(), an_agent()
    policy = Policy(longest_hold=HELD)
    now = clock.now()

    async def ask(*requests: Request) -> None:
        async with database.transaction() as tx:
            await desk.answer(tx, requests, policy, now)

    def about() -> tuple[uuid.UUID, datetime, uuid.UUID]:
        return uuid.uuid4(), now, session.session_id

    async with database.transaction() as tx:
        await desk.take_over(tx, {session.session_id: session}, policy, now)
    await ask(SeatRequest(*about(), seated, False), SeatRequest(*about(), waiting, False))
    await ask(Withdrawal(*about(), seated.agent_id, None))
    key, answer_id = str(session.session_id), uuid.uuid4()
    answer = {"session_id": str(session.session_id), "agent_id": waiting.agent_id, "accepted": True}
    async with Portal(kafka.bootstrap_servers) as portal:
        # Behind more than one batch of others, all of which are read when the offer is over.
        others = [
            (key, headers(EnrolmentRequested.TYPE), as_json(enrolment_request(session.session_id)))
            for _ in range(1_200)
        ]
        record = headers(SeatOfferAnswered.TYPE, event_id=answer_id), as_json(answer)
        await portal.send("portal.enrolments", [*others, (key, *record)])

    async def is_over() -> bool:
        return clock.now() > now + HELD

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

    await eventually(is_answered, "the answer is answered", 40)
    assert await outcome() == "enrolled"
