"""What every endpoint depends on: the owner of the token, the database, the policy."""

from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.enrolment.rules.policy import Policy
from shared import clock
from shared.auth import Principal, Role, Tokens, bearer_token, not_for_role, requires, token_needed
from shared.database import Database as SharedDatabase
from shared.http import Problem
from shared.messaging.portals.registry import SOURCES, TRIAL_PORTAL, Portal, Portals

_Documented = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="A token of API_TOKENS_FILE.")),
]
"""Says in OpenAPI that a token is needed; ``requires`` finds its owner."""

_OfPortal = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, scheme_name="PortalToken", description="A token of PORTALS_FILE.")),
]
_is_organiser = requires(Role.ORGANISER)

T = TypeVar("T")


def _database(request: Request) -> SharedDatabase:
    database: SharedDatabase = request.app.state.database
    return database


def _policy(request: Request) -> Policy:
    policy: Policy = request.app.state.policy
    return policy


def _sender(request: Request, _documented: _OfPortal) -> Portal:
    """The portal whose token the request has. In a trial an admin speaks for the trial's portal."""
    portals: Portals = request.app.state.registry.portals
    tokens: Tokens = request.app.state.tokens
    token = bearer_token(request) or ""
    portal, principal = portals.of_token(token, clock.now()), tokens.owner_of(token)
    if portal is None and principal is not None and principal.role is Role.ADMIN:
        portal = portals.of_source(SOURCES + TRIAL_PORTAL)
    if portal is not None:
        return portal
    raise token_needed("PORTALS_FILE") if principal is None else not_for_role(principal)


def _organiser(request: Request, _documented: _Documented) -> Principal:
    return _is_organiser(request)


Database = Annotated[SharedDatabase, Depends(_database)]
PolicyInForce = Annotated[Policy, Depends(_policy)]
Sender = Annotated[Portal, Depends(_sender)]
Organiser = Annotated[Principal, Depends(_organiser)]


def not_found(name: str) -> Problem:
    """Return a 404 for a session, or an enrolment, that does not exist or is somebody else's."""
    return Problem(404, "Not found", f"There is no {name}, or it is not yours.")


def found(what: T | None, name: str) -> T:
    """Return what was found. Raises a 404 for None: what belongs to others does not exist."""
    if what is None:
        raise not_found(name)
    return what
