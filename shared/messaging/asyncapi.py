"""The AsyncAPI 3.0 document of a service: FastStream's, completed from the contracts.

FastStream has one message per channel (issue 1566), and no headers, keys, examples or topic settings. These
are added here.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from shared.events.catalogue import BespokeRequestAnswered
from shared.events.index import events_on
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.events.topics import TOPICS, Topic, answers_topic, is_of_portals
from shared.events.vocabulary import Event
from shared.messaging.router import Router

_BINDING = {"bindingVersion": "0.5.0"}
_ATTRIBUTES: dict[str, Any] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": {"type": "string", "format": "uuid", "description": "The same at every delivery."},
    "ce_type": {"type": "string"},
    "ce_source": {"type": "string", "examples": ["/portals/rennes", "/services/enrolment"]},
    "ce_time": {"type": "string", "format": "date-time"},
    "ce_subject": {"type": "string", "description": "The record's key."},
    "content-type": {"const": "application/json"},
    "traceparent": {"type": "string"},
}
_ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source"],
    "properties": {
        **_ATTRIBUTES,
        "ce_misrouted": {
            "const": "true",
            "description": "On a trial: its request lay in another partition than that of its session.",
        },
    },
}
_SIGNED_ENVELOPE = _ENVELOPE | {
    "description": "Of what portals send. Only /portals/essai, on a trial, need not sign nor say a time.",
    "required": [*_ENVELOPE["required"], "ce_time", "ce_keyid", "ce_signature"],
    "properties": {
        **_ATTRIBUTES,
        "content-type": {
            "enum": ["application/json", "application/cloudevents+json"],
            "description": "The second: the value is the event, and has its attributes but the signature's.",
        },
        "ce_keyid": {"type": "string", "description": "The key of the portal that it signed with."},
        "ce_signature": {
            "type": "string",
            "description": "v1, and the base64 of an HMAC-SHA256, see docs/portals.md.",
            "examples": ["v1,kLlrbAPvxvGcaSwpm+f4kE6oitj09AtRuiFnKFeyNm4="],
        },
    },
}
_OF_PORTALS = """What a portal sends to Parcours by Kafka, and what it hears.

How to sign, which partitioner to use and what to do with each rejection: docs/portals.md. The same requests
are taken by HTTP, and the same answers are read there: see the OpenAPI document of the enrolment service."""
_KEYS_OF_ANSWERS: dict[type[Event], str] = {
    RequestRejected: "topic-partition-offset",
    RequestAccepted: "request_id",
    BespokeRequestAnswered: "request_id",
}
"""On a portal's topic these events have another key than agent_id."""

Examples = Mapping[str, Sequence[dict[str, Any]]]


def document(broker: KafkaBroker, router: Router, examples: Examples | None = None) -> dict[str, Any]:
    """Return a service's document. Call it before the broker runs: FastStream rebuilds its handlers."""
    made: dict[str, Any] = (
        AsyncAPI(broker, title=f"Parcours – {router.service}", version="1").to_specification().to_jsonable()
    )
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Envelope": _ENVELOPE, "SignedEnvelope": _SIGNED_ENVELOPE}
    for address, channel in made["channels"].items():
        topic = Topic(address)
        events = events_on(topic)
        messages |= _messages(events, schemas, examples or {})
        operation = made["operations"][address]
        if handled_by := channel.get("description"):
            operation["description"] = inspect.cleandoc(handled_by)
        operation["messages"] = [
            _reference("channels", address, "messages", event.__name__)
            for event in (events if operation["action"] == "send" else router.subscriptions[topic].events)
        ]
        made["channels"][address] = _channel(topic, events)
        if router.service in topic.publishers and topic in router.subscriptions:
            made["operations"][f"{address}:send"] = _sends(topic, events)
    servers = made["servers"].values()
    made["servers"] = {f"kafka-{number}": server for number, server in enumerate(servers, 1)}
    made["components"] |= {"messages": messages, "schemas": schemas}
    return made


