"""Mass letters to all participants of a session, or to all followers of an interest.

The fact is stored in one short transaction, each slice in its own, with the place where it ended. So no
transaction waits for 100,000 rows, and a kill costs nothing. :func:`sessions.lock` keeps new enrolments and
fan-outs from missing each other.

Scheduled letters are fan-outs too. They begin when due (docs/adr/0020).
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.notifier.letters import KINDS, TEMPLATE_OF, Edition, FanOut, FanOutTask, LetterType
from services.notifier.store.queue import MAIL_COLUMNS, ONCE, ONCE_KEY, PATIENCE
from services.notifier.tables import FanOutRow
from shared.database import Transaction


async def store(tx: Transaction, fan_outs: Sequence[FanOut]) -> None:
    """Store fan-outs. The caller has locked their sessions exclusively.

    A fan-out that is due now is left out if the session has no recipient, except news and messages. One that
    is due later is stored once per session and letter.
    """
    if fan_outs:
        await tx.execute(
            _STORE,
            {
                "event_ids": [fan_out.event_id for fan_out in fan_outs],
                "tasks": [fan_out.task.value for fan_out in fan_outs],
                "subject_ids": [fan_out.subject_id for fan_out in fan_outs],
                "details": [json.dumps(fan_out.details) for fan_out in fan_outs],
                "called_for_at": [fan_out.called_for_at for fan_out in fan_outs],
                "due_at": [fan_out.due_at for fan_out in fan_outs],
            },
        )


async def not_started(tx: Transaction, session_ids: Collection[UUID]) -> set[tuple[UUID, LetterType]]:
    """Return the planned letters with their sessions. Unknown letters are left out."""
    rows = await tx.execute(_NOT_STARTED, {"ids": list(session_ids), "known": _KNOWN}) if session_ids else ()
    return {(row.subject_id, TEMPLATE_OF[FanOutTask(row.task)]) for row in rows}


async def drop_not_started(tx: Transaction, session_ids: Collection[UUID]) -> set[tuple[UUID, LetterType]]:
    """Return the dropped letters with their sessions. Letters that only a newer version knows stay."""
    rows = await tx.execute(_DROP, {"ids": list(session_ids), "known": _KNOWN}) if session_ids else ()
    return {(row.subject_id, TEMPLATE_OF[FanOutTask(row.task)]) for row in rows}


async def due_sessions(tx: Transaction) -> list[UUID]:
    return list(await tx.scalars(_DUE))


async def begin_due(tx: Transaction, session_ids: Collection[UUID]) -> None:
    """Begin the due fan-outs of these sessions, which the caller has locked exclusively.

    Seats read later get the letter at once.
    """
    await tx.execute(_BEGIN_DUE, {"ids": list(session_ids)})


async def any_waiting(tx: Transaction) -> bool:
    """Return whether a fan-out is due, or has begun and is not done."""
    return bool(await tx.scalar(_ANY_WAITING))


async def lock_oldest(tx: Transaction) -> FanOutRow | None:
    """Lock the oldest begun fan-out that no other process works on. News come last."""
    is_news = col(FanOutRow.task) == FanOutTask.NEWS.value
    is_open = col(FanOutRow.begun_at).is_not(None) & col(FanOutRow.done_at).is_(None)
    oldest = select(FanOutRow).where(is_open, col(FanOutRow.task).in_(_KNOWN))
    order = oldest.order_by(is_news, col(FanOutRow.begun_at)).limit(1)
    return (await tx.scalars(order.with_for_update(skip_locked=True))).one_or_none()


async def in_progress(tx: Transaction) -> tuple[int, float]:
    """Return how many fan-outs are not done, and the age of the oldest in seconds."""
    number, age = (await tx.execute(_IN_PROGRESS)).one()
    return int(number), float(age)


async def hold(tx: Transaction) -> None:
    """Wait for open slices, and let none begin until the end of the transaction."""
    await tx.execute(_HOLD)


async def next_ids(tx: Transaction, fan_out: FanOutRow, *, most: int) -> list[UUID]:
    statement = {
        FanOutTask.NEWS: _SUBSCRIBERS,
        FanOutTask.CHANGE_WAITING: _WITHOUT_SEAT,
        FanOutTask.MESSAGE: _ADDRESSED,
    }.get(FanOutTask(fan_out.task), _ENROLLED)
    place: dict[str, Any] = {
        "subject_id": fan_out.subject_id,
        "last_id_done": fan_out.last_id_done,
        "most": most,
    }
    if statement is _ADDRESSED:
        place |= _addressed(fan_out)
    return list((await tx.execute(statement, place)).scalars())


async def advance(tx: Transaction, fan_out: FanOutRow, ids: Sequence[UUID], *, done: bool) -> None:
    last_id_done = ids[-1] if ids else fan_out.last_id_done
    parameters = {"fan_out_id": fan_out.fan_out_id, "last_id_done": last_id_done, "done": done}
    await tx.execute(_ADVANCE, parameters)


# ------------------------------------------------------------------------- slices: each returns its letters


async def queue_letters(
    tx: Transaction, fan_out: FanOutRow, template: LetterType, ids: Sequence[UUID], *, only_before: bool
) -> Sequence[UUID]:
    """With ``only_before``, leave out enrolments read after the fact."""
    before = _TO_WITHOUT_SEAT_BEFORE if fan_out.task == FanOutTask.CHANGE_WAITING else _TO_THOSE_BEFORE
    rows = await tx.execute(
        before if only_before else _TO_ALL,
        {
            **of(template),
            "ids": ids,
            "event_id": fan_out.event_id,
            "details": json.dumps(fan_out.details),
            "called_for_at": fan_out.called_for_at,
            "created_at": fan_out.created_at,
        },
    )
    return rows.scalars().all()


async def queue_message(tx: Transaction, fan_out: FanOutRow, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Each person gets the message once."""
    details = {name: value for name, value in fan_out.details.items() if name != "enrolments"}
    rows = await tx.execute(
        _TO_ADDRESSED,
        {
            **of(LetterType.ORGANISER_MESSAGE),
            **_addressed(fan_out),
            "ids": ids,
            "event_id": fan_out.event_id,
            "details": json.dumps(details),
            "called_for_at": fan_out.called_for_at,
        },
    )
    return rows.scalars().all()


