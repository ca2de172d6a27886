import re
from collections.abc import Collection
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.catalogue.rules.searching import NearPosition, Position, SessionGroup, SessionSearch, Viewer
from services.catalogue.rules.sessions import CalendarSession, ListedSession, Session
from services.catalogue.rules.synonyms import SYNONYMS, plain
from services.catalogue.service.acting import Acting
from services.catalogue.service.failures import Missing
from services.catalogue.store import audit_log, offers, session_lists, sessions
from services.catalogue.tables import AuditLogRow
from shared import places
from shared.database import Transaction
from shared.places import Place

_MOST_OFFERS, _MOST_TEXTS = 1_000, 2_000


async def find(tx: Transaction, session_id: UUID) -> Session | None:
    return (await sessions.by_ids(tx, [session_id])).get(session_id)


async def show(tx: Transaction, session_id: UUID, viewer: Viewer) -> ListedSession:
    listed = await session_lists.by_id(tx, session_id, viewer)
    if listed is None:
        raise Missing(f"session {session_id}")
    return listed


async def show_own(acting: Acting, session_id: UUID) -> ListedSession:
    listed = await show(acting.tx, session_id, Viewer(everywhere=True))
    if not acting.who.finds(listed.session.organiser):
        raise Missing(f"session {session_id}")
    return listed


async def history(
    acting: Acting,
    session_id: UUID,
    after: int | None,
    limit: int,
    *,
    before: int | None = None,
) -> list[AuditLogRow]:
    await show_own(acting, session_id)
    return await audit_log.entries_of(acting.tx, session_id, after, limit, before=before)


async def page(
    tx: Transaction,
    search: SessionSearch,
    after: Position | None,
    limit: int,
    *,
    before: Position | None = None,
) -> list[ListedSession]:
    return await session_lists.page(tx, search, after, limit, before=before)


async def version(tx: Transaction, search: SessionSearch) -> str:
    return await session_lists.version(tx, search)


async def nearest(
    tx: Transaction,
    search: SessionSearch,
    place: Place,
    after: NearPosition | None,
    limit: int,
    *,
    before: NearPosition | None = None,
) -> list[ListedSession]:
    """Return the sessions nearest to the place first. Sessions online come last."""
    found = {venue: places.of_venue(*venue) for venue in await session_lists.venues(tx, search)}
    kilometres = {
        venue: round(places.kilometres(place, commune))
        for venue, commune in found.items()
        if commune is not None
    }
    return await session_lists.nearest(tx, search, kilometres, after, limit, before=before)


async def in_calendar(tx: Transaction, search: SessionSearch, limit: int) -> list[CalendarSession]:
    return await session_lists.in_calendar(tx, search, limit)


async def count(tx: Transaction, search: SessionSearch) -> int:
    return await session_lists.count(tx, search)


async def groups(
    tx: Transaction, search: SessionSearch, by: Literal["format", "organiser", "offer_id"]
) -> dict[str, SessionGroup]:
    return await session_lists.groups(tx, search, by)


async def vocabulary(tx: Transaction) -> frozenset[str]:
    """It takes a tenth of a second for thousands of sessions, so callers cache the result."""
    of_offers = (f"{offer.title} {offer.summary}" for offer in await offers.page(tx, None, _MOST_OFFERS))
    known = (name for names in (SYNONYMS, *SYNONYMS.values()) for name in names)
    every = plain(" ".join((*await session_lists.texts(tx, _MOST_TEXTS), *of_offers, *known)))
    return frozenset(re.findall(r"[a-z]{4,}", every))


async def titles(tx: Transaction, ids: Collection[UUID], viewer: Viewer) -> dict[UUID, str]:
    return await session_lists.titles(tx, ids, viewer) if ids else {}


async def last_changes(tx: Transaction, viewer: Viewer, limit: int) -> list[tuple[UUID, datetime]]:
    return await session_lists.changes(tx, viewer, limit)
