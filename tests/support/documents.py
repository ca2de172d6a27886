"""What every OpenAPI document of ours has: tokens, problems and examples, each example as its schema says."""

from collections.abc import Iterator
from typing import Any

import jsonschema

JsonDocument = dict[str, Any]


def operations(document: JsonDocument) -> Iterator[tuple[str, str, JsonDocument]]:
    """Each operation of the API, with its path and method."""
    for path, methods in document["paths"].items():
        if path.startswith("/api/"):
            for method, operation in methods.items():
                yield path, method, operation


def lacks(document: JsonDocument, public: set[str]) -> list[str]:
    """What the operations lack; ``public`` are the paths that need no token."""
    found = []
    for path, method, operation in operations(document):
        where = f"{method.upper()} {path}: "
        security = operation.get("security")
        if path in public and method == "get":
            if security is not None and {} not in security:
                found.append(where + "is open, and asks for a token")
        elif not security or not {"401", "403"} <= operation["responses"].keys():
            found.append(where + "says nothing of its token")
        if not operation.get("summary"):
            found.append(where + "has no summary")
        if "503" not in operation["responses"] or "4XX" not in operation["responses"]:
            found.append(where + "has no problems")
        found += [where + without for without in _without_example(document, operation)]
    return found


def _without_example(document: JsonDocument, operation: JsonDocument) -> Iterator[str]:
    bodies = {"body": operation.get("requestBody", {})}
    bodies |= {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    for name, body in bodies.items():
        for media_type, media in body.get("content", {}).items():
            if media_type.endswith("json") and not list(_examples(document, media)):
                yield f"{name} has no example"


def _examples(document: JsonDocument, media: JsonDocument) -> Iterator[Any]:
    schema = media.get("schema", {})
    if "$ref" in schema:
        yield from document["components"]["schemas"][schema["$ref"].rpartition("/")[2]].get("examples", ())
    if "example" in media:
        yield media["example"]
    for example in media.get("examples", {}).values():
        yield example["value"]


def wrong_examples(document: JsonDocument) -> list[str]:
    """The examples that their own schemas refuse."""
    given = [
        (name, schema, example)
        for name, schema in document["components"]["schemas"].items()
        for example in schema.get("examples", ())
    ]
    for path, method, operation in operations(document):
        for content in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media in content.get("content", {}).values():
                examples = _examples(document, media)
                given += [(f"{method} {path}", media["schema"], example) for example in examples]
    return [
        f"{name}: {fault}" for name, schema, example in given for fault in _faults(document, schema, example)
    ]


def _faults(document: JsonDocument, schema: JsonDocument, example: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    validator = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
    return [fault.message for fault in validator.iter_errors(example)]
