"""What organisers do: draft, change, publish and cancel sessions, publish replays.

A delegation acts for itself alone: what belongs to another does not exist for it (404).
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Response

from services.catalogue import rules
from services.catalogue.api.access import Database, Organiser, found, viewer_of
from services.catalogue.api.bodies import (
    ReplayRequest,
    ResourceBody,
    SessionBody,
    SessionChange,
    SessionDraft,
    resource_body,
    session_body,
)
from services.catalogue.offer_files import NAMESPACE
from services.catalogue.rules import Done, Refusal, Refused, Session
from services.catalogue.store import offers, resources, sessions
from services.catalogue.store.resources import REPLAY, Resource
from services.catalogue.store.sessions import Presentation
from shared import clock
from shared.auth import Principal
from shared.database import Database as SharedDatabase
from shared.database import Transaction
from shared.events.vocabulary import Delegation
from shared.http import Problem

router = APIRouter(prefix="/api/v1", tags=["management"])

_CONFLICTS = frozenset(
    (
        Refusal.ALREADY_PUBLISHED,
        Refusal.NOT_PUBLISHED,
        Refusal.ALREADY_CANCELLED,
        Refusal.SESSION_OVER,
        Refusal.IN_THE_PAST,
        Refusal.FIXED_ONCE_OPEN,
        Refusal.NOT_STARTED,
    )
)
"""Refused for what the session is by now; everything else is wrong in itself."""


@router.post("/sessions", status_code=201, summary="Draft a session")
async def draft_session(
    draft: SessionDraft, database: Database, organiser: Organiser, response: Response
) -> SessionBody:
    """Nobody is told of a draft until it is published."""
    async with database.transaction() as tx:
        offer = await offers.by_id(tx, draft.offer_id)
        if offer is None:
            raise _invalid("body.offer_id", f"there is no offer {draft.offer_id}")
        session = Session(
            session_id=uuid4(),
            offer_id=offer.offer_id,
            format=offer.format,
            organiser=_acting_for(organiser, draft.organiser),
            plan=draft.plan_under(offer),
            version=1,
        )
        problems = rules.inconsistencies(session.plan)
        if problems:
            raise _problem(Refused(problems))
        shown = Presentation(summary=draft.summary, experts=draft.experts)
        await sessions.add(tx, Done(session), shown, actor=organiser.name)
        response.headers["Location"] = f"/api/v1/sessions/{session.session_id}"
        return await _shown(tx, session.session_id, organiser)


@router.patch("/sessions/{session_id}", summary="Change a session")
async def change_session(
    session_id: UUID, change: SessionChange, database: Database, organiser: Organiser
) -> SessionBody:
    """A published session that changes is told to everyone, as a new version. The past stays as it was."""
    return await _decide(
        database,
        session_id,
        organiser,
        "changed",
        lambda session, now: rules.change(session, change.apply_to(session.plan), now),
    )


@router.post("/sessions/{session_id}/publish", summary="Publish a draft")
async def publish_session(session_id: UUID, database: Database, organiser: Organiser) -> SessionBody:
    """Final: a published session can only be cancelled."""
    return await _decide(database, session_id, organiser, "published", rules.publish)


@router.post("/sessions/{session_id}/cancel", summary="Cancel a published session")
async def cancel_session(session_id: UUID, database: Database, organiser: Organiser) -> SessionBody:
    """Final. The enrolment service ends every enrolment and tells everyone."""
    return await _decide(database, session_id, organiser, "cancelled", rules.cancel)


@router.post(
    "/replays",
    status_code=201,
    summary="Publish a replay",
    responses={200: {"model": ResourceBody, "description": "This replay is published already."}},
)
async def publish_replay(
    replay: ReplayRequest, database: Database, organiser: Organiser, response: Response
) -> ResourceBody:
    """A replay is known by its address: asked for again, it is not published again."""
    async with database.transaction() as tx:
        resource = await _replay(tx, replay, organiser)
        if await resources.publish(tx, [resource], actor=organiser.name):
            return resource_body(resource)
        known = (await resources.by_ids(tx, [resource.resource_id]))[resource.resource_id]
    if _told(known) != _told(resource):
        raise Problem(
            409,
            "Published already",
            f"The replay at {replay.url} is published, with another session, title, summary or themes.",
        )
    response.status_code = 200
    return resource_body(known)


# ------------------------------------------------------------------------------------------- in common


async def _decide(
    database: SharedDatabase,
    session_id: UUID,
    organiser: Principal,
    action: str,
    rule: Callable[[Session, datetime], Done | Refused],
) -> SessionBody:
    """Lock the session, ask the rule, store what it decided."""
    async with database.transaction() as tx:
        before = await _own(tx, session_id, organiser)
        decided = rule(before, clock.now())
        if isinstance(decided, Refused):
            raise _problem(decided)
        if decided.session != before:
            await sessions.save(tx, before, decided, actor=organiser.name, action=action)
        return await _shown(tx, session_id, organiser)


async def _own(tx: Transaction, session_id: UUID, organiser: Principal) -> Session:
    session = await sessions.for_update(tx, session_id)
    if session is not None and not organiser.may_act_for(session.organiser):
        session = None
    return found(session, f"session {session_id}")


async def _shown(tx: Transaction, session_id: UUID, organiser: Principal) -> SessionBody:
    listed = await sessions.shown(tx, session_id, viewer_of(organiser))
    return session_body(found(listed, f"session {session_id}"), clock.now())


async def _replay(tx: Transaction, replay: ReplayRequest, organiser: Principal) -> Resource:
    if replay.session_id is not None:
        session = await _own(tx, replay.session_id, organiser)
        refused = rules.unrecorded(session, clock.now())
        if refused is not None:
            raise _problem(refused)
        acting_for = session.organiser
    else:
        acting_for = _acting_for(organiser, replay.organiser)
    return Resource(
        resource_id=uuid5(NAMESPACE, f"replay/{acting_for}/{replay.url}"),
        kind=REPLAY,
        title=replay.title,
        summary=replay.summary,
        url=replay.url,
        themes=replay.themes,
        published_at=clock.now(),
        organiser=acting_for,
        session_id=replay.session_id,
    )


def _acting_for(organiser: Principal, asked: Delegation | None) -> str:
    """The delegation that the session or replay will belong to. Raises a 403 for somebody else's."""
    if asked is None:
        if organiser.delegation is None:
            raise _invalid("body.organiser", "say for which delegation: this token acts for all")
        return organiser.delegation
    if not organiser.may_act_for(asked):
        raise Problem(
            403, "Not your delegation", f"This token acts for {organiser.delegation}, not for {asked}."
        )
    return asked.value


def _problem(refused: Refused) -> Problem:
    errors = [
        {
            "field": f"body.{problem.field}" if problem.field else "",
            "code": problem.refusal.value,
            "message": problem.detail,
        }
        for problem in refused.problems
    ]
    conflict = any(problem.refusal in _CONFLICTS for problem in refused.problems)
    status, title = (409, "Not possible now") if conflict else (422, "The request is not valid")
    return Problem(status, title, "; ".join(error["message"] for error in errors), errors=errors)


def _invalid(field: str, message: str) -> Problem:
    return Problem(
        422, "The request is not valid", f"{field}: {message}", errors=[{"field": field, "message": message}]
    )


def _told(resource: Resource) -> tuple[object, ...]:
    """What a replay says besides its address."""
    return resource.session_id, resource.title, resource.summary, resource.themes
