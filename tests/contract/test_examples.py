"""Stored examples of every event: what was once published or accepted is read for ever."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.events import BY_TYPE, EVENTS, Event, cloudevents
from shared.events.cloudevents import Received, Record, decode
from shared.events.documents import FOLDER
from shared.events.portal import EnrolmentRequested

EXAMPLES = sorted((FOLDER / "examples").glob("*/*.json"))
DESIGN = """
{"session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11",
 "agent": {"agent_id": "IEL-0048151", "email": "zoe.durand@ville-exemple.fr",
           "given_name": "Zoé", "family_name": "Durand", "function": "agent",
           "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"}},
 "approval": null}
"""
"""The example of the design, to the letter: other programs send it."""

every_example = pytest.mark.parametrize(
    "path", EXAMPLES, ids=[f"{path.parent.name}/{path.stem}" for path in EXAMPLES]
)
every_event = pytest.mark.parametrize("event", EVENTS, ids=[event.__name__ for event in EVENTS])


def stored_schema(event_type: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "schemas" / f"{event_type}.json").read_text())
    return document


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


@every_example
def test_a_stored_example_is_read_without_losing_or_changing_a_value(path: Path) -> None:
    document = json.loads(path.read_text())

    event = BY_TYPE[path.parent.name].model_validate_json(path.read_bytes())

    assert event.model_dump(mode="json", exclude_unset=True) == document


@every_example
def test_a_stored_example_is_valid_under_the_stored_schema(path: Path) -> None:
    validator = Draft202012Validator(
        stored_schema(path.parent.name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )

    assert [fault.message for fault in validator.iter_errors(json.loads(path.read_text()))] == []


@every_example
def test_what_is_published_of_an_example_is_received_equal_and_valid_under_the_schema(path: Path) -> None:
    event = BY_TYPE[path.parent.name].model_validate_json(path.read_bytes())
    record = as_published(event)

    received = decode(record)

    assert isinstance(received, Received), received
    assert received.event == event
    assert type(received.event) is BY_TYPE[path.parent.name]
    assert record.value is not None
    Draft202012Validator(stored_schema(path.parent.name)).validate(json.loads(record.value))


@every_event
def test_every_event_has_a_minimal_example_and_examples_of_every_field(event: type[Event]) -> None:
    documents = [
        json.loads(path.read_text()) for path in EXAMPLES if path.parent == FOLDER / "examples" / event.TYPE
    ]
    assert len(documents) >= 2, f"write two examples in docs/asyncapi/examples/{event.TYPE}"

    required = {name for name, field in event.model_fields.items() if field.is_required()}
    assert required in [set(document) for document in documents], "none has only what is required"
    shown = set().union(*documents)
    assert shown == set(event.model_fields), "a new field wants a new example; old ones never change"


def test_no_example_stands_for_an_event_that_is_gone() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(BY_TYPE)


def test_the_example_of_the_design_is_accepted_to_the_letter() -> None:
    event = EnrolmentRequested.model_validate_json(DESIGN)

    assert json.loads(event.model_dump_json(exclude_unset=True)) == json.loads(DESIGN)
    assert event.key == "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
    stored = FOLDER / "examples" / EnrolmentRequested.TYPE / "design.json"
    assert json.loads(stored.read_text()) == json.loads(DESIGN)


@every_example
def test_a_field_that_a_newer_publisher_added_breaks_no_consumer(path: Path) -> None:
    document = json.loads(path.read_text())
    contract = BY_TYPE[path.parent.name]
    newer = _with_a_new_field_everywhere(document)

    assert contract.model_validate_json(json.dumps(newer)) == contract.model_validate_json(path.read_bytes())


def _with_a_new_field_everywhere(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _with_a_new_field_everywhere(value) for name, value in part.items()} | {"new": [1, {}]}
    return [_with_a_new_field_everywhere(value) for value in part] if isinstance(part, list) else part
