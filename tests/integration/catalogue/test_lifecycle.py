"""What the clock announces: at its instant, once each, in order, however many replicas run."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.catalogue import jobs
from services.catalogue.rules import changes
from services.catalogue.rules.sessions import Plan, Session
from services.catalogue.store import sessions
from services.catalogue.store.audit_log import Action
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionClosed, SessionCompleted, SessionOpened, SessionScheduled
from shared.events.vocabulary import EnrolmentWindow, Format, Phase
from tests.integration.catalogue.conftest import EventsOf, kinds, time_is

ALL = [SessionScheduled, SessionOpened, SessionClosed, SessionCompleted]


async def publish(
    database: Database, offer_id: str, *, opens: float, closes: float, ends: float, start: float = 0
) -> UUID:
    """A published session; its instants are seconds from now."""
    now = clock.now()

    def at(seconds: float) -> datetime:
        return now + timedelta(seconds=seconds)

    session = Session(
        session_id=uuid4(),
        offer_id=offer_id,
        format=Format.LOCAL_EVENT,
        organiser="bretagne",
        plan=Plan(
            title="Un rendez-vous",
            enrolment_opens_at=at(opens),
            enrolment_closes_at=at(closes),
            starts_at=at(start),
            ends_at=at(ends),
            timezone="Europe/Paris",
            venue="Rennes",
        ),
    )
    async with database.transaction() as tx:
        await sessions.save(
            tx, [(None, changes.schedule(session, now))], actor="test", action=Action.PUBLISHED
        )
    return session.session_id


async def test_each_announcement_is_made_at_its_instant_and_not_before(
    database: Database, an_empty_offer: str, events_of: EventsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = clock.now()
    session_id = await publish(database, an_empty_offer, opens=10, closes=20, start=25, ends=30)
    for seconds, announced in ((9.9, 1), (10.1, 2), (19.9, 2), (20.1, 3), (29.9, 3), (30.1, 4), (99, 4)):
        async with time_is(monkeypatch, start + timedelta(seconds=seconds)):
            await jobs.announce_due(database)
        assert kinds(await events_of(session_id)) == ALL[:announced], f"after {seconds} s"


async def test_announcements_that_came_due_while_nothing_ran_are_made_in_order(
    database: Database, an_empty_offer: str, events_of: EventsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await publish(database, an_empty_offer, opens=10, closes=20, ends=30)
    async with time_is(monkeypatch, clock.now() + timedelta(days=3)):
        await jobs.announce_due(database)
    events = await events_of(session_id)
    assert kinds(events) == ALL
    assert [getattr(event, "version", 0) for event in events] == [1, 2, 3, 4]
    completed = events[-1]
    assert isinstance(completed, SessionCompleted)
    assert (completed.phase, completed.enrolment) == (Phase.OVER, EnrolmentWindow.CLOSED)


async def test_many_replicas_at_once_announce_each_thing_once(
    database: Database, an_empty_offer: str, events_of: EventsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 20)
    for _ in range(50):
        await publish(database, an_empty_offer, opens=1, closes=2, ends=3)
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=1)):
        replicas = [jobs.announce_due(database) for _ in range(8)]
        await asyncio.gather(*replicas)
        while await jobs.announce_due(database) == 0:
            pass
    announced = Counter((event.key, type(event)) for event in await events_of())
    assert len(announced) == 50 * 4
    assert set(announced.values()) == {1}


async def test_a_session_that_somebody_is_changing_waits_without_holding_up_the_others(
    database: Database, an_empty_offer: str, events_of: EventsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = await publish(database, an_empty_offer, opens=1, closes=60, ends=90)
    free = await publish(database, an_empty_offer, opens=1, closes=60, ends=90)
    async with time_is(monkeypatch, clock.now() + timedelta(seconds=5)):
        async with database.transaction() as tx:
            await sessions.lock(tx, [busy])
            await asyncio.wait_for(jobs.announce_due(database), 20)
            assert SessionOpened in kinds(await events_of(free))
            assert SessionOpened not in kinds(await events_of(busy))
        await jobs.announce_due(database)
    assert SessionOpened in kinds(await events_of(busy))


async def test_the_job_asks_to_be_woken_at_the_next_instant(
    database: Database, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with time_is(monkeypatch, clock.now()):
        assert await jobs.announce_due(database) == jobs.POLL_SECONDS
        await publish(database, an_empty_offer, opens=0.5, closes=60, ends=90)
        assert await jobs.announce_due(database) == 0.5
