"""One fact, many letters: rows for all who are enrolled in a session, or follow a theme, slice by slice.

The fact is stored whole in one short transaction; then each slice goes into the queue in one of its own, with
the place where it ended. So nobody waits for 100,000 rows, and a kill in the middle costs nothing. New
enrolments and a fan-out must not miss each other: see :func:`sessions.lock`.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, delete, select

from services.notifier.letters import KINDS, Edition, FanOut, FanOutTask, ScheduledLetter, Template
from services.notifier.store.queue import MAIL_COLUMNS, ONCE, PATIENCE
from services.notifier.tables import SCHEDULED, FanOutRow
from shared.database import Transaction


async def begin(tx: Transaction, fan_outs: Sequence[FanOut]) -> None:
    """Have these done, slice by slice; those about sessions in which nobody is enrolled are nothing."""
    if fan_outs:
        await tx.execute(
            _BEGIN,
            {
                "event_ids": [fan_out.event_id for fan_out in fan_outs],
                "tasks": [fan_out.task.value for fan_out in fan_outs],
                "subject_ids": [fan_out.subject_id for fan_out in fan_outs],
                "details": [json.dumps(fan_out.details) for fan_out in fan_outs],
                "called_for_at": [fan_out.called_for_at for fan_out in fan_outs],
            },
        )


async def lock_oldest(tx: Transaction) -> FanOutRow | None:
    """The oldest that is not done and that no other process works on; news after all others."""
    is_news = col(FanOutRow.task) == FanOutTask.NEWS.value
    known = col(FanOutRow.task).in_([task.value for task in FanOutTask])
    oldest = select(FanOutRow).where(col(FanOutRow.done_at).is_(None), known)
    order = oldest.order_by(is_news, col(FanOutRow.created_at)).limit(1)
    return (await tx.scalars(order.with_for_update(skip_locked=True))).one_or_none()


async def next_ids(tx: Transaction, fan_out: FanOutRow, *, most: int) -> list[UUID]:
    """The next ``most`` enrolments (for news: subscribers) that a fan-out has not come to yet."""
    statement = _SUBSCRIBERS if fan_out.task == FanOutTask.NEWS else _ENROLLED
    place = {"subject_id": fan_out.subject_id, "after": fan_out.after, "most": most}
    return list((await tx.execute(statement, place)).scalars())


async def advance(tx: Transaction, fan_out: FanOutRow, ids: Sequence[UUID], *, done: bool) -> None:
    """Keep how far a fan-out has come."""
    after = ids[-1] if ids else fan_out.after
    await tx.execute(_ADVANCE, {"fan_out_id": fan_out.fan_out_id, "after": after, "done": done})


async def purge(tx: Transaction) -> None:
    """Forget what was done a month ago."""
    month_ago = func.now() - timedelta(days=30)
    await tx.execute(delete(FanOutRow).where(col(FanOutRow.done_at) < month_ago))


# ------------------------------------------------------------------------------------------ slices


async def queue_letters(
    tx: Transaction, fan_out: FanOutRow, template: Template, ids: Sequence[UUID], *, only_before: bool
) -> None:
    """Queue a letter to each of these enrolments; ``only_before``: to who enrolled before the fact alone."""
    await tx.execute(
        _TO_THOSE_BEFORE if only_before else _TO_ALL,
        {
            **of(template),
            "ids": ids,
            "event_id": fan_out.event_id,
            "details": json.dumps(fan_out.details),
            "called_for_at": fan_out.called_for_at,
        },
    )


async def schedule(
    tx: Transaction, fan_out: FanOutRow, letters: Sequence[ScheduledLetter], ids: Sequence[UUID]
) -> None:
    """Plan the letters to come for the first time, or move them with their session.

    A letter that was sent for the old dates is sent for the new ones too, if its moment is still to come.
    """
    plan = {
        "ids": ids,
        "templates": [letter.template.value for letter in letters],
        "moments": [letter.moment for letter in letters],
        "dues": [letter.due_at for letter in letters],
        "patience": PATIENCE,
    }
    await tx.execute(_MOVE, plan)
    await tx.execute(
        _PLAN,
        plan
        | {
            "event_id": fan_out.event_id,
            "untils": [letter.until for letter in letters],
            "priority": int(KINDS[Template.JOINING].priority),
            "called_for_at": fan_out.called_for_at,
            "first": bool(fan_out.details.get("first")),
        },
    )


async def queue_news(tx: Transaction, fan_out: FanOutRow, edition: Edition, ids: Sequence[UUID]) -> None:
    """Put an item of news into an edition for each; who was enrolled in a recorded session is told apart."""
    await tx.execute(
        _TO_SUBSCRIBERS,
        {
            "ids": ids,
            "item_id": fan_out.subject_id,
            "edition_id": edition.edition_id,
            "due_at": edition.due_at,
            "patience": PATIENCE,
            "called_for_at": fan_out.called_for_at,
            **of(Template.NEWS),
        },
    )


def of(template: Template) -> dict[str, Any]:
    """What all letters of a template have in common, as parameters of a statement."""
    return {"template": template.value, "priority": int(KINDS[template].priority)}


_BEGIN = text(
    """
    INSERT INTO fan_out (event_id, task, subject_id, details, called_for_at, after)
    SELECT event_id, task, subject_id, details, called_for_at, '00000000-0000-0000-0000-000000000000'
      FROM unnest(CAST(:event_ids AS uuid[]), CAST(:tasks AS varchar[]), CAST(:subject_ids AS uuid[]),
                  CAST(:details AS jsonb[]), CAST(:called_for_at AS timestamptz[]))
           AS new (event_id, task, subject_id, details, called_for_at)
     WHERE task = 'news'
        OR EXISTS (SELECT FROM enrolment
                    WHERE enrolment.session_id = new.subject_id AND standing = 'enrolled')
    """
)
_ENROLLED = text(
    "SELECT enrolment_id FROM enrolment WHERE session_id = :subject_id AND standing = 'enrolled' "
    "AND enrolment_id > :after ORDER BY enrolment_id LIMIT :most"
)
_SUBSCRIBERS = text(
    "SELECT DISTINCT subscriber_id FROM subscription "
    "WHERE interest = ANY(SELECT unnest(interests) FROM news WHERE item_id = :subject_id) "
    "AND subscriber_id > :after ORDER BY subscriber_id LIMIT :most"
)
_ADVANCE = text(
    "UPDATE fan_out SET after = :after, done_at = CASE WHEN CAST(:done AS boolean) THEN now() END "
    "WHERE fan_out_id = :fan_out_id"
)
_WHO = "agent_id, address, given_name, family_name, session_id, enrolment_id, version"
_TO = f"""
    INSERT INTO mail ({MAIL_COLUMNS})
    SELECT :event_id, :template, {_WHO}, CAST(:details AS jsonb), true, :priority,
           CAST(:called_for_at AS timestamptz)
      FROM enrolment WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) AND standing = 'enrolled'"""  # noqa: S608
_TO_ALL = text(f"{_TO} {ONCE}")
_TO_THOSE_BEFORE = text(f"{_TO} AND since < :called_for_at {ONCE}")
_PLANNED = (
    "unnest(CAST(:templates AS varchar[]), CAST(:moments AS timestamptz[]), CAST(:dues AS timestamptz[]), "
    "CAST(:untils AS timestamptz[])) AS planned (template, moment, due_at, until)"
)
_MOVE = text(
    "UPDATE mail SET due_at = planned.due_at, give_up_at = planned.due_at + :patience, "  # noqa: S608
    "state = CASE WHEN late THEN 'superseded' ELSE state END, settled_at = CASE WHEN late THEN now() END, "
    "smtp_answer = CASE WHEN late THEN 'its moment had passed when the session moved' ELSE smtp_answer END "
    "FROM (SELECT *, template <> 'joining-instructions' AND moment <= now() AS late "
    "FROM unnest(CAST(:templates AS varchar[]), CAST(:moments AS timestamptz[]), "
    "CAST(:dues AS timestamptz[])) AS each (template, moment, due_at)) AS planned "
    "WHERE mail.enrolment_id = ANY(CAST(:ids AS uuid[])) AND mail.template = planned.template "
    f"AND mail.state = 'pending' AND mail.{SCHEDULED}"
)
_PLAN = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS}, due_at, give_up_at)
    SELECT :event_id, planned.template, {_WHO}, '{{}}', true, :priority, :called_for_at, planned.due_at,
           planned.due_at + :patience
      FROM enrolment CROSS JOIN {_PLANNED}
     WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) AND standing = 'enrolled' AND since < planned.moment
       AND now() < planned.until AND (CAST(:first AS boolean) OR now() < planned.moment)
       AND NOT EXISTS (SELECT FROM mail AS open WHERE open.enrolment_id = enrolment.enrolment_id
                       AND open.template = planned.template AND open.{SCHEDULED}
                       AND open.state IN ('pending', 'retry', 'claimed', 'data_started'))
    {ONCE}"""  # noqa: S608
)
_TO_SUBSCRIBERS = text(
    f"""
    INSERT INTO mail ({MAIL_COLUMNS}, due_at, give_up_at)
    SELECT :edition_id, :template, coalesce(agent_id, 'abonnement-' || subscriber_id), address, given_name,
           family_name, NULL, NULL, 0,
           jsonb_build_object('items', jsonb_build_array(item_id), 'subscriber', subscriber_id), false,
           :priority, CAST(:called_for_at AS timestamptz), CAST(:due_at AS timestamptz),
           CAST(:due_at AS timestamptz) + :patience
      FROM subscriber CROSS JOIN news
     WHERE subscriber_id = ANY(CAST(:ids AS uuid[])) AND item_id = :item_id
       AND NOT EXISTS (SELECT FROM enrolment WHERE enrolment.session_id = news.session_id
                       AND enrolment.agent_id = subscriber.agent_id AND standing = 'enrolled')
        ON CONFLICT (event_id, template, recipient) DO UPDATE
           SET details = jsonb_set(mail.details, '{{items}}',
                                 (mail.details -> 'items') || (excluded.details -> 'items')),
               state = 'pending', settled_at = NULL
         WHERE mail.state IN ('pending', 'superseded')
           AND NOT (mail.details -> 'items') @> (excluded.details -> 'items')"""  # noqa: S608
)
