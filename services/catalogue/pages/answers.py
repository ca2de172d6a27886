"""What a page is answered with: security headers, validators, and 304 for who has it already."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response

from shared import clock
from shared.http import has_it

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing from elsewhere, no script at all."""

SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
HTML = "text/html; charset=utf-8"
REVALIDATE = "no-cache"
"""Keep it, but ask each time: seats go within seconds, and a 304 costs next to nothing."""


_ALMOST_A_SECOND = timedelta(microseconds=999_999)


def cacheable(
    request: Request,
    body: str | bytes,
    *,
    media_type: str = HTML,
    modified: datetime | None = None,
    cache: str = REVALIDATE,
    status: int = 200,
) -> Response:
    """The body with its validators, or 304.

    The ETag is made of the body, so it is exact whatever the page depends on; weak, because the page may be
    compressed on its way. ``modified`` is given only where it is exact too: never for a list that time
    shortens. HTTP tells it by the second, so it is told once that second is over: what changes again within
    it would have the same date.
    """
    content = body.encode() if isinstance(body, str) else body
    etag = f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = SECURITY | {"ETag": etag, "Cache-Control": cache}
    if modified is not None:
        modified = (modified + _ALMOST_A_SECOND).replace(microsecond=0)
        modified = modified if modified <= clock.now() else None
    if modified is not None:
        headers["Last-Modified"] = format_datetime(modified.astimezone(UTC), usegmt=True)
    if status == 200 and _has_it(request, etag, modified):
        return Response(status_code=304, headers=headers)
    return Response(content, status, headers=headers, media_type=media_type)


def private(body: str, *, status: int = 200) -> Response:
    """A page that nobody may keep."""
    return Response(body, status, headers=SECURITY | {"Cache-Control": "no-store"}, media_type=HTML)


def _has_it(request: Request, etag: str, modified: datetime | None) -> bool:
    """RFC 9110, 13.2.2: If-None-Match decides where there is one."""
    known = request.headers.get("if-none-match")
    if known is not None:
        return has_it(known, etag)
    since = request.headers.get("if-modified-since")
    if since is None or modified is None:
        return False
    try:
        asked = parsedate_to_datetime(since)
    except ValueError:
        return False
    asked = asked if asked.tzinfo is not None else asked.replace(tzinfo=UTC)
    return modified <= asked
