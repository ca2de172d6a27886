"""Pages as HTML, with the headers that keep them to themselves."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

_TEMPLATES = Path(__file__).parents[1] / "templates" / "pages"

PRIVATE: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address of a page is all it takes to open it
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every page."""


@dataclass(frozen=True, slots=True)
class Text:
    """A page without a question: its status, its title, what happened, and what to do next."""

    status: int
    title: str
    lead: str
    next: str = ""


UNAVAILABLE = Text(
    503,
    "Le service est momentanément indisponible",
    "Rien n’a été enregistré.",
    "Rechargez cette page dans quelques minutes.",
)
"""Every page, while the database is away."""


class Rendering:
    """Templates and their policy: one style sheet, known by its digest, no script, nothing from elsewhere.

    ``catalogue`` is where the public finds the sessions.
    """

    def __init__(self, catalogue: str) -> None:
        style = (_TEMPLATES / "page.css").read_text()
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Markup: it is our own file, and would not be the same style sheet with its quotes escaped.
        self._templates.globals.update(style=Markup(style), catalogue=catalogue)  # noqa: S704
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
