"""The mailbox's pages, in French.

The HTML of a mail has its own address, whose policy allows no script, form, frame or network. Pages show it
in a frame that forbids these too.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from math import ceil
from pathlib import Path
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from local import french
from local.mailbox.index import Entry, MailIndex
from local.mailbox.reading import open_mail

PAGE_SIZE = 50
_TEMPLATES = Path(__file__).with_name("templates")

_OWN_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Links open in a new tab: nothing else is useful in a mail under test.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; frame-ancestors 'self'"
)
_HEAD_TAG = re.compile(r"<head(\s[^>]*)?>", re.IGNORECASE)
_BASE = '<base target="_blank">'


def pages(index: MailIndex) -> Starlette:
    endpoints = {
        "/": _mails,
        "/mails/{name}": _mail,
        "/mails/{name}/html": _html,
        "/mails/{name}/parts/{number:int}": _part,
        "/mails/{name}/raw": _raw,
    }
    return Starlette(
        routes=[
            *(Route(path, partial(endpoint, index)) for path, endpoint in endpoints.items()),
            Route("/style.css", _style),
            Route("/health/ready", lambda _: PlainTextResponse("ok")),
        ],
        exception_handlers={404: _missing, 405: _missing},
    )


async def _mails(index: MailIndex, request: Request) -> Response:
    query = request.query_params.get("q", "").strip()[:200]
    matching = index.find(query)
    last = max(1, ceil(len(matching) / PAGE_SIZE))
    page = min(max(1, _whole(request.query_params.get("page", "1"))), last)
    return _page(
        "mails.html",
        entries=index.entries(matching[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]),
        query=query,
        total=len(matching),
        page=page,
        last=last,
        first_shown=(page - 1) * PAGE_SIZE + 1,
        link=lambda number: "/?" + urlencode(({"q": query} if query else {}) | {"page": number}),
    )


async def _mail(index: MailIndex, request: Request) -> Response:
    name, raw = _found(index, request)
    mail = open_mail(raw)
    calendars = [
        (attached, attached.content.decode(errors="replace"))
        for attached in mail.attachments
        if attached.media_type == "text/calendar"
    ]
    return _page("mail.html", name=name, mail=mail, size=len(raw), calendars=calendars)


async def _html(index: MailIndex, request: Request) -> Response:
    text = open_mail(_found(index, request)[1]).html
    if text is None:
        raise HTTPException(404)
    text, placed = _HEAD_TAG.subn(lambda head: head.group() + _BASE, text, count=1)
    return HTMLResponse(text if placed else _BASE + text, headers=_security(_MAIL_POLICY))


async def _part(index: MailIndex, request: Request) -> Response:
    for attachment in open_mail(_found(index, request)[1]).attachments:
        if attachment.number == request.path_params["number"]:
            return _download(attachment.content, attachment.name)
    raise HTTPException(404)


async def _raw(index: MailIndex, request: Request) -> Response:
    name, raw = _found(index, request)
    return _download(raw, name)


async def _style(_: Request) -> Response:
    style = (_TEMPLATES / "style.css").read_bytes()
    return Response(style, media_type="text/css", headers=_security(_OWN_POLICY))


async def _missing(_: Request, error: Exception) -> Response:
    return _page("missing.html", status=error.status_code if isinstance(error, HTTPException) else 404)


def _found(index: MailIndex, request: Request) -> tuple[str, bytes]:
    name = request.path_params["name"]
    raw = index.read(name)
    if raw is None:
        raise HTTPException(404)
    return name, raw


def _page(template: str, *, status: int = 200, **values: object) -> Response:
    text = _environment.get_template(template).render(values)
    return HTMLResponse(text, status_code=status, headers=_security(_OWN_POLICY))


def _security(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _download(content: bytes, name: str) -> Response:
    # An attachment is never opened in the browser, whatever type the mail gives.
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(
        content,
        media_type="application/octet-stream",
        headers=_security("sandbox; default-src 'none'") | {"Content-Disposition": disposition},
    )


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _moment(entry: Entry) -> str:
    local = french.local_time(entry.received_at.isoformat())
    return f"{french.short_day(local)}, {french.hour(local)}"


def _sent(date: str) -> str:
    try:
        moment = parsedate_to_datetime(date)
        # "-0000" is UTC without a place (RFC 5322, 3.3); Python gives it no zone.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return f"{french.moment(aware.isoformat())}, heure de Paris"
    except (ValueError, OverflowError):
        return date


def _size(octets: int) -> str:
    return f"{octets} o" if octets < 1000 else f"{octets / 1000:.1f} ko".replace(".", ",")


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_environment.filters |= {"moment": _moment, "sent": _sent, "size": _size, "count": _count}
