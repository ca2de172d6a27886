from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from services.notifier.letters import Counts, EnrolmentState, NumberedSession, OrganiserDay, SinceLast
from services.notifier.letters.bounces import RETURNED
from services.notifier.letters.organisers import SOON
from services.notifier.store import sessions
from services.notifier.store.bounces import digest_of
from services.notifier.tables import EndedDigestRow, MailState
from shared.database import Transaction


async def begin_day(tx: Transaction, day: OrganiserDay) -> datetime | None:
    """Return since when nothing was reported, or None if the day has begun.

    A second process waits until this transaction ends, and then gets None.
    """
    await tx.execute(_FIRST, {"organiser": day.organiser, "before": day.before})
    notified_until: datetime | None = await tx.scalar(_LOCK, {"organiser": day.organiser, "until": day.until})
    if notified_until is None:
        return None
    await tx.execute(_BEGIN, {"organiser": day.organiser, "until": day.until})
    return max(notified_until, day.earliest)


async def returned(tx: Transaction, organiser: str, since: datetime, until: datetime) -> dict[UUID, int]:
    """Return the number of people by session, the next session first.

    Each participant counts once, if the address is still theirs. A mail counts too if the relay did not know
    its address, or if it was not tried.
    """
    rows = await tx.execute(
        _RETURNED,
        {
            "organiser": organiser,
            "since": since,
            "until": until,
            "failed": MailState.FAILED.value,
            "not_tried": RETURNED,
        },
    )
    return {row.session_id: row.people for row in rows}


async def to_report(
    tx: Transaction, organiser: str, now: datetime, *, also: Collection[UUID]
) -> list[NumberedSession]:
    """Return the published sessions for a digest, and the organiser's sessions among ``also``.

    In a digest, enrolment closes soon, the session begins soon, or enrolment has closed and the session is
    not over.
    """
    rows = await tx.execute(
        _TO_REPORT, {"organiser": organiser, "now": now, "soon": now + SOON, "also": list(also)}
    )
    return [sessions.session_of(row.state) for row in rows]


async def since_last(
    tx: Transaction, organiser: str, since: datetime, until: datetime
) -> dict[UUID, SinceLast]:
    """Refused enrolments are not new."""
    rows = await tx.execute(_SINCE_LAST, {"organiser": organiser, "since": since, "until": until})
    return {row.session_id: SinceLast(row.new, row.left) for row in rows}


async def counts_by_state(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Counts]:
    found: dict[UUID, dict[EnrolmentState, int]] = {}
    for row in await tx.execute(_COUNTS_BY_STATE, {"ids": list(ids)}) if ids else ():
        found.setdefault(row.session_id, {})[EnrolmentState(row.standing)] = row.people
    return dict(found)


async def end_digest(tx: Transaction, organiser: str, address: str, now: datetime) -> None:
    values = {"organiser": organiser, "address": digest_of(tx, address), "ended_at": now}
    await tx.execute(insert(EndedDigestRow).values(values).on_conflict_do_nothing())


async def resume_digest(tx: Transaction, organiser: str, address: str) -> bool:
    resumed = await tx.execute(
        delete(EndedDigestRow).where(
            col(EndedDigestRow.organiser) == organiser,
            col(EndedDigestRow.address) == digest_of(tx, address),
        )
    )
    return resumed.rowcount > 0


async def keep_ended(tx: Transaction, organiser: str, addresses: Collection[str]) -> None:
    """Forget every other owner who ended the digest of an organiser."""
    kept = [digest_of(tx, address) for address in addresses]
    await tx.execute(
        delete(EndedDigestRow).where(
            col(EndedDigestRow.organiser) == organiser, col(EndedDigestRow.address).not_in(kept)
        )
    )


async def without_digest(tx: Transaction, organiser: str, addresses: Collection[str]) -> set[str]:
    ended = set(
        await tx.scalars(select(EndedDigestRow.address).where(col(EndedDigestRow.organiser) == organiser))
    )
    return {address for address in addresses if digest_of(tx, address) in ended}


