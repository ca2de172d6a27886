"""Figures outlive the agents' data."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, inspect, select, text
from sqlmodel import col

from services.notifier.tables import FigureProgressRow, FigureRow
from shared.database import Transaction


async def count(tx: Transaction, settled: timedelta) -> None:
    """Leave out rows newer than ``settled``."""
    await tx.execute(_BEGIN)
    await tx.execute(_LOCK)
    await tx.execute(_COUNT, {"settled": settled})
    await tx.execute(_REACH, {"settled": settled})
    await tx.execute(_END, {"settled": settled})


class CountedFigure(NamedTuple):
    month: date
    offer_id: str
    organiser: str
    kind: str
    reason: str
    number: int


async def find(
    tx: Transaction, since: date, until: date, offer_id: str | None, organiser: str | None
) -> Sequence[CountedFigure]:
    table = inspect(FigureRow).local_table
    query = select(*(table.c[name] for name in CountedFigure._fields))
    query = query.where(col(FigureRow.month).between(since, until))
    if offer_id is not None:
        query = query.where(col(FigureRow.offer_id) == offer_id)
    if organiser is not None:
        query = query.where(col(FigureRow.organiser) == organiser)
    in_order = query.order_by(
        col(FigureRow.month),
        col(FigureRow.offer_id),
        col(FigureRow.organiser),
        col(FigureRow.kind),
        col(FigureRow.reason),
    )
    return [CountedFigure(*row) for row in await tx.execute(in_order)]


class SeatsTaken(NamedTuple):
    """Of the sessions with a capacity: seats that agents have, and the capacities."""

    taken: int
    capacity: int


async def seats_taken(
    tx: Transaction, since: date, until: datetime, offer_id: str | None, organiser: str | None
) -> SeatsTaken:
    """Count the sessions that began from ``since``, by the clocks of Paris, to ``until``."""
    parameters = {"since": since, "until": until, "offer": offer_id, "organiser": organiser}
    return SeatsTaken(*(await tx.execute(_SEATS, parameters)).one())


class AuthoritiesReached(NamedTuple):
    """Employers whose agents had a seat, and those whose agents were present.

    They are those of a session, or of an offer and organiser, or all.
    """

    session_id: UUID | None
    offer_id: str | None
    organiser: str | None
    enrolled: int
    attended: int


async def authorities_reached(
    tx: Transaction, since: date, until: datetime, offer_id: str | None, organiser: str | None
) -> Sequence[AuthoritiesReached]:
    """Return one line for all, one for each offer and organiser, and one for each session, latest first."""
    parameters = {"since": since, "until": until, "offer": offer_id, "organiser": organiser}
    return [AuthoritiesReached(*row) for row in await tx.execute(_REACHED, parameters)]


class CountedRange(NamedTuple):
    since: date | None
    offers: Sequence[str]
    organisers: Sequence[str]


async def counted(tx: Transaction, organiser: str | None) -> CountedRange:
    seen = (
        func.array_agg(col(FigureRow.offer_id).distinct()),
        func.array_agg(col(FigureRow.organiser).distinct()),
    )
    query = select(func.min(col(FigureRow.month)), *seen)
    if organiser is not None:
        query = query.where(col(FigureRow.organiser) == organiser)
    since, offers, organisers = (await tx.execute(query)).one()
    return CountedRange(since, sorted(filter(None, offers or ())), sorted(filter(None, organisers or ())))


async def counted_until(tx: Transaction) -> datetime | None:
    return await tx.scalar(select(col(FigureProgressRow.counted_until)))


_SEATS = text(
    """
    SELECT CAST(coalesce(sum((
               SELECT count(*) FROM enrolment
                WHERE enrolment.session_id = began.session_id
                  AND standing = 'enrolled')), 0) AS bigint) AS taken,
           coalesce(sum(capacity), 0) AS capacity
      FROM (SELECT session_id, CAST(state ->> 'capacity' AS int) AS capacity,
                   CAST(state ->> 'starts_at' AS timestamptz) AS starts_at
              FROM session
             WHERE state ->> 'status' = 'published' AND state ->> 'capacity' IS NOT NULL
               AND (CAST(:offer AS text) IS NULL OR state ->> 'offer_id' = :offer)
               AND (CAST(:organiser AS text) IS NULL OR state ->> 'organiser' = :organiser)) AS began
     WHERE starts_at >= CAST(:since AS timestamp) AT TIME ZONE 'Europe/Paris' AND starts_at <= :until"""
)
_REACHED = text(
    """
    SELECT session_id, offer_id, organiser,
           count(DISTINCT siret) FILTER (WHERE is_enrolled) AS enrolled,
           count(DISTINCT siret) FILTER (WHERE is_attended) AS attended
      FROM (SELECT session.session_id, siret, state ->> 'offer_id' AS offer_id,
                   state ->> 'organiser' AS organiser,
                   CAST(state ->> 'starts_at' AS timestamptz) AS starts_at,
                   enrolled_at BETWEEN since AND :until AS is_enrolled,
                   attended_at BETWEEN since AND :until AS is_attended
              FROM authority_reached JOIN session USING (session_id),
                   (SELECT CAST(:since AS timestamp) AT TIME ZONE 'Europe/Paris' AS since) AS period
             WHERE (CAST(:offer AS text) IS NULL OR state ->> 'offer_id' = :offer)
               AND (CAST(:organiser AS text) IS NULL OR state ->> 'organiser' = :organiser)) AS reached
     WHERE is_enrolled OR is_attended
     GROUP BY GROUPING SETS ((), (offer_id, organiser), (session_id, starts_at))
     ORDER BY starts_at DESC NULLS FIRST, session_id"""
)
_BEGIN = text(
    "INSERT INTO figure_progress (id, counted_until) VALUES (1, '-infinity') ON CONFLICT DO NOTHING"
)
_LOCK = text("SELECT FROM figure_progress FOR UPDATE")
_NEW = "{0} > (SELECT counted_until FROM figure_progress) AND {0} <= now() - CAST(:settled AS interval)"
_OF_TIMELINE = _NEW.format("recorded_at")
_COUNT = text(
    f"""
    INSERT INTO figure (month, offer_id, organiser, kind, reason, number)
    SELECT CAST(date_trunc('month', counted.at AT TIME ZONE 'Europe/Paris') AS date),
           coalesce(session.state ->> 'offer_id', ''), coalesce(session.state ->> 'organiser', ''),
           counted.kind, counted.reason, count(*)
      FROM (SELECT at, session_id, 'asked' AS kind, '' AS reason FROM timeline
             WHERE {_OF_TIMELINE} AND version = 1
               AND kind IN ('enrolled', 'waitlisted', 'pending', 'enrolment_refused')
               AND reason IS DISTINCT FROM 'moved_here'
            UNION ALL
            SELECT at, session_id, CASE kind WHEN 'enrolment_refused' THEN 'refused' ELSE kind END,
                   CASE kind WHEN 'enrolment_refused' THEN coalesce(reason, '') ELSE '' END FROM timeline
             WHERE {_OF_TIMELINE}
               AND kind IN ('enrolled', 'waitlisted', 'withdrawn', 'enrolment_refused')
               AND NOT (kind = 'withdrawn' AND reason IN ('moved_away', 'joined'))
            UNION ALL
            SELECT at, session_id, 'attended', '' FROM timeline
             WHERE {_OF_TIMELINE} AND kind = 'attended' AND reason = 'certified'
            UNION ALL
            SELECT at, session_id, kind, '' FROM timeline
             WHERE {_OF_TIMELINE} AND kind IN ('absent', 'absent_justified')
            UNION ALL
            SELECT mail_attempt.at, mail.session_id, 'letters', ''
              FROM mail_attempt JOIN mail ON mail.mail_id = mail_attempt.mail_id
             WHERE {_NEW.format("mail_attempt.at")} AND mail_attempt.state = 'sent') AS counted
           LEFT JOIN session ON session.session_id = counted.session_id
     GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (month, offer_id, organiser, kind, reason)
    DO UPDATE SET number = figure.number + excluded.number"""  # noqa: S608 our own words
)
_REACH = text(
    f"""
    INSERT INTO authority_reached (session_id, siret, enrolled_at, attended_at)
    SELECT session_id, siret, min(at) FILTER (WHERE kind = 'enrolled'),
           min(at) FILTER (WHERE kind = 'attended')
      FROM timeline
     WHERE {_OF_TIMELINE} AND kind IN ('enrolled', 'attended') AND siret IS NOT NULL
     GROUP BY session_id, siret
    ON CONFLICT (session_id, siret)
    DO UPDATE SET enrolled_at = coalesce(authority_reached.enrolled_at, excluded.enrolled_at),
                  attended_at = coalesce(authority_reached.attended_at, excluded.attended_at)"""  # noqa: S608 our own words
)
_END = text(
    "UPDATE figure_progress SET counted_until = greatest(counted_until, now() - CAST(:settled AS interval))"
)
