"""Documents about one person, with a mark of its own wherever their shape takes a text."""

import copy
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import Column, LargeBinary, MetaData, text

from shared.database import Database
from shared.events.vocabulary import AgentKey
from tests.support.searching import MARK

PERSON = AgentKey("iel", f"{MARK}-agent")
ADDRESS = f"{MARK.lower()}@exemple.fr"
OF_NO_PERSON = frozenset(
    (
        "authority",
        "request_source",
        "title",
        "venue",
        "directions",
        "join_url",
        "cursor",
        "reference",
        "evaluation_url",
    )
)
"""Texts about an authority, a request or a session."""
_NAMING = frozenset(("agent_id", "email", "enrolment_ids"))
ANY_MARK = "zyxwvut[0-9a-z@.-]*"

Place = tuple[Any, str | int]
"""An object or a list, and the name or the number of a value in it."""


class Marks:
    """The marks that were written, and where each was."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._places: dict[str, str] = {}

    def new(self, place: str) -> str:
        mark = f"{MARK}{next(self._numbers)}x"
        self._places[mark.lower()] = place
        return mark

    def places(self, found: set[str]) -> set[str]:
        """Return where these marks were written; the person's identifier and address are their own place."""
        return {self._places.get(mark, mark) for mark in found}

    def document(
        self,
        example: Any,
        model: type[BaseModel],
        known: Mapping[str, Any],
        *,
        is_about_somebody: bool = False,
    ) -> Any:
        """Return the example with a mark in each text, and in each optional text that it lacks.

        ``known`` are values by the names of their fields. A document that names nobody keeps its texts:
        nobody's erasure can find them.
        """
        document = _with_known(_of_one_person(copy.deepcopy(example)), known)
        document |= {name: known[name] for name in model.model_fields.keys() & known.keys()}
        if not is_about_somebody and not _names_somebody(document):
            return document

        def is_valid() -> bool:
            try:
                model.model_validate(document)
            except ValidationError:
                return False
            return True

        schema = _schema_of(model)
        for container, key in list(_places(document, schema, schema.get("$defs", {}))):
            if key not in known and key not in OF_NO_PERSON:
                mark = self.new(f"{model.__name__}.{key}")
                _write_first_valid((container, key), _texts(key, mark), is_valid)
        return document


async def marks_in(database: Database, metadata: MetaData) -> dict[str, set[str]]:
    """Return the marks in each column, whatever its type, as ``table.column``."""
    found = {}
    async with database.quiet_transaction() as tx:
        for table in metadata.tables.values():
            for column in table.columns:
                values = f"SELECT string_agg({_as_text(column)}, ' ') FROM {table.name}"
                marks = set(re.findall(ANY_MARK, (await tx.scalar(text(values)) or "").lower()))
                if marks:
                    found[f"{table.name}.{column.name}"] = marks
    return found


def _as_text(column: Column[object]) -> str:
    if isinstance(column.type, LargeBinary):
        return f"encode(\"{column.name}\", 'escape')"
    return f'CAST("{column.name}" AS text)'


@functools.cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _of_one_person(value: Any) -> Any:
    """Leave all but the first person out of each list."""
    if isinstance(value, dict):
        return {name: _of_one_person(inner) for name, inner in value.items()}
    if isinstance(value, list):
        of_persons = any(isinstance(item, dict) and item.keys() & _NAMING for item in value)
        return [_of_one_person(item) for item in (value[:1] if of_persons else value)]
    return value


def _with_known(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: known.get(name, _with_known(inner, known)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_known(item, known) for item in value]
    return value


def _names_somebody(value: Any) -> bool:
    if isinstance(value, dict):
        return not _NAMING.isdisjoint(value) or any(map(_names_somebody, value.values()))
    return isinstance(value, list) and any(map(_names_somebody, value))


def _texts(name: str | int, mark: str) -> Sequence[str]:
    if name == "agent_id":
        return [PERSON.agent_id]
    if name == "issuer":
        return [PERSON.issuer]
    return [mark, ADDRESS, f"https://exemple.fr/{mark}"]


def _write_first_valid(place: Place, values: Sequence[str], is_valid: Callable[[], bool]) -> None:
    """Write the first of these values that the document may have there."""
    container, key = place
    is_there = isinstance(container, list) or key in container
    before = container[key] if is_there else None
    for value in values:
        container[key] = value
        if is_valid():
            return
    container[key] = before
    if not is_there:
        del container[key]


def _places(value: Any, schema: Any, definitions: Mapping[str, Any]) -> Iterator[Place]:
    """Return the places of all that is no object and no list, also of fields that the document lacks."""
    shapes = list(_shapes(schema, definitions))
    if isinstance(value, dict):
        properties = {name: inner for shape in shapes for name, inner in shape.get("properties", {}).items()}
        for name in {**properties, **value}:
            if isinstance(value.get(name), dict | list):
                yield from _places(value[name], properties.get(name, {}), definitions)
            else:
                yield value, name
    elif isinstance(value, list):
        inner: Any = next((shape["items"] for shape in shapes if "items" in shape), {})
        for number, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _places(item, inner, definitions)
            else:
                yield value, number


def _shapes(schema: Any, definitions: Mapping[str, Any]) -> Iterator[Any]:
    """Return the schema and those to which it refers, or of which it is a choice."""
    yield schema
    if "$ref" in schema:
        yield from _shapes(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _shapes(choice, definitions)
