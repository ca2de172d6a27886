"""What organisers do with their sessions, from the draft to its deletion or the end; replays and resources.

A delegation acts for itself alone: what belongs to another does not exist for it (404).
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field, TypeAdapter

from services.catalogue.api import tags
from services.catalogue.api.access import Database, IfMatch, Organiser
from services.catalogue.api.bodies import (
    HistoryBody,
    ResourceBody,
    SessionBody,
    history_body,
)
from services.catalogue.desk import resources, sessions
from services.catalogue.desk.requests import (
    ReplayRequest,
    ResourceChange,
    ResourceRequest,
    SessionChange,
    SessionCopy,
    SessionDraft,
)
from services.catalogue.store import trail
from services.catalogue.store.sessions import Listed
from shared.web.paging import Cursor, Limit, Page, page_of, position

router = APIRouter(prefix="/api/v1", tags=["management"])

_LINE_KEY = TypeAdapter(Annotated[int, Field(ge=1, lt=2**63)])
_KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"model": ResourceBody, "description": "It is published already."}
}


@router.post("/sessions", status_code=201, summary="Draft a session")
async def draft_session(
    draft: SessionDraft, database: Database, organiser: Organiser, response: Response
) -> SessionBody:
    """Nobody is told of a draft until it is published."""
    return _made(await sessions.draft(database, organiser, draft), response)


@router.patch("/sessions/{session_id}", summary="Change a session")
async def change_session(
    session_id: UUID,
    change: SessionChange,
    *,
    database: Database,
    organiser: Organiser,
    if_match: IfMatch,
    response: Response,
) -> SessionBody:
    """A published session that changes is told to everyone, as a new version. The past stays as it was."""
    changed = await sessions.change(database, organiser, session_id, change, tags=if_match)
    return tags.session(changed, response)


@router.post("/sessions/{session_id}/publish", summary="Publish a draft")
async def publish_session(
    session_id: UUID, database: Database, organiser: Organiser, if_match: IfMatch, response: Response
) -> SessionBody:
    """Final: a published session can only be cancelled."""
    return tags.session(await sessions.publish(database, organiser, session_id, tags=if_match), response)


@router.post("/sessions/{session_id}/cancel", summary="Cancel a published session")
async def cancel_session(
    session_id: UUID, database: Database, organiser: Organiser, if_match: IfMatch, response: Response
) -> SessionBody:
    """Final. The enrolment service ends every enrolment and tells everyone."""
    return tags.session(await sessions.cancel(database, organiser, session_id, tags=if_match), response)


@router.delete("/sessions/{session_id}", status_code=204, summary="Delete a draft")
async def delete_session(
    session_id: UUID, database: Database, organiser: Organiser, if_match: IfMatch
) -> None:
    """Only what was never published (else 409). Nobody was told of it; who deleted it stays in the audit."""
    await sessions.delete(database, organiser, session_id, tags=if_match)


@router.post("/sessions/{session_id}/duplicate", status_code=201, summary="Draft a session like this one")
async def duplicate_session(
    session_id: UUID, copy: SessionCopy, database: Database, organiser: Organiser, response: Response
) -> SessionBody:
    """All its dates move with the start; nobody of the other session is in the new one."""
    return _made(await sessions.duplicate(database, organiser, session_id, copy), response)


@router.get("/sessions/{session_id}/history", summary="Who changed what of a session, the newest first")
async def session_history(
    session_id: UUID,
    database: Database,
    organiser: Organiser,
    limit: Annotated[Limit, Query()] = 50,
    cursor: Annotated[Cursor | None, Query()] = None,
) -> Page[HistoryBody]:
    """Changes of persons and of commands; what the clock does is in the session itself."""
    after = position(cursor, _LINE_KEY)
    async with database.quiet_transaction() as tx:
        await sessions.theirs(tx, session_id, organiser)
        lines = await trail.of(tx, session_id, after, limit + 1)
    return page_of(lines, limit, show=history_body, key=lambda line: line.id)


@router.post("/replays", status_code=201, summary="Publish a replay", responses=_KNOWN)
async def publish_replay(
    replay: ReplayRequest, database: Database, organiser: Organiser, response: Response
) -> ResourceBody:
    """A replay is known by its address: asked for again, it is not published again."""
    resource, is_new = await resources.publish(database, organiser, replay)
    response.status_code = 201 if is_new else 200
    return tags.resource(resource, response)


@router.post("/resources", status_code=201, summary="Publish a dossier or a community", responses=_KNOWN)
async def publish_resource(
    resource: ResourceRequest, database: Database, organiser: Organiser, response: Response
) -> ResourceBody:
    """Open to everyone at once. Known by its address: asked for again, it is not published again."""
    published, is_new = await resources.publish(database, organiser, resource)
    response.status_code = 201 if is_new else 200
    return tags.resource(published, response)


@router.patch("/resources/{resource_id}", summary="Correct a replay, a dossier or a community")
async def correct_resource(
    resource_id: UUID,
    change: ResourceChange,
    *,
    database: Database,
    organiser: Organiser,
    if_match: IfMatch,
    response: Response,
) -> ResourceBody:
    """A new version of the same resource, for a typo or an address that is wrong: nobody is mailed again.

    What comes with the offer's files is corrected there (409).
    """
    corrected = await resources.correct(database, organiser, resource_id, change, tags=if_match)
    return tags.resource(corrected, response)


def _made(listed: Listed, response: Response) -> SessionBody:
    response.headers["Location"] = f"/api/v1/sessions/{listed.session.session_id}"
    return tags.session(listed, response)
