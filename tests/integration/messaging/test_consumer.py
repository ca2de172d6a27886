"""Events in: what can be taken is taken, in order; what cannot is parked whole; an outage loses nothing."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream.exceptions import NackMessage

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.cloudevents import Received
from shared.events.portal import EnrolmentRequested, GroupEnrolmentRequested
from shared.events.topics import TOPICS, Topic
from shared.messaging import fetched
from shared.messaging.consumer import BATCH, Consumer
from shared.messaging.router import Tx
from shared.messaging.uncompressing import MAX_BYTES
from tests.conftest import Eventually, opened
from tests.integration.messaging.conftest import Consuming
from tests.integration.messaging.consumers import (
    ConsumerHandler,
    ReceivedRequest,
    Sent,
    a_record,
    deliveries,
    effects,
    parked,
    router_with,
)
from tests.support.builders import a_session, an_agent, as_json, enrolment_request, headers
from tests.support.kafka import KafkaPortal
from tests.support.metrics import metric

# ------------------------------------------------------------------------------ bad input on a real broker


def bad_records(handler: ConsumerHandler) -> Iterator[tuple[str, Sent]]:
    """Records that cannot be read, each with a word of the reason that an operator is shown."""
    key, kind = str(handler.session_id), headers(EnrolmentRequested.TYPE)
    good = enrolment_request(handler.session_id)
    yield "header ce_source", handler.request("x", ce_source=b"\xff\xfe")
    yield "content type", handler.request("x", **{"content-type": b"text/plain"})
    for raw in (b"{not json", b"\xff\xfe\x00", b"{" + b"x" * 900_000):
        yield "JSON", (key, kind, raw)
    yield "tombstone", (key, kind, None)
    yield "agent: ", (key, kind, as_json(good | {"agent": 7}))
    of_catalogue = a_session().model_dump_json().encode()
    yield "belongs on catalogue.sessions", (key, headers(SessionScheduled.TYPE), of_catalogue)
    structured = [("content-type", b"application/cloudevents+json")]
    yield "brackets in brackets without end", (key, structured, b"[" * 100_000)


async def test_what_cannot_be_taken_is_parked_whole_and_the_good_records_around_it_are_taken_in_order(
    kafka: KafkaBroker, database: Database, consuming: Consuming, eventually: Eventually
) -> None:
    handler = ConsumerHandler(poison="poison")
    key, bad, poison = str(handler.session_id), list(bad_records(handler)), handler.request("poison")
    ignored = (key, headers("fr.cnfpt.portal.Unheard.v1"), b"\xff")
    group = {"session_id": key, "agents": [an_agent().model_dump(mode="json")],
             "requested_by": {"name": "Nadia", "email": "n@ville.fr"}}  # fmt: skip
    later = (key, headers(GroupEnrolmentRequested.TYPE), as_json(group))
    large_document = enrolment_request(handler.session_id, an_agent("large"), padding="x" * 900_000)
    large = (key, headers(EnrolmentRequested.TYPE), as_json(large_document))
    harmless = handler.request("harmless")
    records: list[Sent] = [(harmless[0], [*harmless[1], ("x", b"\xff"), ("x", None)], harmless[2]), poison]
    for number, (_, record) in enumerate(bad):
        records += [record, handler.request(f"good-{number:02}")]
    records += [ignored, later, large]
    good = ["harmless", *(f"good-{number:02}" for number in range(len(bad))), "large", "after-the-bomb"]

    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", records)
        async with KafkaPortal(kafka.bootstrap_servers, compression="gzip") as bomber:
            await bomber.send("portal.enrolments", [(key, [], b"0" * (MAX_BYTES + 1))])
        await portal.send("portal.enrolments", [handler.request("after-the-bomb")])

    async def all_are_taken() -> bool:
        # What fails is parked after the good ones of its batch: only then it is known how many do.
        is_parked = len(await parked(database, handler.session_id)) == len(bad) + 2
        return is_parked and await are_taken(database, len(good))

    async with consuming(kafka.bootstrap_servers, database, handler.router):
        await eventually(all_are_taken, "the good ones have their effect, and the others are parked")

    assert await effects(database) == good
    poisonous, *letters, held = await parked(database, handler.session_id)
    assert (poisonous.record.value, poisonous.record.headers) == (poison[2], tuple(poison[1]))
    assert poisonous.event_type == EnrolmentRequested.TYPE
    assert poisonous.error == "ZeroDivisionError: poison divides by zero"
    assert "in take" in (poisonous.traceback or "")
    for (reason, (_, sent_headers, sent_value)), letter in zip(bad, letters, strict=True):
        assert reason in letter.error
        assert (letter.record.value, letter.record.headers) == (sent_value, tuple(sent_headers))
        assert (letter.record.topic, letter.state) == ("portal.enrolments", "parked")
    assert held.event_type == GroupEnrolmentRequested.TYPE
    assert "redrive it after the upgrade" in held.error
    [bomb] = [letter for letter in await parked(database) if f"more than {MAX_BYTES} bytes" in letter.error]
    assert bomb.record.offset == held.record.offset + 2
    assert (bomb.record.key, bomb.record.value, bomb.record.headers) == (None, None, ())


async def test_each_part_of_a_large_batch_has_its_transaction_and_together_they_are_one_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = ConsumerHandler()
    sent = [handler.request(f"agent-{number}") for number in range(5)]
    monkeypatch.setattr("shared.messaging.consumer.PART_BYTES", 2 * len(sent[0][2] or b""))
    seen: list[tuple[list[str], int, bool, int]] = []

    async def take(tx: Tx, received: list[ReceivedRequest]) -> None:
        agents = [request.event.agent.agent_id for request in received]
        seen.append((agents, len(await effects(database)), consumer.busy, consumer.batches))
        await handler.take(tx, received)

    consumer = Consumer(router_with(take).subscriptions[Topic.PORTAL_ENROLMENTS], database)
    await consumer.take_records([a_record(*record, offset=offset) for offset, record in enumerate(sent)])
    assert seen == [
        (["agent-0", "agent-1"], 0, True, 0),
        (["agent-2", "agent-3"], 2, True, 0),
        (["agent-4"], 4, True, 0),
    ]
    assert (consumer.busy, consumer.batches) == (False, 1)


async def are_taken(database: Database, number: int) -> bool:
    return len(await effects(database)) >= number


@pytest.mark.slow
async def test_a_database_that_stops_in_the_middle_of_a_batch_brings_the_batch_again_later(
    *,
    kafka: KafkaBroker,
    postgres: PostgresServer,
    new_database: Callable[[str], str],
    consuming: Consuming,
    eventually: Eventually,
    pauses: list[float],
) -> None:
    """Nothing is parked, nothing is lost, and the consumer does not run hot meanwhile."""
    handler = ConsumerHandler()
    in_hand, go_on = asyncio.Event(), asyncio.Event()
    plain = handler.take

    async def held(tx: Tx, received: list[ReceivedRequest]) -> None:
        await plain(tx, received)
        if any(request.event.session_id == handler.session_id for request in received):
            in_hand.set()
            await go_on.wait()

    handler.router = router_with(held)
    before = failures()

    async def failed_again() -> bool:
        return failures() >= before + 4

    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("portal.enrolments", [handler.request(f"agent-{n}") for n in range(20)])
    async with opened(new_database("enrolment")) as database:
        async with consuming(kafka.bootstrap_servers, database, handler.router):
            await asyncio.wait_for(in_hand.wait(), 30)
            let_nobody_in(postgres, database)
            go_on.set()
            await eventually(failed_again, "the batch comes again and fails again")
            calls_while_down = failures() - before
            postgres.execute(f"ALTER DATABASE {database.url.database} WITH ALLOW_CONNECTIONS true")
            await eventually(partial(are_taken, database, 20), "the batch has its effect")
        assert calls_while_down <= 6
        assert all(pause >= 0.1 * 2**times for times, pause in enumerate(pauses[:4])), "it ran hot"
        assert await effects(database) == [f"agent-{n}" for n in range(20)]
        assert await parked(database, handler.session_id) == []


def let_nobody_in(postgres: PostgresServer, database: Database) -> None:
    """End all connections to a database and let nobody in, as while Postgres is away."""
    name = database.url.database
    postgres.execute(
        f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; "
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';"
    )


# --------------------------------------------------------------------------- one consumer on a real database


async def test_a_batch_that_comes_again_is_parked_and_counted_once(
    database: Database,
) -> None:
    handler = ConsumerHandler(poison="agent-1")
    batch = deliveries([*(handler.request(f"agent-{n}") for n in range(3)), (None, [], b"no event")])
    consumer = Consumer(handler.subscription, database)
    counted = metric("parcours_events_parked_total", topic="portal.enrolments")

    await consumer.take(batch)
    await consumer.take(batch)

    assert await effects(database) == ["agent-0", "agent-2"]
    [poison, unreadable] = await parked(database)
    assert (unreadable.record.value, poison.error) == (
        b"no event",
        "ZeroDivisionError: agent-1 divides by zero",
    )
    assert metric("parcours_events_parked_total", topic="portal.enrolments") == counted + 2


async def test_a_handler_that_fails_on_most_events_parks_none_of_them_until_it_is_mended(
    database: Database,
) -> None:
    """A fault of ours, not of the records: they come again, and have their effect once it is gone."""
    handler = ConsumerHandler()
    batch = deliveries([handler.request(f"agent-{n}") for n in range(60)])
    consumer = Consumer(handler.subscription, database)
    consumer.stopping.set()  # do not pause

    async def fail(_events: list[Received[Any]]) -> int | None:
        raise ZeroDivisionError("the new rule divides by zero")

    for _ in range(2):
        with pytest.raises(NackMessage) as stopped:
            await consumer.take(batch, fail)
        assert "the handler fails on 60 of 60 events" in str(stopped.value.__cause__)
    assert await parked(database) == []
    assert metric("parcours_consumer_stopped", topic="portal.enrolments") == 1

    await consumer.take(batch)
    assert len(await effects(database)) == 60
    assert metric("parcours_consumer_stopped", topic="portal.enrolments") == 0


def failures() -> float:
    """How many batches were to come again."""
    return metric("parcours_batch_failures_total", topic="portal.enrolments")


async def test_what_cannot_be_read_or_is_rejected_stops_no_consumer(database: Database) -> None:
    """Else whoever sends garbage would stop everybody."""
    handler = ConsumerHandler(poison="agent-0")
    garbage: list[Sent] = [(None, [], str(number).encode()) for number in range(200)]
    consumer = Consumer(handler.subscription, database)

    await consumer.take(deliveries(garbage))
    await consumer.take(deliveries([handler.request("agent-0"), handler.request("agent-201")]))

    assert await effects(database) == ["agent-201"]
    assert len(await parked(database)) == 201


async def test_an_event_that_concerns_nobody_here_costs_no_transaction(database: Database) -> None:
    """Most of a compacted topic, for some services: read on an unreachable database, it must still pass."""
    nowhere = Database("postgresql://x@127.0.0.1:1/x", application_name="test")
    handler = ConsumerHandler()
    unknown: Sent = (None, headers("fr.cnfpt.portal.Unheard.v1"), b"")

    await Consumer(handler.subscription, nowhere).take(deliveries([unknown]))

    assert handler.calls == 0


async def test_a_poll_gets_all_that_has_come_since_the_last_one(kafka: KafkaBroker) -> None:
    fetched.tolerate()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    try:
        numbers = range(TOPICS[Topic.CATALOGUE_TRAINERS].partitions)
        consumer.assign([TopicPartition(Topic.CATALOGUE_TRAINERS, number) for number in numbers])
        await consumer.seek_to_end()
        polls = []
        async with KafkaPortal(kafka.bootstrap_servers) as portal:
            for number in (1, 5):
                for key in range(number):
                    await portal.send(Topic.CATALOGUE_TRAINERS, [(f"session-{key}", [], b"")])
                polls.append(
                    sum(map(len, (await consumer.getmany(timeout_ms=10_000, max_records=BATCH)).values()))
                )
    finally:
        await consumer.stop()
    assert polls == [1, 5]
