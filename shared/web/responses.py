import hashlib
from collections.abc import AsyncIterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from shared import clock

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing of another site, and no inline style, script or handler."""

SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
NO_PAGE: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""For answers that are no pages: JSON, problems, files."""
PRIVATE: Mapping[str, str] = {**SECURITY, "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}
BY_LINK: Mapping[str, str] = {**PRIVATE, "Referrer-Policy": "no-referrer"}
"""These pages open by their address alone."""

HTML = "text/html; charset=utf-8"
REVALIDATE = "no-cache"
"""Seats are taken within seconds, and a 304 costs little."""


_ALMOST_A_SECOND = timedelta(microseconds=999_999)


def cacheable(
    request: Request,
    body: str | bytes,
    *,
    media_type: str = HTML,
    modified: datetime | None = None,
    cache: str = REVALIDATE,
) -> Response:
    """Return the body with its validators, or 304.

    The ETag is weak because the page may be compressed on its way. Give ``modified`` only if it is exact,
    never for a list that time shortens. HTTP dates count whole seconds, so ``modified`` is sent only once its
    second is over.
    """
    content = body.encode() if isinstance(body, str) else body
    etag = _weak(content)
    headers = {**SECURITY, "ETag": etag, "Cache-Control": cache}
    if modified is not None:
        modified = (modified + _ALMOST_A_SECOND).replace(microsecond=0)
        modified = modified if modified <= clock.now() else None
    if modified is not None:
        headers["Last-Modified"] = format_datetime(modified.astimezone(UTC), usegmt=True)
    if _is_current(request, etag, modified):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def streamed(request: Request, parts: AsyncIterable[bytes], *, version: str, media_type: str) -> Response:
    """Return the parts as they come, or 304.

    Read ``version`` before the parts: if they change meanwhile, the next request gets them again.
    """
    etag = _weak(version.encode())
    headers = {**SECURITY, "ETag": etag, "Cache-Control": REVALIDATE}
    if _is_current(request, etag, None):
        return Response(status_code=304, headers=headers)
    return StreamingResponse(parts, headers=headers, media_type=media_type)


def _weak(content: bytes) -> str:
    return f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def see_other(address: str) -> Response:
    return RedirectResponse(address, 303, headers=PRIVATE)


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Compare weak tags (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _is_current(request: Request, etag: str, modified: datetime | None) -> bool:
    """Return whether the client's copy is current. Without If-None-Match, dates decide (RFC 9110, 13.2.2)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return etag_matches(tags, etag)
    since = request.headers.get("if-modified-since")
    if since is None or modified is None:
        return False
    try:
        kept = parsedate_to_datetime(since)
    except (ValueError, OverflowError):
        return False
    return modified <= (kept if kept.tzinfo is not None else kept.replace(tzinfo=UTC))
