"""The feed of a portal: its answers by their numbers, at once or as they come, and nobody else's."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event, text

from services.enrolment.api.feed_watch import FeedWatch
from shared.database import Database
from tests.conftest import Ask, Eventually
from tests.integration.enrolment.conftest import ToApplication, problem

A, B = "portail-bretagne", "portail-deux"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENROLLED = "fr.cnfpt.enrolment.AgentEnrolled.v1"

Number = Callable[..., Awaitable[list[UUID]]]


@pytest.fixture
def number(database: Database) -> Number:
    """``await number(A, 3)``: the relay numbers three answers of a portal, as it marks them as sent."""

    async def number(portal: str, count: int = 1, *, trace: str | None = None) -> list[UUID]:
        ids = [uuid4() for _ in range(count)]
        async with database.quiet_transaction() as tx:
            await tx.execute(_FEED, {"portal": portal})
            for event_id in ids:
                event = {"portal": portal, "id": event_id, "type": ENROLLED, "trace": trace}
                await tx.execute(_ANSWER, event)
        return ids

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
    answer = await feed(ask, by, after=after, **query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page.keys() == {"items", "next"}
    return [item["id"] for item in page["items"]], page["next"]


# ----------------------------------------------------------------------------------------------- at once


async def test_an_answer_is_a_cloudevent_in_structured_mode(ask: Ask, number: Number) -> None:
    [event_id] = await number(A, trace=TRACE)
    answer = await feed(ask)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    [item] = answer.json()["items"]
    assert item.pop("time").endswith("Z")
    assert item == {
        "specversion": "1.0",
        "id": str(event_id),
        "type": ENROLLED,
        "source": "/services/enrolment",
        "subject": "agent 1",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "data": {},
    }


async def test_each_portal_reads_its_own_answers_in_order_from_where_it_was(ask: Ask, number: Number) -> None:
    first, of_b, second = await number(A, 2), await number(B, 1), await number(A, 2)
    assert await ids_after(ask, 0) == ([str(event_id) for event_id in first + second], 4)
    assert await ids_after(ask, 0, limit=3) == ([str(event_id) for event_id in (first + second)[:3]], 3)
    assert await ids_after(ask, 3) == ([str(second[1])], 4)
    assert await ids_after(ask, 4) == ([], 4)
    assert await ids_after(ask, 0, by=B) == ([str(of_b[0])], 1)


async def test_a_feed_without_answers_is_empty_and_has_a_next(ask: Ask) -> None:
    assert await ids_after(ask, 0) == ([], 0)


@pytest.mark.parametrize("after", ["x", "", "-1", "1.5", str(2**63), "NaN", "null"])
async def test_what_is_no_number_is_a_problem(ask: Ask, after: str) -> None:
    assert problem(await feed(ask, after=after), 422) == ["query.after"]


@pytest.mark.parametrize(
    "query", [{"wait": "-1"}, {"wait": "61"}, {"wait": "nan"}, {"limit": "0"}, {"since": "1"}]
)
async def test_other_mistakes_are_problems_too(ask: Ask, query: dict[str, str]) -> None:
    problem(await feed(ask, **query), 422)


@pytest.mark.parametrize("given", [0, 2])
async def test_a_number_that_was_never_given_is_a_problem(ask: Ask, number: Number, given: int) -> None:
    await number(A, given)
    answer = await feed(ask, after=given + 1)
    problem(answer, 422)
    assert answer.json()["code"] == "unknown_cursor"


async def test_answers_that_are_kept_no_more_are_missed_knowingly(
    ask: Ask, number: Number, database: Database
) -> None:
    await number(A, 5)
    for kept_from, kept in ((4, ["4", "5"]), (6, [])):
        async with database.quiet_transaction() as tx:
            await tx.execute(text("DELETE FROM outbox WHERE cursor < :first"), {"first": kept_from})
        answer = await feed(ask, after=2)
        problem(answer, 410)
        assert (answer.json()["code"], answer.json()["kept_after"]) == ("answers_forgotten", kept_from - 1)
        events, following = await ids_after(ask, kept_from - 1)
        assert (len(events), following) == (len(kept), 5)
        # Who begins is told of what there is, and goes on from there.
        assert (await ids_after(ask, 0))[1] == 5


# ---------------------------------------------------------------------------------------------- whose


async def test_only_portals_and_admins_read_feeds(
    ask: Ask, asking: Callable[..., Ask], number: Number
) -> None:
    await number(A, 1)
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await feed(ask, by), status)
    problem(await feed(ask, B, portal=A), 404)
    problem(await feed(ask, B, portal="nobody"), 404)
    assert len((await feed(ask, A, portal=A)).json()["items"]) == 1
    assert len((await feed(ask, "siege", portal=A)).json()["items"]) == 1
    assert (await feed(ask, "siege")).json() == {"items": [], "next": 0}  # the trial's
    problem(await feed(asking(parcours_trial=False), "siege"), 404)


async def test_who_hears_by_kafka_alone_has_no_feed(asking: Callable[..., Ask], tmp_path: Path) -> None:
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
    watch: FeedWatch = api.state.watch
    transport = httpx.ASGITransport(app=api)
    headers = {"authorization": f"Bearer {A}"}
    async with (
        watched(watch) as stopping,
        httpx.AsyncClient(transport=transport, base_url="http://enrolment", headers=headers) as client,
    ):
        yield client, watch, stopping


def waited_for(watch: FeedWatch, number: int) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return watch.waiting == number

    return is_so


Waiting = tuple[httpx.AsyncClient, FeedWatch, asyncio.Event]


async def test_who_waits_is_answered_as_soon_as_there_is_an_answer(
    waiting: Waiting, number: Number, eventually: Eventually
) -> None:
    client, watch, _ = waiting
    asked = asyncio.create_task(client.get("/api/v1/answers?after=0&wait=30"))
    await eventually(waited_for(watch, 1), "1 wait")
    await number(B)
    await number(A)
    watch.look()
    page = (await asyncio.wait_for(asked, 10)).json()
    assert (len(page["items"]), page["next"]) == (1, 1)
    assert watch.waiting == 0
    # What is there already is not waited for.
    page = (await asyncio.wait_for(client.get("/api/v1/answers?after=0&wait=30"), 10)).json()
    assert len(page["items"]) == 1


async def test_who_waits_for_a_number_that_was_never_given_is_told_at_once(waiting: Waiting) -> None:
    answer = await asyncio.wait_for(waiting[0].get("/api/v1/answers?after=7&wait=30"), 10)
    problem(answer, 422)


async def test_who_waits_in_vain_is_told_where_to_go_on(waiting: Waiting, number: Number) -> None:
    await number(A, 2)
    answer = await waiting[0].get("/api/v1/answers?after=2&wait=0.05")
    assert answer.json() == {"items": [], "next": 2}


async def test_a_service_that_stops_answers_all_who_wait(waiting: Waiting, eventually: Eventually) -> None:
    client, watch, stopping = waiting
    asked = [asyncio.create_task(client.get("/api/v1/answers?after=0&wait=60")) for _ in range(3)]
    await eventually(waited_for(watch, 3), "3 wait")
    stopping.set()
    for answer in await asyncio.wait_for(asyncio.gather(*asked), 10):
        assert answer.json() == {"items": [], "next": 0}
    assert (await asyncio.wait_for(client.get("/api/v1/answers?wait=60"), 10)).json()["items"] == []


async def test_a_client_that_goes_away_gives_its_place_back(
    application: ToApplication, eventually: Eventually
) -> None:
    api = application()
    watch: FeedWatch = api.state.watch
    gone = asyncio.Event()

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
    await eventually(waited_for(watch, 1), "1 wait")
    gone.set()
    await asyncio.wait_for(asked, 10)
    assert watch.waiting == 0


async def test_a_thousand_portals_that_wait_cost_one_look_until_the_next(
    enrolment_url: str, number: Number, eventually: Eventually
) -> None:
    database = Database(enrolment_url, application_name="test")
    statements = []
    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    watch = FeedWatch(database, poll_seconds=3600)

    async def has_looked() -> bool:
        return len(statements) > 0

    async with watched(watch):
        waiters = [asyncio.create_task(watch.news(f"portal-{n}", 0, 60)) for n in range(1000)]
        await eventually(waited_for(watch, 1000), "all wait")
        await eventually(has_looked, "a look at the feeds")
        await number("portal-7")
        watch.look()
        assert await asyncio.wait_for(waiters[7], 10)
        assert watch.waiting == 999
        assert len(statements) == 2, "one look when they came, one when it was said that there is more"
        assert all("portal_feed" in statement for statement in statements)
    assert [await waiter for waiter in waiters].count(True) == 1
    await database.close()


async def test_what_another_process_numbered_is_found_at_the_next_look(
    enrolment_url: str, number: Number
) -> None:
    database = Database(enrolment_url, application_name="test")
    watch = FeedWatch(database, poll_seconds=0.01)
    async with watched(watch):
        waiter = asyncio.create_task(watch.news(A, 0, 60))
        await number(A)
        assert await asyncio.wait_for(waiter, 10)
    await database.close()


async def test_while_the_database_is_away_who_waits_goes_on_waiting() -> None:
    watch = FeedWatch(Database("postgresql://nobody@localhost:1/nothing", application_name="test"))
    async with watched(watch):
        assert not await watch.news(A, 0, 0.1)
