from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.enrolment.api.access import AnyReader, Database
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.states import State
from services.enrolment.service import enrolments
from shared.events.reasons import Reason
from shared.events.vocabulary import AgentId, Instant
from shared.http import PROBLEMS
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1", tags=["requests"], responses=PROBLEMS)

_KEY = TypeAdapter(tuple[Instant, UUID])


class EnrolmentOfAgent(BaseModel):
    """The present state of an enrolment, without names."""

    enrolment_id: UUID
    version: int = Field(description="As in the last decision about the enrolment.")
    session_id: UUID
    issuer: str
    agent_id: str
    state: State
    reason: Reason | None = Field(description="Why the request was refused.")
    position: int | None = Field(description="Place in line of a waiting agent; 1 is next.")
    waits_together: bool = Field(
        description="True: the agent waits in a group. A group has one place and gets its seats at once."
    )
    hold_until: datetime | None = Field(description="The end of the offer of a seat.")
    request_id: UUID = Field(description="The ce_id of the request that began the enrolment.")
    request_source: str = Field(description="The ce_source of that request. Empty: no portal sent it.")
    received_at: datetime
    updated_at: datetime


class AgentQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    agent_id: AgentId
    limit: Limit = 50
    cursor: Cursor | None = None


@router.get("/enrolments", summary="The enrolments of an agent, the newest first")
async def list_enrolments(
    query: Annotated[AgentQuery, Query()], database: Database, reader: AnyReader
) -> Page[EnrolmentOfAgent]:
    """The enrolments of an agent of the portal's issuer, within its limits.

    An admin gets the agents of all issuers with this id. The list is empty for an unknown agent and for an
    agent of another portal.
    """
    after = position(query.cursor, _KEY)
    async with database.quiet_transaction() as tx:
        rows = await enrolments.of_agent(
            tx,
            query.agent_id,
            reader.portal,
            reading=reader.reading,
            after=after,
            limit=query.limit + 1,
        )
    return page_of(
        rows,
        query.limit,
        show=lambda row: _shown(*row),
        key=lambda row: (row[0].received_at.isoformat(), str(row[0].enrolment_id)),
    )


def _shown(enrolment: Enrolment, place: int | None, updated_at: datetime) -> EnrolmentOfAgent:
    return EnrolmentOfAgent(
        enrolment_id=enrolment.enrolment_id,
        version=enrolment.version,
        session_id=enrolment.session_id,
        issuer=enrolment.agent.issuer,
        agent_id=enrolment.agent.agent_id,
        state=enrolment.state,
        reason=enrolment.reason,
        position=place,
        waits_together=enrolment.state is State.WAITLISTED and enrolment.waits_together,
        hold_until=enrolment.hold_until if enrolment.state is State.OFFERED else None,
        request_id=enrolment.request_key.request_id,
        request_source=enrolment.request_key.source,
        received_at=enrolment.received_at,
        updated_at=updated_at,
    )
