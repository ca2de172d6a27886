"""A portal's feed, sent to its webhook: in order for each agent, until it is taken, and by one process."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from standardwebhooks import Webhook as Verifier
from starlette.requests import Request
from starlette.responses import Response

from services.enrolment import jobs
from services.enrolment.api.feed_watch import FeedWatch
from services.enrolment.rules.webhooks import WebhookFailure, WebhookState
from services.enrolment.service import webhooks
from services.enrolment.service.webhooks import WebhookAttempt
from services.enrolment.webhooks import WebhookSender, WebhookWorker
from shared.database import Database
from shared.events.enrolment import WebhookDisabled
from shared.messaging.portals.registry import PortalsFile
from shared.messaging.portals.registry import Webhook as PortalWebhook
from shared.messaging.portals.signatures import new_secret
from tests.conftest import Eventually
from tests.integration.enrolment.conftest import SelectRows
from tests.support.metrics import metric
from tests.support.serving import serving

IEL, OTHER = "iel", "other"
SECRET = new_secret()
Number = Callable[..., Awaitable[None]]
Sending = Callable[..., AbstractAsyncContextManager[None]]


class Receiver:
    """A portal's web server. ``status`` is what it answers, for each event as it comes."""

    address: str

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status: Callable[[str, int], int] = lambda _key, _number: 204
        self.hangs = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        if self.hangs:
            await asyncio.sleep(3600)
        event = json.loads(body)
        status = self.status(event["subject"], event["data"]["n"])
        if status < 300:
            self.got.append((event["subject"], event["data"]["n"]))
        self.requests.append((dict(request.headers), body))
        redirect = {"location": "/elsewhere"} if status == 302 else {}
        await Response(status_code=status, headers=redirect)(scope, receive, send)


@pytest.fixture
def database(enrolment_database: Database) -> Database:
    return enrolment_database


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    @asynccontextmanager
    async def application(_address: str) -> AsyncIterator[Receiver]:
        yield receiver

    with serving(application) as receiver.address:
        yield receiver


@pytest.fixture
def number(database: Database) -> Number:
    """``await number(IEL, "agent 1", 1)``: the relay numbers an answer about an agent."""

    async def number(portal: str, *answers: tuple[str, int]) -> None:
        async with database.quiet_transaction() as tx:
            await tx.execute(_FEED, {"portal": portal})
            for agent, count in answers:
                values = {"portal": portal, "id": uuid4(), "agent": agent, "data": json.dumps({"n": count})}
                await tx.execute(_ANSWER, values)

    return number


_FEED = text("INSERT INTO portal_feed VALUES (:portal, 0) ON CONFLICT DO NOTHING")
_ANSWER = text(
    "WITH feed AS (UPDATE portal_feed SET last = last + 1 WHERE portal = :portal RETURNING last) "
    "INSERT INTO outbox (bucket, key, event_id, type, source, data, sent_at, portal, cursor) "
    "SELECT 0, :agent, :id, 'fr.cnfpt.enrolment.AgentEnrolled.v1', '/services/enrolment', :data, now(), "
    ":portal, last FROM feed"
)


def a_registry(folder: Path, **addresses: str) -> PortalsFile:
    path = folder / "portals.json"
    entries = [
        {
            "portal": portal,
            "issuer": portal,
            "contact": "equipe@portail.example",
            "webhook": {"url": f"{address}/{portal}", "secrets": [SECRET]},
        }
        for portal, address in addresses.items()
    ]
    path.write_text(json.dumps(entries))
    return PortalsFile(path, trial=True)


@pytest.fixture
def sending(database: Database, tmp_path: Path) -> Sending:
    """``async with sending(iel=address):`` a process sends from the first event on."""

    def start(*, private_too: bool = True, **addresses: str) -> AbstractAsyncContextManager[None]:
        return _sending(database, a_registry(tmp_path, **addresses), private_too)

    return start


@asynccontextmanager
async def _sending(database: Database, registry: PortalsFile, private_too: bool) -> AsyncIterator[None]:
    watch, stopping = FeedWatch(database, poll_seconds=0.02), asyncio.Event()
    worker = WebhookWorker(database, registry, watch.news, private_too=private_too)
    async with database.quiet_transaction() as tx:
        for portal in registry.portals:
            await webhooks.begin(tx, portal.portal)
            await webhooks.replay(tx, portal.portal, 0)
    running = [asyncio.create_task(part) for part in (watch.run(stopping), worker.run(stopping))]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*running)


