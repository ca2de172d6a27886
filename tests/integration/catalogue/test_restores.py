"""A database that was restored from a backup: what was published since is told, the next change counts."""

from typing import Any

import pytest
from sqlalchemy import text

from services.catalogue.service import published as ours
from shared import clock
from shared.database import Database
from shared.events.catalogue import (
    ReplayPublished,
    ResourceEvent,
    ResourcePublished,
    ResourceWithdrawn,
    SessionState,
)
from tests.conftest import Ask
from tests.integration.catalogue.conftest import BRETAGNE, EventsOf, published


@pytest.fixture
async def differences(database: Database, events_of: EventsOf) -> Any:
    """``await differences(said)``: what is stored otherwise than these events say."""

    async def compare(said: list[Any]) -> list[str]:
        async with database.quiet_transaction() as tx:
            compared = await ours.compare(tx, *by_kind(said), clock.now())
        return [line for kind in compared for line in kind.differences()]

    return compare


def by_kind(said: list[Any]) -> tuple[list[SessionState], list[ResourceEvent]]:
    """The newest state of each session and of each resource."""
    sessions = {event.session_id: event for event in said if isinstance(event, SessionState)}
    kinds = (ReplayPublished, ResourcePublished, ResourceWithdrawn)
    resources = {event.resource_id: event for event in said if isinstance(event, kinds)}
    return list(sessions.values()), list(resources.values())


async def test_what_is_stored_is_what_was_published(
    ask: Ask, an_empty_offer: str, events_of: EventsOf, differences: Any
) -> None:
    session_id = await published(ask, an_empty_offer)
    cancelled = await published(ask, an_empty_offer)
    await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, title="Un autre titre")
    await ask("POST", f"/sessions/{cancelled}/cancel", by=BRETAGNE, reason="La salle est fermée.")
    for number, gone in ((1, False), (2, True)):
        replay = {"title": "Le replay", "url": f"https://videos.example.org/{number}"}
        resource = (await ask("POST", "/replays", by=BRETAGNE, **replay)).json()["resource_id"]
        if gone:
            await ask("POST", f"/resources/{resource}/withdraw", by=BRETAGNE)
    assert await differences(await events_of()) == []


async def test_a_change_that_is_lost_is_listed_and_made_once_more_is_newer_than_what_was_published(
    ask: Ask, an_empty_offer: str, events_of: EventsOf, database: Database, differences: Any
) -> None:
    session_id = await published(ask, an_empty_offer, capacity=20)
    gone = await published(ask, an_empty_offer)
    was = await newest(events_of, session_id)
    await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, capacity=30)
    said = await events_of()
    async with database.transaction() as tx:
        await tx.execute(
            text("UPDATE session SET version = :version, capacity = 20 WHERE CAST(session_id AS text) = :id"),
            {"version": was.version, "id": session_id},
        )
        await tx.execute(text("DELETE FROM session WHERE CAST(session_id AS text) = :id"), {"id": gone})
    assert sorted(await differences(said)) == sorted(
        [
            f"session {session_id}: version is {was.version}, not {was.version + 1}",
            f"session {session_id}: capacity is 20, not 30",
            f"session {gone} is missing",
        ]
    )
    async with database.transaction() as tx:
        await ours.resume(tx, *by_kind(said))
    await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, capacity=31)
    repeated = await newest(events_of, session_id)
    assert (repeated.version, repeated.capacity) == (was.version + 2, 31)


async def newest(events_of: EventsOf, session_id: str) -> SessionState:
    states = by_kind(await events_of())[0]
    return next(state for state in states if str(state.session_id) == session_id)
