"""The AsyncAPI documents are valid, whole, and say what the services really do."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from faststream import ContextRepo
from jsonschema import Draft202012Validator

from services.contracts import ROUTERS
from shared.database import Database
from shared.events.documents import FOLDER
from shared.events.index import EVENTS, events_on
from shared.events.topics import TOPICS, Topic, is_of_portals
from shared.messaging import asyncapi
from shared.messaging.broker import KafkaSettings
from shared.messaging.faststream import new_broker

every_service = pytest.mark.parametrize("service", ROUTERS)


@functools.cache
def stored(service: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{service}.json").read_text())
    return document


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


@pytest.mark.parametrize("name", [*ROUTERS, "portal"])
def test_every_reference_of_the_document_leads_somewhere(name: str) -> None:
    document = stored(name)
    found = set(references(document))
    assert found, "a document without references says nothing"
    for reference in found:
        assert reference.startswith("#/"), f"{reference} leads out of the document"
        assert isinstance(resolve(document, reference), dict), reference


@every_service
def test_the_document_is_asyncapi_3_and_says_what_the_service_sends_and_receives(service: str) -> None:
    document = stored(service)
    assert document["asyncapi"] == "3.0.0"
    assert {(server["host"], server["protocol"]) for server in document["servers"].values()} == {
        ("kafka:9092", "kafka")
    }
    said: dict[str, set[str]] = {"send": set(), "receive": set()}
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        # The rule of the specification: a message of an operation is one of its channel's, not a component.
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
        said[operation["action"]].add(channel.removeprefix("#/channels/"))
    sends = {topic.value for topic in Topic if service in topic.publishers}
    assert said == {"send": sends, "receive": {topic.value for topic in ROUTERS[service].subscriptions}}
    for name, channel in document["channels"].items():
        assert channel["address"] == {"portal.answers": "portal.answers.{portal}"}.get(name, name)
        types = {resolve(document, message["$ref"])["name"] for message in channel["messages"].values()}
        assert types == {event.TYPE for event in events_on(Topic(name))}
    for topic, subscription in ROUTERS[service].subscriptions.items():
        taken = [message["$ref"] for message in document["operations"][topic]["messages"]]
        named = [resolve(document, resolve(document, reference)["$ref"])["name"] for reference in taken]
        assert named == [event.TYPE for event in subscription.events]


def test_every_message_of_a_service_has_examples_a_key_and_a_valid_schema() -> None:
    for service in ROUTERS:
        for name, message in stored(service)["components"]["messages"].items():
            assert message["examples"], name
            assert message["bindings"]["kafka"]["key"]["type"] == "string", name
            Draft202012Validator.check_schema(message["payload"]["schema"])


def test_every_topic_is_read_by_its_listeners_and_every_request_of_a_portal_by_somebody() -> None:
    for service, router in ROUTERS.items():
        assert set(router.subscriptions) == {
            topic for topic, settings in TOPICS.items() if service in settings.listeners
        }
    for topic in filter(is_of_portals, TOPICS):
        taken = {
            event
            for service in TOPICS[topic].listeners
            for event in ROUTERS[service].subscriptions[topic].events
        }
        assert taken == {event for event in EVENTS if event.TOPIC is topic}


def test_the_document_of_portals_says_what_they_send_and_what_they_hear() -> None:
    document = stored("portal")

    topics = [topic for topic in Topic if is_of_portals(topic) or topic is Topic.PORTAL_ANSWERS]
    assert list(document["operations"]) == sorted(topics)
    for topic in topics:
        operation = document["operations"][topic]
        assert operation["action"] == ("receive" if topic is Topic.PORTAL_ANSWERS else "send")
        assert [resolve(document, message["$ref"]) for message in operation["messages"]] == [
            {"$ref": f"#/components/messages/{event.__name__}"} for event in events_on(topic)
        ]
    assert document["channels"][Topic.PORTAL_ANSWERS]["address"] == "portal.answers.{portal}"
    for message in document["components"]["messages"].values():
        assert message["examples"]
        signed = message["name"].startswith("fr.cnfpt.portal.")
        assert message["headers"]["$ref"].endswith("/SignedEnvelope" if signed else "/Envelope")


def test_a_running_service_says_how_its_broker_is_reached_and_tells_no_secret() -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers="one:9092, two:9092",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="the-user",
        kafka_sasl_password="the-password",
    )
    database = Database("postgresql://x@localhost/x", application_name="test")
    broker, _ = new_broker(settings, ROUTERS["enrolment"], database, ContextRepo())
    document = asyncapi.document(broker, ROUTERS["enrolment"])
    servers = [(server["host"], server["protocol"]) for server in document["servers"].values()]
    assert servers == [("one:9092", "kafka-secure"), ("two:9092", "kafka-secure")]
    assert not re.search("the-user|the-password", json.dumps(document))
