"""A portal that sends its events by HTTP: every kind of them, in each mode."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from tests.conftest import Ask
from tests.integration.enrolment.conftest import problem
from tests.support.builders import an_agent, enrolment_request

PORTAL = "portail-bretagne"
SESSION = uuid.UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11")
ELSEWHERE = uuid.UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENROLMENT = "EnrolmentRequested"
OUTBOX = "SELECT topic, key, event_id, type, source, traceparent, data FROM outbox ORDER BY id"


def attributes(kind: str = ENROLMENT, *, portal: str = PORTAL, **changes: Any) -> dict[str, str]:
    values = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/portals/{portal}",
        "type": f"fr.cnfpt.portal.{kind}.v1",
        "time": "2026-11-25T08:30:00Z",
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def a_request(**changes: Any) -> dict[str, Any]:
    return enrolment_request(SESSION, an_agent("IEL-0048151")) | changes


def structured(data: Any = None, kind: str = ENROLMENT, **changes: Any) -> dict[str, Any]:
    return attributes(kind, **changes) | {"data": a_request() if data is None else data}


async def post(
    ask: Ask, body: Any, content_type: str, by: str | None = PORTAL, **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers["content-type"] = content_type
    return await ask("POST", "/api/v1/events", by=by, content=content, headers=headers)


async def send(
    ask: Ask,
    data: Any = None,
    kind: str = ENROLMENT,
    *,
    by: str | None = PORTAL,
    headers: Mapping[str, str] | None = None,
    **changes: Any,
) -> httpx.Response:
    """An event in binary mode; ``changes`` are made to its attributes, ``headers`` are sent beside them."""
    given = attributes(kind, **{"portal": by or PORTAL} | changes)
    ce = {f"ce-{name}": value for name, value in given.items()}
    return await post(
        ask, a_request() if data is None else data, "application/json", by, **ce, **(headers or {})
    )


def accepted(answer: httpx.Response) -> uuid.UUID:
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["location"] == body["outcome_url"] == f"/api/v1/requests/{body['request_id']}"
    return uuid.UUID(body["request_id"])


def rejected(answer: httpx.Response, status: int, code: str) -> list[str]:
    """The pointers of what is wrong."""
    problem(answer, status)
    body = answer.json()
    assert body["code"] == code, body
    assert "pattern" not in answer.text
    assert "^" not in answer.text
    return [named["pointer"] for named in body["problems"]]


AGENT = an_agent("IEL-1").model_dump(mode="json")
OFFICER = {"name": "Une responsable", "email": "formation@ville-exemple.fr"}
SIRET = "21350238800019"
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    ENROLMENT: (str(SESSION), {"session_id": str(SESSION), "agent": AGENT}),
    "GroupEnrolmentRequested": (
        str(SESSION),
        {
            "session_id": str(SESSION),
            "agents": [an_agent().model_dump(mode="json") for _ in range(500)],
            "requested_by": OFFICER,
        },
    ),
    "WithdrawalRequested": (
        str(SESSION),
        {"session_id": str(SESSION), "agent_id": "IEL-1", "reason": "empêchement"},
    ),
    "ApprovalDecided": (
        str(SESSION),
        {"session_id": str(SESSION), "agent_id": "IEL-1", "granted": True, "decided_by": "Une cheffe"},
    ),
    "SeatOfferAnswered": (str(SESSION), {"session_id": str(SESSION), "agent_id": "IEL-1", "accepted": True}),
    "SessionSwapRequested": (
        str(SESSION),
        {"session_id": str(SESSION), "to_session_id": str(ELSEWHERE), "agent_id": "IEL-1"},
    ),
    "BespokeTrainingRequested": (
        SIRET,
        {
            "siret": SIRET,
            "authority": "Ville de Rennes",
            "delegation": "bretagne",
            "requested_by": OFFICER,
            "theme": "enjeux-ia",
            "trainees": 12,
        },
    ),
    "TraineesNominated": (
        SIRET,
        {"siret": SIRET, "session_id": str(SESSION), "agents": [AGENT], "nominated_by": OFFICER},
    ),
    "SubscriptionChanged": (
        "IEL-1",
        {"agent_id": "IEL-1", "email": "zoe@ville-exemple.fr", "theme": "enjeux-ia", "subscribed": True},
    ),
    "AgentErasureRequested": ("IEL-1", {"agent_id": "IEL-1", "requested_at": "2026-11-25T08:30:00Z"}),
}
