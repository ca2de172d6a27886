from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Text,
    and_,
    any_,
    column,
    false,
    func,
    inspect,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import Mapped
from sqlmodel import col

from services.catalogue.rules.offers import Source
from services.catalogue.rules.searching import (
    FAR,
    PUBLIC,
    NearPosition,
    Position,
    SessionGroup,
    SessionOrder,
    SessionSearch,
    Viewer,
)
from services.catalogue.rules.sessions import CalendarSession, ListedSession, Occupancy
from services.catalogue.store.search import matches
from services.catalogue.store.sessions import modules_of, shown, with_trainers
from services.catalogue.tables import OccupancyRow, OfferRow, SessionRow
from shared.database import Timestamp, Transaction
from shared.events.vocabulary import EnrolmentWindow, Format, Status
from shared.statements import in_order, next_to

_SESSION_ID: Mapped[UUID] = col(SessionRow.session_id)
_STARTS_AT: Mapped[datetime] = col(SessionRow.starts_at)
_OCCUPANCY = inspect(OccupancyRow).local_table
_IS_FULL = func.coalesce(
    _OCCUPANCY.c.enrolled + _OCCUPANCY.c.offered >= col(SessionRow.capacity), false()
).label("is_full")
# Columns, because instances take half as long again: a calendar has a thousand sessions.
_LISTING = select(
    *(
        column
        for column in inspect(SessionRow).local_table.c
        if column.name not in ("loaded", "search_vector")
    ),
    *(column.label(f"occupancy_{column.name}") for column in _OCCUPANCY.c),
).outerjoin(_OCCUPANCY, _OCCUPANCY.c.session_id == _SESSION_ID)

_LAST_TURN = text("""
    SELECT max(moment)
    FROM unnest(
        ARRAY[session.enrolment_opens_at, session.enrolment_closes_at] || ARRAY(
            SELECT (reserved ->> 'release_at')::timestamptz
            FROM jsonb_array_elements(session.reserved_seats) AS reserved
        )
    ) AS moment
    WHERE moment <= :now
""")


async def by_id(tx: Transaction, session_id: UUID, viewer: Viewer) -> ListedSession | None:
    return (await by_ids(tx, [session_id], viewer)).get(session_id)


async def by_ids(tx: Transaction, ids: Collection[UUID], viewer: Viewer) -> dict[UUID, ListedSession]:
    found = await _listed(tx, _LISTING.where(_SESSION_ID.in_(ids), _visible_to(viewer)), viewer)
    return {listed.session.session_id: listed for listed in found}


async def page(
    tx: Transaction,
    search: SessionSearch,
    after: Position | None,
    limit: int,
    *,
    before: Position | None = None,
) -> list[ListedSession]:
    moment = col(SessionRow.changed_at) if search.order is SessionOrder.CHANGED else _STARTS_AT
    query = next_to(
        _LISTING.where(*_conditions(search)),
        (moment, _SESSION_ID),
        after,
        before,
        descending=search.order is not SessionOrder.FIRST,
    )
    return in_order(await _listed(tx, query.limit(limit), search.viewer), before)


async def version(tx: Transaction, search: SessionSearch) -> str:
    """Return a text that differs after each change of these sessions and of their seats.

    The clock changes them too: it opens and closes enrolment, and releases reserved seats.
    """
    last_turn = _LAST_TURN.bindparams(now=search.now).columns(column("max", Timestamp))
    # Sums, because a transaction may commit after one that began later.
    query = select(
        func.count(),
        func.sum(func.extract("epoch", col(SessionRow.changed_at))),
        func.sum(func.extract("epoch", _OCCUPANCY.c.changed_at)),
        func.max(last_turn.scalar_subquery()),
    ).outerjoin_from(SessionRow, _OCCUPANCY, _OCCUPANCY.c.session_id == _SESSION_ID)
    return repr(tuple((await tx.execute(query.where(*_conditions(search)))).one()))


async def venues(tx: Transaction, search: SessionSearch) -> list[tuple[str, str]]:
    """Return each venue of these sessions with its organiser."""
    query = select(col(SessionRow.venue), col(SessionRow.organiser)).distinct()
    query = query.where(*_conditions(search), col(SessionRow.venue).is_not(None))
    return [(row.venue, row.organiser) for row in await tx.execute(query)]


