"""HTTP in: the requests of portals without Kafka, accepted here and decided like all on the topic."""

import hashlib
import json
import math
import re
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import limits
from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.openapi.models import Example
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from stdnum.fr import siret

from services.enrolment.api.access import Database, Sender
from services.enrolment.service import intake
from shared.events.portal import (
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    SeatOfferAnswered,
    WithdrawalRequested,
)
from shared.http import PROBLEM_JSON, Problem, ProblemBody
from shared.messaging.portals.registry import Portal

router = APIRouter(prefix="/api/v1", tags=["requests"])

OUTCOME = "/api/v1/requests/{}"
"""Where to read what became of a request."""


class _Intake(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnrolmentBody(_Intake):
    """An agent asks for a seat."""

    type: Literal["EnrolmentRequested"] = "EnrolmentRequested"
    data: EnrolmentRequested


class GroupEnrolmentBody(_Intake):
    """A training officer asks for several agents at once."""

    type: Literal["GroupEnrolmentRequested"]
    data: GroupEnrolmentRequested


class WithdrawalBody(_Intake):
    """A seat, or a place in line, is given up."""

    type: Literal["WithdrawalRequested"]
    data: WithdrawalRequested


class ApprovalBody(_Intake):
    """The employer decided about an enrolment."""

    type: Literal["ApprovalDecided"]
    data: ApprovalDecided


class OfferAnswerBody(_Intake):
    """An agent takes, or leaves, the seat that was offered."""

    type: Literal["SeatOfferAnswered"]
    data: SeatOfferAnswered


def _type_of(body: Any) -> str | None:
    if isinstance(body, dict):
        return str(body.get("type", "EnrolmentRequested"))
    return getattr(body, "type", None)


RequestBody = Annotated[
    Annotated[EnrolmentBody, Tag("EnrolmentRequested")]
    | Annotated[GroupEnrolmentBody, Tag("GroupEnrolmentRequested")]
    | Annotated[WithdrawalBody, Tag("WithdrawalRequested")]
    | Annotated[ApprovalBody, Tag("ApprovalDecided")]
    | Annotated[OfferAnswerBody, Tag("SeatOfferAnswered")],
    Discriminator(_type_of),
]
"""``type`` is the name of an event of portal.enrolments, ``data`` its data, as on Kafka."""


_SESSION_ID = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
_EXAMPLES: dict[str, Example] = {
    "enrolment": {
        "summary": "An agent asks for a seat",
        "value": {
            "type": "EnrolmentRequested",
            "data": {
                "session_id": _SESSION_ID,
                "agent": {
                    "agent_id": "IEL-0048151",
                    "email": "zoe.durand@ville-exemple.fr",
                    "given_name": "Zoé",
                    "family_name": "Durand",
                    "function": "agent",
                    "employer": {
                        "siret": "21350238800019",
                        "name": "Ville de Rennes",
                        "delegation": "bretagne",
                    },
                },
                "approval": None,
            },
        },
    },
    "withdrawal": {
        "summary": "An agent gives up a seat",
        "value": {
            "type": "WithdrawalRequested",
            "data": {"session_id": _SESSION_ID, "agent_id": "IEL-0048151"},
        },
    },
}


class Accepted(BaseModel):
    """The request will be decided."""

    request_id: UUID = Field(
        description="The id that the answer will carry, as if it were the event's ce_id."
    )
    outcome_url: str = Field(description="Where to read what became of it; also in Location.")


class RateLimit:
    """A limit of the requests that each token may make; every process counts for itself."""

    def __init__(self, rate: str) -> None:
        self._rate = limits.parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def take(self, name: str) -> None:
        """Count one request. Raises a 429 that says when to come again."""
        if await self._limiter.hit(self._rate, name):
            return
        stats = await self._limiter.get_window_stats(self._rate, name)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        raise Problem(
            429,
            "Too many requests",
            f"This token may make {self._rate.amount} requests per {self._rate.get_expiry()} seconds. "
            f"Come again in {seconds} seconds, with the same Idempotency-Key.",
            headers={"Retry-After": str(seconds)},
        )


async def _within_rate(request: Request, portal: Sender) -> Portal:
    if portal.authentication == "signature" and not request.app.state.signs_intake:
        raise Problem(
            503,
            "Requests by HTTP are not set up",
            "The service has no INTAKE_SIGNING_KEY to pass requests on with. Tell its operators.",
        )
    rate: RateLimit = request.app.state.intake_rate
    await rate.take(portal.portal)
    return portal


_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_KEY = re.compile(r"[ -~]{1,255}")


def _idempotency_key(request: Request) -> str:
    """Return the key; it may be quoted as a structured field (draft-ietf-httpapi-idempotency-key-header)."""
    given = request.headers.getlist("idempotency-key")
    key = given[0].strip() if len(given) == 1 else ""
    quoted = _QUOTED.fullmatch(key)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if not _KEY.fullmatch(key):
        raise Problem(
            400,
            "An Idempotency-Key is needed",
            "Send one header Idempotency-Key of 1 to 255 printable ASCII characters: a new one, such as "
            "a UUID, for each request, and the same one when you send a request again.",
        )
    return key


async def _digest(request: Request) -> bytes:
    """Return what tells one request from another: the SHA-256 of its JSON, however it is written."""
    document = json.loads(await request.body())
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()


@router.post(
    "/enrolment-requests",
    status_code=202,
    summary="Ask for something, as a portal",
    responses={
        429: {
            "model": ProblemBody,
            "description": "Too many requests of this token.",
            "content": {PROBLEM_JSON: {}},
            "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
        }
    },
    openapi_extra={
        "parameters": [
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": True,
                "description": "Made up by the portal for each request; known for 30 days.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        ]
    },
)
async def ask(
    *,
    portal: Annotated[Portal, Depends(_within_rate)],
    key: Annotated[str, Depends(_idempotency_key)],
    body: Annotated[RequestBody, Body(openapi_examples=_EXAMPLES)],
    database: Database,
    request: Request,
    response: Response,
) -> Accepted:
    """The same as an event on `portal.enrolments`: the answer is read at `outcome_url`, or comes as an event.

    Sent again with the same key it is the same request. The key with another body is refused (422).
    """
    _check_sirets(body)
    digest = await _digest(request)
    async with database.transaction() as tx:
        request_id = await intake.accept(
            tx, portal, key, digest=digest, event=body.data, traceparent=_traceparent(request)
        )
    if request_id is None:
        raise Problem(
            422,
            "The Idempotency-Key was used before",
            "This key belongs to a request that said something else. Make up a new key for a new request.",
        )
    outcome_url = OUTCOME.format(request_id)
    response.headers["Location"] = outcome_url
    return Accepted(request_id=request_id, outcome_url=outcome_url)


def _traceparent(request: Request) -> str | None:
    """Return the portal's trace if it has the right length; the reader of the event checks the rest."""
    given = request.headers.get("traceparent")
    return given if given is not None and len(given) == 55 and given.isascii() else None


def _check_sirets(body: RequestBody) -> None:
    """Check the check digits of SIRETs that a person may have typed. Raises a 422."""
    errors = [
        {"field": f"body.data.{field}", "message": "is not a SIRET: its check digit does not fit"}
        for field, number in _sirets(body)
        if not siret.is_valid(number)
    ]
    if errors:
        raise Problem(
            422, "The request is not valid", "See 'errors' for each field that is not.", errors=errors
        )


def _sirets(body: RequestBody) -> Iterator[tuple[str, str]]:
    match body:
        case EnrolmentBody():
            yield "agent.employer.siret", body.data.agent.employer.siret
        case GroupEnrolmentBody():
            for number, agent in enumerate(body.data.agents):
                yield f"agents.{number}.employer.siret", agent.employer.siret
