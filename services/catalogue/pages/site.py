from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from starlette.requests import Request

from services.catalogue.pages import field_labels, filters, session_steps
from services.catalogue.rules.availability import availability, misses_minimum
from services.catalogue.rules.sessions import ShownSession
from services.catalogue.settings import Settings, TrainingOrganisation
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.web import rendering
from shared.web.rendering import NOWHERE_ELSE, Rendering, Sites

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

_PACKAGE = Path(__file__).parents[1]
TEMPLATES = _PACKAGE / "templates"
FILES = _PACKAGE / "static"
SOURCES = tuple(
    path
    for folder in (TEMPLATES, FILES, Path(rendering.__file__).parent)
    for path in folder.rglob("*")
    if path.is_file() and path.suffix != ".pyc"
)
BUILT = datetime.fromtimestamp(max(path.stat().st_mtime for path in SOURCES), UTC)
"""No page is older than the files that make it."""

DEFAULT_KEPT_DAYS = {
    name: setting.default for name, setting in Settings.model_fields.items() if name.endswith("_kept_days")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """The publisher and the host of the pages (loi n° 2004-575 du 21 juin 2004)."""

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
    """``address`` has no final slash. ``contact`` is for readers who cannot use a page.

    ``kept_days`` has retention periods by setting.
    """

    database: Database
    tokens: Tokens
    guard: Guard
    address: str
    providers: "Sequence[Provider]" = ()
    portal: str | None = None
    sites: Sites = NOWHERE_ELSE
    contact: str | None = None
    publisher: Publisher = Publisher()
    organisation: TrainingOrganisation | None = None
    kept_days: Mapping[str, int] = field(default_factory=DEFAULT_KEPT_DAYS.copy)

    def enrol_at(self, session: ShownSession) -> str | None:
        if self.portal is None:
            return None
        address = self.portal.replace("%7Bsession_id%7D", "{session_id}")  # braces as in RFC 3986
        return address.replace("{session_id}", str(session.session_id))

    @property
    def portal_home(self) -> str | None:
        """Authorities ask for training there. Returns None if no portal is known."""
        return None if self.portal is None else urljoin(self.portal, "/")


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def rendering_of(site: Site) -> Rendering:
    return Rendering(
        TEMPLATES,
        sites=replace(site.sites, catalogue=""),
        layout="gabarit.html",
        notice="message.html",
        site=site,
        field_labels=field_labels,
        steps=session_steps,
        availability=availability,
        in_address=filters.in_address,
        misses_minimum=misses_minimum,
    )


def rendering_in(request: Request) -> Rendering:
    rendering: Rendering = request.app.state.rendering
    return rendering


def render(request: Request, template: str, **values: Any) -> str:
    given = request.query_params
    known = {
        "path": request.url.path,
        "reader": filters.reader_of(given),
        "near": filters.place_of_reader(given),
    }
    return rendering_in(request).text(template, **known | values)
