"""A service's FastAPI application, errors as RFC 9457 problems, health and metrics."""

import functools
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import openapi
from shared.database import FAILURES, is_temporary
from shared.events.cloudevents_http import BATCH
from shared.events.faults import sentence_of
from shared.events.vocabulary import FieldProblem
from shared.guard import Guard, LimitMet, limit_reading
from shared.middleware import Counted, HeadIsGet, NoPageUnlessItSays, RefusedRights
from shared.openapi import PROBLEM_JSON
from shared.permissions import Permission, has_row
from shared.web import api_docs, assets
from shared.web.responses import NO_PAGE
from shared.web.revalidation import Revalidated
from shared.web.sentences import Language, language_of, translated

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_CONTENT_TYPE = 1_000
"""Bytes. The time to parse it grows with its square."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_FILE_BYTES = 11 * 1024 * 1024
"""A batch of events may have more bytes than other requests, a file more than any request."""


CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "token_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "gone",
    412: "changed_meanwhile",
    413: "too_large",
    415: "other_format",
    422: "invalid",
    429: "too_many_requests",
    431: "too_large",
    500: "internal",
    503: "unavailable",
}


class Problem(Exception):
    """An error for the client (RFC 9457).

    The sentences are English; a client that prefers French gets French. ``code`` names the kind of the
    problem, which a page explains. None means the code of the status.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code or CODES.get(status, "other")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers
        self.members = members

    def document(self, request: Request) -> dict[str, Any]:
        language = request_language(request)
        # Applications beside the API (pages) explain no problem.
        pages: str | None = getattr(request.app.state, "problems", None)
        body = {
            "type": "about:blank" if pages is None else f"{pages}/{self.code}",
            "title": translated(self.title, language),
            "status": self.status,
            "detail": translated(self.detail, language),
            "code": self.code,
        }
        lists = {
            name: _translated_items(language, self.members[name]) for name in _LISTS if name in self.members
        }
        return body | self.members | lists

    def response(self, request: Request) -> JSONResponse:
        headers = {
            "Content-Language": request_language(request),
            "Vary": "Accept-Language",
            **NO_PAGE,  # an unexpected error is answered outside the middleware that adds them
            **(self.headers or {}),
        }
        return JSONResponse(self.document(request), self.status, headers=headers, media_type=PROBLEM_JSON)


_LISTS = ("errors", "problems")


def _translated_items(language: Language, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item | {"message": translated(item["message"], language)} for item in items]


def request_language(request: Request) -> Language:
    return language_of(request.headers.get("accept-language"))


def _unless_absent() -> Any:
    return Field(default=None, exclude_if=lambda value: value is None)


class ProblemBody(BaseModel):
    """The body of every error (RFC 9457). ``errors`` lists what is wrong with each field.

    ``code`` names the kind, and the page at ``type`` explains it. ``problems`` says what is wrong with an
    event of a portal. Sentences are English, or French by ``Accept-Language``.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = _unless_absent()
    code: str
    problems: list[FieldProblem] | None = _unless_absent()


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemBody, "description": "A problem (RFC 9457).", "content": {PROBLEM_JSON: {}}}
}
"""The ``responses=`` of every router."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Each check returns why the process is not well, or None."""

    live: Callable[[], str | None]
    ready: Callable[[], Awaitable[str | None]]
    consuming: Callable[[], str | None]


