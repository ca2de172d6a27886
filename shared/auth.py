"""Bearer tokens of the management APIs.

Only hashes are stored. A token is 32 random bytes, so a plain SHA-256 is safe.
"""

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import Gauge

from shared import clock
from shared.guard import Guard
from shared.http import Problem
from shared.openapi import bearer
from shared.permissions import Permission, has_row
from shared.reloaded import ReloadedFile
from shared.security_log import SecurityEvent, is_anothers
from shared.token_file import TokenOwner, UnreadableTokens, read_tokens

FILE_IS_VALID = Gauge(
    "parcours_tokens_file_valid", "0 while API_TOKENS_FILE has a mistake and the old is used."
)


ID = 12
"""The security log tells tokens and log-ins apart by this many characters of a digest."""


class Principal(TokenOwner):
    """``delegation`` is null for an owner who acts everywhere.

    ``token_id`` identifies the token or log-in where the owner's name must not appear.
    """

    token_id: str = ""

    @property
    def in_security_log(self) -> str:
        """Name a role and a token, never a person."""
        return f"{self.role}:{self.token_id}"

    def may(self, permission: Permission, *, trial: bool = False) -> bool:
        return permission.allows(self.role, self.delegation, trial=trial)

    def may_act_for(self, delegation: str) -> bool:
        return self.delegation is None or self.delegation == delegation

    def finds(self, delegation: str) -> bool:
        """An attempt to read another delegation's data is recorded."""
        if not self.may_act_for(delegation):
            is_anothers()
            return False
        return True


class Tokens:
    def __init__(self, path: Path | None = None, *, trial: bool = False) -> None:
        """Raises :class:`UnreadableTokens`."""
        self.trial = trial
        self._file = ReloadedFile(
            path,
            lambda: {entry.sha256: entry for entry in read_tokens(path, trial=trial)},
            mistakes=UnreadableTokens,
            is_valid=FILE_IS_VALID,
        )

    def reload(self) -> None:
        self._file.reload()

    def owner_of(self, token: str) -> Principal | None:
        return self.owner_of_digest(hashlib.sha256(token.encode()).hexdigest())

    def owner_of_digest(self, digest: str) -> Principal | None:
        """``digest`` is a hexadecimal SHA-256."""
        entry = self._file.content.get(digest)
        if entry is None or (entry.not_after is not None and clock.now() > entry.not_after):
            return None
        return Principal(name=entry.name, role=entry.role, delegation=entry.delegation, token_id=digest[:ID])


def requires(
    permission: Permission, *, documented: str = "API_TOKENS_FILE"
) -> Callable[[Request], Awaitable[Principal]]:
    """Return a FastAPI dependency: the owner of the token, who has the permission.

    ``documented`` describes the tokens in OpenAPI. Raises a 401 or 403 :class:`~shared.http.Problem`.
    """
    token_of_staff = bearer(documented, "StaffToken")

    @has_row(permission)
    async def authenticated(
        request: Request,
        _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(token_of_staff)] = None,
    ) -> Principal:
        principal = await owner_of_token(request)
        if not principal.may(permission):
            raise not_allowed(principal, permission)
        return principal

    return authenticated


async def owner_of_token(request: Request, file: str = "API_TOKENS_FILE") -> Principal:
    """Return the member of staff who has the request's token. The tokens are ``app.state.tokens``.

    Raises a 401 :class:`~shared.http.Problem`.
    """
    tokens: Tokens = request.app.state.tokens
    token = bearer_token(request)
    principal = None if token is None else tokens.owner_of(token)
    if principal is None:
        await refuse_token(request)
        raise token_needed(file)
    let_in(request, principal.in_security_log)
    return principal


MOST_NAMES = 100_000
"""The names of a JSON body are counted by its colons.

The largest valid body, 20,000 attendance records, has fewer.
"""


class TokenFirst(APIRoute):
    """A route that checks the token before it reads the body.

    Use ``APIRouter(route_class=TokenFirst)`` for operations with a token and a body. The check is the
    dependency that documents the token (:func:`shared.openapi.bearer`).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        checks = list(_token_checks(self.dependant))
        if self.body_field is None or not checks:
            return handler

        async def token_first(request: Request) -> Response:
            for check in checks:
                await check(request, None)
            if (await request.body()).count(b":") > MOST_NAMES:
                raise Problem(422, "The request is not valid", f"The body has more than {MOST_NAMES} names.")
            return await handler(request)

        return token_first


def _token_checks(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for dependency in dependant.dependencies:
        if any(isinstance(documented.call, HTTPBearer) for documented in dependency.dependencies):
            assert dependency.call is not None  # noqa: S101 for the type checker: only the operation has none
            yield dependency.call
        else:
            yield from _token_checks(dependency)


def bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def let_in(request: Request, who: str) -> None:
    guard: Guard = request.app.state.guard
    request.state.who = who
    guard.let_in(request, who)


async def refuse_token(request: Request) -> None:
    """Record and count a wrong token. Raises ``LimitMet``.

    A right token still works from a refused network, because its 256 bits cannot be guessed.
    """
    guard: Guard = request.app.state.guard
    if bearer_token(request) is not None:
        await guard.refuse(request, SecurityEvent.TOKEN)


def token_needed(file: str) -> Problem:
    return Problem(
        401,
        "A token is needed",
        f"Send 'Authorization: Bearer <token>' with a token of {file}.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def not_allowed(principal: Principal, permission: Permission) -> Problem:
    if principal.delegation is not None and permission.allows(principal.role, None, trial=False):
        detail = f"This token acts for {principal.delegation}; a token of all delegations may do this."
        return Problem(403, "Not your delegation", detail)
    return Problem(403, "Not for this role", f"A token of role {principal.role} may not do this.")
