"""The contracts of portals' events as documents, at stable addresses."""

import functools
from typing import Any

from fastapi import APIRouter, Depends, Response

from services.enrolment.api.access import not_found
from shared.events import portal
from shared.events.documents import schema
from shared.events.index import ANSWERS, BY_TYPE
from shared.guard import limit_reading
from shared.http import PROBLEMS
from shared.messaging.asyncapi import portal_document
from shared.permissions import Permission, has_row

router = APIRouter(tags=["contracts"], dependencies=[Depends(limit_reading)], responses=PROBLEMS)

_OF_PORTALS = {event.TYPE for event in (*portal.EVENTS, *ANSWERS)}
_MAX_QUOTED = 80
"""An error repeats at most this many characters of a type."""


@router.get("/asyncapi/portal", summary="The events that a portal sends and receives by Kafka (AsyncAPI 3.0)")
@has_row(Permission.READ_OFFER)
async def asyncapi_of_portals() -> dict[str, Any]:
    """The events with their topics, keys, headers and schemas, the same for every portal."""
    return _portal_document()


@router.get("/schemas/{event_type}.json", summary="The JSON Schema of an event's data")
@has_row(Permission.READ_OFFER)
async def schema_of_event(event_type: str, response: Response) -> dict[str, Any]:
    """The schema of an event type such as `fr.cnfpt.portal.EnrolmentRequested.v1`.

    A schema of a `.v1` may gain fields with a default, and loses none.
    """
    if event_type not in _OF_PORTALS:
        raise not_found(f"event of the type {event_type[:_MAX_QUOTED]}")
    response.headers["Cache-Control"] = "max-age=3600"
    return schema(BY_TYPE[event_type])


@functools.cache
def _portal_document() -> dict[str, Any]:
    return portal_document()
