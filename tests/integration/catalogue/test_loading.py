"""Loading the offer: idempotent, complete, and kind to what organisers did meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from services.catalogue import jobs
from services.catalogue.__main__ import app as command_line
from services.catalogue.offer_files import reading
from services.catalogue.offer_files.reading import OFFER, OfferError
from services.catalogue.service.loading import Summary
from shared import clock
from shared.database import Database
from shared.events.catalogue import (
    ReplayPublished,
    ResourcePublished,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
)
from shared.events.vocabulary import EnrolmentWindow, Phase
from tests.conftest import Ask, settings_of
from tests.integration.catalogue.conftest import (
    AS_OF,
    MOOC,
    RENNES,
    EventsOf,
    audited,
    change,
    edited,
    in_days,
    kinds,
    listed,
    shown,
    time_is,
)
from tests.support.catalogue import load


@pytest.fixture
def smaller(tmp_path: Path) -> Path:
    return edited(tmp_path, "local_events.yaml", "capacity: 120", "capacity: 100")


async def test_the_mooc_of_20_march_runs_and_is_open_today(
    offer: Summary, events_of: EventsOf, database: Database, ask: Ask
) -> None:
    scheduled, opened = await events_of(MOOC)
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert (scheduled.version, opened.version) == (1, 2)
    assert (scheduled.phase, scheduled.enrolment) == (Phase.RUNNING, EnrolmentWindow.OPEN)
    assert (await shown(ask, f"/sessions/{MOOC}"))["source"] == "communique"
    # The offer moves by whole weeks, and its hours stay.
    paris = ZoneInfo("Europe/Paris")
    starts = scheduled.starts_at.astimezone(paris)
    assert f"{starts:%A %H:%M:%S}" == "Monday 00:00:00"
    shift = starts.date() - date(2025, 3, 17)
    assert timedelta(0) <= clock.now().astimezone(paris).date() - AS_OF - shift <= timedelta(weeks=1)
    assert [line[:2] for line in await audited(database, MOOC)] == [("load-offer", "loaded")]


async def test_everything_in_the_files_is_published_and_the_same_again_is_not(
    offer: Summary, database: Database, events_of: EventsOf
) -> None:
    planned = reading.read(OFFER)
    events = await events_of()
    counts = Counter(kinds(events))
    assert counts[SessionScheduled] == len(planned.sessions) == offer.new
    assert counts[ReplayPublished] + counts[ResourcePublished] == len(planned.resources)
    again = await load(database, as_of=AS_OF)
    assert (again.new, again.changed, again.unchanged, again.resources_published) == (0, 0, offer.new, 0)
    assert await events_of() == events


async def test_loads_at_once_publish_a_new_session_once(
    database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    """All but one session is known, so that nothing else makes the loads wait for each other."""
    without_rennes = edited(tmp_path, "local_events.yaml", "key: rennes", "key: autre")
    await load(database, without_rennes, as_of=AS_OF)
    await asyncio.gather(*(database.check() for _ in range(3)))  # a connection each: none starts behind
    summaries = await asyncio.gather(*(load(database, as_of=AS_OF) for _ in range(3)))
    assert sorted(summary.new for summary in summaries) == [0, 0, 1]
    assert kinds(await events_of(RENNES)).count(SessionScheduled) == 1


async def test_a_change_in_the_files_is_announced_and_leaves_an_organisers_changes(
    offer: Summary, database: Database, ask: Ask, events_of: EventsOf, smaller: Path
) -> None:
    changes: dict[str, Any] = {"venue": "Ailleurs", "summary": "Accueil dès 9 h.", "experts": ["Une experte"]}
    await change(ask, str(RENNES), **changes)
    before = await events_of()
    assert (await load(database, as_of=AS_OF)).changed == 0
    assert (await load(database, smaller, as_of=AS_OF)).changed == 1
    [event] = (await events_of())[len(before) :]
    assert isinstance(event, SessionChanged)
    assert (event.session_id, event.capacity) == (RENNES, 100)
    session = await shown(ask, f"/sessions/{RENNES}")
    assert {name: session[name] for name in changes} == changes


async def test_an_offer_that_changed_is_counted_and_leaves_its_entry(
    offer: Summary, database: Database, ask: Ask, tmp_path: Path
) -> None:
    assert str(offer).startswith("Offers: 7, ")
    changed = edited(tmp_path, "mooc.yaml", "les impacts et la gestion", "la gestion")
    assert str(await load(database, changed, as_of=AS_OF)).startswith("Offers: 7 (1 changed), ")
    assert (await load(database, changed, as_of=AS_OF)).offers_changed == 0
    last, first = await listed(ask, "/offers/mooc-fondamentaux-ia/history", by="siege")
    assert [(line["actor"], line["action"]) for line in (first, last)] == [("load-offer", "loaded")] * 2
    now = (await shown(ask, "/offers/mooc-fondamentaux-ia"))["summary"]
    assert last["changes"]["summary"] == [first["changes"]["summary"][1], now]
    assert set(last["changes"]) == {"offer_id", "summary"}


async def test_an_announcement_by_the_clock_keeps_what_the_files_gave(
    offer: Summary, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with time_is(monkeypatch, in_days(400)):
        await jobs.announce_due(database)
    async with database.quiet_transaction() as tx:
        query = "SELECT count(*) FILTER (WHERE announced = 3), count(loaded) FROM session"
        assert tuple((await tx.execute(text(query))).one()) == (offer.new, offer.new)


async def test_a_resource_whose_day_has_not_come_is_held_back(
    database: Database, events_of: EventsOf
) -> None:
    summary = await load(database, as_of=date(2025, 2, 26) - timedelta(weeks=1))
    assert summary.resources_held_back == 8
    assert not {ReplayPublished, ResourcePublished} & set(kinds(await events_of()))
    assert (await load(database, as_of=date(2025, 2, 27))).resources_published > 0


async def test_an_offer_with_a_fault_loads_nothing_at_all(
    database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    with pytest.raises(OfferError, match="session rennes: capacity"):
        await load(database, edited(tmp_path, "local_events.yaml", "capacity: 120", "capacity: -1"))
    assert await events_of() == []


async def test_a_session_never_changes_hands(offer: Summary, database: Database, tmp_path: Path) -> None:
    other = edited(tmp_path, "local_events.yaml", "organiser: bretagne", "organiser: corse")
    with pytest.raises(OfferError, match="session rennes: organiser: it was bretagne and never changes"):
        await load(database, other, as_of=AS_OF)


# ------------------------------------------------------------------------------------------ the command


@pytest.fixture
def load_offer(catalogue_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Result]]:
    """``parcours catalogue load-offer …`` inside this process."""
    for name, value in settings_of("catalogue", catalogue_url, "localhost:1").items():
        monkeypatch.setenv(name, value)
    # In a thread: the command line runs an event loop of its own.
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, command_line, ("load-offer", *arguments))


async def test_a_trial_loads_its_offer_once_and_never_moves_it_later(
    load_offer: Callable[..., Awaitable[Result]], events_of: EventsOf
) -> None:
    first = await load_offer("--if-none", "--as-of", "2025-03-20")
    assert first.stdout.startswith("Offers: 7, dates moved by +"), first.stderr
    assert "Sessions: 37 new, 0 changed, 0 unchanged" in first.stdout
    events = await events_of()
    again = await load_offer("--if-none", "--as-of", "2025-03-13")
    assert (again.exit_code, again.stdout) == (0, "There is an offer already: nothing was loaded.\n")
    assert await events_of() == events


async def test_the_command_says_what_is_wrong_without_a_traceback(
    load_offer: Callable[..., Awaitable[Result]], tmp_path: Path
) -> None:
    bad = edited(tmp_path, "mooc.yaml", "ends_at: 2025-04-12 00:00", "ends_at: 2025-03-12 00:00")
    done = await load_offer("--directory", str(bad))
    assert done.exit_code == 1
    assert "mooc.yaml, offer mooc-fondamentaux-ia, session printemps-2025: ends_at" in done.stderr
    assert isinstance(done.exception, SystemExit), "anything else is printed as a traceback"
