"""Whatever arrives, decoding answers: an event, or a reason. Nothing else is ever raised."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.events.cloudevents import Received, Record
from shared.events.documents import FOLDER
from shared.events.index import BY_TYPE, EVENTS
from shared.events.topics import TOPICS
from shared.messaging.consumer import read
from shared.messaging.dead_letters import Parked

EXAMPLES: list[tuple[str, Any]] = [
    (path.parent.name, json.loads(path.read_text()))
    for path in sorted((FOLDER / "examples").glob("*/*.json"))
]

hostile = st.sampled_from(
    ["\ud800", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "", "\0", "Europe/", "x\ny", 10**400,
     -1, 1e308, "a@b.fr\r", [], {}]
)  # fmt: skip
anything = hostile | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
header_names = st.sampled_from(
    ["ce_id", "CE_ID", "ce_type", "ce_source", "ce_specversion", "ce_time", "content-type", "Content-Type",
     "traceparent", "ce_", "ce_data", ""]
) | st.text()  # fmt: skip
header_values = st.none() | st.binary() | st.sampled_from(
    [b"1.0", b"application/json", b"application/cloudevents+json", b"2c5ea4c0-4067-4d1e-9f0a-71e0c2c3b9aa"]
) | st.sampled_from([event.TYPE.encode() for event in EVENTS])  # fmt: skip
topics = st.sampled_from([topic.value for topic in TOPICS]) | st.text()


@st.composite
def spoilt_examples(draw: st.DrawFn) -> tuple[str, bytes]:
    """A stored example with one value, at any depth, replaced by anything."""
    event_type, document = draw(st.sampled_from(EXAMPLES))
    whole = json.loads(json.dumps(document))
    part = whole
    while True:
        place = draw(st.sampled_from(sorted(part))) if isinstance(part, dict) else 0
        inner = part[place]
        if not inner or not isinstance(inner, dict | list) or draw(st.booleans()):
            part[place] = draw(anything)
            return event_type, json.dumps(whole).encode()
        part = inner


def a_record(topic: str, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> Record:
    return Record(topic, 0, 0, None, value, tuple(headers), datetime.now(UTC))


@given(
    topic=topics,
    headers=st.lists(st.tuples(header_names, header_values), max_size=8),
    value=st.none() | st.binary(),
)
def test_an_arbitrary_record_becomes_a_delivery(
    topic: str, headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    delivery = read(a_record(topic, value, headers))

    assert isinstance(delivery, Received | Parked | None)
    if isinstance(delivery, Parked):
        assert delivery.error


@settings(max_examples=300)
@given(spoilt_examples())
def test_an_event_with_one_value_spoilt_becomes_a_delivery(spoilt: tuple[str, bytes]) -> None:
    event_type, value = spoilt
    headers: list[tuple[str, bytes | None]] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"2c5ea4c0-4067-4d1e-9f0a-71e0c2c3b9aa"),
        ("ce_type", event_type.encode()),
        ("ce_source", b"/portals/test"),
    ]

    delivery = read(a_record(BY_TYPE[event_type].TOPIC, value, headers))

    assert isinstance(delivery, Received | Parked)
    if isinstance(delivery, Received):
        # What was let in can be written again, as JSON that is valid UTF-8 without NUL.
        assert b"\\u0000" not in delivery.event.model_dump_json().encode()
        assert delivery.event.key


@given(st.dictionaries(st.sampled_from(
    ["specversion", "id", "type", "source", "data", "data_base64", "datacontenttype", "traceparent", "time"]
), anything))  # fmt: skip
@example({"specversion": "1.0", "id": "x", "type": "\ud800", "source": "/x", "data": {}})
def test_an_arbitrary_structured_document_becomes_a_delivery(document: dict[str, Any]) -> None:
    headers: list[tuple[str, bytes | None]] = [("content-type", b"application/cloudevents+json")]

    delivery = read(a_record("portal.enrolments", json.dumps(document).encode(), headers))

    assert isinstance(delivery, Received | Parked | None)
