"""The feed of a portal: its answers by their numbers, at once or as they come, and nobody else's."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.enrolment.api.feed_watch import FeedWatch
from services.enrolment.service import answers
from shared.database import Database, Transaction
from tests.conftest import Ask, Eventually
from tests.integration.enrolment.conftest import SelectRows, ToApplication, problem

A, B = "portail-bretagne", "portail-deux"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENROLLED = "fr.cnfpt.enrolment.AgentEnrolled.v1"

Number = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def number(database: Database) -> Number:
    """``await number(A, 3)``: the relay numbers three answers of a portal, as it marks them as sent."""

    async def number(portal: str, count: int = 1) -> list[str]:
        ids = [uuid4() for _ in range(count)]
        async with database.quiet_transaction() as tx:
            await tx.execute(_FEED, {"portal": portal})
            for event_id in ids:
                await tx.execute(
                    _ANSWER, {"portal": portal, "id": event_id, "type": ENROLLED, "trace": TRACE}
                )
        return list(map(str, ids))

    return number


_FEED = text("INSERT INTO portal_feed VALUES (:portal, 0) ON CONFLICT DO NOTHING")
_ANSWER = text(
    "WITH feed AS (UPDATE portal_feed SET last = last + 1 WHERE portal = :portal RETURNING last) "
    "INSERT INTO outbox (bucket, key, event_id, type, source, traceparent, data, sent_at, portal, cursor) "
    "SELECT 0, 'agent 1', :id, :type, '/services/enrolment', :trace, '{}', now(), :portal, last FROM feed"
)


async def feed(ask: Ask, by: str | None = A, **query: Any) -> httpx.Response:
    return await ask("GET", "/api/v1/answers", by=by, params=query)


async def ids_after(ask: Ask, after: int, by: str = A, **query: Any) -> tuple[list[str], int]:
    page = (await feed(ask, by, after=after, **query)).json()
    return [item["id"] for item in page["items"]], page["next"]


# ----------------------------------------------------------------------------------------------- at once


async def test_an_answer_is_a_cloudevent_in_structured_mode(ask: Ask, number: Number) -> None:
    [event_id] = await number(A)
    answer = await feed(ask)
    assert answer.headers["cache-control"] == "no-store"
    [item] = answer.json()["items"]
    assert item.pop("time").endswith("Z")
    assert item == {
        "specversion": "1.0",
        "id": event_id,
        "type": ENROLLED,
        "source": "/services/enrolment",
        "subject": "agent 1",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "data": {},
    }


async def test_each_portal_reads_its_own_answers_in_order_from_where_it_was(ask: Ask, number: Number) -> None:
    assert await ids_after(ask, 0) == ([], 0)
    first, of_b, second = await number(A, 2), await number(B, 1), await number(A, 2)
    assert await ids_after(ask, 0) == (first + second, 4)
    assert await ids_after(ask, 0, limit=3) == ((first + second)[:3], 3)
    assert await ids_after(ask, 3) == (second[1:], 4)
    assert await ids_after(ask, 4) == ([], 4)
    assert await ids_after(ask, 0, by=B) == (of_b, 1)


async def test_an_answer_about_an_erased_agent_is_passed_over_and_its_number_counts(
    ask: Ask, number: Number, rows: SelectRows
) -> None:
    ids = await number(A, 3)
    await rows("UPDATE outbox SET key = '' WHERE cursor <> 2 RETURNING 1")
    assert await ids_after(ask, 0) == (ids[1:2], 3)


@pytest.mark.parametrize("given", [0, 2])
async def test_a_number_that_was_never_given_is_a_problem(ask: Ask, number: Number, given: int) -> None:
    await number(A, given)
    answer = await feed(ask, after=given + 1)
    problem(answer, 422)
    assert answer.json()["code"] == "unknown_cursor"


@pytest.mark.parametrize(("kept_from", "kept"), [(4, 2), (6, 0)], ids=["some are kept", "none is kept"])
async def test_answers_that_are_kept_no_more_are_missed_knowingly(
    ask: Ask, number: Number, rows: SelectRows, kept_from: int, kept: int
) -> None:
    await number(A, 5)
    await rows("DELETE FROM outbox WHERE cursor < :first RETURNING 1", first=kept_from)
    answer = await feed(ask, after=2)
    problem(answer, 410)
    assert (answer.json()["code"], answer.json()["kept_after"]) == ("answers_forgotten", kept_from - 1)
    for begins_after in (kept_from - 1, 0):
        ids, following = await ids_after(ask, begins_after)
        assert (len(ids), following) == (kept, 5)


# ---------------------------------------------------------------------------------------------- whose


async def test_only_portals_and_admins_read_feeds(
    ask: Ask, asking: Callable[..., Ask], number: Number
) -> None:
    await number(A, 1)
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await feed(ask, by), status)
    for portal in (A, "nobody"):
        problem(await feed(ask, B, portal=portal), 404)
    for by in (A, "siege"):
        assert len((await feed(ask, by, portal=A)).json()["items"]) == 1
    assert (await feed(ask, "siege")).json() == {"items": [], "next": 0}  # the trial's
    problem(await feed(asking(parcours_trial=False), "siege"), 404)


async def test_a_portal_that_hears_by_kafka_alone_has_no_feed(
    asking: Callable[..., Ask], tmp_path: Path
) -> None:
    entry: dict[str, Any] = {"portal": "iel", "issuer": "iel", "contact": "a@b.fr", "answers": ["kafka"]}
    entry["tokens"] = [{"sha256": hashlib.sha256(b"iel").hexdigest()}]
    path = tmp_path / "kafka-alone.json"
    path.write_text(json.dumps([entry]))
    problem(await feed(asking(portals_file=path), "iel"), 403)


# ------------------------------------------------------------------------------------------- as they come


@asynccontextmanager
async def watched(watch: FeedWatch) -> AsyncIterator[asyncio.Event]:
    stopping = asyncio.Event()
    running = asyncio.create_task(watch.run(stopping))
    try:
        yield stopping
    finally:
        stopping.set()
        await running


@pytest.fixture
async def waiting(
    application: ToApplication,
) -> AsyncIterator[tuple[httpx.AsyncClient, FeedWatch, asyncio.Event]]:
    """A client, the watch of its service, and what stops the service."""
    api = application()
    transport = httpx.ASGITransport(app=api)
    headers = {"authorization": f"Bearer {A}"}
    async with (
        watched(api.state.watch) as stopping,
        httpx.AsyncClient(transport=transport, base_url="http://enrolment", headers=headers) as client,
    ):
        yield client, api.state.watch, stopping


def waited_for(watch: FeedWatch, number: int) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return watch.waiting == number

    return is_so


Waiting = tuple[httpx.AsyncClient, FeedWatch, asyncio.Event]


async def test_a_client_that_waits_is_answered_as_soon_as_there_is_an_answer(
    waiting: Waiting, number: Number, eventually: Eventually
) -> None:
    client, watch, _ = waiting
    asked = asyncio.create_task(client.get("/api/v1/answers?after=0&wait=30"))
    await eventually(waited_for(watch, 1), "1 waits")
    await number(B)
    ids = await number(A)
    watch.look()
    page = (await asyncio.wait_for(asked, 10)).json()
    assert ([item["id"] for item in page["items"]], page["next"], watch.waiting) == (ids, 1, 0)


async def test_a_client_waits_neither_for_what_is_there_nor_for_a_number_never_given_nor_in_vain(
    waiting: Waiting, number: Number
) -> None:
    client, _, _ = waiting
    await number(A, 2)
    async with asyncio.timeout(10):
        assert len((await client.get("/api/v1/answers?after=1&wait=30")).json()["items"]) == 1
        problem(await client.get("/api/v1/answers?after=7&wait=30"), 422)
        in_vain = await client.get("/api/v1/answers?after=2&wait=0.05")
    assert in_vain.json() == {"items": [], "next": 2}


async def test_a_service_that_stops_answers_all_clients_that_wait(
    waiting: Waiting, eventually: Eventually
) -> None:
    client, watch, stopping = waiting
    asked = [asyncio.create_task(client.get("/api/v1/answers?after=0&wait=60")) for _ in range(3)]
    await eventually(waited_for(watch, 3), "3 wait")
    stopping.set()
    asked.append(asyncio.create_task(client.get("/api/v1/answers?wait=60")))
    for answer in await asyncio.wait_for(asyncio.gather(*asked), 10):
        assert answer.json() == {"items": [], "next": 0}


async def test_a_client_that_goes_away_gives_its_place_back(
    application: ToApplication, eventually: Eventually
) -> None:
    api, gone = application(), asyncio.Event()
    watch: FeedWatch = api.state.watch

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/answers",
        "query_string": b"wait=60",
        "headers": [(b"authorization", f"Bearer {A}".encode())],
    }
    asked = asyncio.create_task(api(scope, receive, send))
    await eventually(waited_for(watch, 1), "1 waits")
    gone.set()
    await asyncio.wait_for(asked, 10)
    assert watch.waiting == 0


async def test_many_portals_that_wait_cost_one_look_until_the_next(
    database: Database, number: Number, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def look(tx: Transaction) -> dict[str, int]:
        nonlocal looks
        looks += 1
        return await last_numbers(tx)

    async def has_looked() -> bool:
        return looks > 0

    last_numbers = answers.last_numbers
    monkeypatch.setattr(answers, "last_numbers", look)
    watch = FeedWatch(database, poll_seconds=3600)
    async with watched(watch):
        waiters = [asyncio.create_task(watch.news(f"portal-{n}", 0, 60)) for n in range(100)]
        await eventually(waited_for(watch, 100), "all wait")
        await eventually(has_looked, "a look at the feeds")
        await number("portal-7")
        watch.look()
        assert await asyncio.wait_for(waiters[7], 10)
        assert looks == 2, "one look when they came, one when it was said that there is more"
    assert [await waiter for waiter in waiters].count(True) == 1


async def test_what_another_process_numbered_is_found_at_the_next_look(
    database: Database, number: Number
) -> None:
    watch = FeedWatch(database, poll_seconds=0.01)
    async with watched(watch):
        waiter = asyncio.create_task(watch.news(A, 0, 60))
        await number(A)
        assert await asyncio.wait_for(waiter, 10)


async def test_while_the_database_is_away_a_client_goes_on_waiting() -> None:
    watch = FeedWatch(Database("postgresql://nobody@localhost:1/nothing", application_name="test"))
    async with watched(watch):
        assert not await watch.news(A, 0, 0.1)
