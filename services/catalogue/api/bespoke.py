from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.catalogue.api.access import ChangingOrganiser, LookingOrganiser, OrganiserReading
from services.catalogue.rules.bespoke import BespokeRequest, BespokeState
from services.catalogue.service import bespoke
from services.catalogue.service.commands import BespokeAnswerRequest
from shared.auth import TokenFirst
from shared.events.vocabulary import Contact, Instant
from shared.http import PROBLEMS
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(
    prefix="/api/v1/bespoke-requests", tags=["bespoke"], route_class=TokenFirst, responses=PROBLEMS
)

_KEY = TypeAdapter(tuple[Instant, UUID])


class BespokeBody(BaseModel):
    """An authority's request for bespoke training, and its state."""

    bespoke_id: UUID = Field(
        description=(
            "The id for reading and answering the request: its request_id, unless a request of "
            "another portal has this id."
        )
    )
    request_id: UUID = Field(description="The ce_id of the event BespokeTrainingRequested.")
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
    requester: Contact | None = Field(description="Null a year after the answer: the sender is deleted.")
    message: str | None
    answered_at: Instant | None
    advisor: Contact | None
    answer: str | None
    session_id: UUID | None = Field(description="The private session that was agreed.")


class BespokeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: BespokeState | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@router.get("", summary="The requests of authorities, the newest first")
async def list_requests(
    query: Annotated[BespokeQuery, Query()],
    acting: LookingOrganiser,
    reading: OrganiserReading,
) -> Page[BespokeBody]:
    """The requests to the token's delegation; all requests for a token that acts everywhere."""
    after = position(query.cursor, _KEY)
    requests = await bespoke.page(acting, after, query.limit + 1, reading=reading, state=query.state)
    return page_of(
        requests,
        query.limit,
        show=_body,
        key=lambda request: (request.received_at.isoformat(), str(request.bespoke_id)),
    )


@router.get("/{bespoke_id}", summary="One request")
async def show_request(
    bespoke_id: UUID, acting: LookingOrganiser, reading: OrganiserReading, response: Response
) -> BespokeBody:
    """The request with its sender and the answers."""
    request = await bespoke.show(acting, bespoke_id, reading)
    return _answer(request, response)


@router.post("/{bespoke_id}/answers", summary="Qualify, propose, agree or decline")
async def answer_request(
    bespoke_id: UUID,
    answer: BespokeAnswerRequest,
    reading: OrganiserReading,
    acting: ChangingOrganiser,
    response: Response,
) -> BespokeBody:
    """The authority is notified. An agreement publishes the private session, to which it nominates agents."""
    request = await bespoke.answer(acting, bespoke_id, answer, reading)
    return _answer(request, response)


def _answer(request: BespokeRequest, response: Response) -> BespokeBody:
    response.headers["ETag"] = f'"{bespoke.tag_of(request)}"'
    return _body(request)


def _body(request: BespokeRequest) -> BespokeBody:
    return BespokeBody.model_validate(request, from_attributes=True)
