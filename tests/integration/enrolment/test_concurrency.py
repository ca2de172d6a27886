"""Many requests at once about one session: a race without its lock, and none with it.

A trigger counts the seats at every commit, as a reader from outside would. The workers queue here
for ten connections: the pool's patience would end on a busy machine.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import OfferAnswer, Request, SeatRequest, Withdrawal
from services.enrolment.service import requests as service
from services.enrolment.service import sessions
from services.enrolment.store import sessions as sessions_store
from shared.database import Database
from shared.events.catalogue import SessionState
from tests.support.builders import DURING, a_session, an_agent

WORKERS, CONNECTIONS, ROUNDS, SEATS = 40, 10, 2, 10
AGENTS = [an_agent(f"C{number}") for number in range(30)]

_COUNT_AT_EVERY_COMMIT = (
    "CREATE TABLE overbooked (taken bigint, seats bigint)",
    """CREATE FUNCTION count_seats() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO overbooked
        SELECT taken, seat_ceiling FROM session, LATERAL (
            SELECT count(*) AS taken FROM enrolment
            WHERE enrolment.session_id = session.session_id AND state IN ('enrolled', 'offered')
        ) AS seats WHERE session_id = NEW.session_id AND taken > seat_ceiling;
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER count_seats AFTER INSERT OR UPDATE ON enrolment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_seats()""",
)
_OVERBOOKED = text("SELECT count(*) FROM overbooked")
_COUNTS = text(
    "SELECT enrolled + offered AS kept, waiting, CAST(state->>'capacity' AS integer) AS capacity, "
    "(SELECT count(*) FROM enrolment WHERE state IN ('enrolled', 'offered')) AS counted FROM session"
)


@pytest.fixture
async def database(new_database: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(new_database("enrolment"), application_name="crowd", pool_size=CONNECTIONS)
    async with database.quiet_transaction() as tx:
        for statement in _COUNT_AT_EVERY_COMMIT:
            await tx.execute(text(statement))
    yield database
    await database.close()


@pytest.mark.parametrize("waiting_list", ["automatic", "offer"])
async def test_seats_are_never_exceeded_at_any_commit_by_many_at_once(
    database: Database, waiting_list: str
) -> None:
    assert await faults_after_a_crowd(database, waiting_list) == []


async def test_without_the_lock_there_would_be_a_race(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock = text(str(sessions_store._LOCK).replace("FOR UPDATE", ""))
    monkeypatch.setattr(sessions_store, "_LOCK", without_lock)
    assert await faults_after_a_crowd(database, "automatic") != []


async def faults_after_a_crowd(database: Database, waiting_list: str) -> list[str]:
    session = a_session(capacity=SEATS, waiting_list=waiting_list)
    await apply_state(database, session)
    free = asyncio.Semaphore(CONNECTIONS)
    crowd = [work(database, free, session, number) for number in range(WORKERS)]
    faults = [fault for failed in await asyncio.gather(*crowd) for fault in failed]
    async with database.quiet_transaction() as tx:
        if await tx.scalar(_OVERBOOKED):
            faults.append("more seats were taken than there are")
        counts = (await tx.execute(_COUNTS)).one()
    if counts.kept != counts.counted:
        faults.append("the session's count is not the number of its seats taken")
    if counts.waiting and counts.kept < counts.capacity:
        faults.append("somebody waits while seats are free")
    return faults


async def work(database: Database, free: asyncio.Semaphore, session: SessionState, number: int) -> list[str]:
    """Enrol, withdraw, answer and change the capacity, in an order of its own. Returns what was refused.

    ``free``: the connections that nobody uses.
    """
    dice = random.Random(number)
    failed = []
    for version in range(2 + number * ROUNDS, 2 + (number + 1) * ROUNDS):
        try:
            async with free:
                if number % 20 == 0:
                    changes = {"version": version, "capacity": SEATS - dice.randrange(3)}
                    await apply_state(database, a_session(**session.model_dump() | changes))
                else:
                    requests = [a_request(session, dice) for _ in range(dice.randrange(1, 4))]
                    async with database.transaction() as tx:
                        await service.process(tx, requests, Policy(), DURING)
        except (DBAPIError, ValueError) as error:  # without the lock, constraints and types object too
            failed.append(type(error).__name__)
    return failed


def a_request(session: SessionState, dice: random.Random) -> Request:
    agent = dice.choice(AGENTS)
    members = uuid.uuid4(), DURING - timedelta(seconds=1), session.session_id
    kind = dice.randrange(10)
    if kind < 6:
        return SeatRequest(*members, agent, True)
    if kind < 9:
        return Withdrawal(*members, agent.key, None)
    return OfferAnswer(*members, agent.key, dice.random() < 0.5)


async def apply_state(database: Database, session: SessionState) -> None:
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), DURING)
