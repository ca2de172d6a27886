"""The feed of a portal: its topic's events over HTTP, numbered."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.enrolment.api.access import AnyReader, Database, portals_of
from services.enrolment.api.feed_watch import FeedWatch
from services.enrolment.service import answers
from services.enrolment.service.answers import FeedPage, Forgotten, NeverGiven
from shared.events.vocabulary import PortalName
from shared.http import PROBLEMS, Problem
from shared.messaging.portals.registry import SOURCES, TRIAL_PORTAL
from shared.openapi import problem_response
from shared.read_log import Reading

router = APIRouter(prefix="/api/v1", tags=["requests"], responses=PROBLEMS)

_MAX_SECONDS = 60
_BEFORE_PROXIES_SECONDS = 55.0
"""The longest wait. Many proxies cut connections that are silent for 60 seconds."""
_LARGEST = 2**63 - 1


class Answers(BaseModel):
    """The next answers. The list is empty if there is nothing new."""

    items: list[dict[str, Any]] = Field(description="CloudEvents in structured mode, in order.")
    next: int = Field(
        description="The value of `after` for the next call, after you have stored these events."
    )


class FeedQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: int = Field(
        default=0, ge=0, le=_LARGEST, description="`next` of the previous response. 0: from the oldest event."
    )
    wait: float = Field(
        default=0,
        ge=0,
        le=_MAX_SECONDS,
        description="Seconds to wait if there is no event yet; at most 55.",
    )
    limit: int = Field(default=100, ge=1, le=500, description="The largest number of events in a response.")
    portal: PortalName | None = Field(default=None, description="The portal whose answers an admin reads.")


@dataclass(frozen=True, slots=True)
class Feed:
    portal: str
    query: FeedQuery
    reading: Reading | None


def _feed(request: Request, query: Annotated[FeedQuery, Query()], reader: AnyReader) -> Feed:
    """Return the feed of the token's portal, or of the portal that an admin names."""
    portal = reader.portal
    if portal is None:
        portal = portals_of(request).of_source(SOURCES + (query.portal or TRIAL_PORTAL))
    elif query.portal not in (None, portal.portal):
        portal = None  # an unknown portal's feed looks the same
    if portal is None:
        raise Problem(404, "No such feed", "Name a portal of the registry: ?portal=…, or use its token.")
    if "http" not in portal.answers:
        raise Problem(
            403, "Not by HTTP", f"The portal {portal.portal} has no 'http' among its answers in PORTALS_FILE."
        )
    return Feed(portal.portal, query, reader.reading)


@router.get(
    "/answers",
    summary="The answers to a portal, in order",
    responses=problem_response(
        410,
        "answers_forgotten",
        meaning="The next answers are deleted: continue with `after` = `kept_after`.",
        title="The answers are kept no more",
        detail="Answers after 12 were kept for 30 days and are gone; the oldest answer follows 480.",
    ),
)
async def read_answers(
    feed: Annotated[Feed, Depends(_feed)], database: Database, request: Request, response: Response
) -> Answers:
    """The same events as on the portal's topic, in order for each agent, kept for 30 days.

    Ask again with `after` = `next`. With `wait` the response comes as soon as there is an event.
    """
    response.headers["Cache-Control"] = "no-store"
    query = feed.query
    if query.wait and not await _while_connected(request, feed):
        return Answers(items=[], next=query.after)
    try:
        async with database.quiet_transaction() as tx:
            page = await answers.page(tx, feed.portal, query.after, query.limit, feed.reading)
    except NeverGiven as error:
        raise Problem(
            422,
            "The number was never given",
            f"No answer has the number {query.after}: the last has {error.last}. Begin again after a number "
            "that this feed gave as 'next', or after 0.",
            code="unknown_cursor",
        ) from None
    except Forgotten as error:
        raise Problem(
            410,
            "The answers are kept no more",
            f"Answers after {query.after} were kept for 30 days and are gone; the oldest answer follows "
            f"{error.kept_after}. Ask for missed outcomes by request or by agent.",
            code="answers_forgotten",
            kept_after=error.kept_after,
        ) from None
    return _shown(page)


async def _while_connected(request: Request, feed: Feed) -> bool:
    watch: FeedWatch = request.app.state.watch
    seconds = min(feed.query.wait, _BEFORE_PROXIES_SECONDS)
    news = asyncio.ensure_future(watch.news(feed.portal, feed.query.after, seconds))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
        return news.done() and news.result()
    finally:
        news.cancel()
        gone.cancel()
        await asyncio.gather(news, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(page: FeedPage) -> Answers:
    return Answers(items=[answers.as_cloudevent(answer) for answer in page.answers], next=page.next)
