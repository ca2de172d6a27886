"""Loading the offer: idempotent, complete, and kind to what organisers did meanwhile."""

import asyncio
import shutil
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from services.catalogue import jobs
from services.catalogue.offer_files import reading
from services.catalogue.offer_files.reading import OFFER, OfferError
from services.catalogue.rules.offers import loaded_resource_id
from services.catalogue.service.loading import Summary
from shared import clock
from shared.database import Database
from shared.events.catalogue import (
    ReplayPublished,
    ResourcePublished,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
    SessionState,
)
from shared.events.vocabulary import EnrolmentWindow, Phase
from tests.conftest import Ask
from tests.integration.catalogue.conftest import AS_OF, MOOC, RENNES, EventsOf, in_days, time_is
from tests.support.catalogue import load
from tests.support.processes import run_cli


async def test_the_mooc_of_20_march_runs_and_is_open_today(
    offer: Summary, events_of: EventsOf, ask: Ask
) -> None:
    scheduled, opened = await events_of(MOOC)
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert (scheduled.version, opened.version) == (1, 2)
    assert (scheduled.phase, scheduled.enrolment) == (Phase.RUNNING, EnrolmentWindow.OPEN)
    shown = (await ask("GET", f"/sessions/{MOOC}")).json()
    assert (shown["phase"], shown["enrolment"], shown["source"]) == ("running", "open", "communique")


async def test_a_shifted_mooc_still_begins_and_ends_at_midnight_in_paris(
    offer: Summary, events_of: EventsOf
) -> None:
    scheduled = (await events_of(MOOC))[0]
    assert isinstance(scheduled, SessionScheduled)
    paris = ZoneInfo("Europe/Paris")
    for moment in (scheduled.starts_at, scheduled.enrolment_closes_at, scheduled.ends_at):
        assert moment.astimezone(paris).strftime("%H:%M:%S") == "00:00:00"
    starts = scheduled.starts_at.astimezone(paris).date()
    assert starts.strftime("%A") == "Monday"  # as in 2025: the offer moves by whole weeks
    shift = starts - date(2025, 3, 17)
    assert timedelta(0) <= clock.now().astimezone(paris).date() - AS_OF - shift < timedelta(weeks=1)


async def test_everything_in_the_files_is_published(offer: Summary, events_of: EventsOf) -> None:
    planned = reading.read(OFFER)
    events = await events_of()
    kinds = Counter(type(event) for event in events)
    assert kinds[SessionScheduled] == len(planned.sessions) == offer.new
    assert kinds[ReplayPublished] + kinds[ResourcePublished] == len(planned.resources)
    assert {event.session_id for event in events if isinstance(event, SessionState)} == {
        entry.session.session_id for entry in planned.sessions
    }


async def test_loading_twice_changes_and_tells_nothing(
    offer: Summary, database: Database, events_of: EventsOf
) -> None:
    before = await events_of()
    again = await load(database, as_of=AS_OF)
    assert (again.new, again.changed, again.resources_published) == (0, 0, 0)
    assert again.unchanged == offer.new
    assert await events_of() == before


