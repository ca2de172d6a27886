"""The mailbox's pages, in French: a list with search and paging, one mail, its parts, its bytes.

The HTML of a mail is served from an address of its own, under a policy that allows no script, form,
frame or network, and shown in a frame that could not run them either.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil
from pathlib import Path
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.mailbox.index import Entry, MailIndex
from local.mailbox.reading import ReadAttachment, ReadMail, open_mail
from shared.web import french

PAGE_SIZE = 50
PARIS = "Europe/Paris"
_TEMPLATES = Path(__file__).with_name("templates")

_OWN_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Links open in a new tab, which is the one thing that is useful in a mail under test.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; frame-ancestors 'self'"
)
_HEAD_TAG = re.compile(r"<head(\s[^>]*)?>", re.IGNORECASE)


def pages(index: MailIndex) -> Starlette:
    """Return the web application that shows the mails of `index`."""
    shown = _Pages(index)
    return Starlette(
        routes=[
            Route("/", shown.mails),
            Route("/mails/{name}", shown.mail),
            Route("/mails/{name}/html", shown.html),
            Route("/mails/{name}/parts/{number:int}", shown.part),
            Route("/mails/{name}/raw", shown.raw),
            Route("/style.css", shown.style),
            Route("/health/ready", shown.ready),
        ],
        exception_handlers={404: shown.missing, 405: shown.missing},
    )


class _Pages:
    """One method per address."""

    def __init__(self, index: MailIndex) -> None:
        self._index = index
        self._templates = _Templates()

    async def mails(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()[:200]
        matching = self._index.find(query)
        last = max(1, ceil(len(matching) / PAGE_SIZE))
        page = min(max(1, _whole(request.query_params.get("page", "1"))), last)
        return self._templates.page(
            "mails.html",
            entries=matching[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
            query=query,
            total=len(matching),
            page=page,
            last=last,
            first_shown=(page - 1) * PAGE_SIZE + 1,
            link=lambda number: "/?" + urlencode(({"q": query} if query else {}) | {"page": number}),
        )

    async def mail(self, request: Request) -> Response:
        name, raw = self._found(request)
        mail = open_mail(raw)
        return self._templates.page(
            "mail.html", name=name, mail=mail, size=len(raw), calendars=_calendars(mail)
        )

    async def html(self, request: Request) -> Response:
        _, raw = self._found(request)
        text = open_mail(raw).html
        if text is None:
            raise HTTPException(404)
        base = '<base target="_blank">'
        text, placed = _HEAD_TAG.subn(lambda head: head.group() + base, text, count=1)
        return HTMLResponse(text if placed else base + text, headers=_security(_MAIL_POLICY))

    async def part(self, request: Request) -> Response:
        _, raw = self._found(request)
        number = request.path_params["number"]
        for attachment in open_mail(raw).attachments:
            if attachment.number == number:
                return _download(attachment.content, attachment.name)
        raise HTTPException(404)

    async def raw(self, request: Request) -> Response:
        name, raw = self._found(request)
        return _download(raw, name)

    async def style(self, _: Request) -> Response:
        style = (_TEMPLATES / "style.css").read_bytes()
        return Response(style, media_type="text/css", headers=_security(_OWN_POLICY))

    async def ready(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def missing(self, _: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return self._templates.page("missing.html", status=status)

    def _found(self, request: Request) -> tuple[str, bytes]:
        name = request.path_params["name"]
        raw = self._index.read(name)
        if raw is None:
            raise HTTPException(404)
        return name, raw


class _Templates:
    """The pages' HTML; every value is escaped."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.filters |= {"moment": _moment, "sent": _sent, "size": _size, "count": _count}

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status_code=status, headers=_security(_OWN_POLICY))


def _security(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _download(content: bytes, name: str) -> Response:
    # Never opened in the browser, whatever the mail says it is.
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(
        content,
        media_type="application/octet-stream",
        headers=_security("sandbox; default-src 'none'") | {"Content-Disposition": disposition},
    )


def _calendars(mail: ReadMail) -> list[tuple[ReadAttachment, str]]:
    return [
        (a, a.content.decode(errors="replace")) for a in mail.attachments if a.media_type == "text/calendar"
    ]


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _moment(entry: Entry) -> str:
    """``24 nov. 2026, 20 h 45``: short, for the list, in Paris."""
    local = entry.received_at.astimezone(ZoneInfo(PARIS))
    return f"{format_date(local.date(), 'd MMM y', locale='fr')}, {french.clock_time(local)}"


def _sent(date: str) -> str:
    """A mail's own date as French writes it, in Paris; as it stands in the mail where it is none."""
    try:
        moment = parsedate_to_datetime(date)
        # "-0000" is UTC without a place (RFC 5322, 3.3), which Python gives no zone.
        return french.moment(moment if moment.tzinfo else moment.replace(tzinfo=UTC), PARIS)
    except (ValueError, OverflowError):
        return date


def _size(octets: int) -> str:
    return f"{octets} o" if octets < 1000 else f"{octets / 1000:.1f} ko".replace(".", ",")


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
