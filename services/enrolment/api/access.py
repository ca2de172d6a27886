from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials

from services.enrolment.rules.policy import Policy
from services.enrolment.service.acting import Acting
from shared import clock
from shared.auth import Principal, bearer_token, let_in, not_allowed, owner_of_token, requires
from shared.database import Database as SharedDatabase
from shared.http import Problem
from shared.messaging.portals.registry import SOURCES, TRIAL_PORTAL, Portal, Portals
from shared.openapi import bearer
from shared.permissions import Permission, has_row
from shared.read_log import PurposeHeader, Reading, reading_of

_OfPortal = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(bearer("PORTALS_FILE", "PortalToken")),
]

T = TypeVar("T")


def _database(request: Request) -> SharedDatabase:
    database: SharedDatabase = request.app.state.database
    return database


def _policy(request: Request) -> Policy:
    policy: Policy = request.app.state.policy
    return policy


def portals_of(request: Request) -> Portals:
    portals: Portals = request.app.state.registry.portals
    return portals


async def _portal_or_admin(request: Request, permission: Permission) -> Portal | Principal:
    token = bearer_token(request) or ""
    portal = portals_of(request).of_token(token, clock.now())
    if portal is not None:
        let_in(request, f"portal:{portal.portal}")
        return portal
    principal = await owner_of_token(request, "PORTALS_FILE")
    if not principal.may(permission, trial=request.app.state.trial):
        raise not_allowed(principal, permission)
    return principal


@has_row(Permission.SEND_EVENTS)
async def _sender(request: Request, _documented: _OfPortal) -> Portal:
    """Return the portal of the request's token. In a trial, an admin acts for the trial portal."""
    owner = await _portal_or_admin(request, Permission.SEND_EVENTS)
    if isinstance(owner, Portal):
        return owner
    portal = portals_of(request).of_source(SOURCES + TRIAL_PORTAL)
    if portal is None:
        raise not_allowed(owner, Permission.SEND_EVENTS)
    return portal


@dataclass(frozen=True, slots=True)
class Reader:
    """The owner of the reading token: a portal for its own agents, staff, or a visitor of a trial.

    ``reading`` records a read by staff. It is None for a portal.
    """

    portal: Portal | None
    reading: Reading | None = None

    @property
    def source(self) -> str | None:
        """Return None if all requests may be read."""
        return None if self.portal is None else self.portal.source


@has_row(Permission.READ_ANSWERS)
async def _reader(request: Request, _documented: _OfPortal, purpose: PurposeHeader = None) -> Reader:
    return await _reader_by_token(request, Permission.READ_ANSWERS, purpose)


async def _reader_by_token(request: Request, permission: Permission, purpose: str | None) -> Reader:
    owner = await _portal_or_admin(request, permission)
    return Reader(owner) if isinstance(owner, Portal) else Reader(None, reading_of(owner, purpose))


@has_row(Permission.READ_REQUEST)
async def _anybody_in_a_trial(
    request: Request, _documented: _OfPortal, purpose: PurposeHeader = None
) -> Reader:
    if request.app.state.trial and "authorization" not in request.headers:
        return Reader(None)
    return await _reader_by_token(request, Permission.READ_REQUEST, purpose)


Database = Annotated[SharedDatabase, Depends(_database)]
PolicyInForce = Annotated[Policy, Depends(_policy)]
PortalOfToken = Annotated[Portal, Depends(_sender)]
Organiser = Annotated[Principal, Depends(requires(Permission.MANAGE_ENROLMENTS))]
AnyReader = Annotated[Reader, Depends(_reader)]
ReaderOrTrial = Annotated[Reader, Depends(_anybody_in_a_trial)]


def _organiser_reading(organiser: Organiser, purpose: PurposeHeader = None) -> Reading:
    return reading_of(organiser, purpose)


@asynccontextmanager
async def acting(database: Database, organiser: Organiser, policy: PolicyInForce) -> AsyncIterator[Acting]:
    async with database.transaction() as tx:
        yield Acting(tx, organiser, policy, clock.now())


async def _acting(database: Database, organiser: Organiser, policy: PolicyInForce) -> AsyncIterator[Acting]:
    async with acting(database, organiser, policy) as opened:
        yield opened


ActingOrganiser = Annotated[Acting, Depends(_acting, scope="function")]
"""The transaction commits before the response is sent."""

OrganiserReading = Annotated[Reading, Depends(_organiser_reading)]


def not_found(name: str) -> Problem:
    return Problem(404, "Not found", f"There is no {name}, or it is not yours.")


def found(what: T | None, name: str) -> T:
    if what is None:
        raise not_found(name)
    return what
