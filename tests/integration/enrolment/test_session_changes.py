"""New dates, a new place or link of a session: said to the portals of each agent in it, slice by slice."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.service import session_changes
from services.enrolment.store import session_changes as store
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionChangedForAgent
from tests.integration.enrolment.conftest import Front
from tests.support.answers import rows
from tests.support.builders import a_session, an_agent, open_now
from tests.support.statements import plan_of

AGENTS = [an_agent(f"{place:03}", issuer="iel") for place in range(5)]
BREST = {"venue": "Brest, 1 quai du Test"}
LINK = {"join_url": "https://visio.exemple.fr/7"}
MODULE = {"title": "Matin", "starts_at": "2030-01-01T08:00Z", "ends_at": "2030-01-01T09:00Z"}


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


async def change(front: Front, session: SessionState, **changes: Any) -> SessionState:
    changed = a_session(**(session.model_dump() | {"version": session.version + 1} | changes))
    await front.publish(changed)
    return changed


async def notify(database: Database, most: int = 100) -> int | None:
    async with database.transaction() as tx:
        return await session_changes.next_slice(tx, most=most)


async def published(database: Database, portal: str = "iel") -> Sequence[SessionChangedForAgent]:
    found = await rows(database, f"portal = '{portal}' AND type = '{SessionChangedForAgent.TYPE}'")
    return [SessionChangedForAgent.model_validate_json(row.data) for row in found]


async def test_all_agents_with_a_seat_or_a_place_in_line_are_notified_and_none_who_left(
    database: Database, front: Front
) -> None:
    seated, waiting, gone, *_ = AGENTS
    session = await front.open(seated, waiting, gone, an_agent(issuer="ouest"), capacity=1)
    await front.withdraw(session, gone)
    a_day_later = {name: getattr(session, name) + timedelta(days=1) for name in ("starts_at", "ends_at")}
    later = await change(front, session, **a_day_later, **BREST, **LINK)

    assert [await notify(database), await notify(database)] == [3, None]

    first, second = await published(database)
    assert (first.agent, second.agent) == (seated, waiting)
    assert first.join_url is second.join_url is None, "the link is in letters alone"
    assert first.enrolment_id == (await front.of(session, seated)).enrolment_id
    assert (first.session_id, first.session_version) == (session.session_id, later.version)
    assert first.changed == second.changed == ("dates", "place", "link")
    assert (first.starts_at, first.ends_at, first.venue) == (later.starts_at, later.ends_at, later.venue)
    assert await published(database, "iel-mobile") == [first, second]
    assert [event.agent.issuer for event in await published(database, "ouest")] == ["ouest"]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (BREST, [["place"]]),
        (LINK, [["link"]]),
        ({"modules": [MODULE]}, [["dates"]]),
        ({"capacity": 7, "title": "Autre titre"}, []),
        ({"status": "cancelled"} | BREST, []),
    ],
    ids=["place", "link", "modules", "nothing for agents", "cancelled"],
)
async def test_only_changes_of_dates_place_and_link_are_published(
    database: Database, front: Front, changes: dict[str, Any], parts: list[list[str]]
) -> None:
    await change(front, await front.open(AGENTS[0]), **changes)
    await notify(database)
    assert [list(event.changed) for event in await published(database)] == parts


async def test_a_large_session_is_notified_slice_by_slice_each_agent_once(
    database: Database, front: Front
) -> None:
    await change(front, await front.open(*AGENTS), **BREST)

    # A process that dies within a slice leaves it to be done: nothing of it is kept.
    async def die_within_a_slice() -> None:
        async with database.transaction() as tx:
            assert await session_changes.next_slice(tx, most=2) == 2
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await die_within_a_slice()
    assert [await notify(database, most=2) for _ in range(4)] == [2, 2, 1, None]
    assert [event.agent for event in await published(database)] == AGENTS


async def test_a_newer_change_begins_again_and_names_both(database: Database, front: Front) -> None:
    session = await front.open(*AGENTS)
    second = await change(front, session, **BREST)
    assert await notify(database, most=2) == 2
    third = await change(front, second, **LINK)
    assert await notify(database) == 5
    events = await published(database)
    assert len(events) == 7
    assert (events[-1].session_version, events[-1].changed) == (third.version, ("place", "link"))


async def test_a_session_that_changes_again_lets_others_go_first(database: Database, front: Front) -> None:
    restless, other = [await front.open(*AGENTS) for _ in range(2)]
    changed = await change(front, restless, **BREST)
    await change(front, other, **BREST)
    assert await notify(database, most=2) == 2
    await change(front, changed, venue="Quimper, 2 quai du Test")
    await notify(database)
    assert (await published(database))[-1].session_id == other.session_id


async def test_a_session_cancelled_meanwhile_has_no_change_left_to_publish(
    database: Database, front: Front
) -> None:
    moved = await change(front, await front.open(*AGENTS), **BREST)
    await change(front, moved, status="cancelled")
    assert [await notify(database), await notify(database)] == [0, None]
    assert await published(database) == []


async def test_a_slice_reads_its_own_agents_alone(database: Database) -> None:
    """By the index of live enrolments, not by sorting all of the session for each slice."""
    parameters = {"session": open_now().session_id, "issuer": "", "agent": "", "most": 10}
    plan = await plan_of(database, store._NEXT, parameters, without=("seqscan", "bitmapscan", "sort"))
    assert "uq_enrolment_live" in plan
    assert "Sort" not in plan
