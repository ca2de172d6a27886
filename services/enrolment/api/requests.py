"""HTTP in: what became of a request."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel, Field

from services.enrolment import store
from services.enrolment.store import intake
from shared.database import Database
from shared.http import Problem


class RequestOutcome(BaseModel):
    """What became of a request. No personal data: whoever has the request's id may ask."""

    request_id: UUID
    state: Literal["pending", "answered"] = Field(
        description="Pending: it is on its way, or the session's event has not come yet."
    )
    outcome: str | None = Field(
        default=None,
        description="enrolled, waitlisted, pending_approval, pending_selection, refused or withdrawn.",
    )
    reason: str | None = Field(default=None, description="Why it was refused.")
    received_at: datetime
    decided_at: datetime | None = None


def add_to(api: FastAPI, database: Database) -> None:
    """What portals ask about their requests."""

    @api.get("/api/v1/requests/{ce_id}", tags=["requests"], summary="What became of a request")
    async def request_outcome(ce_id: UUID) -> RequestOutcome:
        async with database.quiet_transaction() as tx:
            row = await store.request_outcome(tx, ce_id)
            accepted_at = await intake.accepted_at(tx, ce_id) if row is None else None
        if accepted_at is not None:
            return RequestOutcome(request_id=ce_id, state="pending", received_at=accepted_at)
        if row is None:
            raise Problem(
                404,
                "No such request",
                f"No request {ce_id} has been read. It may still be on its way, or was parked as unreadable.",
            )
        return RequestOutcome(
            request_id=row.request_id,
            state="pending" if row.decided_at is None else "answered",
            outcome=row.outcome,
            reason=row.reason,
            received_at=row.received_at,
            decided_at=row.decided_at,
        )
