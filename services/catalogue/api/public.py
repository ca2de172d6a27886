from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.catalogue.api import tags
from services.catalogue.api.access import NOT_MODIFIED, AnyViewer, IfNoneMatch, ReadOnly
from services.catalogue.api.bodies import (
    OfferBody,
    ResourceBody,
    SessionBody,
    offer_body,
    resource_body,
    session_body,
)
from services.catalogue.rules.resources import Kind
from services.catalogue.rules.searching import SessionSearch, Viewer
from services.catalogue.service import offers, resources, session_lists
from shared import clock
from shared.events.vocabulary import Delegation, EnrolmentWindow, Format, Instant, Slug, Status
from shared.guard import read_in_turn
from shared.http import PROBLEMS
from shared.openapi import PUBLIC_TOO
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(
    prefix="/api/v1", dependencies=[Depends(read_in_turn, scope="function")], responses=PROBLEMS
)

_OFFER_KEY = TypeAdapter(Slug)
_DATED_KEY = TypeAdapter(tuple[Instant, UUID])


class _PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Limit = 50
    cursor: Cursor | None = None


class SessionFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Format | None = None
    delegation: Delegation | None = None
    offer_id: Slug | None = None
    status: Status | None = None
    enrolment: EnrolmentWindow | None = None
    starts_after: Instant | None = None
    starts_before: Instant | None = None


class SessionQuery(SessionFilter, _PageQuery):
    pass


class ResourceQuery(_PageQuery):
    kind: Kind | None = None
    theme: Slug | None = None


@router.get("/offers", tags=["offers"], summary="The offers, by id")
async def list_offers(query: Annotated[_PageQuery, Query()], tx: ReadOnly) -> Page[OfferBody]:
    """Every offer of every format, even without sessions."""
    after = position(query.cursor, _OFFER_KEY)
    rows = await offers.page(tx, after, query.limit + 1)
    return page_of(rows, query.limit, show=offer_body, key=lambda offer: offer.offer_id)


@router.get(
    "/offers/{offer_id}",
    tags=["offers"],
    summary="One offer",
    response_model=OfferBody,
    responses=NOT_MODIFIED,
)
async def show_offer(
    offer_id: Slug, tx: ReadOnly, response: Response, if_none_match: IfNoneMatch = None
) -> OfferBody | Response:
    """The common part of the offer's sessions, with the tag for `If-Match`."""
    offer = await offers.show_open(tx, offer_id)
    return tags.unless_matched(tags.offer(offer, response), response, if_none_match)


@router.get("/sessions", tags=["sessions"], summary="The sessions, by start", openapi_extra=PUBLIC_TOO)
async def list_sessions(
    query: Annotated[SessionQuery, Query()], viewer: AnyViewer, tx: ReadOnly
) -> Page[SessionBody]:
    """Published and cancelled sessions; with an organiser's token, also the drafts of their delegation.

    `starts_after` includes its instant, `starts_before` does not. `enrolment` leaves out cancelled sessions.
    """
    search = search_of(query, viewer)
    after = position(query.cursor, _DATED_KEY)
    rows = await session_lists.page(tx, search, after, query.limit + 1)
    return page_of(
        rows,
        query.limit,
        show=lambda listed: session_body(listed, search.now),
        key=lambda listed: (listed.session.plan.starts_at.isoformat(), str(listed.session.session_id)),
    )


@router.get(
    "/sessions/{session_id}",
    tags=["sessions"],
    summary="One session",
    response_model=SessionBody,
    responses=NOT_MODIFIED,
    openapi_extra=PUBLIC_TOO,
)
async def show_session(
    session_id: UUID,
    viewer: AnyViewer,
    tx: ReadOnly,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> SessionBody | Response:
    """The state of the session, its present phase and enrolment window, and its occupancy.

    The ETag covers the whole body. `If-Match` takes it too, but compares only the part before the dot:
    decisions and announcements. So an enrolment meanwhile refuses no change.
    """
    listed = await session_lists.show(tx, session_id, viewer)
    return tags.unless_matched(tags.session(listed, response), response, if_none_match)


@router.get("/resources", tags=["resources"], summary="The replays, dossiers and communities, newest first")
async def list_resources(query: Annotated[ResourceQuery, Query()], tx: ReadOnly) -> Page[ResourceBody]:
    """Resources open to everyone, without enrolment."""
    after = position(query.cursor, _DATED_KEY)
    rows = await resources.page(tx, after, query.limit + 1, kind=query.kind, theme=query.theme)
    return page_of(
        rows,
        query.limit,
        show=resource_body,
        key=lambda resource: (resource.published_at.isoformat(), str(resource.resource_id)),
    )


@router.get(
    "/resources/{resource_id}",
    tags=["resources"],
    summary="One replay, dossier or community",
    response_model=ResourceBody,
    responses=NOT_MODIFIED,
)
async def show_resource(
    resource_id: UUID, tx: ReadOnly, response: Response, if_none_match: IfNoneMatch = None
) -> ResourceBody | Response:
    """The published resource, with the tag for `If-Match`."""
    resource = await resources.show(tx, resource_id)
    return tags.unless_matched(tags.resource(resource, response), response, if_none_match)


def search_of(query: SessionFilter, viewer: Viewer, *, own: bool = False) -> SessionSearch:
    return SessionSearch(
        now=clock.now(),
        viewer=viewer,
        own=own,
        format=query.format,
        organiser=query.delegation,
        offer_id=query.offer_id,
        status=query.status,
        enrolment=query.enrolment,
        starts_after=query.starts_after,
        starts_before=query.starts_before,
    )
