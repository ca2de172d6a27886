"""Rows to facts and back."""

import json
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from services.catalogue import rules, tables
from services.catalogue.rules import Announcement, Occupancy, Plan, Session
from services.catalogue.store.sessions.facts import Given, Listed, Loaded, Presentation
from services.catalogue.store.trail import Line
from shared.events.vocabulary import Format, Status

COLUMNS = tables.columns_of(tables.session)

_PLAN = TypeAdapter(Plan)
_GIVEN = TypeAdapter(Given)
_PLAN_FIELDS = tuple(field.name for field in fields(Plan))
_JSON_FIELDS = frozenset(("modules", "audience", "reserved_seats"))


def session(row: Row[Any]) -> Session:
    """The session of a row."""
    return Session(
        session_id=row.session_id,
        offer_id=row.offer_id,
        format=Format(row.format),
        organiser=row.organiser,
        version=row.version,
        status=Status(row.status),
        announced=Announcement(row.announced),
        plan=_PLAN.validate_python({name: getattr(row, name) for name in _PLAN_FIELDS}),
    )


def loaded(row: Row[Any]) -> Loaded:
    """The session and what the files gave it."""
    given = None if row.loaded is None else _GIVEN.validate_python(row.loaded)
    return Loaded(session(row), _presentation(row), given)


def listed(row: Row[Any]) -> Listed:
    """The session and how full it is."""
    occupancy = None
    if row.seats_version is not None:
        occupancy = Occupancy(row.seats_version, row.seats_capacity, row.enrolled, row.waiting, row.offered)
    return Listed(session(row), _presentation(row), occupancy, row.changed_at, row.seats_changed_at)


def _presentation(row: Row[Any]) -> Presentation:
    return Presentation(
        summary=row.summary, experts=tuple(row.experts), source=row.source, choices=tuple(row.choices)
    )


def changing(session: Session) -> dict[str, Any]:
    """The columns of a session that can change, and its id."""
    plan = _PLAN.dump_python(session.plan, mode="json")
    return {
        "session_id": session.session_id,
        "version": session.version,
        "status": session.status.value,
        "announced": int(session.announced),
        "next_announcement_at": rules.next_announcement_at(session),
    } | {
        name: json.dumps(plan[name], ensure_ascii=False)
        if name in _JSON_FIELDS
        else getattr(session.plan, name)
        for name in _PLAN_FIELDS
    }


def presenting(one: Loaded) -> dict[str, Any]:
    """The columns of what is shown, and of what the files gave."""
    given = one.given
    return {
        "summary": one.presentation.summary,
        "experts": json.dumps(one.presentation.experts, ensure_ascii=False),
        "source": one.presentation.source,
        "choices": json.dumps(one.presentation.choices),
        "loaded": None if given is None else _GIVEN.dump_json(given).decode(),
    }


def line(actor: str, action: str, before: Loaded | None, after: Loaded) -> Line:
    """The audit line of a change: each field that differs, of the plan, of what is shown, and the status."""
    old, new = ({} if one is None else _audited(one) for one in (before, after))
    changes = {
        name: [old.get(name), value] for name, value in new.items() if before is None or old[name] != value
    }
    return Line(actor, action, after.session.session_id, after.session.version, changes)


def last_line(actor: str, one: Loaded) -> Line:
    """The audit line of a session that is no more: all that it was."""
    changes = {name: [value, None] for name, value in _audited(one).items()}
    return Line(actor, "deleted", one.session.session_id, one.session.version, changes)


def _audited(one: Loaded) -> dict[str, Any]:
    plan: dict[str, Any] = _PLAN.dump_python(one.session.plan, mode="json")
    shown = {"summary": one.presentation.summary, "experts": list(one.presentation.experts)}
    return plan | shown | {"status": one.session.status}
