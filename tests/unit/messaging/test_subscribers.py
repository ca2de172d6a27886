"""How the services subscribe: each of these settings loses events where the libraries' default stands."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from faststream import AckPolicy, ContextRepo
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from services.contracts import ROUTERS
from shared.database import Database
from shared.events.cloudevents import Received
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from shared.events.topics import TOPICS, Topic
from shared.messaging.broker import KafkaSettings
from shared.messaging.consumer import BATCH, Consumer
from shared.messaging.faststream import GRACEFUL_SECONDS, new_broker
from shared.messaging.router import Router, Tx

NOWHERE = KafkaSettings(kafka_bootstrap_servers="kafka-1:9092, kafka-2:9092")


@functools.cache
def broker_of(service: str) -> tuple[KafkaBroker, list[Consumer]]:
    database = Database("postgresql://x@localhost/x", application_name="test")
    return new_broker(NOWHERE, ROUTERS[service], database, ContextRepo())


def subscribers() -> Iterator[tuple[str, Any]]:
    for service in ROUTERS:
        _, consumers = broker_of(service)
        for consumer in consumers:
            yield service, consumer.subscriber


def topic_of(subscriber: Any) -> str:
    [topic] = subscriber.topics
    name: str = topic.name
    return name


def test_every_topic_is_read_in_batches_by_a_group_of_its_own_that_commits_after_the_effect() -> None:
    assert {(service, topic_of(subscriber)) for service, subscriber in subscribers()} == {
        (listener, topic) for topic, settings in TOPICS.items() for listener in settings.listeners
    }
    for service, subscriber in subscribers():
        arguments = subscriber._connection_args
        assert subscriber.group_id == f"{service}.{topic_of(subscriber)}"
        assert subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
        assert arguments["auto_offset_reset"] == "earliest"
        assert arguments.get("enable_auto_commit", False) is False
        assert isinstance(subscriber, BatchSubscriber), "one worker"
        assert subscriber.max_records == BATCH == 500
        builder: Any = subscriber.builder
        assert builder.func is AIOKafkaConsumer
        assert builder.keywords["metadata_max_age_ms"] <= 10_000


def test_two_consumers_of_a_topic_are_two_members_of_its_group() -> None:
    settings = KafkaSettings(kafka_bootstrap_servers="localhost:1", kafka_group_instance_id="enrolment-1")
    database = Database("postgresql://x@localhost/x", application_name="test")
    broker, consumers = new_broker(settings, ROUTERS["enrolment"], database, ContextRepo())
    members = [
        (subscriber.group_id, subscriber._connection_args["group_instance_id"])
        for subscriber in broker.subscribers
        if isinstance(subscriber, BatchSubscriber) and topic_of(subscriber) == Topic.PORTAL_ENROLMENTS
    ]
    assert sorted(members) == [
        ("enrolment.portal.enrolments", "enrolment-1"),
        ("enrolment.portal.enrolments", "enrolment-1-1"),
    ]
    first, second = [
        consumer for consumer in consumers if consumer.subscription.topic is Topic.PORTAL_ENROLMENTS
    ]
    assert first._limit is second._limit


@pytest.mark.parametrize("service", ROUTERS)
def test_the_broker_creates_no_topic_and_each_consumer_knows_its_own_subscriber(service: str) -> None:
    """FastStream keeps subscribers in a set without order: their places do not tell them apart."""
    broker, consumers = broker_of(service)
    assert broker.config.allow_auto_create_topics is False
    assert broker.config.graceful_timeout == GRACEFUL_SECONDS
    assert NOWHERE.servers == ["kafka-1:9092", "kafka-2:9092"]
    assert all(topic_of(consumer.subscriber) == consumer.subscription.topic for consumer in consumers)
    assert {consumer.subscriber for consumer in consumers} == set(broker.subscribers)


def test_a_second_handler_for_a_topic_is_refused_since_it_would_share_the_group() -> None:
    router = Router("test")

    async def on_requests(tx: Tx, requests: list[Received[EnrolmentRequested | WithdrawalRequested]]) -> None:
        pass

    router.subscriber(Topic.PORTAL_ENROLMENTS)(on_requests)
    assert router.subscriptions[Topic.PORTAL_ENROLMENTS].types == (EnrolmentRequested, WithdrawalRequested)
    with pytest.raises(ValueError, match="one consumer group per topic"):
        router.subscriber(Topic.PORTAL_ENROLMENTS)(on_requests)


def test_a_handler_that_does_not_say_in_its_signature_which_events_it_takes_is_refused() -> None:
    async def on_anything(tx: Tx, requests: list[dict[str, Any]]) -> None:
        pass

    with pytest.raises(TypeError, match="on_anything has no parameter"):
        Router("test").subscriber(Topic.PORTAL_BESPOKE)(on_anything)