async def test_each_event_is_sent_once_signed_and_in_order_for_its_agent(
    sending: Sending, receiver: Receiver, number: Number, eventually: Eventually
) -> None:
    answers = [(f"agent {agent}", count) for count in range(20) for agent in range(7)]
    await number(IEL, *answers[:70])

    async def all_are_there() -> bool:
        return len(receiver.got) >= len(answers)

    async with sending(iel=receiver.address):
        await number(IEL, *answers[70:])
        await eventually(all_are_there, "all events")
    assert sorted(receiver.got) == sorted(answers)
    for agent in {agent for agent, _ in answers}:
        assert [count for own, count in receiver.got if own == agent] == list(range(20))
    for headers, body in receiver.requests:
        event = Verifier(SECRET).verify(body, headers)
        assert headers["webhook-id"] == event["id"]
        assert headers["content-type"] == "application/cloudevents+json"


async def test_what_is_not_taken_holds_the_cursor_and_comes_again_before_what_follows(
    sending: Sending, receiver: Receiver, number: Number, rows: SelectRows, eventually: Eventually
) -> None:
    receiver.status = lambda _agent, count: 503 if count == 2 else 204
    failed, taken = (
        metric("parcours_webhooks_sent_total", portal=IEL, result=result) for result in ("failed", "taken")
    )
    await number(IEL, ("agent 1", 1), ("agent 1", 2), ("agent 1", 3))

    async def it_failed() -> bool:
        return bool(await rows("SELECT 1 FROM webhook WHERE failures = 1"))

    async def the_rest_is_there() -> bool:
        return len(receiver.got) == 3

    async with sending(iel=receiver.address):
        await eventually(it_failed, "a failure")
        [state] = await rows("SELECT cursor, reason FROM webhook WHERE portal = 'iel'")
        assert (state.cursor, state.reason) == (1, "status 503")
        assert receiver.got == [("agent 1", 1)]
        assert metric("parcours_webhooks_sent_total", portal=IEL, result="failed") == failed + 1
        receiver.status = lambda _agent, _count: 204
        await rows("UPDATE webhook SET next_attempt_at = now() RETURNING 1")
        await eventually(the_rest_is_there, "the rest")
    assert receiver.got == [("agent 1", 1), ("agent 1", 2), ("agent 1", 3)]
    assert metric("parcours_webhooks_sent_total", portal=IEL, result="taken") == taken + 3
    first, again = (headers for headers, body in receiver.requests if json.loads(body)["data"]["n"] == 2)
    assert first["webhook-id"] == again["webhook-id"]


async def test_a_replay_sends_what_was_taken_before_too(
    sending: Sending, receiver: Receiver, number: Number, database: Database, eventually: Eventually
) -> None:
    receiver.status = lambda agent, _count: 503 if agent == "agent 1" else 204
    await number(IEL, ("agent 1", 1), ("agent 2", 1))

    async def both_were_tried() -> bool:
        return len(receiver.requests) == 2

    async def all_are_there() -> bool:
        return len(receiver.got) == 3

    async with sending(iel=receiver.address):
        await eventually(both_were_tried, "both events")
        receiver.status = lambda _agent, _count: 204
        await number(IEL, ("agent 3", 1))
        async with database.quiet_transaction() as tx:
            await webhooks.replay(tx, IEL, None)
        await eventually(all_are_there, "the others")
        async with database.quiet_transaction() as tx:
            await webhooks.replay(tx, IEL, 0)

        async def all_came_again() -> bool:
            return len(receiver.got) == 6

        await eventually(all_came_again, "all three again")


async def test_a_stop_keeps_what_was_taken_and_lets_the_next_process_send_at_once(
    sending: Sending, receiver: Receiver, number: Number, rows: SelectRows, eventually: Eventually
) -> None:
    answers = [("agent 1", count) for count in range(300)]
    await number(IEL, *answers)

    async def some_came() -> bool:
        return len(receiver.got) > 5

    async with sending(iel=receiver.address):
        await eventually(some_came, "some events")
    [state] = await rows("SELECT cursor, leased_by FROM webhook WHERE portal = 'iel'")
    assert 5 < len(receiver.got) < len(answers)
    assert (state.cursor, state.leased_by) == (len(receiver.got), None)


async def test_a_portal_that_hangs_slows_no_other(
    sending: Sending, receiver: Receiver, number: Number, eventually: Eventually
) -> None:
    await number(OTHER, *((f"agent {agent}", 1) for agent in range(100)))
    await number(IEL, *((f"agent {agent}", 1) for agent in range(100)))

    async def all_are_there() -> bool:
        return len(receiver.got) == 100

    with receiving() as stuck:
        stuck.hangs = True
        async with sending(other=stuck.address, iel=receiver.address):
            await eventually(all_are_there, "the events of the portal that answers", seconds=10)
        assert stuck.got == []


@pytest.mark.parametrize("status", [302, 400])
async def test_a_redirect_and_a_refusal_are_failures(status: int, receiver: Receiver) -> None:
    receiver.status = lambda _agent, _count: status
    sender = WebhookSender(private_too=True)
    webhook = PortalWebhook(url=receiver.address, secrets=(SecretStr(SECRET),))
    try:
        failure = await sender.send(webhook, uuid4(), b'{"subject": "agent 1", "data": {"n": 1}}')
    finally:
        sender.close()
    assert failure == WebhookFailure(f"status {status}")
    assert len(receiver.requests) == 1


