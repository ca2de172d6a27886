from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.security import HTTPBearer

PROBLEM_JSON = "application/problem+json"

Document = dict[str, Any]


def bearer(file: str, name: str) -> HTTPBearer:
    """The dependency documents a token and checks nothing."""
    return HTTPBearer(auto_error=False, scheme_name=name, description=f"A token of {file}.")


PUBLIC_TOO: Document = {"security": [{}]}
"""Such an operation needs no token and shows more with one."""


def problem_response(
    status: int, code: str, *, meaning: str, title: str, detail: str, headers: Document | None = None
) -> dict[int | str, Document]:
    example = {"type": f"/problems/{code}", "title": title, "status": status, "detail": detail, "code": code}
    content = {PROBLEM_JSON: {"schema": _PROBLEM_BODY, "example": example}}
    return {status: {"description": meaning, "content": content} | ({"headers": headers} if headers else {})}


_PROBLEM_BODY = {"$ref": "#/components/schemas/ProblemBody"}


def document(
    api: FastAPI, schemas: Mapping[str, Document], examples: Mapping[str, Any], codes: Mapping[int, str]
) -> None:
    """Complete the OpenAPI document of ``api`` when FastAPI makes it.

    ``schemas`` are added to its components, ``examples`` to the components of their names. ``codes`` are the
    kinds of problems by status.
    """
    made = api.openapi

    def openapi() -> Document:
        if api.openapi_schema is not None:
            return api.openapi_schema
        whole = made()
        components = whole.setdefault("components", {})
        components.setdefault("schemas", {}).update(schemas)
        pages: str | None = api.state.problems
        components["responses"] = {
            f"Problem{status}": _problem(status, codes[status], pages) for status in _PROBLEMS
        }
        for path, method, operation in _operations(whole):
            _add_problems(path, operation)
            if method == "get" and path.startswith("/api/"):
                _add_tag(operation)
        _add_examples(components["schemas"], examples)
        return whole

    api.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation extends it


def _operations(whole: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


_PROBLEMS: Mapping[int, tuple[str, str, str]] = {
    401: (
        "A token is needed, or another one.",
        "A token is needed",
        "Send 'Authorization: Bearer <token>' with a token of API_TOKENS_FILE.",
    ),
    403: ("The token may not do this.", "Not for this role", "A token of role support may not do this."),
    404: (
        "It does not exist, or is not yours.",
        "Not found",
        "There is no session 6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11, or it is not yours.",
    ),
    413: (
        "The body is too large.",
        "Content Too Large",
        "The body is larger than 2048 KiB. Send it in parts.",
    ),
    415: ("The body is in another format.", "Unsupported Media Type", "Send the body in UTF-8."),
    422: (
        "A part of the request is not valid.",
        "The request is not valid",
        "See 'errors' for each field that is not.",
    ),
    503: (
        "Not now: send it again after `Retry-After`.",
        "The service cannot answer now",
        "The database is away for a moment. Send it again.",
    ),
}
"""By status: meaning, and title and detail of an example."""


def _problem(status: int, code: str, pages: str | None) -> Document:
    description, title, detail = _PROBLEMS[status]
    example: Document = {
        "type": "about:blank" if pages is None else f"{pages}/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if status == 422:
        example["errors"] = [{"field": "query.limit", "message": "Input should be less than or equal to 200"}]
    return {
        "description": description,
        "content": {PROBLEM_JSON: {"schema": _PROBLEM_BODY, "example": example}},
    }


def _add_problems(path: str, operation: Document) -> None:
    takes_body = "requestBody" in operation
    statuses = {
        401: "security" in operation,
        403: "security" in operation,
        404: "{" in path,
        413: takes_body,
        415: takes_body,
        422: takes_body or "parameters" in operation,
        503: path.startswith("/api/"),
    }
    responses = operation["responses"]
    for status, applies in statuses.items():
        if applies:
            responses.setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})


def _add_tag(operation: Document) -> None:
    responses = operation["responses"]
    if "application/json" not in responses.get("200", {}).get("content", {}):
        return
    responses.setdefault("304", {"description": "What you have is what there is."})
    parameters = operation.setdefault("parameters", [])
    if "if-none-match" not in {parameter["name"].lower() for parameter in parameters}:
        parameters.append(
            {
                "in": "header",
                "name": "If-None-Match",
                "required": False,
                "description": "The ETag of what you have.",
                "schema": {"type": "string"},
            }
        )


def _add_examples(schemas: Document, examples: Mapping[str, Any]) -> None:
    for name, schema in schemas.items():
        if name in examples:
            schema["examples"] = [examples[name]]
        elif name.startswith("Page_") and (item := name[len("Page_") : -1]) in examples:
            schema["examples"] = [{"items": [examples[item]], "next": None}]
