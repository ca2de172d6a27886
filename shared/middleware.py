"""What stands around an application and needs to know nothing of what a request is about."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import security_log
from shared.guard import Guard
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.responses import NO_PAGE

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
"""The route of what is nobody's: never the path, which anybody may choose."""


class Counted:
    """Counts requests and their time by route; not those for health and metrics themselves.

    Of an application that raises, an answer with status 500 is counted, which who stands outside gives.
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

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            if route not in OPERATIONS:
                REQUESTS.labels(scope["method"], route, status).inc()
                SECONDS.labels(route).observe(time.perf_counter() - begun)


class HeadIsGet:
    """Answers HEAD as GET, without the body: whoever routes by method need not think of it."""

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
    """Has browsers take each answer for what it says to be; pages, which say so themselves, aside."""

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
    """Tells the security log of each 403, of the API or of a page, and of a 404 that hides another's."""

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
    # Of a wrong log-in there is a line already.
    return status == HTTPStatus.FORBIDDEN and not state.get("is_recorded")
