"""What changes a session beside organisers: the clock, which announces once and in order, and enrolment."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from local.tansu import TansuBroker
from services.catalogue import jobs
from services.catalogue.handlers import router
from services.catalogue.rules import changes
from services.catalogue.rules.sessions import Plan, Session
from services.catalogue.store import sessions
from services.catalogue.store.audit_log import Action
from shared import clock
from shared.database import Database
from shared.events.catalogue import (
    SessionClosed,
    SessionCompleted,
    SessionOpened,
    SessionScheduled,
    SessionState,
)
from shared.events.enrolment import SessionOccupancyChanged
from shared.events.vocabulary import EnrolmentWindow, Format, Phase
from tests.conftest import Ask, Eventually, RunService
from tests.integration.catalogue.conftest import MOOC, EventsOf, a_draft_of, kinds, listed, shown, time_is
from tests.support.builders import headers
from tests.support.consuming import received, take
from tests.support.kafka import KafkaPortal, PublishedRecord, collect
from tests.support.processes import ServiceProcess

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
    monkeypatch.setattr(jobs, "BATCH", 5)
    for _ in range(12):
        await publish(database, an_empty_offer, opens=1, closes=2, ends=3)
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=1)):
        replicas = [jobs.announce_due(database) for _ in range(4)]
        await asyncio.gather(*replicas)
        while await jobs.announce_due(database) == 0:
            pass
    announced = Counter((event.key, type(event)) for event in await events_of())
    assert len(announced) == 12 * 4
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


# ------------------------------------------------------------------------------------- how full a session is


def occupancy(version: int, enrolled: int = 0, session: UUID = MOOC) -> SessionOccupancyChanged:
    return SessionOccupancyChanged(
        session_id=session, version=version, capacity=None, enrolled=enrolled, waiting=0, offered=0
    )


async def hear(database: Database, *events: SessionOccupancyChanged) -> None:
    await take(router, database, [received(event) for event in events])


@pytest.mark.usefixtures("offer")
async def test_a_session_shows_how_full_it_is_once_enrolment_has_said_it(
    ask: Ask, database: Database
) -> None:
    assert (await shown(ask, f"/sessions/{MOOC}"))["occupancy"] is None
    await hear(database, occupancy(1, enrolled=10))
    expected = {"capacity": None, "enrolled": 10, "waiting": 0, "offered": 0, "version": 1}
    for session in (await shown(ask, f"/sessions/{MOOC}"), *await listed(ask, format="mooc")):
        assert session["occupancy"] == expected


@pytest.mark.parametrize(
    ("batches", "newest"),
    [([[5], [4]], 5), ([[5], [4], [6]], 6), ([[2, 3, 1]], 3)],
    ids=["older dropped", "newer taken", "any order in a batch"],
)
async def test_the_newest_version_counts_whatever_the_order(
    database: Database, batches: list[list[int]], newest: int
) -> None:
    for versions in batches:
        await hear(database, *(occupancy(version) for version in versions))
    assert [row[1] for row in await known(database)] == [newest]


async def test_how_full_sessions_are_is_rebuilt_from_the_last_event_of_each(database: Database) -> None:
    """What a compacted topic still has: a projection deleted with its inbox comes back equal."""
    ids = [uuid4() for _ in range(5)]
    events = [
        occupancy(version, 10 * version + n, session_id)
        for version in (1, 2, 3)
        for n, session_id in enumerate(ids)
    ]
    await hear(database, *events)
    before = await known(database)
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM occupancy"))
        await tx.execute(text("DELETE FROM inbox"))
    await hear(database, *events[-5:])
    assert await known(database) == before
    assert len(before) == 5


async def known(database: Database) -> list[tuple[object, ...]]:
    query = text("SELECT session_id, version, capacity, enrolled, waiting, offered FROM occupancy ORDER BY 1")
    async with database.quiet_transaction() as tx:
        return [tuple(row) for row in await tx.execute(query)]


# ------------------------------------------------------------------------------------------------- processes


ADVISOR = "advisor-bretagne"
LIFE = ["SessionScheduled", "SessionOpened", "SessionClosed", "SessionCompleted"]


def of(session_id: str, records: list[PublishedRecord]) -> list[PublishedRecord]:
    return [record for record in records if record.key == session_id]


@pytest.fixture
def replica(
    catalogue_url: str, tokens_file: Path, tansu: TansuBroker, run_service: RunService
) -> Callable[[], ServiceProcess]:
    return lambda: run_service(
        "catalogue", catalogue_url, tansu.bootstrap_servers, API_TOKENS_FILE=str(tokens_file)
    )


async def test_a_process_carries_a_session_through_its_life_once_and_announces_what_came_due_before_it(
    *,
    an_empty_offer: str,
    ask: Ask,
    tansu: TansuBroker,
    replica: Callable[[], ServiceProcess],
    eventually: Eventually,
) -> None:
    kafka = tansu.bootstrap_servers
    # Decided and stored, and the process died before it published anything; over before another is up.
    overdue = (await ask("POST", "/sessions", by=ADVISOR, **a_short_life(an_empty_offer, 0.5))).json()
    overdue_id = overdue["session_id"]
    assert (await ask("POST", f"/sessions/{overdue_id}/publish", by=ADVISOR)).is_success

    process = await asyncio.to_thread(replica)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {ADVISOR}"}) as client:
        draft = a_short_life(an_empty_offer, 1)
        drafted = await client.post(f"{process.url}/api/v1/sessions", json=draft)
        session_id = drafted.json()["session_id"]
        published = await client.post(f"{process.url}/api/v1/sessions/{session_id}/publish")
        assert published.status_code == 200, published.text

        def both_are_over(found: list[PublishedRecord]) -> bool:
            return all("SessionCompleted" in types(of(either, found)) for either in (session_id, overdue_id))

        records = await collect(kafka, "catalogue.sessions", both_are_over)
        # A crash between the broker's word and ours may publish an event again, with the same id.
        late = list({record.id: record for record in of(overdue_id, records)}.values())
        assert types(late) == LIFE
        life = of(session_id, records)
        assert types(life) == LIFE
        for record in life:
            state = SessionState.model_validate_json(record.value)
            assert record.headers["ce_subject"] == record.key == str(state.session_id)
            assert record.headers["ce_source"] == "/services/catalogue"
        published_at = datetime.fromisoformat(life[-1].headers["ce_time"])
        assert published_at >= SessionState.model_validate_json(life[-1].value).ends_at

        occupancy = SessionOccupancyChanged(
            session_id=session_id, version=3, capacity=30, enrolled=12, waiting=0, offered=0
        )
        async with KafkaPortal(kafka) as enrolment:
            await enrolment.send(
                "enrolment.occupancy",
                [(session_id, headers(occupancy.TYPE), occupancy.model_dump_json().encode())],
            )

        async def shown() -> bool:
            session = (await client.get(f"{process.url}/api/v1/sessions/{session_id}")).json()
            return bool(session["occupancy"] and session["occupancy"]["enrolled"] == 12)

        await eventually(shown, "the occupancy is shown")
    assert process.terminate() == 0


def a_short_life(offer_id: str, seconds: float) -> dict[str, Any]:
    """A draft that opens after so many seconds, closes and starts after twice as many, ends after thrice."""
    opens, starts, ends = (clock.now() + timedelta(seconds=seconds * times) for times in (1, 2, 3))
    return a_draft_of(
        offer_id,
        enrolment_opens_at=opens.isoformat(),
        enrolment_closes_at=starts.isoformat(),
        starts_at=starts.isoformat(),
        ends_at=ends.isoformat(),
    )


def types(records: list[PublishedRecord]) -> list[str]:
    return [record.type for record in records]
