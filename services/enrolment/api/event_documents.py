"""The OpenAPI text about events that portals send by HTTP: schemas, headers and examples."""

from typing import Any

from pydantic.json_schema import models_json_schema

from shared.events.cloudevents import JSON, STRUCTURED
from shared.events.cloudevents_http import BATCH, MAX_IN_BATCH
from shared.events.portal import EVENTS

_NAME = "portal.{model}"
_EVENT = "portal.CloudEvent"
_TYPES = [event.TYPE for event in EVENTS]
_DATA = {
    "anyOf": [{"$ref": f"#/components/schemas/{_NAME.format(model=event.__name__)}"} for event in EVENTS]
}
_ID = {"type": "string", "format": "uuid"}
_SOURCE = {"type": "string", "pattern": "^/portals/[a-z0-9-]+$"}
_TIME = {"type": "string", "format": "date-time"}

SCHEMAS: dict[str, dict[str, Any]] = {
    _NAME.format(model=name): schema
    for name, schema in models_json_schema(
        [(event, "validation") for event in EVENTS], ref_template=f"#/components/schemas/{_NAME}"
    )[1]["$defs"].items()
} | {
    _EVENT: {
        "type": "object",
        "title": "CloudEvent",
        "description": "An event in structured mode.",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _ID,
            "source": _SOURCE,
            "type": {"enum": _TYPES},
            "time": _TIME,
            "datacontenttype": {"const": JSON},
            "data": _DATA,
        },
    }
}

_SESSION_ID = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
_REQUEST = {
    "session_id": _SESSION_ID,
    "agent": {
        "agent_id": "IEL-0048151",
        "email": "zoe.durand@ville-exemple.fr",
        "given_name": "Zoé",
        "family_name": "Durand",
        "function": "agent",
        "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"},
    },
    "approval": None,
}
_WITHDRAWAL = {"session_id": _SESSION_ID, "agent_id": "IEL-0048151"}


def _structured(event_id: str, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    attributes = {"specversion": "1.0", "id": event_id, "source": "/portals/essai", "type": event_type}
    return attributes | {"time": "2026-11-25T08:30:00Z", "data": data}


_ASKED = _structured(
    "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11", "fr.cnfpt.portal.EnrolmentRequested.v1", _REQUEST
)
_GIVEN_UP = _structured(
    "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a12", "fr.cnfpt.portal.WithdrawalRequested.v1", _WITHDRAWAL
)
_STRUCTURED_SCHEMA = {"$ref": f"#/components/schemas/{_EVENT}"}


def _header(name: str, schema: dict[str, Any], description: str, example: str) -> dict[str, Any]:
    return {
        "in": "header",
        "name": name,
        "description": f"{description} In binary mode.",
        "schema": schema,
        "example": example,
    }


OPERATION: dict[str, Any] = {
    "parameters": [
        _header("ce-specversion", {"const": "1.0"}, "The version of CloudEvents.", "1.0"),
        _header("ce-id", _ID, "New for each event; the same when it is sent again.", str(_ASKED["id"])),
        _header("ce-source", _SOURCE, "The portal of the token.", "/portals/essai"),
        _header("ce-type", {"enum": _TYPES}, "What the event is.", str(_ASKED["type"])),
        _header("ce-time", _TIME, "Read by people only.", "2026-11-25T08:30:00Z"),
    ],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": _DATA,
                "examples": {
                    "enrolment": {"summary": "An agent asks for a seat", "value": _REQUEST},
                    "withdrawal": {"summary": "An agent gives up a seat", "value": _WITHDRAWAL},
                },
            },
            STRUCTURED: {"schema": _STRUCTURED_SCHEMA, "example": _ASKED},
            BATCH: {
                "schema": {"type": "array", "maxItems": MAX_IN_BATCH, "items": _STRUCTURED_SCHEMA},
                "example": [_ASKED, _GIVEN_UP],
            },
        },
    },
}
"""``openapi_extra``. In binary mode the attributes are headers, in other modes part of the body."""
