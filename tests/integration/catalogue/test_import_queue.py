"""Imports wait for each other, and for nobody else: sheets take turns, and few wait; API and page."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.catalogue.service.sheet_lines import SheetLines
from services.catalogue.store.sessions import lock, lock_references
from shared.database import Database
from shared.rates import Rate
from shared.web import sheet_queue, spreadsheets
from shared.web.sheet_queue import MOST_WAITING, Busy, SheetQueue
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, organiser, upload
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    asking,
    in_days,
    listed,
    problem,
    published,
)
from tests.integration.catalogue.test_sheets import faults, imported, outcomes, sheet
from tests.support.locks import locks_awaited

__all__ = ["organiser"]

_GIVE_REFERENCE = text("UPDATE session SET reference = 'BRE-1'")


async def test_one_file_imported_twice_at_once_makes_its_sessions_once(
    an_empty_offer: str, ask: Ask, database: Database, tokens_file: Path
) -> None:
    content = sheet("BRE-1", "", "")
    async with asking(database, tokens_file) as of_another_process:
        answers = await asyncio.gather(
            *(imported(process, content) for process in (ask, of_another_process) * 2)
        )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len(await listed(ask, by=BRETAGNE)) == 3


async def test_an_import_waits_for_a_transaction_that_gives_references_and_sees_them(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    (session_id,) = (await imported(ask, sheet("BRE-0"))).json()["created"]
    async with asyncio.TaskGroup() as tasks, database.transaction() as tx:
        await lock_references(tx)
        waiting = tasks.create_task(outcomes(ask, sheet("BRE-1", places=9)))
        await locks_awaited(database)
        await tx.execute(_GIVE_REFERENCE)
    assert waiting.result() == ["changed"]
    assert [item["session_id"] for item in await listed(ask, by=BRETAGNE)] == [session_id]


async def test_a_moment_that_passes_while_an_import_waits_is_past(
    an_empty_offer: str,
    ask: Ask,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session_id = await published(ask, an_empty_offer, enrolment_opens_at=in_days(1).isoformat())
    later = f"Identifiant;Ouverture des inscriptions\n{session_id};{in_days(20):%Y-%m-%d %H:%M}\n"
    async with asyncio.TaskGroup() as tasks, database.transaction() as tx:
        await lock_references(tx)
        waiting = tasks.create_task(faults(ask, later))
        await locks_awaited(database)
        monkeypatch.setattr("shared.clock.now", lambda: in_days(2))
    assert waiting.result() == [(2, "in_the_past", "enrolment_opens_at")]


async def test_a_sheet_that_is_tried_or_wrong_waits_for_nobody(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    (session_id,) = (await imported(ask, sheet("BRE-1"))).json()["created"]
    good, wrong = sheet("BRE-1", "BRE-2", places=9), sheet("BRE-1", "BRE-2", places="beaucoup")
    async with database.quiet_transaction() as tx, asyncio.timeout(20):
        await lock_references(tx)
        await lock(tx, [UUID(session_id)])
        assert await outcomes(ask, good, dry_run="true") == ["changed", "created"]
        assert {line for line, _, _ in await faults(ask, wrong)} == {2, 3}


async def test_sheets_leave_their_threads_to_others(
    an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, read = threading.Event(), threading.Event(), spreadsheets.read

    def slow(*content: Any, **options: Any) -> spreadsheets.Sheet:
        begun.set()
        may_end.wait(60)
        return read(*content, **options)

    monkeypatch.setattr(spreadsheets, "read", slow)
    with ThreadPoolExecutor(max_workers=1) as threads, monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "_default_executor", threads)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            sheets = [tasks.create_task(outcomes(ask, sheet(name))) for name in ("BRE-1", "BRE-2")]
            assert await asyncio.to_thread(begun.wait, 20)
            may_end.set()
    assert [task.result() for task in sheets] == [["created"], ["created"]]


@dataclass(slots=True)
class Deciding:
    """The lines of a sheet are being decided about, until ``may_end``."""

    begun: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def deciding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deciding]:
    """Sheets are decided about for as long as the test says."""
    held, decide = Deciding(), SheetLines.decide

    def slow(lines: SheetLines, rows: Sequence[spreadsheets.SheetRow]) -> SheetLines:
        held.begun.set()
        held.may_end.wait(60)
        return decide(lines, rows)

    monkeypatch.setattr(SheetLines, "decide", slow)
    yield held
    held.may_end.set()


_OPEN = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state = 'idle in transaction'"
)


async def test_a_sheet_waits_its_turn_without_a_connection_and_a_third_of_an_organiser_comes_again(
    organiser: HttpBrowser, an_empty_offer: str, database: Database, deciding: Deciding
) -> None:
    content = sheet("BRE-1")

    async def by_api(by: str = BRETAGNE) -> httpx.Response:
        token = {"authorization": f"Bearer {by}", "content-type": "text/csv"}
        return await organiser.post("/api/v1/sessions/import", content=content, headers=token)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        at_work = tasks.create_task(by_api())
        assert await asyncio.to_thread(deciding.begun.wait, 20)
        waiting = [tasks.create_task(by_api(by)) for by in (BRETAGNE, CORSE)]
        for _ in range(5):  # while others are answered
            assert (await organiser.get("/api/v1/sessions")).status_code == 200
        async with database.quiet_transaction() as tx:
            assert await tx.scalar(_OPEN) == 1
        try:
            async with asyncio.timeout(20):
                refused = [await by_api(), await upload(organiser, content)]
        finally:
            deciding.may_end.set()
    problem(refused[0], 429)
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(429, "10")] * 2
    assert [task.result().status_code for task in (at_work, *waiting)] == [201, 200, 201]
    assert (await by_api()).status_code == 200


async def taken(queue: SheetQueue, delegation: str = "bretagne") -> None:
    async with queue.take(delegation):
        pass


async def waiting(queue: SheetQueue, delegation: str = "bretagne") -> asyncio.Task[None]:
    task = asyncio.create_task(taken(queue, delegation))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_no_more_than_a_few_sheets_wait_whoever_sends_them() -> None:
    queue = SheetQueue()
    async with queue.take(ADMIN):
        tasks = [await waiting(queue, f"delegation {number}") for number in range(MOST_WAITING)]
        with pytest.raises(Busy):
            await taken(queue, "corse")
    await asyncio.gather(*tasks)
    await taken(queue, "corse")


async def test_an_organiser_who_goes_while_their_sheet_waits_leaves_their_place() -> None:
    queue = SheetQueue()
    async with queue.take(ADMIN):
        gone = await waiting(queue)
        with pytest.raises(Busy):
            await taken(queue)
        gone.cancel()
        await asyncio.wait([gone])
        next_in_line = await waiting(queue)
    await next_in_line


async def test_so_much_of_a_delegation_is_read_in_an_hour_by_api_and_page_tried_or_not(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet_queue, "SENT", Rate(2, 3600))
    assert await outcomes(ask, sheet("BRE-1"), dry_run="true") == ["created"]
    assert (await upload(organiser, sheet("BRE-1"))).status_code == 200
    for refused in (await imported(ask, sheet("BRE-1")), await upload(organiser, sheet("BRE-1"))):
        assert refused.status_code == 429
        assert 3000 <= int(refused.headers["retry-after"]) <= 3600
    assert await outcomes(ask, sheet("BRE-1"), by=CORSE) == ["created"]