def portal_document(examples: Examples | None = None) -> dict[str, Any]:
    """Return the document of a portal's side. No service reads it."""
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Envelope": _ENVELOPE, "SignedEnvelope": _SIGNED_ENVELOPE}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in (*(topic for topic in Topic if is_of_portals(topic)), Topic.PORTAL_ANSWERS):
        events = events_on(topic)
        messages |= _messages(events, schemas, examples or {})
        channels[topic] = _channel(topic, events)
        operations[topic] = _sends(topic, events)
        if topic is Topic.PORTAL_ANSWERS:
            operations[topic]["action"] = "receive"
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Parcours – a portal's side", "version": "1", "description": _OF_PORTALS},
        "defaultContentType": "application/json",
        "servers": {
            "production": {
                "host": "{bootstrap}",
                "protocol": "kafka-secure",
                "variables": {"bootstrap": {"description": "Who runs Parcours says which: host:port."}},
                "security": [_reference("components", "securitySchemes", "scram512")],
            },
            "trial": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "What make run and make up start; the portal essai need not sign.",
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {"scram512": {"type": "scramSha512"}},
        },
    }


def _sends(topic: Topic, events: Sequence[type[Event]]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": _reference("channels", topic),
        "messages": [_reference("channels", topic, "messages", event.__name__) for event in events],
    }


def _channel(topic: Topic, events: Sequence[type[Event]]) -> dict[str, Any]:
    channel = {
        "address": topic.value,
        "description": f"Key: {TOPICS[topic].key}.",
        "messages": {
            event.__name__: _reference("components", "messages", event.__name__) for event in events
        },
        "bindings": {"kafka": _settings(topic) | _BINDING},
    }
    if topic is Topic.PORTAL_ANSWERS:
        channel["address"] = answers_topic("{portal}")
        channel["description"] = "Key: agent_id; of some events another, as they say."
        channel["parameters"] = {"portal": {"description": "The name of a portal in the registry."}}
    return channel


def _messages(events: Sequence[type[Event]], schemas: dict[str, Any], examples: Examples) -> dict[str, Any]:
    return {event.__name__: _message(event, schemas, examples.get(event.TYPE, ())) for event in events}


def _message(
    event: type[Event], schemas: dict[str, Any], examples: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return an event's message, and add the parts of its schema to ``schemas``.

    References start at the root of the document, so the schema cannot keep its own ``$defs``.
    """
    payload = event.model_json_schema(mode="validation", ref_template="#/components/schemas/{model}")
    schemas |= payload.pop("$defs", {})
    message = {
        "name": event.TYPE,
        "summary": (event.__doc__ or "").partition("\n")[0],
        "headers": _reference(
            "components", "schemas", "SignedEnvelope" if is_of_portals(event.TOPIC) else "Envelope"
        ),
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": payload | {"title": event.TYPE},
        },
        "bindings": {"kafka": {"key": _key(event)} | _BINDING},
    }
    return message | ({"examples": [{"payload": example} for example in examples]} if examples else {})


_UUIDS = ("session_id", "resource_id")


def _key(event: type[Event]) -> dict[str, Any]:
    name = TOPICS[event.TOPIC].key
    key = {"type": "string", "title": name} | ({"format": "uuid"} if name in _UUIDS else {})
    if event in _KEYS_OF_ANSWERS:
        key["description"] = f"Among a portal's answers: {_KEYS_OF_ANSWERS[event]}."
    return key


def _settings(topic: Topic) -> dict[str, Any]:
    config = TOPICS[topic].broker_config
    configuration: dict[str, Any] = {"cleanup.policy": [config["cleanup.policy"]]}
    if "retention.ms" in config:
        configuration["retention.ms"] = int(config["retention.ms"])
    return {"partitions": TOPICS[topic].partitions, "topicConfiguration": configuration}


def _reference(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