def _addressed(fan_out: FanOutRow) -> dict[str, Any]:
    return {"audience": fan_out.details["audience"], "named": fan_out.details["enrolments"]}


async def queue_scheduled(
    tx: Transaction,
    template: LetterType,
    ids: Sequence[UUID],
    *,
    moment: str,
    due_at: datetime,
    before: datetime,
) -> Sequence[UUID]:
    """Only enrolments that had a seat ``before`` get the letter.

    A decision gets each letter once for each moment. A letter that was superseded because the session moved
    is sent after all if the session moves back.
    """
    rows = await tx.execute(
        _SCHEDULED, {**of(template), "ids": ids, "moment": moment, "due_at": due_at, "before": before}
    )
    return rows.scalars().all()


async def queue_news(
    tx: Transaction, fan_out: FanOutRow, edition: Edition, ids: Sequence[UUID]
) -> Sequence[UUID]:
    """Leave out subscribers who get another letter about the item."""
    rows = await tx.execute(
        _TO_SUBSCRIBERS,
        {
            "ids": ids,
            "item_id": fan_out.subject_id,
            "edition_id": edition.edition_id,
            "due_at": edition.due_at,
            "patience": PATIENCE,
            "called_for_at": fan_out.called_for_at,
            **of(LetterType.NEWS),
        },
    )
    return rows.scalars().all()


def of(template: LetterType) -> dict[str, Any]:
    return {"template": template.value, "priority": int(KINDS[template].priority)}