_FIRST = text(
    "INSERT INTO organiser_day (organiser, notified_until) VALUES (:organiser, :before) "
    "ON CONFLICT (organiser) DO NOTHING"
)
_LOCK = text(
    "SELECT notified_until FROM organiser_day "
    "WHERE organiser = :organiser AND notified_until < :until FOR UPDATE"
)
_BEGIN = text("UPDATE organiser_day SET notified_until = :until WHERE organiser = :organiser")
_RETURNED = text(
    """
    WITH returned AS (
        SELECT mail_id FROM mail WHERE bounced_at >= :since AND bounced_at < :until
        UNION
        SELECT mail_id FROM suppression WHERE since >= :since AND since < :until
        UNION
        SELECT mail_id FROM mail
         WHERE state = :failed AND smtp_answer = :not_tried AND settled_at >= :since AND settled_at < :until)
    SELECT session_id, count(DISTINCT enrolment_id) AS people
      FROM returned JOIN mail USING (mail_id) JOIN enrolment USING (enrolment_id, session_id)
           JOIN session USING (session_id)
     WHERE session.state ->> 'organiser' = :organiser
       AND enrolment.standing IN ('enrolled', 'waitlisted', 'offered', 'pending')
       AND lower(enrolment.address) = lower(mail.address)
       AND NOT EXISTS (SELECT FROM mail AS earlier
                        WHERE earlier.recipient = mail.recipient AND earlier.enrolment_id = mail.enrolment_id
                          AND earlier.address = mail.address
                          AND (earlier.bounced_at < :since
                               OR (earlier.state = :failed AND earlier.smtp_answer = :not_tried
                                   AND earlier.settled_at < :since)
                               OR EXISTS (SELECT FROM suppression
                                           WHERE suppression.mail_id = earlier.mail_id
                                             AND suppression.since < :since)))
     GROUP BY session_id, session.state
     ORDER BY CAST(session.state ->> 'starts_at' AS timestamptz), session_id"""
)
_TO_REPORT = text(
    """
    SELECT state::text AS state FROM session
     WHERE state ->> 'organiser' = :organiser AND state ->> 'status' = 'published'
       AND (session_id = ANY(CAST(:also AS uuid[]))
            OR (CAST(state ->> 'starts_at' AS timestamptz) > :now
                AND CAST(state ->> 'starts_at' AS timestamptz) <= :soon)
            OR (CAST(state ->> 'enrolment_closes_at' AS timestamptz) > :now
                AND CAST(state ->> 'enrolment_closes_at' AS timestamptz) <= :soon)
            OR (CAST(state ->> 'enrolment_closes_at' AS timestamptz) <= :now
                AND CAST(state ->> 'ends_at' AS timestamptz) > :now))"""
)
_SINCE_LAST = text(
    """
    SELECT session_id, count(*) FILTER (WHERE is_new) AS new, count(*) FILTER (WHERE NOT is_new) AS left
      FROM (SELECT session_id, true AS is_new FROM enrolment
             WHERE known_since >= :since AND known_since < :until AND standing <> 'refused'
             UNION ALL
            SELECT session_id, false FROM enrolment
             WHERE standing = 'withdrawn' AND since >= :since AND since < :until) AS move
           JOIN session USING (session_id)
     WHERE state ->> 'organiser' = :organiser AND state ->> 'status' = 'published'
     GROUP BY session_id"""
)
# Two halves, because each index has another condition.
_COUNTS_BY_STATE = text(
    """
    SELECT session_id, standing, count(*) AS people FROM enrolment
     WHERE session_id = ANY(CAST(:ids AS uuid[])) AND standing = 'enrolled' GROUP BY session_id, standing
    UNION ALL
    SELECT session_id, standing, count(*) FROM enrolment
     WHERE session_id = ANY(CAST(:ids AS uuid[])) AND standing IN ('waitlisted', 'offered', 'pending')
     GROUP BY session_id, standing"""
)
