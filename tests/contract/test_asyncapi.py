"""The AsyncAPI documents are valid, whole, and say what the services really do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from faststream import ContextRepo
from jsonschema import Draft202012Validator

from services.contracts import ROUTERS
from shared.database import Database
from shared.events import EVENTS, events_on
from shared.events.documents import FOLDER
from shared.events.topics import TOPICS, Topic, is_of_portals
from shared.messaging import asyncapi
from shared.messaging.broker import KafkaSettings
from shared.messaging.faststream import new_broker

every_service = pytest.mark.parametrize("service", ROUTERS)


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
def test_the_document_has_the_structure_of_asyncapi_3(service: str) -> None:
    document = stored(service)

    assert set(document) <= {
        "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components",
    }  # fmt: skip
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    for name, channel in document["channels"].items():
        assert channel["address"] == {"portal.answers": "portal.answers.{portal}"}.get(name, name)
        for message in channel["messages"].values():
            assert resolve(document, message["$ref"])["name"].startswith("fr.cnfpt.")
    assert document["servers"]
    for server in document["servers"].values():
        assert (server["host"], server["protocol"]) == ("kafka:9092", "kafka")
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert channel.startswith("#/channels/")
        assert operation["messages"]
        # The rule of the specification: a message of an operation is one of its channel's, not a component.
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    for message in document["components"]["messages"].values():
        assert message["examples"]
        assert message["bindings"]["kafka"]["key"]["type"] == "string"
        payload = message["payload"]
        assert set(payload) == {"schemaFormat", "schema"}
        Draft202012Validator.check_schema(payload["schema"])


@every_service
def test_the_document_says_which_topics_the_service_sends_to_and_receives_from(service: str) -> None:
    document = stored(service)
    actions = [
        (operation["channel"]["$ref"].removeprefix("#/channels/"), operation["action"])
        for operation in document["operations"].values()
    ]

    sends = {topic.value for topic in Topic if service in topic.publishers}
    receives = {topic.value for topic, settings in TOPICS.items() if service in settings.listeners}
    assert {topic for topic, action in actions if action == "send"} == sends
    assert {topic for topic, action in actions if action == "receive"} == receives
    for topic in sends | receives:
        types = {resolve(document, message["$ref"])["name"] for message in _messages(document, topic)}
        assert types == {event.TYPE for event in events_on(Topic(topic))}


@every_service
def test_an_operation_names_the_events_that_the_service_takes(service: str) -> None:
    document = stored(service)
    for topic, subscription in ROUTERS[service].subscriptions.items():
        named = [
            resolve(document, message["$ref"])["$ref"]
            for message in document["operations"][topic]["messages"]
        ]
        assert [resolve(document, reference)["name"] for reference in named] == [
            event.TYPE for event in subscription.events
        ]


@every_service
def test_a_service_subscribes_to_exactly_the_topics_it_is_a_listener_of(service: str) -> None:
    listed = {topic for topic, settings in TOPICS.items() if service in settings.listeners}

    assert set(ROUTERS[service].subscriptions) == listed


@every_service
def test_every_request_of_a_portal_is_handled_or_kept_for_later_never_ignored(service: str) -> None:
    for topic, subscription in ROUTERS[service].subscriptions.items():
        if is_of_portals(topic) and len(TOPICS[topic].listeners) == 1:
            assert subscription.events == [event for event in EVENTS if topic == event.TOPIC]


def test_every_request_about_an_agent_concerns_somebody() -> None:
    taken = {
        event
        for service in TOPICS[Topic.PORTAL_AGENTS].listeners
        for event in ROUTERS[service].subscriptions[Topic.PORTAL_AGENTS].events
    }

    assert taken == {event for event in EVENTS if event.TOPIC == Topic.PORTAL_AGENTS}


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

    assert [(server["host"], server["protocol"]) for server in document["servers"].values()] == [
        ("one:9092", "kafka-secure"),
        ("two:9092", "kafka-secure"),
    ]
    assert document["components"]["securitySchemes"] == {"scram512": {"type": "scramSha512"}}
    assert "the-user" not in json.dumps(document)
    assert "the-password" not in json.dumps(document)
    for reference in references(document):
        assert isinstance(resolve(document, reference), dict), reference


def _messages(document: dict[str, Any], topic: str) -> list[dict[str, Any]]:
    return list(document["channels"][topic]["messages"].values())
