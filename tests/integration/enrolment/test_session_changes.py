"""New dates, a new place or link of a session: said to the portals of each agent in it, slice by slice."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.enrolment.service import session_changes
from services.enrolment.store import session_changes as store
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionChangedForAgent
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front
from tests.support.answers import rows
from tests.support.builders import a_session, an_agent, open_now


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


def of_iel(number: int) -> list[Agent]:
    return [an_agent(f"{place:03}", issuer="iel") for place in range(number)]


def changed(session: SessionState, **changes: Any) -> SessionState:
    return a_session(**(session.model_dump() | {"version": session.version + 1} | changes))


async def slice_of(database: Database, most: int = 100) -> int | None:
    async with database.transaction() as tx:
        return await session_changes.next_slice(tx, most=most)


async def notified(database: Database, portal: str = "iel") -> Sequence[SessionChangedForAgent]:
    found = await rows(database, f"portal = '{portal}' AND type = '{SessionChangedForAgent.TYPE}'")
    return [SessionChangedForAgent.model_validate_json(row.data) for row in found]


async def test_everybody_who_has_a_seat_or_waits_is_told_and_nobody_who_left(
    database: Database, front: Front
) -> None:
    session, (seated, waiting, gone) = open_now(capacity=1), of_iel(3)
    await front.publish(session)
    await front.enrol(session, seated, waiting, gone, an_agent("001", issuer="ouest"))
    await front.withdraw(session, gone)
    later = changed(
        session, starts_at=session.starts_at + timedelta(days=1), ends_at=session.ends_at + timedelta(days=1),
        venue="Brest, 1 quai du Test", join_url="https://visio.exemple.fr/7",
    )  # fmt: skip
    await front.publish(later)

    assert await slice_of(database) == 3
    assert await slice_of(database) is None

    first, second = await notified(database)
    assert (first.agent, second.agent) == (seated, waiting)
    assert first.join_url is second.join_url is None, "the link is in letters alone"
    assert first.enrolment_id == (await front.of(session, seated)).enrolment_id
    assert (first.session_id, first.session_version) == (session.session_id, later.version)
    assert first.changed == second.changed == ("dates", "place", "link")
    assert (first.starts_at, first.ends_at, first.venue) == (later.starts_at, later.ends_at, later.venue)
    assert await notified(database, "iel-mobile") == [first, second]
    assert [event.agent.issuer for event in await notified(database, "ouest")] == ["ouest"]


@pytest.mark.parametrize(
    ("change", "heard"),
    [
        ({"venue": "Brest, 1 quai du Test"}, ["place"]),
        ({"join_url": "https://visio.exemple.fr/7"}, ["link"]),
        ({"modules": [{"title": "Matin", "starts_at": "2030-01-01T08:00Z", "ends_at": "2030-01-01T09:00Z"}]},
         ["dates"]),
        ({"capacity": 7, "title": "Autre titre"}, None),
        ({"status": "cancelled", "venue": "Brest, 1 quai du Test"}, None),
    ],
    ids=["place", "link", "modules", "nothing they must hear", "cancelled"],
)  # fmt: skip
async def test_only_dates_place_and_link_are_told(
    database: Database, front: Front, change: dict[str, Any], heard: list[str] | None
) -> None:
    session, (agent,) = open_now(), of_iel(1)
    await front.publish(session)
    await front.enrol(session, agent)

    await front.publish(changed(session, **change))

    assert await slice_of(database) == (None if heard is None else 1)
    assert [list(event.changed) for event in await notified(database)] == ([heard] if heard else [])


async def test_a_large_session_is_told_slice_by_slice_each_agent_once(
    database: Database, front: Front
) -> None:
    session, agents = open_now(), of_iel(5)
    await front.publish(session)
    await front.enrol(session, *agents)
    await front.publish(changed(session, venue="Brest, 1 quai du Test"))

    # A process that dies within a slice leaves it to be done: nothing of it is kept.
    async def die_within_a_slice() -> None:
        async with database.transaction() as tx:
            assert await session_changes.next_slice(tx, most=2) == 2
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await die_within_a_slice()
    assert [await slice_of(database, most=2) for _ in range(4)] == [2, 2, 1, None]

    assert [event.agent for event in await notified(database)] == agents


async def test_a_newer_change_begins_again_and_tells_of_both(database: Database, front: Front) -> None:
    session, agents = open_now(), of_iel(3)
    await front.publish(session)
    await front.enrol(session, *agents)
    second = changed(session, venue="Brest, 1 quai du Test")
    await front.publish(second)
    assert await slice_of(database, most=2) == 2
    third = changed(second, join_url="https://visio.exemple.fr/7")
    await front.publish(third)

    assert await slice_of(database) == 3

    *_, last = await notified(database)
    assert len(await notified(database)) == 5
    assert (last.session_version, last.changed) == (third.version, ("place", "link"))


async def test_a_session_that_changes_again_lets_others_go_first(database: Database, front: Front) -> None:
    restless, other = open_now(), open_now()
    for session in (restless, other):
        await front.publish(session)
        await front.enrol(session, *of_iel(3))
        await front.publish(changed(session, venue="Brest, 1 quai du Test"))
    assert await slice_of(database, most=2) == 2
    await front.publish(changed(restless, version=restless.version + 2, venue="Quimper, 2 quai du Test"))

    assert await slice_of(database) == 3

    *_, last = await notified(database)
    assert last.session_id == other.session_id


async def test_a_session_cancelled_meanwhile_has_nothing_left_to_tell(
    database: Database, front: Front
) -> None:
    session, agents = open_now(), of_iel(2)
    await front.publish(session)
    await front.enrol(session, *agents)
    moved = changed(session, venue="Brest, 1 quai du Test")
    await front.publish(moved)
    await front.publish(changed(moved, status="cancelled"))

    assert await slice_of(database) == 0
    assert await slice_of(database) is None
    assert await notified(database) == []


async def test_a_slice_reads_its_own_agents_alone(database: Database) -> None:
    """By the index of live enrolments, not by sorting all of the session for each slice."""
    async with database.transaction() as tx:
        for way in ("seqscan", "bitmapscan", "sort"):  # whatever the planner believes of a small table
            await tx.execute(text(f"SET LOCAL enable_{way} = off"))
        plan = await tx.scalars(
            text(f"EXPLAIN {store._NEXT.text}"),
            {"session": open_now().session_id, "issuer": "", "agent": "", "most": 10},
        )
        lines = "\n".join(plan)
    assert "uq_enrolment_live" in lines
    assert "Sort" not in lines
