"""Bespoke requests: what authorities asked of a delegation, and what it answers."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.catalogue.api.access import Database, IfMatch, Organiser, found
from services.catalogue.desk import bespoke as desk
from services.catalogue.desk.requests import BespokeAnswerRequest
from services.catalogue.desk.sessions import viewer_of
from services.catalogue.rules import BespokeRequest, BespokeState
from services.catalogue.store import bespoke
from shared.events.vocabulary import Contact, Instant
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1/bespoke-requests", tags=["bespoke"])

_KEY = TypeAdapter(tuple[Instant, UUID])


class BespokeBody(BaseModel):
    """What an authority asked, and where it stands."""

    request_id: UUID = Field(description="The ce_id of the BespokeTrainingRequested.")
    version: int
    state: BespokeState
    siret: str
    authority: str
    delegation: str
    theme: str
    trainees: int
    received_at: Instant
    wished_from: Instant | None
    wished_until: Instant | None
    requester: Contact | None = Field(description="Null once forgotten, a year after the answer.")
    message: str | None
    answered_at: Instant | None
    advisor: Contact | None
    answer: str | None
    session_id: UUID | None = Field(description="The private session, once agreed.")


class BespokeQuery(BaseModel):
    """Which requests to list."""

    model_config = ConfigDict(extra="forbid")

    state: BespokeState | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@router.get("", summary="The requests of authorities, the newest first")
async def list_requests(
    query: Annotated[BespokeQuery, Query()], database: Database, organiser: Organiser
) -> Page[BespokeBody]:
    """Those of the token's delegation; all, for those who act everywhere."""
    after = position(query.cursor, _KEY)
    async with database.quiet_transaction() as tx:
        rows = await bespoke.page(tx, viewer_of(organiser), after, query.limit + 1, state=query.state)
    return page_of(
        rows, query.limit, show=_body, key=lambda one: (one.received_at.isoformat(), str(one.request_id))
    )


@router.get("/{request_id}", summary="One request")
async def show_request(
    request_id: UUID, database: Database, organiser: Organiser, response: Response
) -> BespokeBody:
    """What was asked, by whom, and what was answered."""
    async with database.quiet_transaction() as tx:
        request = await bespoke.shown(tx, request_id, viewer_of(organiser))
    return _answer(found(request, f"bespoke request {request_id}"), response)


@router.post("/{request_id}/answers", summary="Qualify, propose, agree or decline")
async def answer_request(
    request_id: UUID,
    answer: BespokeAnswerRequest,
    *,
    database: Database,
    organiser: Organiser,
    if_match: IfMatch,
    response: Response,
) -> BespokeBody:
    """The authority is told. An agreement publishes the private session that its agents are nominated for."""
    return _answer(await desk.answer(database, organiser, request_id, answer, tags=if_match), response)


def _answer(request: BespokeRequest, response: Response) -> BespokeBody:
    response.headers["ETag"] = f'"{desk.tag_of(request)}"'
    return _body(request)


def _body(request: BespokeRequest) -> BespokeBody:
    return BespokeBody(**{name: getattr(request, name) for name in BespokeBody.model_fields})
