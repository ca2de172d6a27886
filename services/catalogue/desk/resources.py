"""Replays, dossiers and communities: opened to everyone, once."""

from uuid import UUID, uuid5

from services.catalogue import rules
from services.catalogue.desk.failures import Impossible, Invalid, PublishedDifferently, Wrong
from services.catalogue.desk.requests import ReplayRequest, ResourceRequest
from services.catalogue.desk.sessions import acting_for, own
from services.catalogue.offer_files import NAMESPACE
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
        if await resources.publish(tx, [resource], actor=who.name):
            return resource, True
        known = (await resources.by_ids(tx, [resource.resource_id]))[resource.resource_id]
    if _told(known) != _told(resource):
        raise PublishedDifferently(resource.url)
    return known, False


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


def _told(resource: Resource) -> tuple[object, ...]:
    """What a resource says besides its address."""
    return resource.session_id, resource.title, resource.summary, resource.themes
