"""Rosters are read a state at a time by their index, and searched in what is kept for that."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise
from operator import attrgetter
from uuid import UUID

import pytest
from sqlalchemy import text

from services.enrolment.rules.roster_lines import RosterLine, RosterOrder, SortedKey, plain
from services.enrolment.rules.states import State
from services.enrolment.store import corrections, roster_lines
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import an_agent, open_now

BEGINNING = (0, 0, -1, datetime.fromisoformat("2025-01-01T00:00:00Z"), UUID(int=0))


async def session_of_all(front: Front) -> SessionState:
    """Three seats, two of whom were given up again, and a line of four."""
    session = open_now(capacity=3)
    agents = [an_agent(issuer=issuer) for issuer in ("iel", "ouest") for _ in range(5)]
    await front.publish(session)
    await front.enrol(session, *agents)
    for agent in agents[1:4]:
        await front.withdraw(session, agent)
    return session


def named(line: RosterLine) -> str:
    return f"{line.enrolment.agent.family_name} {line.enrolment.agent.given_name}"


SORTED_BY: Mapping[RosterOrder, Callable[[RosterLine], object]] = {
    RosterOrder.NAME: lambda line: plain(named(line)),
    RosterOrder.EMPLOYER: lambda line: plain(f"{line.enrolment.agent.employer.name} {named(line)}"),
    RosterOrder.SINCE: lambda line: line.updated_at,
}


async def lines(database: Database, session: SessionState, *sought: str) -> list[str]:
    async with database.quiet_transaction() as tx:
        found = await roster_lines.page(tx, session.session_id, None, 100, sought=sought)
    return [line.enrolment.agent.agent_id for line in found]


async def test_pages_of_any_length_are_the_roster_in_its_order(front: Front, database: Database) -> None:
    session = await session_of_all(front)
    async with database.quiet_transaction() as tx:
        await tx.execute(
            text("UPDATE enrolment SET priority = 5 WHERE ticket IN (SELECT max(ticket) FROM enrolment)")
        )
        whole = await roster_lines.page(tx, session.session_id, None, 100)
        keys = [line.key for line in whole]
        assert all(first < second for first, second in pairwise(keys))
        assert len({line.enrolment.state for line in whole}) == 3
        for length in (1, 2, 3):
            after, read = None, []
            while part := await roster_lines.page(tx, session.session_id, after, length):
                read += part
                after = part[-1].key
            assert read == whole


async def plan_of_a_page(database: Database, *switched_off: str) -> str:
    """How a page is read with these ways switched off: whatever the planner believes of a small table."""
    session_id = open_now().session_id
    parameters = roster_lines._parameters(session_id, list(State), BEGINNING, 50)
    async with database.quiet_transaction() as tx:
        for way in switched_off:
            await tx.execute(text(f"SET LOCAL enable_{way} = off"))
        return "\n".join(await tx.scalars(text(f"EXPLAIN {roster_lines._PAGE.text}"), parameters))


async def test_a_page_is_read_by_the_index_of_rosters(database: Database) -> None:
    plan = await plan_of_a_page(database, "seqscan", "bitmapscan", "sort")
    assert re.search(r"Limit .*\n +->  Index Scan using ix_enrolment_roster on", plan), "not in its order"


async def test_places_in_line_are_counted_in_the_order_of_their_index(database: Database) -> None:
    plan = await plan_of_a_page(database, "seqscan", "bitmapscan", "sort")
    counted = plan[plan.index("WindowAgg") : plan.index("Scan using ix_enrolment_waiting")]
    assert "Unique" in counted
    assert "Sort" not in counted


@pytest.mark.parametrize("order", [order for order in RosterOrder if order is not RosterOrder.STANDING])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("written_by", ["this version", "the last release"])
async def test_pages_of_any_length_are_the_roster_in_another_order(
    *, front: Front, database: Database, order: RosterOrder, descending: bool, written_by: str
) -> None:
    session = open_now(capacity=3)
    employer = an_agent().employer.model_dump()
    towns = ["Évry", "Evry", "Évry-Grégy", "Albi", "Albi"]
    agents = [
        an_agent(given_name=given, family_name=family, employer=employer | {"name": town})
        for town in towns
        for given, family in (("Zoé", "Étienne"), ("Éric", "Le Goff"))
    ]
    await front.publish(session)
    await front.enrol(session, *agents)
    async with database.transaction() as tx:
        if written_by == "the last release":
            await tx.execute(text("UPDATE enrolment SET sought = NULL"))

        async def page(after: SortedKey | None, length: int) -> list[RosterLine]:
            return await roster_lines.sorted_page(
                tx, session.session_id, order, after, length, descending=descending
            )

        whole = await page(None, 100)
        assert len(whole) == len(agents)
        assert [line.sorted_by for line in whole] == [SORTED_BY[order](line) for line in whole]
        assert whole == sorted(whole, key=attrgetter("sorted_key"), reverse=descending)
        for length in (1, 3):
            after, read = None, []
            while part := await page(after, length):
                read += part
                after = part[-1].sorted_key
            assert read == whole


def sought(names: str, agent: Agent) -> str:
    return f"ville de rennes {names}\n{agent.email} {agent.agent_id.lower()}"


async def test_what_is_searched_is_kept_right_by_a_correction(
    *, front: Front, database: Database, rows: SelectRows
) -> None:
    session, other = open_now(), open_now()
    agent = an_agent(given_name="Élise", family_name="Le Goff", issuer="iel")
    await front.publish(session, other)
    for each in (session, other):
        await front.enrol(each, agent)
    async with database.transaction() as tx:
        before = await corrections.apply(tx, agent.key, {"family_name": "Šimon"})
    assert before == [{"family_name": "Le Goff"}]
    assert {row.sought for row in await rows("SELECT sought FROM enrolment")} == {
        sought("simon elise", agent)
    }
    assert await lines(database, session, "simon") == [agent.agent_id]


async def test_what_is_searched_is_made_again_with_the_next_change(
    *, front: Front, database: Database, rows: SelectRows
) -> None:
    session, agent = open_now(), an_agent(given_name="Élise", family_name="Le Goff", issuer="iel")
    await front.publish(session)
    await front.enrol(session, agent)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE enrolment SET sought = NULL"))
    await front.withdraw(session, agent)
    (kept,) = await rows("SELECT sought FROM enrolment")
    assert kept.sought == sought("le goff elise", agent)


@pytest.mark.parametrize("written_by", ["this version", "the last release"])
async def test_who_was_corrected_is_found_by_what_is_right(
    *, front: Front, database: Database, rows: SelectRows, written_by: str
) -> None:
    session, agent = open_now(), an_agent(given_name="Élise", family_name="Le Goff")
    await front.publish(session)
    await front.enrol(session, agent, an_agent())
    (kept,) = await rows("SELECT sought FROM enrolment WHERE agent_id = :id", id=agent.agent_id)
    assert kept.sought == sought("le goff elise", agent)
    async with database.transaction() as tx:
        if written_by == "the last release":
            await tx.execute(text("UPDATE enrolment SET sought = NULL"))
    assert await lines(database, session, "goff", "elise") == [agent.agent_id]
    async with database.transaction() as tx:
        corrected = "UPDATE enrolment SET agent = agent || jsonb_build_object('family_name', 'Šimon') "
        await tx.execute(text(f"{corrected} WHERE agent_id = :id"), {"id": agent.agent_id})
    assert await lines(database, session, "goff") == []
    assert await lines(database, session, "simon") == [agent.agent_id]