async def test_loads_at_once_publish_a_new_session_once(
    database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    """All but one session is known, so that nothing else makes the loads wait for each other."""
    without_rennes = edited(tmp_path, "local_events.yaml", "key: rennes", "key: autre")
    await load(database, without_rennes, as_of=AS_OF)
    await asyncio.gather(*(database.check() for _ in range(3)))  # a connection each: none starts behind
    summaries = await asyncio.gather(*(load(database, as_of=AS_OF) for _ in range(3)))
    assert sorted(summary.new for summary in summaries) == [0, 0, 1]
    assert [type(event) for event in await events_of(RENNES)].count(SessionScheduled) == 1


async def test_what_changed_in_the_files_is_told_and_the_rest_is_not(
    offer: Summary, database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    before = len(await events_of())
    changed = edited(tmp_path, "local_events.yaml", "capacity: 120", "capacity: 100")
    summary = await load(database, changed, as_of=AS_OF)
    assert summary.changed == 1
    (event,) = (await events_of())[before:]
    assert isinstance(event, SessionChanged)
    assert (event.session_id, event.capacity) == (RENNES, 100)


async def test_an_offer_that_changed_is_counted_and_leaves_its_line(
    offer: Summary, database: Database, ask: Ask, tmp_path: Path
) -> None:
    assert str(offer).startswith("Offers: 7, ")
    changed = edited(tmp_path, "mooc.yaml", "les impacts et la gestion", "la gestion")
    summary = await load(database, changed, as_of=AS_OF)
    assert str(summary).startswith("Offers: 7 (1 changed), ")
    assert (await load(database, changed, as_of=AS_OF)).offers_changed == 0
    listed = (await ask("GET", "/offers")).json()["items"]
    (summary_now,) = (item["summary"] for item in listed if item["offer_id"] == "mooc-fondamentaux-ia")
    async with database.quiet_transaction() as tx:
        query = text("SELECT * FROM audit_log WHERE changes ? 'offer_id' ORDER BY id")
        lines = (await tx.execute(query)).all()
    assert len(lines) == 8
    assert {(line.actor, line.action) for line in lines} == {("load-offer", "loaded")}
    mooc = "mooc-fondamentaux-ia"
    first, second = [line for line in lines if line.changes["offer_id"][1] == mooc]
    assert first.subject == second.subject
    assert first.changes["summary"][0] is None
    assert second.changes == {"offer_id": [mooc, mooc], "summary": [first.changes["summary"][1], summary_now]}


async def test_what_an_organiser_changed_survives_a_load_that_changes_something_else(
    offer: Summary, database: Database, ask: Ask, tmp_path: Path
) -> None:
    changes = {"venue": "Ailleurs", "summary": "Accueil dès 9 h.", "experts": ["Une experte"]}
    await ask("PATCH", f"/sessions/{RENNES}", by="advisor-bretagne", **changes)
    assert (await load(database, as_of=AS_OF)).changed == 0
    await load(database, edited(tmp_path, "local_events.yaml", "capacity: 120", "capacity: 100"), as_of=AS_OF)
    shown = (await ask("GET", f"/sessions/{RENNES}")).json()
    assert {name: shown[name] for name in (*changes, "capacity")} == changes | {"capacity": 100}


async def test_what_the_clock_announces_leaves_what_the_files_gave(
    offer: Summary, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with time_is(monkeypatch, in_days(400)):
        await jobs.announce_due(database)
    async with database.quiet_transaction() as tx:
        query = "SELECT count(*) FILTER (WHERE announced = 3), count(loaded) FROM session"
        completed, loaded = (await tx.execute(text(query))).one()
    assert completed == loaded == offer.new


async def test_a_load_that_changes_only_what_is_shown_leaves_its_line_and_tells_nobody(
    offer: Summary, database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    before = await events_of()
    expert = "Enseignant-chercheur en informatique"
    changed = edited(tmp_path, "webinars.yaml", f"[{expert}", "[Enseignante-chercheuse en informatique")
    assert (await load(database, changed, as_of=AS_OF)).changed == 1
    assert await events_of() == before
    async with database.quiet_transaction() as tx:
        lines = await tx.execute(
            text("SELECT changes FROM audit_log WHERE changes -> 'experts' -> 0 ->> 0 = :was"),
            {"was": expert},
        )
        (line,) = lines.all()
    assert line.changes["experts"][1][0] == "Enseignante-chercheuse en informatique"


async def test_a_cancelled_session_stays_cancelled(
    offer: Summary, database: Database, ask: Ask, events_of: EventsOf, tmp_path: Path
) -> None:
    await ask("POST", f"/sessions/{RENNES}/cancel", by="advisor-bretagne")
    before, shown = await events_of(), (await ask("GET", f"/sessions/{RENNES}")).json()
    summary = await load(
        database, edited(tmp_path, "local_events.yaml", "capacity: 120", "capacity: 100"), as_of=AS_OF
    )
    assert (summary.changed, summary.cancelled) == (0, 1)
    assert await events_of() == before
    assert (await ask("GET", f"/sessions/{RENNES}")).json() == shown


async def test_a_shift_of_another_week_moves_every_session_and_republishes_no_replay(
    offer: Summary, database: Database, events_of: EventsOf
) -> None:
    summary = await load(database, as_of=AS_OF + timedelta(weeks=1))
    assert (summary.changed, summary.resources_published) == (offer.new, 0)
    assert not [
        event for event in await events_of() if isinstance(event, ReplayPublished) and event.version > 1
    ]


async def test_a_resource_that_changed_is_published_again_with_a_new_version(
    offer: Summary, database: Database, events_of: EventsOf, tmp_path: Path
) -> None:
    changed = edited(tmp_path, "resources.yaml", "choisis par les documentalistes", "bien choisis")
    summary = await load(database, changed, as_of=AS_OF)
    assert summary.resources_published == 1
    first, second = await events_of(loaded_resource_id("dossier-ia-et-action-publique-locale"))
    assert isinstance(first, ResourcePublished)
    assert isinstance(second, ResourcePublished)
    assert (first.version, second.version) == (1, 2)
    assert first.published_at == second.published_at


async def test_a_resource_whose_day_has_not_come_is_held_back(
    database: Database, events_of: EventsOf
) -> None:
    summary = await load(database, as_of=date(2025, 2, 26) - timedelta(weeks=1))
    assert summary.resources_held_back == 8
    await load(database, as_of=date(2025, 2, 27))
    assert all(
        event.published_at <= clock.now()
        for event in await events_of()
        if isinstance(event, ReplayPublished | ResourcePublished)
    )


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


async def test_each_loaded_session_leaves_an_audit_line(offer: Summary, database: Database) -> None:
    assert await audit_of(database, MOOC) == [("load-offer", "loaded")]


async def test_without_as_of_the_dates_are_those_of_the_announcement(
    database: Database, events_of: EventsOf
) -> None:
    await load(database)
    scheduled = (await events_of(MOOC))[0]
    assert isinstance(scheduled, SessionScheduled)
    assert scheduled.starts_at == datetime(2025, 3, 16, 23, tzinfo=UTC)
    assert scheduled.phase is Phase.OVER


def test_the_command_says_in_three_lines_what_it_did(catalogue_url: str) -> None:
    environment = {"CATALOGUE_DATABASE_URL": catalogue_url, "KAFKA_BOOTSTRAP_SERVERS": "localhost:1"}
    done = run_cli("catalogue", "load-offer", "--as-of", "2025-03-20", environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("Offers: 7, dates moved by +")
    assert "Sessions: 37 new, 0 changed, 0 unchanged" in done.stdout


async def test_a_trial_loads_its_offer_once_and_never_moves_it_later(
    catalogue_url: str, database: Database, events_of: EventsOf
) -> None:
    environment = {"CATALOGUE_DATABASE_URL": catalogue_url, "KAFKA_BOOTSTRAP_SERVERS": "localhost:1"}
    trial = ("catalogue", "load-offer", "--if-none", "--as-of")
    first = run_cli(*trial, "2025-03-20", environment=environment)
    assert "Sessions: 37 new" in first.stdout, first.stderr
    published = await events_of()
    again = run_cli(*trial, "2025-03-13", environment=environment)
    assert (again.returncode, again.stdout) == (0, "There is an offer already: nothing was loaded.\n")
    assert await events_of() == published


def test_the_command_says_what_is_wrong_without_a_traceback(catalogue_url: str, tmp_path: Path) -> None:
    environment = {"CATALOGUE_DATABASE_URL": catalogue_url, "KAFKA_BOOTSTRAP_SERVERS": "localhost:1"}
    bad = edited(tmp_path, "mooc.yaml", "ends_at: 2025-04-12 00:00", "ends_at: 2025-03-12 00:00")
    done = run_cli("catalogue", "load-offer", "--directory", str(bad), environment=environment)
    assert done.returncode == 1
    assert "mooc.yaml, offer mooc-fondamentaux-ia, session printemps-2025: ends_at" in done.stderr
    assert "Traceback" not in done.stderr


def edited(tmp_path: Path, file: str, old: str, new: str) -> Path:
    """The offer's files with one change, the first place where ``old`` stands."""
    copy = tmp_path / "offer"
    shutil.copytree(OFFER, copy)
    content = (copy / file).read_text()
    assert old in content
    (copy / file).write_text(content.replace(old, new, 1))
    return copy


async def audit_of(database: Database, subject: UUID) -> list[tuple[str, str]]:
    async with database.quiet_transaction() as tx:
        rows = await tx.execute(
            text("SELECT actor, action FROM audit_log WHERE subject = :subject ORDER BY id"),
            {"subject": subject},
        )
        return [(row.actor, row.action) for row in rows]