def new_api(
    service: str,
    description: str,
    guard: Guard,
    *,
    schemas: Mapping[str, dict[str, Any]] | None = None,
    examples: Mapping[str, Any] | None = None,
) -> FastAPI:
    """Return a service's application, documented at ``/docs``.

    ``guard`` counts requests and writes the security log. ``schemas`` and ``examples`` are as in
    :func:`shared.openapi.document`.
    """
    api = FastAPI(
        title=f"Parcours – {service}",
        description=description,
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would lead to any host that the client names, without TLS
        responses=PROBLEMS,
    )
    api.state.problems = None
    api.state.guard = guard
    api.add_exception_handler(Problem, _on_problem)
    api.add_exception_handler(LimitMet, _on_limit_met)
    api.add_exception_handler(HTTPException, _on_http_exception)
    api.add_exception_handler(RequestValidationError, _on_invalid_request)
    for failure in FAILURES:
        api.add_exception_handler(failure, _on_failure)
    api.add_exception_handler(Exception, _on_error)
    api.add_middleware(RefusedRights, guard=guard)
    api.add_middleware(Revalidated)  # inside the compression, so that a tag is that of the uncompressed body
    api.add_middleware(
        GZipMiddleware, minimum_size=1024, compresslevel=6, exclude_content_types=NOT_COMPRESSED
    )
    api.add_middleware(_BoundedBodies)
    api.add_middleware(Counted)
    api.add_middleware(HeadIsGet)
    api.add_middleware(NoPageUnlessItSays)
    openapi.document(api, schemas or {}, examples or {}, CODES)
    api_docs.add_to(api, service)
    api.router.routes.extend(assets.routes(assets.place_of(service)))
    return api


def add_routers(api: FastAPI, *routers: APIRouter) -> None:
    """Serve the operations of ``routers``, whose ``responses`` are ``PROBLEMS``.

    They stay as they were analysed at import: ``include_router`` would analyse them again for each
    application.
    """
    for router in routers:
        api.router.routes.extend(router.routes)


def explain_problems(api: FastAPI, home: str) -> None:
    api.state.problems = f"{home}/problems"


