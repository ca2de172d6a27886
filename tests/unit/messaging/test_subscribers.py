"""How the services subscribe: each of these settings loses events where the libraries' default stands."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.database import Database
from shared.events.topics import TOPICS, Topic
from shared.messaging.broker import GRACEFUL_SECONDS, KafkaSettings, new_broker
from shared.messaging.consumer import AWAITED, BATCH, UNHURRIED, Pace, router_for

SERVICES = ("catalogue", "enrolment", "notifier")
NOWHERE = KafkaSettings(kafka_bootstrap_servers="kafka-1:9092, kafka-2:9092")


def broker_of(service: str) -> KafkaBroker:
    subscriptions = importlib.import_module(f"services.{service}.handlers").subscriptions
    database = Database("postgresql://x@localhost/x", application_name="test")
    router, _ = router_for(subscriptions, database, NOWHERE)
    return new_broker(NOWHERE, service, [router])


def subscribers() -> Iterator[tuple[str, Any]]:
    for service in SERVICES:
        for subscriber in broker_of(service).subscribers:
            yield service, subscriber


def topic_of(subscriber: Any) -> str:
    [topic] = subscriber.topics
    name: str = topic.name
    return name


# FastStream keeps them in a set; workers of tests must find the same order.
SUBSCRIBERS = sorted(subscribers(), key=lambda found: (found[0], topic_of(found[1])))

every_subscriber = pytest.mark.parametrize(
    ("service", "subscriber"), SUBSCRIBERS, ids=[f"{service}-{topic_of(one)}" for service, one in SUBSCRIBERS]
)


def test_every_service_has_a_subscriber_for_each_topic_it_listens_to() -> None:
    listening = {(service, topic_of(subscriber)) for service, subscriber in SUBSCRIBERS}

    assert listening == {(one, topic) for topic, settings in TOPICS.items() for one in settings.listeners}
    assert len(SUBSCRIBERS) == len(listening)


@every_subscriber
def test_the_offset_is_committed_after_the_effect_and_never_when_it_failed(
    service: str, subscriber: Any
) -> None:
    assert subscriber.ack_policy is AckPolicy.NACK_ON_ERROR


@every_subscriber
def test_each_topic_has_a_consumer_group_of_its_own_read_from_the_start(
    service: str, subscriber: Any
) -> None:
    assert subscriber.group_id == f"{service}.{topic_of(subscriber)}"
    arguments = subscriber._connection_args
    assert arguments["auto_offset_reset"] == "earliest"
    assert arguments.get("enable_auto_commit", False) is False


@every_subscriber
def test_records_come_in_batches_to_one_worker(service: str, subscriber: Any) -> None:
    assert isinstance(subscriber, BatchSubscriber)
    assert subscriber.max_records == BATCH == 500


def test_a_broker_is_asked_often_for_what_somebody_waits_for_and_seldom_for_the_rest() -> None:
    paces = {
        (service, topic_of(one)): Pace(one._connection_args["fetch_max_wait_ms"], one.batch_timeout_ms)
        for service, one in SUBSCRIBERS
    }
    often = {which for which, pace in paces.items() if pace == AWAITED}

    assert often == {("enrolment", Topic.PORTAL_ENROLMENTS), ("notifier", Topic.ENROLMENT_DECISIONS)}
    assert set(paces.values()) == {AWAITED, UNHURRIED}


@pytest.mark.parametrize("service", SERVICES)
def test_an_intake_looks_at_the_consumer_of_its_own_topic(service: str) -> None:
    """FastStream keeps subscribers in a set without order: by their places they are not to be told apart."""
    subscriptions = importlib.import_module(f"services.{service}.handlers").subscriptions
    database = Database("postgresql://x@localhost/x", application_name="test")
    router, intakes = router_for(subscriptions, database, NOWHERE)

    for intake in intakes:
        assert topic_of(intake.subscriber) == intake.subscription.topic
    assert {intake.subscriber for intake in intakes} == set(router.subscribers)


@pytest.mark.parametrize("service", SERVICES)
def test_the_broker_creates_no_topic_and_waits_for_the_batch_in_hand(service: str) -> None:
    broker = broker_of(service)

    assert broker.config.allow_auto_create_topics is False
    assert broker.config.graceful_timeout == GRACEFUL_SECONDS
    assert NOWHERE.servers == ["kafka-1:9092", "kafka-2:9092"]


def test_a_second_handler_for_a_topic_is_refused_since_it_would_share_the_group() -> None:
    subscriptions = importlib.import_module("services.enrolment.handlers").subscriptions
    topic = next(iter(subscriptions.by_topic))

    with pytest.raises(ValueError, match="one consumer group per topic"):
        subscriptions.on(topic)(lambda _tx, _received: None)
