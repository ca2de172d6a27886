import logging
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import security_log
from shared.events.cloudevents import trace_id_of, traceparent_of
from shared.guard import Guard
from shared.observability import logged_ids
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.responses import NO_PAGE

log = logging.getLogger(__name__)

REQUESTS = Counter(
    "parcours_http_requests_total", "Requests that were answered.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "parcours_http_seconds",
    "Time until an answer is sent whole.",
    ["route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
OPERATIONS = frozenset(("/health/live", "/health/ready", "/health/consuming", "/metrics"))
NO_ROUTE = "none"
"""Anybody may choose an unknown path, so it is never a label."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Counted:
    """Counts requests and their time by route, and logs each at debug level.

    Health and metrics are left out. A line has the route and the ids of the path, never the path, which may
    contain a signed link.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = Headers(scope=scope)
        with logged_ids(trace_id=trace_id_of(traceparent_of(headers.get("traceparent")))):
            try:
                await self._app(scope, receive, watched)
            finally:
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                if route not in OPERATIONS:
                    seconds = time.perf_counter() - begun
                    REQUESTS.labels(scope["method"], route, status).inc()
                    SECONDS.labels(route).observe(seconds)
                    _log(scope, route, status, seconds)


def _log(scope: Scope, route: str, status: int, seconds: float) -> None:
    if not log.isEnabledFor(logging.DEBUG):
        return
    named = {"request_id": Headers(scope=scope).get("ce-id", ""), **scope.get("path_params", {})}
    ids = {_IDS.get(name, name): str(value) for name, value in named.items() if _UUID.fullmatch(str(value))}
    with logged_ids(**ids):
        log.debug("%s %s: %d in %.1f ms", scope["method"], route, status, seconds * 1000)


_IDS = {"ce_id": "request_id"}


class HeadIsGet:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class NoPageUnlessItSays:
    """Makes browsers trust the declared content type of each answer. Pages set the header themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in NO_PAGE.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


class RefusedRights:
    """Writes the security log for each 403, and for a 404 that hides another owner's data."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_refused(message["status"], state):
                who = state.get("who", "")
                self._guard.record(Request(scope), SecurityEvent.RIGHT, SecurityOutcome.REFUSED, who)
            await send(message)

        before = security_log.request_state.set(state)
        try:
            await self._app(scope, receive, watched)
        finally:
            security_log.request_state.reset(before)


def _is_refused(status: int, state: Mapping[str, Any]) -> bool:
    if status == HTTPStatus.NOT_FOUND:
        return "is_anothers" in state
    # A wrong log-in has a line already.
    return status == HTTPStatus.FORBIDDEN and not state.get("is_recorded")
