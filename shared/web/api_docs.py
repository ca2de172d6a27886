"""``/docs``: the OpenAPI document of a service as an accessible page without scripts.

Swagger's own page fails six rules of WCAG 2.1 A and AA.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.guard import limit_reading
from shared.permissions import Permission, has_row
from shared.web.rendering import TEMPLATES, Rendering
from shared.web.responses import cacheable

ApiDocument = Mapping[str, Any]

_CODE = re.compile(r"`([^`]+)`")
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters at most",
    "minItems": "{} items or more",
    "maxItems": "{} items at most",
}


@dataclass(frozen=True, slots=True)
class DocumentedField:
    name: str
    type: Markup
    is_required: bool
    description: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class DocumentedBody:
    status: str
    description: str
    contents: list[tuple[str, Markup]]


@dataclass(frozen=True, slots=True)
class DocumentedOperation:
    anchor: str
    method: str
    path: str
    summary: str
    description: str
    tokens: list[str]
    parameters: list[DocumentedField]
    request: DocumentedBody | None
    responses: list[DocumentedBody]


@dataclass(frozen=True, slots=True)
class DocumentedSchema:
    name: str
    description: str
    type: Markup | None
    fields: list[DocumentedField]
    example: str


def add_to(api: FastAPI, service: str) -> None:
    """Serve ``/docs`` and ``/openapi.json``. FastAPI's own route would write the document for each reader."""
    made = functools.cache(lambda: page(api.openapi(), service))
    document = functools.cache(lambda: JSONResponse(api.openapi()).body)

    @has_row(Permission.READ_OFFER)
    async def docs(request: Request) -> Response:
        await limit_reading(request)
        return cacheable(request, made())

    @has_row(Permission.READ_OFFER)
    async def openapi(request: Request) -> Response:
        await limit_reading(request)
        return Response(document(), media_type="application/json")

    api.router.routes += [Route("/docs", docs), Route("/openapi.json", openapi)]


def page(whole: ApiDocument, service: str) -> str:
    rendering = Rendering(TEMPLATES, service=service, code=_with_code)
    return rendering.text("api.html", info=whole["info"], tags=_by_tag(whole), schemas=list(_schemas(whole)))


def _by_tag(whole: ApiDocument) -> dict[str, list[DocumentedOperation]]:
    tags: dict[str, list[DocumentedOperation]] = {}
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["others"])[0]
            tags.setdefault(tag, []).append(_operation(whole, path, method.upper(), operation))
    return tags


def _operation(whole: ApiDocument, path: str, method: str, operation: ApiDocument) -> DocumentedOperation:
    body = operation.get("requestBody")
    return DocumentedOperation(
        anchor=f"{method.lower()}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}",
        method=method,
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        tokens=[name for need in operation.get("security", ()) for name in need],
        parameters=[
            DocumentedField(
                given["name"],
                _type(given["schema"]),
                bool(given.get("required")),
                given.get("description", ""),
                given["in"],
            )
            for given in operation.get("parameters", ())
        ],
        request=None if body is None else DocumentedBody("", body.get("description", ""), _contents(body)),
        responses=[
            DocumentedBody(status, found.get("description", ""), _contents(found))
            for status, answer in operation["responses"].items()
            for found in (_resolved(whole, answer),)
        ],
    )


def _contents(body: ApiDocument) -> list[tuple[str, Markup]]:
    return [(kind, _type(content.get("schema", {}))) for kind, content in body.get("content", {}).items()]


def _resolved(whole: ApiDocument, part: ApiDocument) -> ApiDocument:
    found: Any = part
    if "$ref" in part:
        found = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    return dict(found)


def _schemas(whole: ApiDocument) -> Iterator[DocumentedSchema]:
    for name, schema in sorted(whole["components"]["schemas"].items()):
        required = schema.get("required", ())
        fields = [
            DocumentedField(field, _type(of), field in required, of.get("description", ""))
            for field, of in schema.get("properties", {}).items()
        ]
        examples = schema.get("examples", ())
        example = json.dumps(examples[0], indent=2, ensure_ascii=False) if examples else ""
        kind = None if fields else _type(schema)
        yield DocumentedSchema(name, schema.get("description", ""), kind, fields, example)


def _type(schema: ApiDocument) -> Markup:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for many in ("anyOf", "oneOf"):
        if many in schema:
            return Markup(" or ").join(_type(kind) for kind in schema[many])
    if "allOf" in schema:
        return Markup(" and ").join(_type(kind) for kind in schema["allOf"])
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup("one of ") + Markup(", ").join(Markup("<code>{}</code>").format(v) for v in values)
    text = escape(schema.get("type", "anything"))
    if "items" in schema:
        text += Markup(" of ") + _type(schema["items"])
    if "format" in schema:
        text += Markup(" ({})").format(schema["format"])
    bounds = [bound.format(schema[name]) for name, bound in _BOUNDS.items() if name in schema]
    return text + Markup("").join(Markup(", {}").format(bound) for bound in bounds)


def _with_code(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 the text is escaped first
