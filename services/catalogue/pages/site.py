"""What every page is made from: the site, its templates, its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from starlette.requests import Request

from services.catalogue.rules.availability import availability, misses_minimum
from services.catalogue.rules.sessions import ShownSession
from services.catalogue.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.oidc.provider import Provider
from shared.web import rendering
from shared.web.rendering import NOWHERE_ELSE, Rendering, Sites

_PACKAGE = Path(__file__).parents[1]
TEMPLATES = _PACKAGE / "templates"
FILES = _PACKAGE / "static"
"""What only this service has: a sheet of sessions to begin with, a picture for who shares a page."""
SOURCES = tuple(
    path
    for folder in (TEMPLATES, FILES, Path(rendering.__file__).parent)
    for path in folder.rglob("*")
    if path.is_file() and path.suffix != ".pyc"
)
"""The files that a page is made with: templates, labels, the addresses of style sheet and script."""
BUILT = datetime.fromtimestamp(max(path.stat().st_mtime for path in SOURCES), UTC)
"""No page is older than what it is made with."""

DEFAULT_KEPT_DAYS = {
    name: setting.default for name, setting in Settings.model_fields.items() if name.endswith("_kept_days")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Who answers for the pages and their data, and who hosts them; None: the installation does not say.

    Source: loi n° 2004-575 du 21 juin 2004 pour la confiance dans l'économie numérique.
    """

    name: str | None = None
    address: str | None = None
    phone: str | None = None
    director: str | None = None
    host: str | None = None
    host_address: str | None = None
    host_phone: str | None = None
    data_protection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages are made from. ``address`` has no slash at its end; staff log in at ``provider``.

    ``sites`` are where the pages of the others are; ``contact`` is the address to write to when a page keeps
    somebody out. ``kept_days`` are how long what is kept, by the names of the settings.
    """

    database: Database
    tokens: Tokens
    guard: Guard
    address: str
    provider: Provider | None = None
    portal: str | None = None
    sites: Sites = NOWHERE_ELSE
    contact: str | None = None
    publisher: Publisher = Publisher()
    kept_days: Mapping[str, int] = field(default_factory=DEFAULT_KEPT_DAYS.copy)

    def enrol_at(self, session: ShownSession) -> str | None:
        """The address to request a seat; None where no portal is known."""
        if self.portal is None:
            return None
        address = self.portal.replace("%7Bsession_id%7D", "{session_id}")  # as RFC 3986 has the braces
        return address.replace("{session_id}", str(session.session_id))

    @property
    def portal_home(self) -> str | None:
        """The first page of the portal, which alone knows where an authority asks; None: none is known."""
        return None if self.portal is None else urljoin(self.portal, "/")


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state.site
    return site


def rendering_of(site: Site) -> Rendering:
    """What writes the pages of a site."""
    return Rendering(
        TEMPLATES,
        sites=replace(site.sites, catalogue=""),
        layout="gabarit.html",
        notice="message.html",
        site=site,
        availability=availability,
        misses_minimum=misses_minimum,
    )


def rendering_in(request: Request) -> Rendering:
    """What writes the page of a request."""
    rendering: Rendering = request.app.state.rendering
    return rendering


def render(request: Request, template: str, **values: Any) -> str:
    """A page of the site; every template knows the request's path and the site."""
    return rendering_in(request).text(template, path=request.url.path, **values)
