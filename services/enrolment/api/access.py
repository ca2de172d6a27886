"""Who asks, and where the answers are."""

from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.enrolment.rules import Policy
from shared.auth import Principal, Role, requires
from shared.database import Database as SharedDatabase
from shared.http import Problem

_Documented = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="A token of API_TOKENS_FILE.")),
]
"""Only tells OpenAPI that a token is taken; who it belongs to is found out by ``requires``."""

_is_portal, _is_organiser = requires(Role.PORTAL), requires(Role.ORGANISER)

T = TypeVar("T")


def _database(request: Request) -> SharedDatabase:
    database: SharedDatabase = request.app.state.database
    return database


def _policy(request: Request) -> Policy:
    policy: Policy = request.app.state.policy
    return policy


def _portal(request: Request, _documented: _Documented) -> Principal:
    return _is_portal(request)


def _organiser(request: Request, _documented: _Documented) -> Principal:
    return _is_organiser(request)


Database = Annotated[SharedDatabase, Depends(_database)]
PolicyInForce = Annotated[Policy, Depends(_policy)]
Portal = Annotated[Principal, Depends(_portal)]
Organiser = Annotated[Principal, Depends(_organiser)]


def found(what: T | None, name: str) -> T:
    """What was looked for. Raises a 404: what belongs to others does not exist."""
    if what is None:
        raise Problem(404, "Not found", f"There is no {name}, or it is not yours.")
    return what
