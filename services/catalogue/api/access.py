"""Who asks, what they may see and touch, and where the answers are."""

from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.catalogue.store.sessions import PUBLIC, Viewer
from shared.auth import Principal, Role, requires
from shared.database import Database as SharedDatabase
from shared.http import Problem

_Documented = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="A token of API_TOKENS_FILE: organiser or admin.")),
]
"""Only tells OpenAPI that a token is taken; who it belongs to is found out by ``requires``."""

_check = requires(Role.ORGANISER)
_known = requires(*Role)

T = TypeVar("T")


def _database(request: Request) -> SharedDatabase:
    database: SharedDatabase = request.app.state.database
    return database


def _organiser(request: Request, _documented: _Documented) -> Principal:
    return _check(request)


def _viewer(request: Request, _documented: _Documented) -> Viewer:
    """The public where there is no token, or one of a role that organises nothing; a wrong one is refused."""
    if "authorization" not in request.headers:
        return PUBLIC
    principal = _known(request)
    return viewer_of(principal) if principal.role in (Role.ORGANISER, Role.ADMIN) else PUBLIC


def viewer_of(principal: Principal) -> Viewer:
    """What the owner of a token sees."""
    return Viewer(everywhere=principal.delegation is None, delegation=principal.delegation)


Database = Annotated[SharedDatabase, Depends(_database)]
Organiser = Annotated[Principal, Depends(_organiser)]
AnyViewer = Annotated[Viewer, Depends(_viewer)]


def found(what: T | None, name: str) -> T:
    """What was looked for. Raises a 404: what belongs to others does not exist."""
    if what is None:
        raise Problem(404, "Not found", f"There is no {name}, or it is not yours.")
    return what
