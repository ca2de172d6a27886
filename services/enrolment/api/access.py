"""What every endpoint depends on: the owner of the token, the database, the policy."""

from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.enrolment.rules.policy import Policy
from shared.auth import Principal, Role, requires
from shared.database import Database as SharedDatabase
from shared.http import Problem

_Documented = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="A token of API_TOKENS_FILE.")),
]
"""Says in OpenAPI that a token is needed; ``requires`` finds its owner."""

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


def not_found(name: str) -> Problem:
    """Return a 404 for a session, or an enrolment, that does not exist or is somebody else's."""
    return Problem(404, "Not found", f"There is no {name}, or it is not yours.")


def found(what: T | None, name: str) -> T:
    """Return what was found. Raises a 404 for None: what belongs to others does not exist."""
    if what is None:
        raise not_found(name)
    return what
