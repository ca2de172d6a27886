"""Sessions as they are shown: one, or a part of a list."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, any_, func, literal, or_, select, true, tuple_

from services.catalogue import tables
from services.catalogue.store.sessions import rows
from services.catalogue.store.sessions.facts import Listed, Viewer, Wanted
from shared.database import Timestamp, Transaction
from shared.events.vocabulary import EnrolmentWindow, Format, Status


async def shown(tx: Transaction, session_id: UUID, viewer: Viewer) -> Listed | None:
    """The session, if ``viewer`` may see it."""
    query = _LISTING.where(tables.session.c.session_id == session_id, _visible_to(viewer))
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else rows.listed(row)


Place: TypeAlias = tuple[datetime, UUID]
"""A session's place in the lists: its start, then its id."""


async def page(
    tx: Transaction, wanted: Wanted, after: Place | None, limit: int, *, before: Place | None = None
) -> list[Listed]:
    """At most ``limit`` sessions by start, then id: next after ``after`` or last before ``before``."""
    found = [rows.listed(row) for row in await tx.execute(page_query(wanted, after, limit, before=before))]
    return found if before is None else found[::-1]


def page_query(
    wanted: Wanted, after: Place | None, limit: int, *, before: Place | None = None
) -> Select[Any]:
    """What :func:`page` asks; backwards from ``before``."""
    columns = tables.session.c
    query = _LISTING.where(_visible_to(wanted.viewer), *_conditions(wanted))
    if after is not None:
        query = query.where(tuple_(columns.starts_at, columns.session_id) > tuple_(*after))
    if before is not None:
        query = query.where(tuple_(columns.starts_at, columns.session_id) < tuple_(*before))
        return query.order_by(columns.starts_at.desc(), columns.session_id.desc()).limit(limit)
    return query.order_by(columns.starts_at, columns.session_id).limit(limit)


async def count(tx: Transaction, wanted: Wanted) -> int:
    """How many sessions :func:`page` would give in all."""
    query = select(func.count()).select_from(tables.session)
    return await tx.scalar(query.where(_visible_to(wanted.viewer), *_conditions(wanted))) or 0


async def offer_ids(tx: Transaction, wanted: Wanted) -> set[str]:
    """The offers whose sessions :func:`page` would give in all."""
    query = select(tables.session.c.offer_id).distinct()
    return set(await tx.scalars(query.where(_visible_to(wanted.viewer), *_conditions(wanted))))


async def titles(tx: Transaction, ids: Collection[UUID], viewer: Viewer) -> dict[UUID, str]:
    """The titles of those of the sessions that ``viewer`` may see."""
    columns = tables.session.c
    query = select(columns.session_id, columns.title).where(columns.session_id.in_(ids), _visible_to(viewer))
    return {row.session_id: row.title for row in await tx.execute(query)}


async def addresses(tx: Transaction, viewer: Viewer, limit: int) -> list[tuple[UUID, datetime]]:
    """The sessions that ``viewer`` may see, the latest first, and when each was last stored."""
    columns = tables.session.c
    query = select(columns.session_id, columns.changed_at).where(_visible_to(viewer))
    query = query.order_by(columns.starts_at.desc(), columns.session_id.desc()).limit(limit)
    return [(row.session_id, row.changed_at) for row in await tx.execute(query)]


def _listing() -> Select[Any]:
    seats = tables.occupancy.c
    return select(
        *rows.COLUMNS,
        seats.version.label("seats_version"),
        seats.capacity.label("seats_capacity"),
        seats.enrolled,
        seats.waiting,
        seats.offered,
        seats.changed_at.label("seats_changed_at"),
    ).outerjoin(tables.occupancy, seats.session_id == tables.session.c.session_id)


_LISTING = _listing()


def _visible_to(viewer: Viewer) -> ColumnElement[bool]:
    """A draft is its maker's; a bespoke session is private to one authority."""
    columns = tables.session.c
    if viewer.everywhere:
        return true()
    public = and_(columns.status != Status.DRAFT.value, columns.format != Format.BESPOKE.value)
    return public if viewer.delegation is None else or_(public, columns.organiser == viewer.delegation)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    columns = tables.session.c
    conditions: list[ColumnElement[bool]] = []
    for name in ("format", "organiser", "offer_id", "status"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(columns[name] == str(value))
    if wanted.own and wanted.viewer.delegation is not None:
        conditions.append(columns.organiser == wanted.viewer.delegation)
    if wanted.starts_after is not None:
        conditions.append(columns.starts_at >= wanted.starts_after)
    if wanted.starts_before is not None:
        conditions.append(columns.starts_at < wanted.starts_before)
    if wanted.ends_after is not None:
        # Lists are by start: without the second condition they begin with all that is over.
        longest = select(func.max(columns.ends_at - columns.starts_at)).scalar_subquery()
        conditions += (
            columns.ends_at > wanted.ends_after,
            columns.starts_at > literal(wanted.ends_after, Timestamp) - longest,
        )
    if wanted.enrolment is not None:
        conditions += _enrolling(wanted.enrolment, wanted.now)
    if wanted.theme is not None:
        conditions.append(_of_offers(tables.offer.c.themes.contains([wanted.theme])))
    if wanted.text is not None:
        conditions.append(tables.matches(columns.search_vector, wanted.text))
    return conditions


def _enrolling(window: EnrolmentWindow, now: datetime) -> list[ColumnElement[bool]]:
    """The same line between open and closed as rules.enrolment_at; nobody enrols in a cancelled session."""
    columns = tables.session.c
    opens, closes = columns.enrolment_opens_at, columns.enrolment_closes_at
    return [
        columns.status != Status.CANCELLED.value,
        {
            EnrolmentWindow.NOT_YET_OPEN: and_(opens > now, closes > now),
            EnrolmentWindow.OPEN: and_(opens <= now, closes > now),
            EnrolmentWindow.CLOSED: closes <= now,
        }[window],
    ]


def _of_offers(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Sessions of the offers that meet ``condition``: an array made once, so that their index is used."""
    ids = func.array(select(tables.offer.c.offer_id).where(condition).scalar_subquery())
    return tables.session.c.offer_id == any_(ids)
