import hashlib
from typing import TypeVar

from fastapi import Response
from pydantic import BaseModel

from services.catalogue.api.bodies import (
    OfferBody,
    ResourceBody,
    SessionBody,
    offer_body,
    resource_body,
    session_body,
)
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.resources import Resource
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import offers, resources, sessions
from shared import clock
from shared.web.responses import etag_matches

Body = TypeVar("Body", bound=BaseModel)


def session(listed: ListedSession, response: Response) -> SessionBody:
    """The tag is the session's version and, after a dot, a digest of the body."""
    body = session_body(listed, clock.now())
    digest = hashlib.blake2b(body.model_dump_json().encode(), digest_size=6).hexdigest()
    response.headers["ETag"] = f'"{sessions.tag_of(listed.session)}.{digest}"'
    return body


def offer(offer: Offer, response: Response) -> OfferBody:
    response.headers["ETag"] = f'"{offers.tag_of(offer)}"'
    return offer_body(offer)


def resource(resource: Resource, response: Response) -> ResourceBody:
    response.headers["ETag"] = f'"{resources.tag_of(resource)}"'
    return resource_body(resource)


def unless_matched(body: Body, response: Response, if_none_match: str | None) -> Body | Response:
    response.headers["Cache-Control"] = "no-cache"
    if not etag_matches(if_none_match, response.headers["etag"]):
        return body
    kept = {name: response.headers[name] for name in ("etag", "cache-control")}
    return Response(status_code=304, headers=kept)