def is_from_here(headers: Headers, address: str) -> bool:
    """``address`` is our public address, because a proxy may call us by another name.

    Without an origin the request is accepted: each form also carries a key.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] in (headers.get("host"), urlsplit(address).netloc)


NOT_COMPRESSED = ("text/*", "image/*", "application/pdf")
"""Pages contain keys of forms and secret links. Compressed beside chosen text, they would leak."""


class _BoundedBodies:
    """Refuses a request that is too large, not UTF-8, or has two ``Host`` headers (RFC 9112, section 3.2).

    With two ``Host`` headers a proxy may use the other one. Starlette's own bound decodes a form by any codec
    that the sender names, and some codecs take minutes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _head_bytes(scope) > MAX_HEAD_BYTES:
            await _LONG_HEAD.response(Request(scope))(scope, receive, send)
            return
        if len(headers.getlist("host")) > 1:
            await _TWO_HOSTS.response(Request(scope))(scope, receive, send)
            return
        content_type = headers.get("content-type", "")
        if len(content_type) > MAX_CONTENT_TYPE:
            await _LONG_TYPE.response(Request(scope))(scope, receive, send)
            return
        kind, options = parse_options_header(content_type)
        if options.get(b"charset", b"utf-8").lower() not in _CHARSETS:
            await _OTHER_CHARSET.response(Request(scope))(scope, receive, send)
            return
        most = _most_bytes(kind.lower())
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            await _too_large(most).response(Request(scope))(scope, receive, send)
            return
        taken = 0
        is_due = declared not in ("", "0") or "transfer-encoding" in headers

        async def bounded() -> Message:
            nonlocal taken, is_due
            message = await receive()
            if is_due and message["type"] == "http.disconnect":
                raise HTTPException(400, _CUT_SHORT)
            is_due = is_due and message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > most:
                raise HTTPException(413, _TOO_LARGE.format(most // 1024))
            return message

        await self._app(scope, bounded, send)


def _head_bytes(scope: Scope) -> int:
    """Count colon, space and line end of each header too: they may be most of it."""
    address = len(scope.get("raw_path", b"")) + len(scope["query_string"])
    return address + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


def _most_bytes(kind: bytes) -> int:
    if kind in (b"text/csv", b"multipart/form-data"):
        return MAX_FILE_BYTES
    return MAX_BATCH_BYTES if kind == BATCH.encode() else MAX_BODY_BYTES


_CHARSETS = {b"utf-8", b"utf8", b"us-ascii"}
_OTHER_CHARSET = Problem(415, HTTPStatus(415).phrase, "Send the body in UTF-8.")
_LONG_HEAD = Problem(431, HTTPStatus(431).phrase, f"Its headers have more than {MAX_HEAD_BYTES // 1024} KiB.")
_LONG_TYPE = Problem(415, HTTPStatus(415).phrase, f"Its Content-Type has more than {MAX_CONTENT_TYPE} bytes.")
_TWO_HOSTS = Problem(400, HTTPStatus(400).phrase, "Send one Host header.")
_CUT_SHORT = "The body did not come to its end."
_TOO_LARGE = "The body is larger than {} KiB. Send it in parts."


def _too_large(most: int) -> Problem:
    return Problem(413, HTTPStatus(413).phrase, _TOO_LARGE.format(most // 1024))


def operations_api() -> FastAPI:
    api = FastAPI(openapi_url=None)
    api.add_middleware(NoPageUnlessItSays)
    return api


def add_operations(api: FastAPI, probes: Probes) -> None:
    @api.get("/health/live", tags=["operations"], summary="Whether the process should go on living")
    @has_row(Permission.READ_HEALTH)
    async def live() -> Response:
        return _health(probes.live())

    @api.get("/health/ready", tags=["operations"], summary="Whether the process can do its work")
    @has_row(Permission.READ_HEALTH)
    async def ready() -> Response:
        return _health(await probes.ready())

    @api.get(
        "/health/consuming",
        tags=["operations"],
        summary="Whether all that Kafka has for this service is read",
    )
    @has_row(Permission.READ_HEALTH)
    async def consuming() -> Response:
        return _health(probes.consuming())

    @api.get("/metrics", tags=["operations"], summary="Prometheus metrics")
    @has_row(Permission.READ_HEALTH)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def add_asyncapi(api: FastAPI, document: Callable[[], dict[str, Any]]) -> None:
    """Make the document for its first reader: it would take a tenth of each start, and 5 MB.

    An annotation that FastStream cannot describe fails only then: the contract tests find it.
    """
    made = functools.cache(lambda: JSONResponse(document()).body)
    being_made = threading.Lock()

    @api.get(
        "/asyncapi",
        tags=["operations"],
        summary="The events of this service (AsyncAPI 3.0)",
        response_model=dict[str, Any],
        dependencies=[Depends(limit_reading)],
    )
    @has_row(Permission.READ_OFFER)
    def asyncapi() -> Response:
        with being_made:  # without it, two first readers at once would build two brokers
            body = made()
        return Response(body, media_type="application/json")


def _health(reason: str | None) -> Response:
    if reason is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "unavailable", "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)


def _on_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return error.response(request)


def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    title = HTTPStatus(error.status_code).phrase
    return Problem(error.status_code, title, str(error.detail), headers=error.headers).response(request)


def _on_limit_met(request: Request, error: Exception) -> Response:
    if not isinstance(error, LimitMet):
        raise error
    return Problem(429, "Too many requests", error.detail, headers=error.headers).response(request)


MOST_ERRORS = 1_000


def _on_invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {"field": ".".join(str(part) for part in fault["loc"]), "message": sentence_of(fault)}
        for fault in error.errors()[:MOST_ERRORS]
    ]
    return Problem(
        422, "The request is not valid", "See 'errors' for each field that is not.", errors=errors
    ).response(request)


def _on_failure(request: Request, error: Exception) -> Response:
    if not is_temporary(error):
        raise error
    log.warning("A request could not be answered (%s)", type(error).__name__)
    return Problem(
        503,
        "The service cannot answer now",
        "The database is away for a moment. Send it again.",
        headers={"Retry-After": "5"},
    ).response(request)


def _on_error(request: Request, _error: Exception) -> Response:
    # Starlette logs the traceback, and the client does not see it.
    return Problem(500, "Internal error", "The server failed; the error is in its log.").response(request)
