"""What the metrics say of decisions, of requests in a wrong partition, and of offers that lapse."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment import jobs
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import SeatRequest
from services.enrolment.service import requests as service
from shared import clock
from shared.database import Database
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.test_order import (
    BrokerWithoutPartitions,
    a_consumer,
    requested,
    right,
    wrong,
)
from tests.support.builders import an_agent, open_now
from tests.support.metrics import metric


def decisions() -> dict[tuple[str, str], float]:
    """How often each was decided."""
    return {
        (decision, reason): metric("parcours_decisions_total", decision=decision, reason=reason)
        for decision, reason in (
            ("AgentEnrolled", ""),
            ("AgentWaitlisted", ""),
            ("EnrolmentWithdrawn", "agent"),
            ("EnrolmentRefused", "already_enrolled"),
            ("EnrolmentRefused", "unknown_session"),
        )
    }


async def test_decisions_are_counted_by_what_was_decided_and_why(database: Database, front: Front) -> None:
    before = decisions()
    session, first, second = open_now(capacity=1), an_agent("A-1"), an_agent("A-2")
    await front.publish(session)
    await front.enrol(session, first, second, first)
    await front.withdraw(session, first)
    await front.enrol(open_now(), an_agent())
    async with database.transaction() as tx:
        await service.refuse_unknown(tx, clock.now() + timedelta(seconds=1), clock.now())
    made = {labels: number - before[labels] for labels, number in decisions().items()}
    assert list(made.values()) == [2, 1, 1, 1, 1]


async def test_what_is_rolled_back_is_not_counted(database: Database, front: Front) -> None:
    before = decisions()
    session = open_now()
    await front.publish(session)

    async def fail() -> None:
        async with database.transaction() as tx:
            request = SeatRequest(uuid4(), clock.now(), session.session_id, an_agent(), approved=False)
            await service.process(tx, [request], Policy(), clock.now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert decisions() == before


async def test_requests_in_a_wrong_partition_are_counted_refused_or_not_and_each_once(
    database: Database, front: Front
) -> None:
    before = metric("parcours_requests_misrouted_total", portal="iel")
    consumer = a_consumer(database, BrokerWithoutPartitions())
    limited, unlimited = open_now(capacity=5), open_now(capacity=None)
    await front.publish(limited, unlimited)
    judged = requested(unlimited, wrong(unlimited))
    await consumer.take([requested(limited, wrong(limited)), requested(limited, right(limited)), judged])
    await consumer.take([judged])
    assert metric("parcours_requests_misrouted_total", portal="iel") == before + 2


async def test_offers_that_lapse_within_a_day_are_counted_and_the_oldest_that_should_have_is_known(
    database: Database, front: Front
) -> None:
    session = open_now(capacity=2, waiting_list="offer")
    agents = [an_agent(f"A-{number}") for number in range(4)]
    await front.publish(session)
    await front.enrol(session, *agents)
    await jobs.measure(database)
    assert (metric("parcours_offers_lapsing"), metric("parcours_offers_overdue_seconds")) == (0, 0)
    for agent in agents[:2]:
        await front.withdraw(session, agent)
    await _hold(database, agents[2].agent_id, timedelta(hours=1))
    await _hold(database, agents[3].agent_id, timedelta(hours=25))
    await jobs.measure(database)
    assert (metric("parcours_offers_lapsing"), metric("parcours_offers_overdue_seconds")) == (1, 0)
    await _hold(database, agents[2].agent_id, -timedelta(hours=2))
    await _hold(database, agents[3].agent_id, -timedelta(hours=1))
    await jobs.measure(database)
    assert metric("parcours_offers_lapsing") == 0
    assert 7200 <= metric("parcours_offers_overdue_seconds") < 7260


async def _hold(database: Database, agent_id: str, time: timedelta) -> None:
    """Have the offer of this agent end so long from now."""
    async with database.quiet_transaction() as tx:
        statement = "UPDATE enrolment SET hold_until = :until WHERE agent_id = :id AND state = 'offered'"
        done = await tx.execute(text(statement), {"until": clock.now() + time, "id": agent_id})
        assert done.rowcount == 1
