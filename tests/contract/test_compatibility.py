"""A v1 contract may only gain fields that have a default: each way to break that is named."""

import functools
import json
from pathlib import Path
from shutil import copytree
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, StringConstraints, create_model

from services import contracts
from shared.events import documents
from shared.events.documents import FOLDER, breaks, schema
from shared.events.enrolment import EnrolmentRefused
from shared.events.index import EVENTS
from shared.events.portal import EnrolmentRequested
from shared.events.reasons import Reason


class OlderEmployer(BaseModel):
    siret: Annotated[str, StringConstraints(pattern="^[0-9]{14}$")]


class Seat(BaseModel):
    seat_id: str
    row: int = Field(ge=1, le=100)
    reason: Reason
    employer: OlderEmployer
    others: tuple[OlderEmployer, ...] = Field(default=(), min_length=0, max_length=500)
    note: str | None = None


@pytest.fixture(autouse=True)
def _described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generate the document of each service once: it takes half a second."""
    monkeypatch.setattr(contracts, "asyncapi_of", _asyncapi_of)


_asyncapi_of = functools.cache(contracts.asyncapi_of)


def document(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def changed(**fields: Any) -> dict[str, Any]:
    """The schema of Seat with some fields redefined; None removes one."""
    kept: dict[str, Any] = {
        name: (field.rebuild_annotation(), field) for name, field in Seat.model_fields.items()
    }
    kept |= fields
    return document(
        create_model("Seat", **{name: field for name, field in kept.items() if field is not None})
    )


class NarrowEmployer(BaseModel):
    siret: Annotated[str, StringConstraints(pattern="^[1-9][0-9]{13}$")]


class EmployerWithoutSiret(BaseModel):
    name: str = ""


FORBIDDEN: dict[str, tuple[dict[str, Any], str]] = {
    "removed": ({"note": None}, "data.note: was removed"),
    "retyped": ({"row": (str, "1")}, "data.row: type was 'integer' and is 'string'"),
    "retyped to a format": ({"seat_id": (Path, ...)}, "data.seat_id: format"),
    "made nullable": ({"seat_id": (str | None, ...)}, "data.seat_id: type was 'string' and is None"),
    "made never null": ({"note": (str, "")}, "data.note: has 0 alternatives, not 2"),
    "new without default": ({"colour": (str, ...)}, "data.colour: has no default, but is new"),
    "made required": ({"note": (str | None, ...)}, "data.note: has no default"),
    "pattern added": (
        {"seat_id": (Annotated[str, StringConstraints(pattern="^[A-Z]")], ...)},
        "data.seat_id: pattern was None",
    ),
    "removed inside": ({"employer": (EmployerWithoutSiret, ...)}, "data.employer.siret: was removed"),
    "narrowed inside a list": ({"others": (tuple[NarrowEmployer, ...], ())}, "data.others[].siret: pattern"),
    "shorter list": (
        {"others": (tuple[OlderEmployer, ...], Field(default=(), max_length=100))},
        "data.others: maxItems was 500 and is 100",
    ),
    "list with a minimum": (
        {"others": (tuple[OlderEmployer, ...], Field(default=(), min_length=1, max_length=500))},
        "data.others: minItems was 0 and is 1",
    ),
    "smaller number": ({"row": (int, Field(ge=1, le=10))}, "data.row: maximum was 100 and is 10"),
    "open minimum": (
        {"row": (int, Field(ge=1, gt=5, le=100))},
        "data.row: exclusiveMinimum was None and is 5",
    ),
    "multiples only": (
        {"row": (int, Field(ge=1, le=100, multiple_of=2))},
        "data.row: multipleOf was None and is 2",
    ),
}


@pytest.mark.parametrize(("fields", "fault"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_change_that_breaks_readers_is_named(fields: dict[str, Any], fault: str) -> None:
    faults = breaks(document(Seat), changed(**fields))

    assert any(found.startswith(fault) for found in faults), faults


def test_a_narrowed_enumeration_is_named_and_a_wider_one_is_not() -> None:
    old = schema(EnrolmentRefused)
    narrow, wide = json.loads(json.dumps(old)), json.loads(json.dumps(old))
    narrow["$defs"]["Reason"]["enum"].remove(Reason.QUOTA_REACHED)
    wide["$defs"]["Reason"]["enum"].append("another_reason")

    assert any("data.reason: enum" in fault for fault in breaks(old, narrow))
    assert breaks(old, wide) == []


def test_a_new_field_with_a_default_breaks_nobody() -> None:
    described = (int, Field(ge=1, le=100, description="Which row."))
    new = changed(colour=(str, "blue"), companion=(OlderEmployer | None, None), row=described)

    assert "colour" in new["properties"]
    assert breaks(document(Seat), new) == []


def test_every_stored_contract_would_notice_the_loss_of_any_field() -> None:
    for event in EVENTS:
        stored = json.loads((FOLDER / "schemas" / f"{event.TYPE}.json").read_text())
        for name in stored["properties"]:
            without = {**stored, "properties": {**stored["properties"]}}
            del without["properties"][name]
            assert f"data.{name}: was removed" in breaks(stored, without)


def test_check_and_write_refuse_a_broken_contract_and_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert contracts.main(["write"], tmp_path) == 0
    path = tmp_path / "schemas" / f"{EnrolmentRequested.TYPE}.json"
    stored = json.loads(path.read_text())
    stored["properties"]["seat"] = {"type": "string"}
    path.write_text(json.dumps(stored))

    for command in ("check", "write"):
        assert contracts.main([command], tmp_path) == 1
        message = capsys.readouterr().err
        assert f"{EnrolmentRequested.TYPE}: data.seat: was removed" in message
        assert "publish a .v2 beside it" in message
    assert "seat" in json.loads(path.read_text())["properties"], "the promise was overwritten"


def test_check_names_an_old_document_and_an_event_that_disappeared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "enrolment.json").write_text("{}")
    assert contracts.main(["check"], tmp_path) == 1
    assert "enrolment.json differs from the code: run 'make contracts'" in capsys.readouterr().err

    monkeypatch.setattr(documents, "EVENTS", EVENTS[1:])
    assert contracts.main(["check"], tmp_path) == 1
    assert f"{EVENTS[0].TYPE}: the event was removed" in capsys.readouterr().err


def test_the_stored_documents_are_as_the_code_is() -> None:
    assert documents.broken_promises() == []
    assert contracts.differing() == [], "run 'make contracts'"