_KNOWN = [task.value for task in FanOutTask]
"""A newer version may have stored others."""
_STORE = text(
    """
    INSERT INTO fan_out (event_id, task, subject_id, details, called_for_at, due_at, last_id_done, begun_at)
    SELECT event_id, task, subject_id, details, called_for_at, due_at, '00000000-0000-0000-0000-000000000000',
           CASE WHEN due_at > now() THEN NULL ELSE now() END
      FROM unnest(CAST(:event_ids AS uuid[]), CAST(:tasks AS varchar[]), CAST(:subject_ids AS uuid[]),
                  CAST(:details AS jsonb[]), CAST(:called_for_at AS timestamptz[]),
                  CAST(:due_at AS timestamptz[]))
           AS new (event_id, task, subject_id, details, called_for_at, due_at)
     WHERE task IN ('news', 'message') OR due_at > now()
        OR CASE task WHEN 'change-waiting'
           THEN EXISTS (SELECT FROM enrolment
                         WHERE enrolment.session_id = new.subject_id
                           AND standing IN ('waitlisted', 'offered', 'pending'))
           ELSE EXISTS (SELECT FROM enrolment
                         WHERE enrolment.session_id = new.subject_id AND standing = 'enrolled') END
        ON CONFLICT (subject_id, task) WHERE begun_at IS NULL DO NOTHING
    """
)
_NOT_STARTED_IN = "subject_id = ANY(CAST(:ids AS uuid[])) AND begun_at IS NULL"
_KNOWN_NOT_STARTED = f"{_NOT_STARTED_IN} AND task = ANY(CAST(:known AS varchar[]))"
_NOT_STARTED = text(f"SELECT subject_id, task FROM fan_out WHERE {_KNOWN_NOT_STARTED}")  # noqa: S608 our own words
_DROP = text(f"DELETE FROM fan_out WHERE {_KNOWN_NOT_STARTED} RETURNING subject_id, task")  # noqa: S608 our own words
_ANY_WAITING = text(
    "SELECT EXISTS (SELECT FROM fan_out WHERE begun_at IS NULL AND due_at <= now()) "
    "OR EXISTS (SELECT FROM fan_out WHERE begun_at IS NOT NULL AND done_at IS NULL)"
)
_DUE = text(
    "SELECT DISTINCT subject_id FROM (SELECT subject_id FROM fan_out WHERE begun_at IS NULL "
    "AND due_at <= now() ORDER BY due_at LIMIT 100) AS due"
)
_BEGIN_DUE = text(
    f"UPDATE fan_out SET begun_at = now() WHERE {_NOT_STARTED_IN} AND due_at <= now()"  # noqa: S608 our own words
)
_IN_PROGRESS = text(
    "SELECT count(*), coalesce(extract(epoch FROM now() - min(begun_at)), 0) FROM fan_out "
    "WHERE begun_at IS NOT NULL AND done_at IS NULL"
)
_HOLD = text(
    "SELECT FROM fan_out WHERE begun_at IS NOT NULL AND done_at IS NULL ORDER BY fan_out_id FOR SHARE"
)
_ENROLLED = text(
    "SELECT enrolment_id FROM enrolment WHERE session_id = :subject_id AND standing = 'enrolled' "
    "AND enrolment_id > :last_id_done ORDER BY enrolment_id LIMIT :most"
)
_WITHOUT_SEAT = text(
    "SELECT enrolment_id FROM enrolment WHERE session_id = :subject_id "
    "AND standing IN ('waitlisted', 'offered', 'pending') "
    "AND enrolment_id > :last_id_done ORDER BY enrolment_id LIMIT :most"
)
_IS_ADDRESSED = (
    "{0}.standing = ANY(CAST(:audience AS varchar[])) "
    "AND (CAST(:named AS uuid[]) IS NULL OR {0}.enrolment_id = ANY(CAST(:named AS uuid[])))"
)
_ADDRESSED = text(
    "SELECT enrolment_id FROM enrolment WHERE session_id = :subject_id "  # noqa: S608 our own words
    f"AND {_IS_ADDRESSED.format('enrolment')} AND enrolment_id > :last_id_done "
    "ORDER BY enrolment_id LIMIT :most"
)
_SUBSCRIBERS = text(
    "SELECT DISTINCT subscriber_id FROM subscription "
    "WHERE interest = ANY(SELECT unnest(interests) FROM news WHERE item_id = :subject_id) "
    "AND subscriber_id > :last_id_done ORDER BY subscriber_id LIMIT :most"
)
_ADVANCE = text(
    "UPDATE fan_out SET last_id_done = :last_id_done, "
    "done_at = CASE WHEN CAST(:done AS boolean) THEN now() END WHERE fan_out_id = :fan_out_id"
)
_WHO = "issuer, agent_id, address, given_name, family_name, session_id, enrolment_id, version"
_TO = f"""
    INSERT INTO mail ({MAIL_COLUMNS})
    SELECT :event_id, :template, {_WHO}, CAST(:details AS jsonb), true, :priority,
           CAST(:called_for_at AS timestamptz)
      FROM enrolment WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) AND standing"""  # noqa: S608 our own words
