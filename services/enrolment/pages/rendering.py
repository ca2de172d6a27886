"""Pages as HTML, with the headers that keep them to themselves."""

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from shared import french
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Format

_TEMPLATES = Path(__file__).parents[1] / "templates"

PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address is all it takes
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of everything that a link opens."""


class Rendering:
    """Templates and their policy: one style sheet, known by its digest, and nothing else from anywhere.

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
        self._headers = PRIVATE | {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        }

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page of a template."""
        html = self._templates.get_template(template).render(values)
        return HTMLResponse(html, status, headers=self._headers)


def shown(session: SessionState) -> dict[str, str]:
    """A session as its page shows it. Never the address to join, which is for those who have a seat."""
    return {
        "title": session.title,
        "when": sentence(french.period(session.starts_at, session.ends_at, session.timezone)),
        "where": session.venue or _where(session),
        "organiser": sentence(french.organiser(session.organiser)),
    }


def _where(session: SessionState) -> str:
    online = session.join_url is not None or session.format in (Format.MOOC, Format.WEBINAR)
    return "En ligne" if online else "Le lieu vous sera communiqué"


def moment(instant: datetime, session: SessionState) -> str:
    """A moment in the zone of the session."""
    return french.moment(instant, session.timezone)


def sentence(text: str) -> str:
    """The text, beginning as a sentence does."""
    return text[:1].upper() + text[1:]
