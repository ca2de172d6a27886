"""What every page is made from: the site, its templates, its files."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from services.catalogue.pages import wording
from services.catalogue.rules.availability import availability
from services.catalogue.rules.sessions import Session
from shared import clock
from shared.auth import Tokens
from shared.database import Database
from shared.web import french, labels

_PACKAGE = Path(__file__).parents[1]
_TEMPLATES = _PACKAGE / "templates"
_STATIC = _PACKAGE / "static"
BUILT = datetime.fromtimestamp(
    max(path.stat().st_mtime for path in (*_TEMPLATES.iterdir(), *_STATIC.iterdir())), UTC
)
"""No page is older than what it is made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages are made from. ``address`` has no slash at its end.

    ``subscriptions`` is the page of another service where anybody subscribes to news by mail; ``contact`` the
    address to write to when a page keeps somebody out.
    """

    database: Database
    tokens: Tokens
    address: str
    portal: str | None = None
    subscriptions: str | None = None
    contact: str | None = None

    def enrol_at(self, session: Session) -> str | None:
        """Where somebody asks for a seat; None where no portal is known."""
        return self.portal and self.portal.replace("{session_id}", str(session.session_id))


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state.site
    return site


def render(request: Request, template: str, **values: Any) -> str:
    """A page of the site; every template knows the request's path and the site."""
    return (
        _environment()
        .get_template(template)
        .render(values | {"site": site_of(request), "path": request.url.path, "now": clock.now()})
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {
        "words": wording,
        "french": french,
        "labels": labels,
        "availability": availability,
        "style": f"/static/parcours.css?{fingerprint('parcours.css')}",
        "icon": f"/static/icone.svg?{fingerprint('icone.svg')}",
    }
    environment.filters |= {
        "paragraphs": _paragraphs,
        "query": _query,
        "xml": _xml,
        "capitalised": french.capitalised,
    }
    return environment


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\r\n", "\n").split("\n\n") if part.strip()]


def _query(values: Mapping[str, str | None]) -> str:
    """``?a=b``, without what is empty; nothing when all is."""
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


_NOT_XML = {0xFFFE: None, 0xFFFF: None}


def _xml(text: str) -> str:
    """Without the two characters that may stand in a title and not in XML."""
    return text.translate(_NOT_XML)


_FILES = {path.name: path.read_bytes() for path in _STATIC.iterdir()}


def static_file(name: str) -> bytes | None:
    """A file of ``static/``, or None where there is none of that name."""
    return _FILES.get(name)


def fingerprint(name: str) -> str:
    """What tells a version of the file from the next."""
    return hashlib.blake2b(static_file(name) or b"", digest_size=6).hexdigest()
