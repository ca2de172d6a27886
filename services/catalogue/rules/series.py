from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.catalogue.rules import changes
from services.catalogue.rules.lifecycle import shifted
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule, refused
from services.catalogue.rules.sessions import Done, Session, id_from_form
from services.catalogue.rules.validity import inconsistencies

MOST = 50
"""Sessions of one series [choice]."""


@dataclass(frozen=True, slots=True)
class SeriesSession:
    draft: Session
    done: Done
    exists: bool = False


def id_in(key: UUID, draft: Session, starts_at: datetime | None) -> UUID:
    plan = draft.plan
    start = (starts_at or plan.starts_at).astimezone(UTC).isoformat()
    # Each part is one line.
    return id_from_form(key, draft.offer_id, draft.organiser, start, plan.title, plan.venue or "")


def placed(
    draft: Session, starts_at: datetime | None, *, published: bool, now: datetime
) -> SeriesSession | RefusedByRule:
    if starts_at is not None:
        draft = replace(draft, plan=shifted(draft.plan, starts_at))
    violations = inconsistencies(draft.plan)
    if violations:
        return RefusedByRule(violations)
    done = changes.publish(draft, now) if published else Done(draft)
    return done if isinstance(done, RefusedByRule) else SeriesSession(draft, done)


def each_once(series: Sequence[SeriesSession | RefusedByRule]) -> list[SeriesSession | RefusedByRule]:
    """Refuse a session equal to an earlier one: its row was typed twice."""
    seen: set[UUID] = set()
    found: list[SeriesSession | RefusedByRule] = []
    for session in series:
        if isinstance(session, SeriesSession):
            session_id = session.draft.session_id
            found.append(_TWICE if session_id in seen else session)
            seen.add(session_id)
        else:
            found.append(session)
    return found


_TWICE = refused(
    RefusalCode.TWICE_IN_SERIES, "another row has the same town, place, organiser and start", "title"
)
