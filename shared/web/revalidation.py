"""ETags of JSON answers below ``/api/``."""

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.responses import etag_matches

_KEPT = (b"etag", b"cache-control", b"vary", b"content-location")
"""The headers of a 304 (RFC 9110, 15.4.5)."""


class Revalidated:
    """Answers with ``no-store`` or their own ETag stay as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        requested = Headers(scope=scope)
        held: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_to_be_tagged(message):
                held = message
                return
            if held is None:
                await send(message)
                return
            start, held = held, None
            if not message.get("more_body", False):
                _tag(start, message, requested)
            await send(start)
            await send(message)

        await self._app(scope, receive, tagged)


def _is_to_be_tagged(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == 200
        and headers.get("content-type", "").startswith("application/json")
        and "etag" not in headers
        and "no-store" not in headers.get("cache-control", "")
    )


def _tag(start: Message, message: Message, requested: Headers) -> None:
    body = message.get("body", b"")
    # Weak, because the same body may be sent compressed.
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = MutableHeaders(raw=start["headers"])
    headers["ETag"] = etag
    headers.setdefault("Cache-Control", "private, no-cache" if "authorization" in requested else "no-cache")
    if etag_matches(requested.get("if-none-match"), etag):
        start["status"] = 304
        start["headers"] = [(name, value) for name, value in start["headers"] if name.lower() in _KEPT]
        message["body"] = b""
