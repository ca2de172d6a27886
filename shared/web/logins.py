"""Logging in to pages that are not for everybody: a token for a cookie, and who may send which form.

The cookie is random and means nothing; what it stands for is in the service's database, by its digest, until
the log-in ends. A form is taken from a page that this browser was given: its key is the log-in's own, and a
browser that says where the form came from must say here. A token that is no longer in ``API_TOKENS_FILE``
ends its log-ins.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from sqlalchemy import MetaData, delete
from sqlmodel import Field, SQLModel, col, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import clock
from shared.auth import Principal, Role, Tokens
from shared.database import Database, Timestamp, Transaction, new_registry
from shared.personal_data import PersonalData, Register, Retention, Whose
from shared.web.forms import Form, read_form
from shared.web.rendering import Endpoint, Rendering
from shared.web.responses import see_other

LASTS = timedelta(hours=8)
"""A working day."""

# ------------------------------------------------------------------------------------------ what is stored


class LoginTable(SQLModel, registry=new_registry()):
    """The registry of the table below."""


class LoginRow(LoginTable, table=True):
    """A browser that is logged in, until ``expires_at``.

    ``digest`` is that of its cookie, ``token_digest`` that of the token it logged in with, which must still
    be known. ``form_key`` is in each of its forms, and in nobody else's.
    """

    __tablename__ = "login"

    digest: str = Field(primary_key=True)
    token_digest: str
    form_key: str
    expires_at: datetime = Field(sa_type=Timestamp, index=True)


def add_to(metadata: MetaData) -> None:
    """Put the table of log-ins among a service's own, so that its migrations make it."""
    for table in LoginTable.metadata.tables.values():
        table.to_metadata(metadata)


async def remember(tx: Transaction, login: LoginRow) -> None:
    """Store a log-in."""
    tx.add(login)
    await tx.flush()


async def valid(tx: Transaction, digest: str, now: datetime) -> LoginRow | None:
    """Return the log-in of a cookie, unless it has ended."""
    query = select(LoginRow).where(col(LoginRow.digest) == digest, col(LoginRow.expires_at) > now)
    return await tx.scalar(query)


async def forget(tx: Transaction, digest: str) -> None:
    """End a log-in, whoever else has kept its cookie."""
    await tx.execute(delete(LoginRow).where(col(LoginRow.digest) == digest))


_OVER = Retention(table=LoginRow, days=0, since="la fin de la connexion", over="expires_at <= :before")

REGISTER = Register(
    [
        PersonalData(
            table=LoginRow,
            whose=Whose.STAFF,
            columns={
                "digest": "empreinte du témoin de connexion",
                "token_digest": "empreinte du jeton de la personne",
            },
            purpose="Reconnaître qui s’est connecté, huit heures au plus.",
            ends=(_OVER,),
        )
    ],
    [_OVER],
)
"""What log-ins keep of people."""