async def nearest(
    tx: Transaction,
    search: SessionSearch,
    kilometres: Mapping[tuple[str, str], int],
    after: NearPosition | None,
    limit: int,
    *,
    before: NearPosition | None = None,
) -> list[ListedSession]:
    """Sort by distance, then by start.

    ``kilometres`` are by venue and organiser. Sessions without a known venue come last.
    """
    known = (
        func.unnest(
            literal([venue for venue, _ in kilometres], ARRAY(Text)),
            literal([organiser for _, organiser in kilometres], ARRAY(Text)),
            literal(list(kilometres.values()), ARRAY(Integer)),
        )
        .table_valued("venue", "organiser", column("kilometres", Integer))
        .render_derived("known")
    )
    far = func.coalesce(known.c.kilometres, FAR)
    query = next_to(
        _LISTING.add_columns(known.c.kilometres)
        .outerjoin(
            known,
            and_(known.c.venue == col(SessionRow.venue), known.c.organiser == col(SessionRow.organiser)),
        )
        .where(*_conditions(search)),
        (far, _STARTS_AT, _SESSION_ID),
        after,
        before,
    )
    return in_order(await _listed(tx, query.limit(limit), search.viewer), before)


async def in_calendar(tx: Transaction, search: SessionSearch, limit: int) -> list[CalendarSession]:
    names = (field.name for field in fields(CalendarSession))
    columns = (_IS_FULL if name == "is_full" else col(getattr(SessionRow, name)) for name in names)
    shown = select(*columns).outerjoin(_OCCUPANCY, _OCCUPANCY.c.session_id == _SESSION_ID)
    query = next_to(shown.where(*_conditions(search)), (_STARTS_AT, _SESSION_ID), None)
    return [
        CalendarSession(
            **row._asdict()
            | {
                "format": Format(row.format),
                "modules": modules_of(row.modules),
                "status": Status(row.status),
            }
        )
        for row in await tx.execute(query.limit(limit))
    ]


async def count(tx: Transaction, search: SessionSearch) -> int:
    return await tx.scalar(select(func.count()).select_from(SessionRow).where(*_conditions(search))) or 0


async def groups(
    tx: Transaction, search: SessionSearch, by: Literal["format", "organiser", "offer_id"]
) -> dict[str, SessionGroup]:
    key, capacity = col(getattr(SessionRow, by)), col(SessionRow.capacity)
    takes, will_take = (
        and_(*_enrolling(window, search.now))
        for window in (EnrolmentWindow.OPEN, EnrolmentWindow.NOT_YET_OPEN)
    )
    taken = func.coalesce(_OCCUPANCY.c.enrolled, 0) + func.coalesce(_OCCUPANCY.c.offered, 0)
    is_ahead = and_(col(SessionRow.status) != Status.CANCELLED.value, search.now < _STARTS_AT)
    zones = func.array_agg(aggregate_order_by(col(SessionRow.timezone), _STARTS_AT), type_=ARRAY(Text))
    query = (
        select(
            key.label("key"),
            func.count().label("sessions"),
            func.count().filter(takes).label("open"),
            func.coalesce(func.sum(func.greatest(capacity - taken, 0)).filter(takes), 0).label("seats"),
            func.coalesce(func.bool_or(capacity.is_(None)).filter(takes), false()).label("is_unlimited"),
            func.min(_STARTS_AT).filter(is_ahead).label("next_at"),
            zones.filter(is_ahead)[1].label("next_zone"),
            func.min(col(SessionRow.enrolment_opens_at)).filter(will_take).label("opens_at"),
            func.coalesce(func.bool_or(col(SessionRow.source) == Source.ILLUSTRATIVE), false()).label(
                "has_examples"
            ),
        )
        .outerjoin(_OCCUPANCY, _OCCUPANCY.c.session_id == _SESSION_ID)
        .where(*_conditions(search))
        .group_by(key)
    )
    return {
        row.key: SessionGroup(
            row.sessions,
            row.open,
            None if row.is_unlimited else row.seats,
            row.next_at,
            row.next_zone,
            row.opens_at,
            row.has_examples,
        )
        for row in await tx.execute(query)
    }


async def offer_ids(tx: Transaction, search: SessionSearch) -> set[str]:
    return set(await tx.scalars(select(col(SessionRow.offer_id)).distinct().where(*_conditions(search))))