async def test_one_process_alone_sends_for_a_portal(database: Database) -> None:
    first, other, now = uuid4(), uuid4(), datetime(2026, 12, 1, tzinfo=UTC)
    async with database.quiet_transaction() as tx:
        await webhooks.begin(tx, IEL)
        assert await webhooks.claim(tx, IEL, first, now) is not None
        assert await webhooks.claim(tx, IEL, other, now) is None
        taken_over = await webhooks.claim(tx, IEL, other, now + timedelta(minutes=2))
        assert taken_over is not None
        attempt = WebhookAttempt(taken_over.state, 5, None, "equipe@portail.example")
        late = await webhooks.settle(tx, attempt, first, now)
        assert late == taken_over.state
        [state] = await webhooks.states(tx)
        assert state.cursor == 0


async def test_a_new_webhook_begins_with_the_next_event_and_a_replay_with_any(
    database: Database, number: Number
) -> None:
    process, now = uuid4(), datetime(2026, 12, 1, tzinfo=UTC)
    await number(IEL, ("agent 1", 1), ("agent 1", 2))
    async with database.quiet_transaction() as tx:
        await webhooks.begin(tx, IEL)
        due = await webhooks.claim(tx, IEL, process, now)
        assert due is not None
        assert (list(due.answers), due.until) == ([], 2)
        assert await webhooks.replay(tx, IEL, 1)
        due = await webhooks.claim(tx, IEL, process, now)
        assert due is not None
        assert (list(due.answers), due.until) == ([2], 2)
        assert not await webhooks.replay(tx, OTHER, 0)


async def test_a_disabled_webhook_sends_nothing_before_its_replay(
    database: Database, rows: SelectRows, tmp_path: Path
) -> None:
    process, now = uuid4(), datetime(2026, 12, 1, tzinfo=UTC)
    async with database.quiet_transaction() as tx:
        await webhooks.begin(tx, IEL)
    await rows("UPDATE webhook SET disabled_at = now(), failures = 40 RETURNING 1")
    await rows("UPDATE webhook SET failing_since = now() - interval '1 hour' RETURNING 1")
    await jobs.measure_webhooks(database, a_registry(tmp_path, iel="http://portail.example"))
    assert 3600 <= metric("parcours_webhook_failing_seconds", portal=IEL) < 3660
    await jobs.measure_webhooks(database, a_registry(tmp_path, other="http://portail.example"))
    assert metric("parcours_webhook_failing_seconds", portal=IEL) == 0
    async with database.quiet_transaction() as tx:
        assert await webhooks.claim(tx, IEL, process, now) is None
        await webhooks.replay(tx, IEL, None)
        assert await webhooks.claim(tx, IEL, process, now) is not None


async def test_the_contact_of_a_webhook_that_is_disabled_is_told_once(
    database: Database, rows: SelectRows
) -> None:
    process, now = uuid4(), datetime(2026, 12, 1, 9, tzinfo=UTC)
    async with database.quiet_transaction() as tx:
        await webhooks.begin(tx, IEL)
    state = WebhookState(portal=IEL, cursor=0)
    for days in (0, 1, 4):
        moment = now + timedelta(days=days)
        async with database.quiet_transaction() as tx:
            due = await webhooks.claim(tx, IEL, process, moment)
            assert due is not None
            attempt = WebhookAttempt(due.state, 0, WebhookFailure("status 503"), "equipe@portail.example")
            state = await webhooks.settle(tx, attempt, process, moment)
        assert await rows("SELECT 1 FROM outbox") == [] or state.disabled_at == moment
    [published] = await rows("SELECT type, key, data FROM outbox")
    assert (published.type, published.key) == (WebhookDisabled.TYPE, IEL)
    assert json.loads(published.data) == {
        "portal": IEL,
        "contact": "equipe@portail.example",
        "failing_since": "2026-12-01T09:00:00Z",
        "reason": "status 503",
    }


async def test_nothing_is_sent_into_a_private_network(
    sending: Sending, receiver: Receiver, number: Number, rows: SelectRows, eventually: Eventually
) -> None:
    await number(IEL, ("agent 1", 1))

    async def it_failed() -> bool:
        return bool(await rows("SELECT 1 FROM webhook WHERE failures > 0"))

    async with sending(private_too=False, iel=receiver.address.replace("127.0.0.1", "localhost")):
        await eventually(it_failed, "a failure")
    [state] = await rows("SELECT reason FROM webhook WHERE portal = 'iel'")
    assert state.reason == "PrivateAddress: localhost is in a private network"
    assert receiver.requests == []