# Compare when the enrolment was read, not when it was sent: events of two topics have no order.
_WAS_READ_BEFORE = "read_at < CAST(:created_at AS timestamptz)"
_TO_ALL = text(f"{_TO} = 'enrolled' {ONCE} RETURNING mail_id")
_TO_THOSE_BEFORE = text(f"{_TO} = 'enrolled' AND {_WAS_READ_BEFORE} {ONCE} RETURNING mail_id")
_TO_WITHOUT_SEAT_BEFORE = text(
    f"{_TO} IN ('waitlisted', 'offered', 'pending') AND {_WAS_READ_BEFORE} {ONCE} RETURNING mail_id"
)
# Enrolments with the same address and names are one person. The first enrolment gets the letter.
_TO_ADDRESSED = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS})
    SELECT :event_id, :template, {_WHO}, CAST(:details AS jsonb), true, :priority,
           CAST(:called_for_at AS timestamptz)
      FROM enrolment
     WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) AND {_IS_ADDRESSED.format("enrolment")}
       AND NOT EXISTS (SELECT FROM enrolment AS first
                        WHERE first.session_id = enrolment.session_id
                          AND first.enrolment_id < enrolment.enrolment_id
                          AND lower(first.address) = lower(enrolment.address)
                          AND lower(first.given_name) = lower(enrolment.given_name)
                          AND lower(first.family_name) = lower(enrolment.family_name)
                          AND {_IS_ADDRESSED.format("first")}) {ONCE} RETURNING mail_id"""  # noqa: S608 our own words
)
_SCHEDULED = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS}, due_at)
    SELECT CAST(substr(encode(sha256(convert_to(event_id || ' ' || moment, 'UTF8')), 'hex'), 1, 32) AS uuid),
           :template, {_WHO}, jsonb_build_object('moment', moment, 'cause_id', event_id), true, :priority,
           since, :due_at
      FROM enrolment CROSS JOIN CAST(:moment AS varchar) AS moment
     WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) AND standing = 'enrolled' AND since < :before
     ORDER BY enrolment_id
        ON CONFLICT {ONCE_KEY} DO UPDATE SET state = 'pending', settled_at = NULL
         WHERE mail.state = 'superseded'
     RETURNING mail_id"""  # noqa: S608 our own words
)
# If the owner of the address subscribed too, the mailbox gets only the owner's letter, which can end all
# subscriptions.
_TO_SUBSCRIBERS = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS}, due_at, give_up_at)
    SELECT DISTINCT ON (reader.subscriber_id)
           :edition_id, :template, coalesce(reader.issuer, ''),
           coalesce(reader.agent_id, 'abonnement-' || reader.subscriber_id),
           reader.address, reader.given_name, reader.family_name, NULL, NULL, 0,
           jsonb_build_object('items', jsonb_build_array(item_id), 'subscriber', reader.subscriber_id), false,
           :priority, CAST(:called_for_at AS timestamptz), CAST(:due_at AS timestamptz),
           CAST(:due_at AS timestamptz) + :patience
      FROM news CROSS JOIN subscriber AS follower
           LEFT JOIN subscriber AS owner
                  ON owner.agent_id IS NULL AND lower(owner.address) = lower(follower.address)
           JOIN subscriber AS reader
             ON reader.subscriber_id = coalesce(owner.subscriber_id, follower.subscriber_id)
     WHERE follower.subscriber_id = ANY(CAST(:ids AS uuid[])) AND item_id = :item_id
       AND NOT EXISTS (SELECT FROM enrolment WHERE enrolment.session_id = news.session_id
                       AND (enrolment.issuer, enrolment.agent_id) = (follower.issuer, follower.agent_id)
                       AND standing = 'enrolled')
        ON CONFLICT {ONCE_KEY} DO UPDATE
           SET details = jsonb_set(mail.details, '{{items}}',
                                 (mail.details -> 'items') || (excluded.details -> 'items')),
               state = 'pending', settled_at = NULL
         WHERE mail.state IN ('pending', 'superseded')
           AND NOT (mail.details -> 'items') @> (excluded.details -> 'items')
        RETURNING mail_id"""  # noqa: S608 our own words
)
