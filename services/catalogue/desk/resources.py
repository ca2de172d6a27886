"""Replays, dossiers and communities: opened to everyone, once, and corrected."""

from dataclasses import replace
from uuid import UUID, uuid5

from services.catalogue import rules
from services.catalogue.desk.failures import (
    Impossible,
    Invalid,
    Missing,
    PublishedDifferently,
    Stale,
    Wrong,
)
from services.catalogue.desk.requests import ReplayRequest, ResourceChange, ResourceRequest
from services.catalogue.desk.sessions import acting_for, own
from services.catalogue.offer_files import NAMESPACE
from services.catalogue.rules import Problem, Refusal, Refused
from services.catalogue.store import offers, resources
from services.catalogue.store.resources import REPLAY, Resource
from shared import clock
from shared.auth import Principal
from shared.database import Database, Transaction


async def publish(
    database: Database, who: Principal, asked: ReplayRequest | ResourceRequest
) -> tuple[Resource, bool]:
    """The resource, and whether it is new: known by its address, it is not published again."""
    async with database.transaction() as tx:
        resource = await _resource(tx, who, asked)
        known = await resources.at(tx, resource.kind, resource.organiser or "", resource.url)
        if known is None:
            resource = replace(resource, resource_id=await _unused(tx, resource))
            await resources.publish(tx, [(None, resource)], actor=who.name)
            return resource, True
    if _told(known) != _told(resource):
        raise PublishedDifferently(known)
    return known, False


async def correct(
    database: Database,
    who: Principal,
    resource_id: UUID,
    asked: ResourceChange,
    *,
    tags: frozenset[str] | None,
) -> Resource:
    """The resource with what was asked, as a new version: readers find it right, and nobody is told again.

    ``tags``: it is corrected only as one of these; None as whatever it is.
    """
    async with database.transaction() as tx:
        before = (await resources.by_ids(tx, [resource_id])).get(resource_id)
        if before is None or not who.may_act_for(before.organiser or ""):
            raise Missing(f"resource {resource_id}")
        if tags is not None and tag_of(before) not in tags:
            raise Stale("resource", tag_of(before))
        if before.source is not None:
            raise Impossible(Refused((_OF_THE_FILES,)))
        after = asked.apply_to(before)
        if after == before:
            return before
        if after.url != before.url:
            other = await resources.at(tx, after.kind, after.organiser or "", after.url)
            if other is not None:
                raise PublishedDifferently(other)
        after = replace(after, version=before.version + 1)
        await resources.publish(tx, [(before, after)], actor=who.name)
        return after


_OF_THE_FILES = Problem(
    Refusal.OF_THE_FILES, None, "it comes with the offer's files: correct it there, and load them again"
)
"""A load would take back what is corrected here."""


def tag_of(resource: Resource) -> str:
    """What changes with all that is told of a resource."""
    return str(resource.version)


async def _resource(tx: Transaction, who: Principal, asked: ReplayRequest | ResourceRequest) -> Resource:
    known = await offers.themes(tx)
    unknown = [theme for theme in asked.themes if theme not in known]
    if unknown:
        raise Invalid(Wrong("themes", f"there is no theme {unknown[0]}"))
    session_id: UUID | None = None
    if isinstance(asked, ReplayRequest) and asked.session_id is not None:
        session_id = asked.session_id
        session = (await own(tx, session_id, who)).session
        refused = rules.unrecorded(session, clock.now())
        if refused is not None:
            raise Impossible(refused)
        organiser = session.organiser
    else:
        organiser = acting_for(who, asked.organiser)
    kind = REPLAY if isinstance(asked, ReplayRequest) else asked.kind.value
    return Resource(
        resource_id=uuid5(NAMESPACE, f"{kind}/{organiser}/{asked.url}"),
        kind=kind,
        title=asked.title,
        summary=asked.summary,
        url=asked.url,
        themes=asked.themes,
        published_at=clock.now(),
        organiser=organiser,
        session_id=session_id,
    )


async def _unused(tx: Transaction, resource: Resource) -> UUID:
    """Its id, or another one where what was published at its address has been corrected to another since."""
    resource_id = resource.resource_id
    while await resources.by_id(tx, resource_id) is not None:
        resource_id = uuid5(resource_id, resource.url)
    return resource_id


def _told(resource: Resource) -> tuple[object, ...]:
    """What a resource says besides its address."""
    return resource.session_id, resource.title, resource.summary, resource.themes
