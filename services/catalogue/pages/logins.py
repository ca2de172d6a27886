"""Logging in to the management pages: a token for a cookie, and who may send which form.

The cookie is random and means nothing; what it stands for is in the database. A form is taken from a page
that this browser was given: its key is the login's own, and a browser that says where the form came from must
say here. A token that is no longer in ``API_TOKENS_FILE`` ends its logins.
"""

import functools
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.catalogue.pages import answers, rows, wording
from services.catalogue.pages.site import Site, render, site_of
from services.catalogue.service import logins
from services.catalogue.tables import LoginRow
from shared import clock
from shared.auth import Principal, Role
from shared.database import Database
from shared.http import is_from_here

LASTS = timedelta(hours=8)
"""A working day."""
LOGIN = "/gestion/connexion"
LARGEST_FORM = 256 * 1024
"""Bytes."""
MOST_FIELDS = 1_000
"""Those of a session with a hundred séances and a hundred reservations."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is logged in. ``form`` is empty unless they sent one, as is ``file``."""

    request: Request
    who: Principal
    login: LoginRow
    form: Mapping[str, str]
    file: bytes | None = None

    @property
    def database(self) -> Database:
        return site_of(self.request).database

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page that nobody may keep, with what its forms need."""
        body = render(self.request, template, who=self.who, form_key=self.login.form_key, **values)
        return answers.private(body, status=status)


Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]


def routes() -> list[Route]:
    """The addresses of logging in and out."""
    return [
        Route(LOGIN, log_in, methods=["GET", "POST"]),
        Route("/gestion/deconnexion", guarded(log_out), methods=["POST"]),
    ]


def guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Only for who is logged in; others are shown the way. A form that is not ours is refused (403)."""

    @functools.wraps(handler)
    async def answer(request: Request) -> Response:
        found = await _login_of(request)
        if found is None:
            return await _asked_to_log_in(request)
        who, login = found
        form: Mapping[str, str] = {}
        file: bytes | None = None
        if request.method == "POST":
            form, file = await _form(request)
            if not secrets.compare_digest(form.get("cle", "").encode(), login.form_key.encode()):
                raise HTTPException(403)
        return await handler(Visit(request, who, login, form, file))

    return answer


async def log_in(request: Request) -> Response:
    """The form, and what comes of it."""
    if request.method != "POST":
        return _login_page(request, towards=request.query_params.get("vers", ""))
    form, _ = await _form(request)
    token, towards = form.get("jeton", "").strip(), form.get("vers", "")
    site = site_of(request)
    if _organiser(site, _digest(token)) is None:
        return _login_page(request, towards=towards, typed=form.get("saisie", ""), wrong=True, status=403)
    secret = secrets.token_urlsafe(32)
    async with site.database.quiet_transaction() as tx:
        await logins.log_in(
            tx,
            digest=_digest(secret),
            token_digest=_digest(token),
            form_key=secrets.token_urlsafe(32),
            expires_at=clock.now() + LASTS,
        )
    response = _to(towards if _OWN_PAGE.fullmatch(towards) else "/gestion")
    response.set_cookie(
        _cookie_of(site),
        secret,
        max_age=int(LASTS.total_seconds()),
        path="/",
        secure=_is_secure(site),
        httponly=True,
        samesite="lax",
    )
    return response


async def _asked_to_log_in(request: Request) -> Response:
    """The way to the page that was asked for. Of a form that came too late, what was typed comes back."""
    path = request.url.path
    if request.method != "POST":
        towards = f"{path}?{request.url.query}" if request.url.query else path
        return _to(LOGIN if towards == "/gestion" else f"{LOGIN}?{urlencode({'vers': towards})}")
    form, _ = await _form(request)
    told = {name: text.strip() for name, text in form.items() if name not in _UNTYPED}
    typed = "\n".join(f"{wording.field(name)}\u00a0: {text}" for name, text in told.items() if text)
    towards = path.removesuffix("/publier").removesuffix("/copier").removesuffix("/replay")
    return _login_page(request, towards=towards, typed=typed, late=True, status=403)


_UNTYPED = frozenset(("cle", "version", rows.BUTTON))
_OWN_PAGE = re.compile(r"/gestion(/[a-z0-9.-]+)*(\?[\w%&=+.~-]*)?", re.ASCII)
"""Where a login may lead: pages of this space, and never another host."""


def _login_page(
    request: Request,
    *,
    towards: str = "",
    typed: str = "",
    wrong: bool = False,
    late: bool = False,
    status: int = 200,
) -> Response:
    """The form of the login, which keeps where it leads and what was typed before it."""
    body = render(request, "connexion.html", towards=towards, typed=typed, wrong=wrong, late=late)
    return answers.private(body, status=status)


async def log_out(visit: Visit) -> Response:
    """Ended here, not only in the browser."""
    async with visit.database.quiet_transaction() as tx:
        await logins.log_out(tx, visit.login.digest)
    site = site_of(visit.request)
    response = _to(LOGIN)
    response.delete_cookie(_cookie_of(site), path="/", secure=_is_secure(site), httponly=True, samesite="lax")
    return response


def _to(path: str) -> Response:
    return RedirectResponse(path, 303, headers=answers.SECURITY | {"Cache-Control": "no-store"})


async def _login_of(request: Request) -> tuple[Principal, LoginRow] | None:
    site = site_of(request)
    secret = request.cookies.get(_cookie_of(site))
    if not secret:
        return None
    async with site.database.quiet_transaction() as tx:
        login = await logins.valid(tx, _digest(secret), clock.now())
    who = None if login is None else _organiser(site, login.token_digest)
    return None if login is None or who is None else (who, login)


def _organiser(site: Site, token_digest: str) -> Principal | None:
    """Whose token it is, if these pages are for them."""
    who = site.tokens.owner_of_digest(token_digest)
    return who if who is not None and who.role in (Role.ORGANISER, Role.ADMIN) else None


async def _form(request: Request) -> tuple[Mapping[str, str], bytes | None]:
    """The fields of a form of this site, and its file. Raises a 403 for one of another site, a 400, a 413."""
    if not is_from_here(request.headers, site_of(request).address):
        raise HTTPException(403)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _with_file(request)
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(400)
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_FORM:
            raise HTTPException(413)
    return parsed(bytes(content)), None


async def _with_file(request: Request) -> tuple[Mapping[str, str], bytes | None]:
    """A form with one file; how large it may be is bounded for every service alike."""
    fields: dict[str, str] = {}
    file: bytes | None = None
    async with request.form(max_files=1, max_fields=10, max_part_size=LARGEST_FORM) as sent:
        for name, value in sent.multi_items():
            if isinstance(value, UploadFile):
                file = await value.read()
            else:
                fields[name] = value
    return fields, file


def parsed(content: bytes) -> Mapping[str, str]:
    """The fields of a form, as browsers send them. Raises a 400 for what no browser sends."""
    try:
        text = content.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(400) from error
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_secure(site: Site) -> bool:
    return site.address.startswith("https://")


def _cookie_of(site: Site) -> str:
    """A name that browsers let nobody else set, where the site is on https."""
    return "__Host-gestion" if _is_secure(site) else "gestion"
