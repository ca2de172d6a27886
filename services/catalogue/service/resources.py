from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid5

from services.catalogue.rules import changes
from services.catalogue.rules.offers import NAMESPACE
from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.rules.searching import Position
from services.catalogue.service.access import acting_for
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import ReplayRequest, ResourceChange, ResourceRequest
from services.catalogue.service.failures import (
    Impossible,
    Missing,
    PublishedDifferently,
    Withdrawn,
    unless_refused,
)
from services.catalogue.service.sessions import lock_own
from services.catalogue.store import audit_log, offers, resources
from services.catalogue.tables import AuditLogRow
from shared import clock
from shared.database import Transaction


def tag_of(resource: Resource) -> str:
    return str(resource.version)


async def publish(acting: Acting, request: ReplayRequest | ResourceRequest) -> tuple[Resource, bool]:
    resource = await _resource(acting, request)
    known = await resources.at(acting.tx, resource.kind, resource.organiser or "", resource.url)
    if known is None:
        resource = replace(resource, resource_id=await _unused_id(acting.tx, resource))
        await resources.publish(acting.tx, [(None, resource)], actor=acting.name)
        return resource, True
    if _content(known) != _content(resource):
        raise PublishedDifferently(known)
    return known, False


async def correct(acting: Acting, resource_id: UUID, change: ResourceChange) -> Resource:
    before = await _lock_own(acting, resource_id)
    if before.source is not None:
        raise Impossible(_OF_THE_FILES)
    await _require_themes(acting.tx, [theme for theme in change.themes or () if theme not in before.themes])
    after = change.apply_to(before)
    if after == before:
        return before
    if after.url != before.url:
        other = await resources.at(acting.tx, after.kind, after.organiser or "", after.url)
        if other is not None:
            raise PublishedDifferently(other)
    after = replace(after, version=before.version + 1)
    await resources.publish(acting.tx, [(before, after)], actor=acting.name)
    return after


async def withdraw(acting: Acting, resource_id: UUID) -> Resource:
    """Empty title and summary, which may be the mistake."""
    before = await _lock_own(acting, resource_id)
    after = replace(before, title="", summary=None, withdrawn_at=clock.now(), version=before.version + 1)
    await resources.publish(acting.tx, [(before, after)], actor=acting.name)
    return after


async def _lock_own(acting: Acting, resource_id: UUID) -> Resource:
    resource = (await resources.lock(acting.tx, [resource_id])).get(resource_id)
    if resource is None or not acting.who.finds(resource.organiser or ""):
        raise Missing(f"resource {resource_id}")
    if resource.withdrawn_at is not None:
        raise Impossible(_WITHDRAWN)
    acting.require_seen(tag_of(resource), "resource")
    return resource


_OF_THE_FILES = Violation(
    RefusalCode.OF_THE_FILES, None, "it comes with the offer's files: correct it there, and load them again"
)
_WITHDRAWN = Violation(
    RefusalCode.ALREADY_WITHDRAWN, None, "it is withdrawn, which is final: publish it anew where it is needed"
)


async def show(tx: Transaction, resource_id: UUID) -> Resource:
    resource = await resources.by_id(tx, resource_id)
    if resource is None:
        raise Missing(f"resource {resource_id}")
    if resource.withdrawn_at is not None:
        raise Withdrawn(f"resource {resource_id}", resource.withdrawn_at)
    return resource


async def show_own(acting: Acting, resource_id: UUID) -> Resource:
    resource = await resources.by_id(acting.tx, resource_id)
    if resource is None or not acting.who.finds(resource.organiser or ""):
        raise Missing(f"resource {resource_id}")
    return resource


async def history(tx: Transaction, resource_id: UUID, limit: int) -> list[AuditLogRow]:
    return await audit_log.entries_of(tx, resource_id, None, limit)


async def page(
    tx: Transaction,
    after: Position | None,
    limit: int,
    *,
    kind: Kind | None = None,
    theme: str | None = None,
    text: str | None = None,
    before: Position | None = None,
) -> list[Resource]:
    return await resources.page(tx, after, limit, before=before, kind=kind, theme=theme, text=text)


async def page_of_own(
    acting: Acting,
    after: Position | None,
    limit: int,
    *,
    before: Position | None,
    kind: Kind | None,
    organiser: str | None = None,
    text: str | None = None,
) -> list[Resource]:
    return await resources.page(
        acting.tx,
        after,
        limit,
        before=before,
        kind=kind,
        organiser=acting.delegation or organiser,
        text=text,
        withdrawn_too=True,
    )


async def of_session(tx: Transaction, session_id: UUID) -> list[Resource]:
    return await resources.of_session(tx, session_id)


async def _resource(acting: Acting, request: ReplayRequest | ResourceRequest) -> Resource:
    await _require_themes(acting.tx, request.themes)
    session_id: UUID | None = None
    organiser: str | None
    if isinstance(request, ReplayRequest) and request.session_id is not None:
        session = await lock_own(acting, request.session_id)
        unless_refused(changes.without_recording(session, clock.now()))
        session_id, organiser = session.session_id, session.organiser
    elif isinstance(request, ResourceRequest) and acting.delegation is None and _is_of_none(request):
        organiser = None
    else:
        organiser = acting_for(acting.who, request.organiser)
    kind = Kind.REPLAY if isinstance(request, ReplayRequest) else Kind(request.kind)
    return Resource(
        resource_id=uuid5(NAMESPACE, f"{kind}/{organiser}/{request.url}"),
        kind=kind,
        title=request.title,
        summary=request.summary,
        url=request.url,
        themes=request.themes,
        published_at=clock.now(),
        organiser=organiser,
        session_id=session_id,
    )


def _is_of_none(request: ResourceRequest) -> bool:
    """A request without ``organiser`` means the token's delegation, not none."""
    return request.organiser is None and "organiser" in request.model_fields_set


async def _require_themes(tx: Transaction, themes: Sequence[str]) -> None:
    known = await offers.themes(tx)
    unknown = [theme for theme in themes if theme not in known]
    if unknown:
        raise Impossible(Violation(None, "themes", f"there is no theme {unknown[0]}"))


async def _unused_id(tx: Transaction, resource: Resource) -> UUID:
    resource_id = resource.resource_id
    while await resources.by_id(tx, resource_id) is not None:
        resource_id = uuid5(resource_id, resource.url)
    return resource_id


def _content(resource: Resource) -> tuple[object, ...]:
    return resource.session_id, resource.title, resource.summary, resource.themes
