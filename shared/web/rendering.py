"""Templates over one layout and one style sheet, with labels and dates: docs/look.md."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import clock
from shared.database import is_temporary
from shared.events.zones import zone_of
from shared.permissions import Permission, has_row
from shared.places import map_link
from shared.references import reference_of
from shared.web import assets, french, labels
from shared.web.charts import ticks
from shared.web.links import DELEGATION_FIGURES, LOST_LINK, MAIL_LOG, NEWS, OPERATIONS, ORGANISING
from shared.web.notices import Closed, Error, Notice
from shared.web.responses import HTML, PRIVATE, see_other
from shared.web.sentences import translated

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"

CONFORMITY = "non conforme"
"""The legal term for the accessibility of each page."""

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The addresses of all services' pages; None if not configured.

    ``catalogue`` and ``enrolment`` have no final slash, and ``catalogue`` is "" on its own pages.
    ``my_enrolments`` sends agents their link. ``news`` is for subscribers, ``mail_log`` for support,
    ``figures`` for organisers, ``operations`` for operators, by service.
    """

    catalogue: str = ""
    my_enrolments: str | None = None
    news: str | None = None
    mail_log: str | None = None
    enrolment: str | None = None
    figures: str | None = None
    operations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def by(cls, public_url: Callable[[str], str]) -> "Sites":
        notifier = public_url("notifier")
        return cls(
            catalogue=public_url("catalogue"),
            my_enrolments=f"{notifier}{LOST_LINK}",
            news=f"{notifier}{NEWS}",
            operations={name: f"{public_url(name)}{path}" for name, path in OPERATIONS.items()},
            mail_log=f"{notifier}{MAIL_LOG}",
            enrolment=public_url("enrolment"),
            figures=f"{notifier}{DELEGATION_FIGURES}",
        )

    @property
    def organisers(self) -> str:
        return self.staff_page(ORGANISING) or f"{self.catalogue}/gestion"

    def staff_page(self, path: str) -> str | None:
        """Return None if the service is not configured."""
        if path.startswith(ORGANISING):
            return None if self.enrolment is None else f"{self.enrolment}{path}"
        if path == DELEGATION_FIGURES:
            return self.figures
        return f"{self.catalogue}{path}" if path.startswith("/gestion") else path

    @property
    def staff_areas(self) -> Mapping[str, str]:
        """The first page of each area behind a log-in, by the name of its cookie."""
        homes = {
            "gestion": f"{self.catalogue}/gestion",
            "inscriptions": self.staff_page(ORGANISING),
            "courriels": self.mail_log,
            "chiffres": self.figures,
            **{f"exploitation-{name}": home for name, home in self.operations.items()},
        }
        return {cookie: home for cookie, home in homes.items() if home}


NOWHERE_ELSE = Sites()


class _Compiled(BytecodeCache):
    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        known = self._buckets.get(bucket.key)
        if known is not None and known.checksum == bucket.checksum:
            bucket.code = known.code

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._buckets[bucket.key] = bucket


_compiled = _Compiled()


class Rendering:
    """The service's folder ``templates`` comes before the shared templates.

    ``layout`` and ``notice`` are the service's own templates. ``values`` are available in each template.
    ``headers`` are sent with each page.
    """

    def __init__(
        self,
        templates: Path,
        *,
        service: str = "catalogue",
        sites: Sites = NOWHERE_ELSE,
        layout: str = "layout.html",
        notice: str = "notice.html",
        headers: Mapping[str, str] = PRIVATE,
        **values: Any,
    ) -> None:
        self._notice_template = notice
        self._headers = headers
        self.sites = sites
        self._environment = Environment(
            loader=FileSystemLoader([templates, TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=_compiled,
        )
        self._environment.globals |= {
            "french": french,
            "labels": labels,
            "layout": layout,
            "sites": sites,
            "catalogue": sites.catalogue,
            "conformity": CONFORMITY,
            "map_link": map_link,
            "path": "",
            "ticks": ticks,
            "zone_of": zone_of,
            "asset": partial(assets.address_of, assets.place_of(service)),
            **values,
        }
        self._environment.filters |= {
            "audience": labels.AUDIENCES.__getitem__,
            "capitalised": french.capitalised,
            "delegation": labels.delegation,
            "in_french": partial(translated, language="fr"),
            "label": _label,
            "paragraphs": _paragraphs,
            "query": query,
            "reference": reference_of,
            "typeset": _typeset,
            "xml": _xml,
        }
        self._notices: dict[str, Notice] = {}
        for table in ("errors.html", "notices.html"):
            if table in self._environment.list_templates():
                rows = self.module(table).notices
                self._notices |= {name: Notice(*row) for name, row in rows.items()}

    def text(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render({"now": clock.now(), **values})

    def module(self, template: str, **values: Any) -> Any:
        return self._environment.get_template(template).make_module(values)

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        return Response(self.text(template, **values), status, headers=self._headers, media_type=HTML)

    def notice(self, name: StrEnum, **values: Any) -> Response:
        return self._say(self._notices[name], **values)

    def failure(self, status: int, **values: Any) -> Response:
        known = self._notices.get(str(status)) or replace(self._notices["other"], status=status)
        return self._say(known, **values)

    def _say(self, notice: Notice, **values: Any) -> Response:
        return self.page(self._notice_template, status=notice.status, notice=notice, **values)

    def ways_back(self, place: str) -> list[Route]:
        """Unknown addresses below ``place`` get a page. The bare host name leads to the first page."""

        async def unknown(_request: Request) -> Response:
            raise HTTPException(404)

        @has_row(Permission.READ_OFFER)
        async def first(_request: Request) -> Response:
            return see_other(f"{self.sites.catalogue}/")

        return [
            Route("/", first),
            Route(f"{place}/{{rest:path}}", self.guarded(unknown, Permission.READ_OFFER)),
        ]

    def guarded(self, endpoint: Endpoint, permission: Permission) -> Endpoint:
        """Limit how often a network asks. Show pages for HTTP errors, closed forms, a database that is away.

        ``permission`` is the row of the page. The endpoint checks it.
        """

        @has_row(permission)
        async def guarded(request: Request) -> Response:
            try:
                if any("\0" in value for value in (request.scope["path"], *request.query_params.values())):
                    raise HTTPException(400)  # no page links to a NUL, and Postgres refuses it
                guard = request.app.state.guard
                guard.take_here(request, "read", guard.rates.read)
                return await endpoint(request)
            except Closed as closed:
                return self.notice(closed.name, **closed.values)
            except HTTPException as error:
                response = self.failure(error.status_code)
                response.headers.update(error.headers or {})
                return response
            except Exception as error:
                if not is_temporary(error):
                    raise
                log.warning("A page could not be served (%s)", type(error).__name__)
                return self.notice(Error.UNAVAILABLE)

        return guarded


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\r\n", "\n").split("\n\n") if part.strip()]


def _label(code: str, table: Mapping[str, str]) -> str:
    """For lists use ``codes | map("label", labels.FIELDS)``."""
    return table[code]


def query(values: Mapping[str, str | None]) -> str:
    """Return ``?a=b`` without empty values, or ""."""
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


_NOT_XML = {0xFFFE: None, 0xFFFF: None}


def _typeset(text: str) -> str:
    typed = french.typeset(text)
    return Markup(typed) if isinstance(text, Markup) else typed  # noqa: S704 the text was Markup before


def _xml(text: str) -> str:
    """Remove the two characters that titles may contain and XML may not."""
    return text.translate(_NOT_XML)
