"""Organisers manage sessions, offers, replays and resources.

An organiser gets a 404 for things of another delegation. Only organisers of all delegations change offers
(403).
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field, TypeAdapter

from services.catalogue.api import tags
from services.catalogue.api.access import ActingOrganiser, ChangesOffers, ChangingOrganiser, LookingOrganiser
from services.catalogue.api.bodies import (
    HistoryBody,
    OfferBody,
    ResourceBody,
    SessionBody,
    history_body,
)
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import offers, resources, session_lists, sessions
from services.catalogue.service.commands import (
    Cancellation,
    OfferChange,
    OfferRequest,
    ReplayRequest,
    ResourceChange,
    ResourceRequest,
    SessionChange,
    SessionCopy,
    SessionDraft,
)
from shared.auth import TokenFirst
from shared.events.vocabulary import Slug
from shared.http import PROBLEMS
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1", tags=["management"], route_class=TokenFirst, responses=PROBLEMS)

_ENTRY_KEY = TypeAdapter(Annotated[int, Field(ge=1, lt=2**63)])
_KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"model": ResourceBody, "description": "It is published already."}
}


@router.post("/offers", status_code=201, dependencies=[ChangesOffers], summary="Make an offer")
async def create_offer(offer: OfferRequest, acting: ActingOrganiser, response: Response) -> OfferBody:
    """Everyone finds the offer at once; any delegation may draft sessions of it. 409: the id is taken."""
    made = await offers.create(acting, offer)
    response.headers["Location"] = f"/api/v1/offers/{made.offer_id}"
    return tags.offer(made, response)


@router.patch("/offers/{offer_id}", dependencies=[ChangesOffers], summary="Change an offer")
async def change_offer(
    offer_id: Slug, change: OfferChange, acting: ChangingOrganiser, response: Response
) -> OfferBody:
    """A later load of the offer's files undoes nothing."""
    return tags.offer(await offers.change(acting, offer_id, change), response)


@router.get("/offers/{offer_id}/history", summary="The changes of an offer, the newest first")
async def offer_history(
    offer_id: Slug,
    acting: LookingOrganiser,
    limit: Annotated[Limit, Query()] = 50,
    cursor: Annotated[Cursor | None, Query()] = None,
) -> Page[HistoryBody]:
    """Changes by persons and by loads of the offer's files."""
    after = position(cursor, _ENTRY_KEY)
    entries = await offers.history(acting.tx, offer_id, after, limit + 1)
    return page_of(entries, limit, show=history_body, key=lambda entry: entry.id)


_WITHOUT_REASON = Cancellation()


@router.post("/sessions", status_code=201, summary="Draft a session")
async def draft_session(draft: SessionDraft, acting: ActingOrganiser, response: Response) -> SessionBody:
    """Nobody else sees a draft before it is published."""
    return _made(await sessions.draft(acting, draft), response)


@router.patch("/sessions/{session_id}", summary="Change a session")
async def change_session(
    session_id: UUID, change: SessionChange, acting: ChangingOrganiser, response: Response
) -> SessionBody:
    """A change of a published session is published as a new version. The past stays as it was."""
    return tags.session(await sessions.change(acting, session_id, change), response)


@router.post("/sessions/{session_id}/publish", summary="Publish a draft")
async def publish_session(session_id: UUID, acting: ChangingOrganiser, response: Response) -> SessionBody:
    """Final: a published session can only be cancelled."""
    return tags.session(await sessions.publish(acting, session_id), response)


@router.post("/sessions/{session_id}/cancel", summary="Cancel a published session")
async def cancel_session(
    session_id: UUID,
    cancellation: Cancellation = _WITHOUT_REASON,
    *,
    acting: ChangingOrganiser,
    response: Response,
) -> SessionBody:
    """Final. Enrolment ends every enrolment and tells everyone the reason."""
    return tags.session(await sessions.cancel(acting, session_id, cancellation), response)


@router.delete("/sessions/{session_id}", status_code=204, summary="Delete a draft")
async def delete_session(session_id: UUID, acting: ChangingOrganiser) -> None:
    """Only for a session that was never published (else 409). The audit keeps who deleted it."""
    await sessions.delete(acting, session_id)


@router.post("/sessions/{session_id}/duplicate", status_code=201, summary="Draft a session like this one")
async def duplicate_session(
    session_id: UUID, copy: SessionCopy, acting: ActingOrganiser, response: Response
) -> SessionBody:
    """All dates move with the start. The copy has no enrolments."""
    return _made(await sessions.duplicate(acting, session_id, copy), response)


@router.get("/sessions/{session_id}/history", summary="The changes of a session, the newest first")
async def session_history(
    session_id: UUID,
    acting: LookingOrganiser,
    limit: Annotated[Limit, Query()] = 50,
    cursor: Annotated[Cursor | None, Query()] = None,
) -> Page[HistoryBody]:
    """Changes by persons and commands. The session itself shows what the clock did."""
    after = position(cursor, _ENTRY_KEY)
    entries = await session_lists.history(acting, session_id, after, limit + 1)
    return page_of(entries, limit, show=history_body, key=lambda entry: entry.id)


@router.post("/replays", status_code=201, summary="Publish a replay", responses=_KNOWN)
async def publish_replay(replay: ReplayRequest, acting: ActingOrganiser, response: Response) -> ResourceBody:
    """A replay is identified by its address: it is not published twice."""
    resource, is_new = await resources.publish(acting, replay)
    response.status_code = 201 if is_new else 200
    return tags.resource(resource, response)


@router.post("/resources", status_code=201, summary="Publish a dossier or a community", responses=_KNOWN)
async def publish_resource(
    resource: ResourceRequest, acting: ActingOrganiser, response: Response
) -> ResourceBody:
    """Open to everyone at once. A resource is identified by its address: it is not published twice."""
    published, is_new = await resources.publish(acting, resource)
    response.status_code = 201 if is_new else 200
    return tags.resource(published, response)


@router.patch("/resources/{resource_id}", summary="Correct a replay, a dossier or a community")
async def correct_resource(
    resource_id: UUID, change: ResourceChange, acting: ChangingOrganiser, response: Response
) -> ResourceBody:
    """A new version of the resource, for a typo or a wrong address. Nobody gets another mail.

    A resource of the offer's files is corrected there (409).
    """
    return tags.resource(await resources.correct(acting, resource_id, change), response)


@router.post("/resources/{resource_id}/withdraw", summary="Withdraw a resource that was published by mistake")
async def withdraw_resource(resource_id: UUID, acting: ChangingOrganiser, response: Response) -> ResourceBody:
    """Final. The resource leaves all lists, and waiting letters about it are not sent."""
    return tags.resource(await resources.withdraw(acting, resource_id), response)


def _made(listed: ListedSession, response: Response) -> SessionBody:
    response.headers["Location"] = f"/api/v1/sessions/{listed.session.session_id}"
    return tags.session(listed, response)
