"""Titles and dates of sessions in a person's export, beside their ids."""

import json
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from shared.database import Transaction

KeptRows = Mapping[str, Sequence[dict[str, Any]]]


class NamedSession(Protocol):
    """A session with a title and dates."""

    @property
    def title(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def timezone(self) -> str: ...


FindSessions = Callable[[Transaction, Collection[UUID]], Awaitable[Mapping[UUID, NamedSession]]]

_SESSION_OF = {"enrolment": "enrolment_id", "mail": "mail_id"}


async def add_sessions(tx: Transaction, kept: KeptRows, find: FindSessions) -> None:
    """Add ``session`` (title and dates) to each row about a known session."""
    about = [(row, session_id) for row, session_id in _sessions_of(kept)]
    known = await find(tx, {session_id for _, session_id in about})
    for row, session_id in about:
        if (session := known.get(session_id)) is not None:
            row["session"] = {
                "title": session.title,
                "starts_at": session.starts_at.isoformat(),
                "ends_at": session.ends_at.isoformat(),
                "timezone": session.timezone,
            }


def _sessions_of(kept: KeptRows) -> Iterator[tuple[dict[str, Any], UUID]]:
    by_key = {
        row[key]: row["session_id"]
        for table, key in _SESSION_OF.items()
        for row in kept.get(table, ())
        if key in row
    }
    for rows in kept.values():
        for row in rows:
            of_others = [by_key.get(row.get(key)) for key in _SESSION_OF.values()]
            named = row.get("session_id"), *of_others, _session_in(row.get("data"))
            session_id = next(filter(None, named), None)
            if session_id is not None:
                yield row, UUID(session_id)


def _session_in(data: Any) -> str | None:
    try:
        found = json.loads(data).get("session_id")
        return None if found is None else str(UUID(found))
    except (AttributeError, TypeError, ValueError, RecursionError):
        return None
