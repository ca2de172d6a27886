"""Pages behind the links of letters, as every service shows them: frame, style, policy, plain messages.

A service brings templates that extend ``page.html``, and a ``message.html`` for when there is nothing to ask.
What a page says and decides belongs to the service.
"""

import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from shared import clock
from shared.database import is_temporary
from shared.web.links import Expired, Forged, Links, Purpose

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent

CONFORMITY = "non conforme"
"""What each page must say of its accessibility, in the words of the law; the statement says why."""

PRIVATE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address of a page is all it takes to open it
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of everything that a link opens."""

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Text:
    """A page without a question: its status, its title, what happened, and what to do next."""

    status: int
    title: str
    lead: str
    next: str = ""


FORGED = Text(
    404,
    "Ce lien n’est pas valable",
    "Nous ne reconnaissons pas cette adresse\u00a0: elle est incomplète ou a été modifiée.",
    "Ouvrez le lien depuis le courriel que vous avez reçu, ou copiez-le en entier.",
)
UNAVAILABLE = Text(
    503,
    "Le service est momentanément indisponible",
    "Rien n’a été enregistré.",
    "Rechargez cette page dans quelques minutes.",
)
"""Every page, while the database is away."""


class Closed(Exception):
    """There is nothing to ask: the text says what is so; ``values`` are for the template beside it."""

    def __init__(self, text: Text, **values: Any) -> None:
        super().__init__(text.title)
        self.text = text
        self.values = values


class Rendering:
    """Templates and their policy: one style sheet, known by its digest, no script, nothing from elsewhere.

    ``templates`` is the folder of the service's own; ``catalogue`` is where the public finds the sessions;
    ``values`` are what each of the service's templates may use.
    """

    def __init__(self, templates: Path, *, catalogue: str, **values: Any) -> None:
        style = (_HERE / "page.css").read_text()
        self._templates = Environment(
            loader=FileSystemLoader([templates, _HERE]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Markup: it is our own file, and would not be the same style sheet with its quotes escaped.
        style_sheet = Markup(style)  # noqa: S704
        self._templates.globals.update(values, style=style_sheet, catalogue=catalogue, conformity=CONFORMITY)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._headers = {
            **PRIVATE,
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        }

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page of a template."""
        html = self._templates.get_template(template).render(values)
        return HTMLResponse(html, status, headers=self._headers)

    def message(self, text: Text, **values: Any) -> HTMLResponse:
        """A page without a question."""
        return self.page("message.html", status=text.status, message=text, **values)

    def guarded(self, endpoint: Endpoint) -> Callable[..., Awaitable[Response]]:
        """The endpoint, with a page for what cannot be asked, and for when the database is away."""

        async def guarded(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Closed as closed:
                return self.message(closed.text, **closed.values)
            except Exception as error:
                if not is_temporary(error):
                    raise
                log.warning("A page could not be served (%s)", type(error).__name__)
                return self.message(UNAVAILABLE)

        return guarded


def read_link(request: Request, links: Links | None, purpose: Purpose, *, expired: Text) -> tuple[UUID, int]:
    """What the signed link of a request is about, and the version that it names; 0 where it names none.

    Without ``links`` (no signing key) every link is one we do not know. Raises `Closed`.
    """
    if links is None:
        raise Closed(FORGED)
    try:
        about, *version = links.read(purpose, request.path_params["token"], clock.now())
        return UUID(about), int(version[0]) if version else 0
    except Expired as error:
        raise Closed(expired) from error
    except (Forged, ValueError) as error:  # the latter: signed by us, for something else
        raise Closed(FORGED) from error
