"""Style sheet, script, icon and typeface of every page.

Each service serves them itself. Their addresses contain a fingerprint, so that a browser keeps each version
for ever.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.permissions import Permission, has_row
from shared.web import tokens
from shared.web.responses import REVALIDATE, cacheable

FOLDER = Path(__file__).parent / "static"
STYLE_SHEET = "parcours.css"
SCRIPT = "parcours.js"
_PREFIXES = {"enrolment": "/inscriptions", "notifier": "/courriels"}
_VERSIONED = ".woff2"
_COMPRESSED = (".woff2", ".png")
_COMMENTED = (".css", ".js")
_COMMENT = re.compile(rb"^ *(/\*[^*]*\*/|//.*)\n", re.MULTILINE)
_BLANK = re.compile(rb"\s*;?\s*(})\s*|\s*([{;>~])\s*|(?<=[a-z-]:) |(?<=[\w)],) ")
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """``compressed`` is None unless it is smaller."""

    name: str
    content: bytes
    compressed: bytes | None
    media_type: str
    modified: datetime

    @property
    def fingerprint(self) -> str:
        return hashlib.blake2b(self.content, digest_size=6).hexdigest()


def read_asset(path: Path, before: str = "") -> Asset:
    """Read a file without comment lines, with ``before`` in front."""
    content = path.read_bytes()
    if path.suffix in _COMMENTED:
        content = _COMMENT.sub(b"", content)
    if path.suffix == ".css":
        content = before.encode() + _BLANK.sub(rb"\1\2", content)
    compressed = None if path.suffix in _COMPRESSED else gzip.compress(content, mtime=0)
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(
        path.name, content, compressed, media_type, datetime.fromtimestamp(path.stat().st_mtime, UTC)
    )


ASSETS: Mapping[str, Asset] = {
    path.name: read_asset(path, tokens.style_sheet() if path.name == STYLE_SHEET else "")
    for path in sorted(FOLDER.iterdir())
}


def place_of(service: str) -> str:
    return f"{_PREFIXES.get(service, '')}/static"


def address_of(place: str, name: str) -> str:
    """The name of the typeface contains its version, because the style sheet refers to it."""
    return f"{place}/{name}" if name.endswith(_VERSIONED) else f"{place}/{name}?{ASSETS[name].fingerprint}"


def routes(place: str) -> list[Route]:
    return [Route(f"{place}/{name}", serving(asset)) for name, asset in ASSETS.items()]


def serving(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    @has_row(Permission.READ_OFFER)
    async def serve(request: Request) -> Response:
        named = asset.name.endswith(_VERSIONED) or request.url.query == asset.fingerprint
        response = cacheable(
            request,
            asset.content,
            media_type=asset.media_type,
            modified=asset.modified,
            cache=_FOREVER if named else REVALIDATE,
        )
        if asset.compressed is None:
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if response.status_code == 200 and "gzip" in request.headers.get("accept-encoding", ""):
            response.body = asset.compressed
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(len(asset.compressed))
        return response

    return serve
