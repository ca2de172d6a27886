"""Who sends a request, what they may see and change, and what they have read already."""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials

from services.catalogue.rules.searching import PUBLIC, Viewer
from services.catalogue.service.access import viewer_of
from shared.auth import Principal, Role, requires
from shared.database import Database as SharedDatabase
from shared.guard import Guard
from shared.openapi import bearer
from shared.read_log import PurposeHeader, Reading, reading_of

_STAFF = "API_TOKENS_FILE: organiser or admin"
_known = requires(*Role)


def _database(request: Request) -> SharedDatabase:
    database: SharedDatabase = request.app.state.database
    return database


async def _viewer(
    request: Request,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer(_STAFF, "StaffToken"))],
) -> Viewer:
    """The public where there is no token, or one of a role that organises nothing; a wrong one is refused."""
    if "authorization" not in request.headers:
        return PUBLIC
    principal = await _known(request)
    return viewer_of(principal) if principal.role in (Role.ORGANISER, Role.ADMIN) else PUBLIC


def _if_match(
    if_match: Annotated[
        str | None, Header(description="The ETag of what was read: 412 when it was decided otherwise since.")
    ] = None,
) -> frozenset[str] | None:
    """The tags that may be changed; None where any may. A weak tag matches nothing (RFC 9110, 13.1.1).

    The part of a tag behind its dot changes without a decision (how full a session is, what the clock says),
    and is left out: it keeps nobody from deciding.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    return frozenset(_TAG.findall(if_match))


_TAG = re.compile(r'(?:^|,)\s*"([^".]*)(?:\.[^"]*)?"')

IfMatch = Annotated[frozenset[str] | None, Depends(_if_match)]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of what you have: 304 while nothing of it has changed.")
]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What you have is what there is."}}
"""In the ``responses=`` of what takes ``If-None-Match``."""
Database = Annotated[SharedDatabase, Depends(_database)]
Organiser = Annotated[Principal, Depends(requires(Role.ORGANISER, documented=_STAFF))]


def _organiser_reading(organiser: Organiser, purpose: PurposeHeader = None) -> Reading:
    return reading_of(organiser, purpose)


OrganiserReading = Annotated[Reading, Depends(_organiser_reading)]


def limit_reading(request: Request) -> None:
    """Count a read of what is public by its network. Raises ``LimitMet``."""
    guard: Guard = request.app.state.guard
    guard.take_here(request, "read", guard.rates.read)


AnyViewer = Annotated[Viewer, Depends(_viewer)]