async def titles(tx: Transaction, ids: Collection[UUID], viewer: Viewer) -> dict[UUID, str]:
    query = select(_SESSION_ID, col(SessionRow.title)).where(_SESSION_ID.in_(ids), _visible_to(viewer))
    return {row.session_id: row.title for row in await tx.execute(query)}


async def texts(tx: Transaction, limit: int) -> list[str]:
    written = func.concat_ws(" ", col(SessionRow.title), col(SessionRow.venue), col(SessionRow.organiser))
    return list(await tx.scalars(select(written).where(_visible_to(PUBLIC)).distinct().limit(limit)))


async def changes(tx: Transaction, viewer: Viewer, limit: int) -> list[tuple[UUID, datetime]]:
    query = select(_SESSION_ID, col(SessionRow.changed_at)).where(_visible_to(viewer))
    query = query.order_by(_STARTS_AT.desc(), _SESSION_ID.desc()).limit(limit)
    return [(row.session_id, row.changed_at) for row in await tx.execute(query)]


async def _listed(tx: Transaction, query: Select[*tuple[Any, ...]], viewer: Viewer) -> list[ListedSession]:
    rows = list(await tx.execute(query))
    found = await with_trainers(tx, [shown(row) for row in rows])
    return [
        ListedSession(
            viewer.seen(session),
            _occupancy(row),
            row.changed_at,
            row.occupancy_changed_at,
            getattr(row, "kilometres", None),
        )
        for session, row in zip(found, rows, strict=True)
    ]


def _occupancy(row: Row[*tuple[Any, ...]]) -> Occupancy | None:
    if row.occupancy_version is None:
        return None
    return Occupancy(
        row.occupancy_version,
        row.occupancy_capacity,
        row.occupancy_enrolled,
        row.occupancy_waiting,
        row.occupancy_offered,
    )


def _visible_to(viewer: Viewer) -> ColumnElement[bool]:
    """Only its organiser sees a draft. A bespoke session is private to one authority."""
    if viewer.everywhere:
        return true()
    public = and_(
        col(SessionRow.status) != Status.DRAFT.value, col(SessionRow.format) != Format.BESPOKE.value
    )
    return (
        public if viewer.delegation is None else or_(public, col(SessionRow.organiser) == viewer.delegation)
    )


def _conditions(search: SessionSearch) -> list[ColumnElement[bool]]:
    conditions = [_visible_to(search.viewer)]
    for name in ("format", "organiser", "offer_id", "status"):
        value = getattr(search, name)
        if value is not None:
            conditions.append(col(getattr(SessionRow, name)) == str(value))
    if search.own and search.viewer.delegation is not None:
        conditions.append(col(SessionRow.organiser) == search.viewer.delegation)
    if search.starts_after is not None:
        conditions.append(search.starts_after <= _STARTS_AT)
    if search.starts_before is not None:
        conditions.append(search.starts_before > _STARTS_AT)
    if search.ends_after is not None:
        # Lists are sorted by start: without the second condition they would read all past sessions first.
        longest = select(func.max(col(SessionRow.ends_at) - _STARTS_AT)).scalar_subquery()
        conditions += (
            col(SessionRow.ends_at) > search.ends_after,
            literal(search.ends_after, Timestamp) - longest < _STARTS_AT,
        )
    if search.enrolment is not None:
        conditions += _enrolling(search.enrolment, search.now)
    if search.theme is not None:
        conditions.append(_of_offers(col(OfferRow.themes).contains([search.theme])))
    if search.text is not None:
        conditions.append(matches(SessionRow, search.text))
    return conditions


def _enrolling(window: EnrolmentWindow, now: datetime) -> list[ColumnElement[bool]]:
    opens, closes = col(SessionRow.enrolment_opens_at), col(SessionRow.enrolment_closes_at)
    return [
        col(SessionRow.status) != Status.CANCELLED.value,
        {
            EnrolmentWindow.NOT_YET_OPEN: and_(opens > now, closes > now),
            EnrolmentWindow.OPEN: and_(opens <= now, closes > now),
            EnrolmentWindow.CLOSED: closes <= now,
        }[window],
    ]


def _of_offers(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The array makes Postgres use the index of sessions by offer."""
    ids = func.array(select(col(OfferRow.offer_id)).where(condition).scalar_subquery())
    return col(SessionRow.offer_id) == any_(ids)
