from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.catalogue.rules.refusals import RefusedByRule, Violation
from services.catalogue.rules.series import SeriesSession, each_once, id_in, placed
from services.catalogue.rules.sessions import Done, Session
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import SessionDraft
from services.catalogue.service.failures import Impossible, NotYours
from services.catalogue.service.sessions import planned
from services.catalogue.store import sessions
from services.catalogue.store.audit_log import Action
from shared import clock


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """``starts_at`` None means the time of ``draft``."""

    draft: SessionDraft
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Series:
    sessions: Sequence[SeriesSession | RefusedByRule]
    made: bool = False


async def plan(acting: Acting, rows: Sequence[SeriesRow], *, key: UUID, published: bool) -> Series:
    """Return the sessions that the rows would make, or why a row makes none. Store nothing."""
    now = clock.now()
    drafts = [await _drafted(acting, key, row) for row in rows]
    existing = await sessions.existing(
        acting.tx, [draft.session_id for draft in drafts if isinstance(draft, Session)]
    )
    found: list[SeriesSession | RefusedByRule] = []
    for draft, row in zip(drafts, rows, strict=True):
        if isinstance(draft, RefusedByRule):
            found.append(draft)
        elif draft.session_id in existing:
            found.append(SeriesSession(draft, Done(draft), exists=True))
        else:
            found.append(placed(draft, row.starts_at, published=published, now=now))
    return Series(each_once(found))


async def create(acting: Acting, rows: Sequence[SeriesRow], *, key: UUID, published: bool) -> Series:
    """Make all sessions, or none if one is refused.

    Each session is made once, however often the form is sent, and with whatever other rows.
    """
    await sessions.lock_references(acting.tx)
    series = await plan(acting, rows, key=key, published=published)
    planned = [session for session in series.sessions if isinstance(session, SeriesSession)]
    if len(planned) < len(rows):
        return series
    planned = [session for session in planned if not session.exists]
    made = [(None, Done(session.draft)) for session in planned]
    await sessions.save(acting.tx, made, actor=acting.name, action=Action.CREATED)
    announced = [
        (session.draft, session.done) for session in planned if session.done.session != session.draft
    ]
    await sessions.save(acting.tx, announced, actor=acting.name, action=Action.PUBLISHED)
    return replace(series, made=True)


async def _drafted(acting: Acting, key: UUID, row: SeriesRow) -> Session | RefusedByRule:
    try:
        drafted = await planned(acting, row.draft)
        return replace(drafted, session_id=id_in(key, drafted, row.starts_at))
    except Impossible as error:
        return RefusedByRule(error.violations)
    except NotYours as error:
        return RefusedByRule((Violation(None, "organiser", str(error)),))
