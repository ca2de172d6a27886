"""Moving to another session on a real Postgres (rule 18): both sessions are locked, or wait, together."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Position, Swap
from services.enrolment.service import requests as service
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Ask, Front
from tests.support.builders import an_agent, open_now

PORTAL = "portail-bretagne"
Rows = Callable[..., Awaitable[list[Row[Any]]]]


def a_swap(here: SessionState, there: SessionState, agent: Agent) -> Swap:
    return Swap(
        uuid4(),
        clock.now(),
        here.session_id,
        agent.key,
        there.session_id,
        source=f"/portals/{PORTAL}",
        portal=PORTAL,
        position=Position("portal.enrolments", 0, 7),
    )


def agents(number: int) -> list[Agent]:
    return [an_agent(issuer=PORTAL) for _ in range(number)]


async def test_who_cross_from_session_to_session_at_once_never_wait_for_each_other_in_a_circle(
    front: Front, database: Database, rows: Rows
) -> None:
    sessions = [open_now(capacity=12) for _ in range(3)]
    await front.publish(*sessions)
    seated = {session.session_id: agents(10) for session in sessions}
    for session in sessions:
        await front.enrol(session, *seated[session.session_id])
    free = asyncio.Semaphore(8)

    async def move(agent: Agent, here: SessionState, there: SessionState) -> str:
        swap = a_swap(here, there, agent)
        async with free, database.transaction() as tx:
            answer = (await service.answer(tx, [swap], Policy(), clock.now()))[swap.key]
        assert answer is not None
        return answer.outcome

    moving = [
        move(agent, here, there)
        for number in range(10)
        for here in sessions
        for there in sessions[number % 2 :: 2]
        if here is not there
        for agent in [seated[here.session_id][number]]
    ]
    outcomes = Counter(await asyncio.gather(*moving))
    assert outcomes.keys() <= {"enrolled", "refused"}
    assert outcomes["enrolled"] > 0
    counts = await rows(
        "SELECT enrolled, (SELECT count(*) FROM enrolment WHERE enrolment.session_id = session.session_id "
        "AND enrolment.state = 'enrolled') AS counted FROM session"
    )
    assert all(row.enrolled == row.counted <= 12 for row in counts)
    assert sum(row.enrolled for row in counts) == 30, "each has one seat, as before"


async def test_a_request_says_what_became_of_the_new_seat_to_this_day(front: Front, ask: Ask) -> None:
    here, there = open_now(capacity=1), open_now()
    await front.publish(here, there)
    agent, waiting = agents(2)
    await front.enrol(here, agent, waiting)
    swap = a_swap(here, there, agent)
    await front.answer(swap)
    answered = (await ask("GET", f"/api/v1/requests/{swap.request_id}", by=PORTAL)).json()
    assert (answered["asked"], answered["outcome"], answered["state_now"]) == ("swap", "enrolled", "enrolled")
    assert answered["event"] == "fr.cnfpt.enrolment.AgentEnrolled.v1"
    assert [(move["cause"], move["state"]) for move in answered["moves"]] == [
        ("moved", "withdrawn"),
        ("seat_freed", "enrolled"),
    ]
    assert answered["facts"]["to_session_id"] == str(there.session_id)
    await front.withdraw(there, agent)
    later = (await ask("GET", f"/api/v1/requests/{swap.request_id}", by=PORTAL)).json()
    assert later["state_now"] == "withdrawn"
    assert [move["cause"] for move in later["history"]] == ["withdrawal"]


async def test_a_move_that_is_read_twice_happens_once(front: Front) -> None:
    here, there = open_now(), open_now()
    await front.publish(here, there)
    [agent] = agents(1)
    await front.enrol(here, agent)
    swap = a_swap(here, there, agent)
    await front.answer(swap)
    await front.answer(a_swap(there, here, agent))
    await front.answer(swap)
    assert await front.states(here, agent) == ["enrolled"]


async def test_a_move_to_a_session_that_nobody_knows_yet_waits_for_it(
    front: Front, database: Database
) -> None:
    here, there = open_now(), open_now()
    await front.publish(here)
    [agent, other] = agents(2)
    await front.enrol(here, agent)
    await front.answer(a_swap(here, there, agent))
    await front.enrol(here, other)  # what comes meanwhile is answered, and answers nothing for it
    assert await front.states(here, agent, other) == ["enrolled", "enrolled"]
    await front.publish(there)
    async with database.transaction() as tx:
        await service.answer_waiting(tx, Policy(), clock.now())
    assert await front.states(here, agent) == ["withdrawn"]
    assert await front.states(there, agent) == ["enrolled"]


async def test_a_move_to_a_session_that_never_comes_is_refused_and_changes_nothing(
    front: Front, database: Database, rows: Rows
) -> None:
    here = open_now()
    await front.publish(here)
    [agent] = agents(1)
    await front.enrol(here, agent)
    swap = a_swap(here, open_now(), agent)
    await front.answer(swap)
    later = clock.now() + timedelta(minutes=6)
    async with database.transaction() as tx:
        await service.refuse_unknown(tx, later, later)
    [row] = await rows("SELECT outcome, reason FROM request WHERE request_id = :id", id=swap.request_id)
    assert (row.outcome, row.reason) == ("refused", "unknown_session")
    assert await front.states(here, agent) == ["enrolled"]
    [told] = await told_of(rows, swap.request_id)
    assert (told.type, told.code) == ("fr.cnfpt.enrolment.RequestRejected.v1", "invalid")


async def told_of(rows: Rows, request_id: UUID) -> list[Row[Any]]:
    return await rows(
        "SELECT type, CAST(data AS jsonb)->>'code' AS code FROM outbox "
        "WHERE CAST(data AS jsonb)->>'request_id' = :id",
        id=str(request_id),
    )