# ----------------------------------------------------------------------------------------------- the pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Pages for those who are logged in, all under the path ``home``.

    ``cookie`` names the cookie; ``roles`` whose tokens open these pages; ``title`` and ``lead`` are what the
    page of the log-in says. ``label`` gives what a form calls a field, and None for a field that nobody typed
    in; ``only_posted`` are the ends of addresses that cannot be visited.
    """

    home: str
    cookie: str
    roles: frozenset[Role]
    title: str
    lead: str
    label: Callable[[str], str | None]
    only_posted: tuple[str, ...] = ()
    same_site: Literal["lax", "strict"] = "lax"

    @property
    def log_in(self) -> str:
        """The address of the page where one logs in."""
        return f"{self.home}/connexion"

    @property
    def log_out(self) -> str:
        """The address of the form that logs out."""
        return f"{self.home}/deconnexion"

    def leads_to(self, address: str) -> str:
        """The address, if it is of a page of this space and never of another host; else the first page."""
        own = re.fullmatch(rf"{self.home}(/[a-z0-9.-]+)*(\?[\w%&=+.~-]*)?", address, re.ASCII)
        return address if own else self.home


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is logged in. ``form`` is empty unless they sent one."""

    request: Request
    who: Principal
    login: LoginRow
    form: Form
    database: Database
    rendering: Rendering

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page that nobody may keep, with what its forms need."""
        return self.rendering.page(
            template,
            status=status,
            path=self.request.url.path,
            who=self.who,
            form_key=self.login.form_key,
            **values,
        )


Handler = Callable[[Visit], Awaitable[Response]]


class Logins:
    """Who is logged in to a space. ``address`` is where the public finds it, without a slash at the end."""

    def __init__(
        self, space: Space, database: Database, tokens: Tokens, address: str, rendering: Rendering
    ) -> None:
        self._space = space
        self._database = database
        self._tokens = tokens
        self._address = address
        self._rendering = rendering
        self._secure = address.startswith("https://")
        # Browsers let nobody else set a cookie of that name, where the site is on https.
        self._cookie = f"__Host-{space.cookie}" if self._secure else space.cookie

    def routes(self) -> list[Route]:
        """The addresses of logging in and out."""
        return [
            Route(self._space.log_in, self._rendering.guarded(self.log_in), methods=["GET", "POST"]),
            Route(self._space.log_out, self.guarded(self.log_out), methods=["POST"]),
        ]

    def guarded(self, handler: Handler, *, with_file: bool = False) -> Endpoint:
        """Only for who is logged in; others are led to the log-in. A form that is not ours is refused (403).

        ``with_file``: the form may bring a file.
        """

        async def answer(request: Request) -> Response:
            login = await self._login_of(request)
            who = None if login is None else self._owner(login.token_digest)
            if login is None or who is None:
                return await self._lead_to_log_in(request, with_file=with_file)
            form = Form()
            if request.method == "POST":
                form = await read_form(request, self._address, with_file=with_file)
                if not secrets.compare_digest(form.get("cle", "").encode(), login.form_key.encode()):
                    raise HTTPException(403)
            return await handler(Visit(request, who, login, form, self._database, self._rendering))

        return self._rendering.guarded(answer)

    async def log_in(self, request: Request) -> Response:
        """The form, and what comes of it."""
        if request.method != "POST":
            return self._page(request, towards=request.query_params.get("vers", ""))
        form = await read_form(request, self._address)
        token, towards = form.typed("jeton"), form.get("vers", "")
        if self._owner(_digest(token)) is None:
            return self._page(request, towards=towards, typed=form.get("saisie", ""), wrong=True, status=403)
        secret = secrets.token_urlsafe(32)
        login = LoginRow(
            digest=_digest(secret),
            token_digest=_digest(token),
            form_key=secrets.token_urlsafe(32),
            expires_at=clock.now() + LASTS,
        )
        async with self._database.quiet_transaction() as tx:
            await remember(tx, login)
        response = see_other(self._space.leads_to(towards))
        response.set_cookie(
            self._cookie,
            secret,
            max_age=int(LASTS.total_seconds()),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite=self._space.same_site,
        )
        return response

    async def log_out(self, visit: Visit) -> Response:
        """Ended here, not only in the browser."""
        async with self._database.quiet_transaction() as tx:
            await forget(tx, visit.login.digest)
        response = see_other(self._space.log_in)
        response.delete_cookie(
            self._cookie, path="/", secure=self._secure, httponly=True, samesite=self._space.same_site
        )
        return response

    async def _login_of(self, request: Request) -> LoginRow | None:
        secret = request.cookies.get(self._cookie)
        if not secret:
            return None
        async with self._database.quiet_transaction() as tx:
            return await valid(tx, _digest(secret), clock.now())

    def _owner(self, token_digest: str) -> Principal | None:
        """Whose token it is, if these pages are for them."""
        who = self._tokens.owner_of_digest(token_digest)
        return who if who is not None and who.role in self._space.roles else None

    async def _lead_to_log_in(self, request: Request, *, with_file: bool) -> Response:
        """Lead to the log-in and then to this page. Show what was typed in a form that came too late."""
        path = request.url.path
        if request.method != "POST":
            towards = f"{path}?{request.url.query}" if request.url.query else path
            vers = "" if towards == self._space.home else f"?{urlencode({'vers': towards})}"
            return see_other(f"{self._space.log_in}{vers}")
        form = await read_form(request, self._address, with_file=with_file)
        lines = [
            f"{label}\u00a0: {form.typed(name)}"
            for name in form
            if form.typed(name) and (label := self._space.label(name)) is not None
        ]
        for end in (*self._space.only_posted, "/deconnexion"):
            path = path.removesuffix(end)
        return self._page(request, towards=path, typed="\n".join(lines), late=True, status=403)

    def _page(
        self,
        request: Request,
        *,
        towards: str = "",
        typed: str = "",
        wrong: bool = False,
        late: bool = False,
        status: int = 200,
    ) -> Response:
        """The form of the log-in, which keeps where it leads and what was typed before it."""
        return self._rendering.page(
            "log-in.html",
            status=status,
            path=request.url.path,
            space=self._space,
            towards=towards,
            typed=typed,
            wrong=wrong,
            late=late,
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
