"""One fact, many letters: rows for all who are enrolled in a session, or follow a theme, slice by slice.

The fact is stored whole in one short transaction; then each slice goes into the queue in one of its own,
with the place where it ended. So nobody waits for 100,000 rows, and a kill in the middle costs nothing. New
enrolments and a fan-out must not miss each other: see :func:`lock_sessions`.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.notifier import letters, tables
from services.notifier.letters import KINDS, Facts, Interest, NewsItem, NewsKind, Template, next_edition
from services.notifier.store.knowledge import known_sessions
from services.notifier.store.queueing import ONCE, PATIENCE
from shared import clock
from shared.database import Transaction


class Task(StrEnum):
    """What is done for each of the enrolled."""

    REPLAY = "replay"
    CHANGE = "change"
    REMOVAL = "removal"
    SCHEDULE = "schedule"
    NEWS = "news"
    """For each of the subscribers, not of the enrolled."""


_CHANGES = {Task.CHANGE: Template.SESSION_CHANGED, Task.REMOVAL: Template.MODULE_CANCELLED}
TASKS = {template: task for task, template in _CHANGES.items()}
"""By what each letter about a change of a session reaches all who are enrolled in it."""


@dataclass(frozen=True, slots=True)
class FanOut:
    """A fact about a session that concerns everyone enrolled in it, or news for all who follow it.

    ``subject_id`` is the session's or the item's.
    """

    event_id: UUID
    task: Task
    subject_id: UUID
    facts: Facts
    called_for_at: datetime


async def lock_sessions(tx: Transaction, ids: Collection[UUID], *, alone: bool) -> None:
    """Let the enrolments of a session be told and a fact about it be announced one after the other.

    Of two transactions at once, which do not see each other, neither would write to who enrolled just then.
    """
    await tx.execute(_LOCK_ALONE if alone else _LOCK_SHARED, {"ids": sorted(ids)})


async def begin(tx: Transaction, fan_outs: Sequence[FanOut]) -> None:
    """Have these done by :func:`next_slice`; those about sessions in which nobody is enrolled are nothing."""
    if fan_outs:
        await tx.execute(
            _BEGIN,
            {
                "event_ids": [one.event_id for one in fan_outs],
                "tasks": [one.task.value for one in fan_outs],
                "subject_ids": [one.subject_id for one in fan_outs],
                "facts": [json.dumps(one.facts) for one in fan_outs],
                "called_for_at": [one.called_for_at for one in fan_outs],
            },
        )


async def next_slice(tx: Transaction, *, most: int) -> int | None:
    """Put the next slice of the oldest fan-out into the queue; how many agents it was, None if none is left.

    Two processes never work on the same fan-out at once.
    """
    fan_out = (await tx.execute(_OLDEST, {"tasks": [task.value for task in Task]})).one_or_none()
    if fan_out is None:
        return None
    task = Task(fan_out.task)
    which = _SUBSCRIBERS if task is Task.NEWS else _ENROLLED
    place = {"subject_id": fan_out.subject_id, "after": fan_out.after, "most": most}
    ids = list((await tx.execute(which, place)).scalars())
    if ids:
        await _DO[task](tx, fan_out, ids)
    await tx.execute(
        _ADVANCE,
        {
            "fan_out_id": fan_out.fan_out_id,
            "after": ids[-1] if ids else fan_out.after,
            "done": len(ids) < most,
        },
    )
    return len(ids)


async def purge(tx: Transaction) -> int:
    """Forget what was done a month ago. Returns how many rows went."""
    return (await tx.execute(_PURGE)).rowcount


# ------------------------------------------------------------------------------------------ news


async def publish_news(tx: Transaction, event_id: UUID, item: NewsItem, *, called_for_at: datetime) -> None:
    """Tell all who follow it, once; a later version corrects what is still to be sent."""
    if await remember_news(tx, event_id, item):
        await begin(tx, [FanOut(event_id, Task.NEWS, item.item_id, {}, called_for_at)])


async def remember_news(tx: Transaction, event_id: UUID, item: NewsItem) -> bool:
    """Know an item, and tell nobody. Returns whether it is new."""
    is_new: bool | None = await tx.scalar(
        _REMEMBER_NEWS,
        {
            "item_id": item.item_id,
            "event_id": event_id,
            "kind": item.kind.value,
            "title": item.title,
            "summary": item.summary,
            "url": item.url,
            "interests": [str(interest) for interest in item.interests],
            "session_id": item.session_id,
            "published_at": item.published_at,
        },
    )
    return bool(is_new)


async def news_items(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, NewsItem]:
    """The items of news with these ids."""
    return {
        row.item_id: NewsItem(
            row.item_id,
            NewsKind(row.kind),
            row.title,
            row.summary,
            row.url,
            tuple(map(Interest.parse, row.interests)),
            row.published_at,
            row.session_id,
        )
        for row in await tx.execute(_NEWS_ITEMS, {"ids": sorted(ids)})
    }


async def _news(tx: Transaction, fan_out: Row[Any], ids: Sequence[UUID]) -> None:
    """Put the item into the next edition of each; who was enrolled in a recorded session is told apart."""
    edition = next_edition(clock.now())
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


# ------------------------------------------------------------------------------------------ slices


async def _replay(tx: Transaction, fan_out: Row[Any], ids: Sequence[UUID]) -> None:
    await tx.execute(_TO_ALL, of(Template.REPLAY_AVAILABLE) | _about(fan_out, ids))


async def _change(tx: Transaction, fan_out: Row[Any], ids: Sequence[UUID]) -> None:
    """Whoever enrolled after the change was told the session as it is."""
    await tx.execute(_TO_THOSE_BEFORE, of(_CHANGES[Task(fan_out.task)]) | _about(fan_out, ids))


async def _schedule(tx: Transaction, fan_out: Row[Any], ids: Sequence[UUID]) -> None:
    """Plan the letters to come for the first time, or move them with their session.

    A letter that was sent for the old dates is sent for the new ones too, if its moment is still to come.
    """
    sessions = await known_sessions(tx, [fan_out.subject_id])
    planned = letters.plan(sessions[fan_out.subject_id])
    plan = {
        "ids": ids,
        "templates": [one.template.value for one in planned],
        "moments": [one.moment for one in planned],
        "dues": [one.due_at for one in planned],
        "patience": PATIENCE,
    }
    await tx.execute(_MOVE, plan)
    await tx.execute(
        _PLAN,
        plan
        | {
            "event_id": fan_out.event_id,
            "untils": [one.until for one in planned],
            "priority": int(KINDS[Template.JOINING].priority),
            "called_for_at": fan_out.called_for_at,
            "first": bool(json.loads(fan_out.facts).get("first")),
        },
    )


_DO = {
    Task.REPLAY: _replay,
    Task.CHANGE: _change,
    Task.REMOVAL: _change,
    Task.SCHEDULE: _schedule,
    Task.NEWS: _news,
}


def of(template: Template) -> dict[str, Any]:
    """What all letters of a template have in common, as parameters of a statement."""
    return {"template": template.value, "priority": int(KINDS[template].priority)}


def _about(fan_out: Row[Any], ids: Sequence[UUID]) -> dict[str, Any]:
    return {
        "ids": ids,
        "event_id": fan_out.event_id,
        "facts": fan_out.facts,
        "called_for_at": fan_out.called_for_at,
    }


_LOCK = (
    "FROM (SELECT DISTINCT hashtextextended(id::text, 7) AS key "
    "FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY 1)"
)
_LOCK_ALONE = text(f"SELECT pg_advisory_xact_lock(key) {_LOCK} AS keys")
_LOCK_SHARED = text(f"SELECT pg_advisory_xact_lock_shared(key) {_LOCK} AS keys")

_BEGIN = text(
    """
    INSERT INTO fan_out (event_id, task, subject_id, facts, called_for_at, after)
    SELECT event_id, task, subject_id, facts, called_for_at, '00000000-0000-0000-0000-000000000000'
      FROM unnest(CAST(:event_ids AS uuid[]), CAST(:tasks AS varchar[]), CAST(:subject_ids AS uuid[]),
                  CAST(:facts AS jsonb[]), CAST(:called_for_at AS timestamptz[]))
           AS new (event_id, task, subject_id, facts, called_for_at)
     WHERE task = 'news'
        OR EXISTS (SELECT FROM enrolment
                    WHERE enrolment.session_id = new.subject_id AND standing = 'enrolled')
    """
)
_OLDEST = text(
    "SELECT fan_out_id, event_id, task, subject_id, facts::text AS facts, called_for_at, after "
    "FROM fan_out WHERE done_at IS NULL AND task = ANY(CAST(:tasks AS varchar[])) "
    "ORDER BY task = 'news', created_at LIMIT 1 FOR UPDATE SKIP LOCKED"
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
_REMEMBER_NEWS = text(
    """
    INSERT INTO news (item_id, event_id, kind, title, summary, url, interests, session_id, published_at)
    VALUES (:item_id, :event_id, :kind, :title, :summary, :url, :interests, :session_id, :published_at)
        ON CONFLICT (item_id) DO UPDATE
           SET title = excluded.title, summary = excluded.summary, url = excluded.url
    RETURNING xmax = 0"""  # of a row that was there before, it is the transaction that changes it
)
_NEWS_ITEMS = text("SELECT * FROM news WHERE item_id = ANY(CAST(:ids AS uuid[]))")
_ADVANCE = text(
    "UPDATE fan_out SET after = :after, done_at = CASE WHEN CAST(:done AS boolean) THEN now() END "
    "WHERE fan_out_id = :fan_out_id"
)
_PURGE = text("DELETE FROM fan_out WHERE done_at < now() - interval '30 days'")

MAIL_COLUMNS = (
    "event_id, template, recipient, address, given_name, family_name, session_id, enrolment_id, version, "
    "facts, needs_session, priority, called_for_at"
)
_WHO = "agent_id, address, given_name, family_name, session_id, enrolment_id, version"
_TO = f"""
    INSERT INTO mail ({MAIL_COLUMNS})
    SELECT :event_id, :template, {_WHO}, CAST(:facts AS jsonb), true, :priority,
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
    f"AND mail.state = 'pending' AND mail.{tables.SCHEDULED}"
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
                       AND open.template = planned.template AND open.{tables.SCHEDULED}
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
           SET facts = jsonb_set(mail.facts, '{{items}}',
                                 (mail.facts -> 'items') || (excluded.facts -> 'items')),
               state = 'pending', settled_at = NULL
         WHERE mail.state IN ('pending', 'superseded')
           AND NOT (mail.facts -> 'items') @> (excluded.facts -> 'items')"""  # noqa: S608
)
