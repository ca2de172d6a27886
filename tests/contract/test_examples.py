"""Stored examples of every event: what was once published or accepted is read for ever."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.events import cloudevents
from shared.events.cloudevents import Received, Record, decode
from shared.events.documents import FOLDER
from shared.events.index import BY_TYPE, EVENTS
from shared.events.portal import EnrolmentRequested
from shared.events.vocabulary import Event

DESIGN = """
{"session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11",
 "agent": {"agent_id": "IEL-0048151", "email": "zoe.durand@ville-exemple.fr",
           "given_name": "Zoé", "family_name": "Durand", "function": "agent",
           "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"}},
 "approval": null}
"""
"""The example of the design, to the letter: other programs send it."""


def as_published(event: Event) -> Record:
    headers = cloudevents.headers(
        cloudevents.attributes(
            event_id=uuid.uuid4(),
            event_type=event.TYPE,
            source="/services/test",
            time=datetime.now(UTC),
            subject=event.key,
        )
    )
    return Record(
        topic=event.TOPIC,
        partition=0,
        offset=0,
        key=event.key.encode(),
        value=event.model_dump_json().encode(),
        headers=tuple(headers),
        received_at=datetime.now(UTC),
    )


@pytest.mark.parametrize("event", EVENTS, ids=[event.__name__ for event in EVENTS])
def test_what_was_once_published_is_read_whole_and_valid_also_with_fields_of_a_newer_publisher(
    event: type[Event],
) -> None:
    validator = Draft202012Validator(
        json.loads((FOLDER / "schemas" / f"{event.TYPE}.json").read_text()),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    documents = examples_of(event)
    for document in documents:
        read = event.model_validate_json(json.dumps(document))
        assert read.model_dump(mode="json", exclude_unset=True) == document
        assert event.model_validate_json(json.dumps(_with_a_new_field_everywhere(document))) == read
        record = as_published(read)
        received = decode(record)
        assert isinstance(received, Received), received
        assert (received.event, type(received.event)) == (read, event)
        for value in (document, json.loads(record.value or b"")):
            assert [fault.message for fault in validator.iter_errors(value)] == []

    assert len(documents) >= 2, f"write two examples in docs/asyncapi/examples/{event.TYPE}"
    required = {name for name, field in event.model_fields.items() if field.is_required()}
    assert required in [set(document) for document in documents], "none has only what is required"
    shown = set().union(*documents)
    assert shown == set(event.model_fields), "a new field wants a new example; old ones never change"


def examples_of(event: type[Event]) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text()) for path in sorted((FOLDER / "examples" / event.TYPE).glob("*.json"))
    ]


def test_no_example_stands_for_an_event_that_is_gone() -> None:
    assert {path.name for path in (FOLDER / "examples").iterdir()} == set(BY_TYPE)


def test_the_example_of_the_design_is_accepted_to_the_letter() -> None:
    event = EnrolmentRequested.model_validate_json(DESIGN)

    assert json.loads(event.model_dump_json(exclude_unset=True)) == json.loads(DESIGN)
    assert event.key == "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
    stored = FOLDER / "examples" / EnrolmentRequested.TYPE / "design.json"
    assert json.loads(stored.read_text()) == json.loads(DESIGN)


def _with_a_new_field_everywhere(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _with_a_new_field_everywhere(value) for name, value in part.items()} | {"new": [1, {}]}
    return [_with_a_new_field_everywhere(value) for value in part] if isinstance(part, list) else part
