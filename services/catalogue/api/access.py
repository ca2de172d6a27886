import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials

from services.catalogue.rules.searching import PUBLIC, Viewer
from services.catalogue.service.access import viewer_of
from services.catalogue.service.acting import Acting
from shared.auth import Principal, owner_of_token, requires
from shared.database import Database as SharedDatabase
from shared.database import Transaction
from shared.openapi import bearer
from shared.permissions import Permission
from shared.read_log import PurposeHeader, Reading, reading_of

_STAFF = "API_TOKENS_FILE: organiser or admin"


def _database(request: Request) -> SharedDatabase:
    database: SharedDatabase = request.app.state.database
    return database


async def _viewer(
    request: Request,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer(_STAFF, "StaffToken"))],
) -> Viewer:
    if "authorization" not in request.headers:
        return PUBLIC
    principal = await owner_of_token(request)
    return viewer_of(principal) if principal.may(Permission.MANAGE_OFFER) else PUBLIC


def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            description=(
                "The ETag of the version that you read. The response is 412 if the resource has "
                "changed since."
            )
        ),
    ] = None,
) -> frozenset[str] | None:
    """Return the tags of the versions that may be changed, or None for any.

    A weak tag matches nothing (RFC 9110, 13.1.1). The part after the dot is left out: it changes without a
    decision (occupancy, clock).
    """
    if if_match is None or if_match.strip() == "*":
        return None
    return frozenset(_TAG.findall(if_match))


_TAG = re.compile(r'(?:^|,)\s*"([^".]*)(?:\.[^"]*)?"')

IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of your copy. The response is 304 if nothing has changed.")
]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What you have is what there is."}}
Database = Annotated[SharedDatabase, Depends(_database)]
ChangesOffers = Depends(requires(Permission.CHANGE_OFFERS, documented=_STAFF))
Organiser = Annotated[Principal, Depends(requires(Permission.MANAGE_OFFER, documented=_STAFF))]


async def _reader(database: Database) -> AsyncIterator[Transaction]:
    async with database.quiet_transaction() as tx:
        yield tx


async def _acting(database: Database, organiser: Organiser) -> AsyncIterator[Acting]:
    async with database.transaction() as tx:
        yield Acting(tx, organiser)


async def _changing(
    database: Database,
    organiser: Organiser,
    seen: Annotated[frozenset[str] | None, Depends(_if_match)],
) -> AsyncIterator[Acting]:
    async with database.transaction() as tx:
        yield Acting(tx, organiser, seen)


async def _looking(organiser: Organiser, tx: "ReadOnly") -> Acting:
    return Acting(tx, organiser)


# With the scope "function" the commit precedes the response, so a failed commit gives a 500.
ReadOnly = Annotated[Transaction, Depends(_reader, scope="function")]
ActingOrganiser = Annotated[Acting, Depends(_acting, scope="function")]
ChangingOrganiser = Annotated[Acting, Depends(_changing, scope="function")]
LookingOrganiser = Annotated[Acting, Depends(_looking)]


def _organiser_reading(organiser: Organiser, purpose: PurposeHeader = None) -> Reading:
    return reading_of(organiser, purpose)


OrganiserReading = Annotated[Reading, Depends(_organiser_reading)]


AnyViewer = Annotated[Viewer, Depends(_viewer)]
