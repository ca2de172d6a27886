"""Two hundred at once on one session: first the race that there is without the lock, then that there is none.

A trigger counts the seats at every commit, as somebody who looks from outside would. Two hundred workers, on
ten connections, for which they queue here: the pool's patience would end on a busy machine.
"""

import asyncio
import random
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import OfferAnswer, Request, SeatRequest, Withdrawal
from services.enrolment.service import requests as service
from services.enrolment.service import sessions
from services.enrolment.store import sessions as sessions_store
from shared.database import Database
from shared.events.catalogue import SessionState
from tests.support.builders import DURING, a_session, an_agent

WORKERS, CONNECTIONS, ROUNDS, SEATS = 200, 10, 2, 20
AGENTS = [an_agent(f"C{number}") for number in range(60)]

_WITHOUT_LOCK = text(str(sessions_store._LOCK).replace("FOR UPDATE", ""))

_COUNT_AT_EVERY_COMMIT = """
CREATE TABLE overbooked (taken bigint, seats bigint);
CREATE FUNCTION count_seats() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO overbooked
    SELECT taken, seat_ceiling FROM session, LATERAL (
        SELECT count(*) AS taken FROM enrolment
        WHERE enrolment.session_id = session.session_id AND state IN ('enrolled', 'offered')
    ) AS seats WHERE session_id = NEW.session_id AND taken > seat_ceiling;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER count_seats AFTER INSERT OR UPDATE ON enrolment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_seats();
"""


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param(
            _WITHOUT_LOCK,
            id="without the lock",
            marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason="shows what the lock is for"),
        ),
        pytest.param(sessions_store._LOCK, id="with the lock"),
    ],
)
@pytest.mark.parametrize("waiting_list", ["automatic", "offer"])
async def test_seats_are_never_exceeded_at_any_commit_by_two_hundred_at_once(
    new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, lock: TextClause, waiting_list: str
) -> None:
    monkeypatch.setattr(sessions_store, "_LOCK", lock)
    database = Database(new_database("enrolment"), application_name="crowd", pool_size=CONNECTIONS)
    session = a_session(capacity=SEATS, waiting_list=waiting_list)
    await apply_state(database, session)
    async with database.quiet_transaction() as tx:
        for statement in _COUNT_AT_EVERY_COMMIT.split(";\nCREATE"):
            prefix = "" if statement.lstrip().startswith("CREATE") else "CREATE"
            await tx.execute(text(prefix + statement))
    free = asyncio.Semaphore(CONNECTIONS)
    crowd = [asyncio.create_task(worker(database, free, session, number)) for number in range(WORKERS)]
    failures = [failure for failed in await asyncio.gather(*crowd) for failure in failed]
    async with database.quiet_transaction() as tx:
        overbooked = (await tx.execute(text("SELECT DISTINCT taken, seats FROM overbooked"))).all()
        kept, counted, waiting, capacity = (await tx.execute(_STATE, {"id": session.session_id})).one()
    await database.close()
    assert not overbooked, "more seats taken than there are"
    assert not failures
    assert kept == counted
    assert waiting == 0 or kept >= capacity, "somebody waits while seats are free"


async def worker(
    database: Database, free: asyncio.Semaphore, session: SessionState, number: int
) -> list[str]:
    """Enrol, withdraw, answer and change the capacity, in an order of its own. Returns what was refused.

    ``free``: the connections that nobody uses.
    """
    dice = random.Random(number)
    failed = []
    for round_number in range(ROUNDS):
        try:
            if number % 20 == 0:
                version = 2 + number * ROUNDS + round_number
                capacity = SEATS - dice.randrange(3)
                changed = a_session(**session.model_dump() | {"version": version, "capacity": capacity})
                async with free:
                    await apply_state(database, changed)
            else:
                requests = [a_request(session, dice) for _ in range(dice.randrange(1, 4))]
                async with free, database.transaction() as tx:
                    await service.process(tx, requests, Policy(), DURING)
        except (IntegrityError, ValueError) as error:  # without the lock, constraints and types object too
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


_STATE = text(
    "SELECT enrolled + offered, (SELECT count(*) FROM enrolment WHERE enrolment.session_id = :id "
    "AND state IN ('enrolled', 'offered')), waiting, "
    "CAST(state->>'capacity' AS integer) FROM session WHERE session_id = :id"
)
