"""Sessions as CSV, to edit and import again.

Times are wall-clock times of the session's zone. Séances, reserved seats and the audience have no column. An
import ignores figures and states.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.catalogue.rules.lifecycle import enrolment_at, phase_at
from services.catalogue.rules.searching import Position, SessionSearch
from services.catalogue.rules.sessions import ListedSession, Plan, ShownSession
from services.catalogue.service.session_fields import SESSION_FIELDS, FieldKind, of_kind
from services.catalogue.service.sessions import tag_of
from services.catalogue.store import session_lists
from shared.database import Transaction
from shared.events.vocabulary import EnrolmentWindow, Phase
from shared.web import labels, spreadsheets
from shared.web.spreadsheets import Cell, Column

_FIRST = (
    *("offer_id", "title", "organiser", "starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at"),
    *("timezone", "capacity", "minimum", "waiting_list", "offer_hold_hours", "approval"),
    *("quota_per_authority", "venue", "directions", "join_url", "summary", "experts", "reference"),
)
COLUMNS = (
    *(
        Column(name, field.column, required=field.is_required_in_sheets)
        for name, field in (
            (name, SESSION_FIELDS[name]) for name in dict.fromkeys((*_FIRST, *SESSION_FIELDS))
        )
        if field.column is not None
    ),
    Column("session_id", "Identifiant", required=False),
    Column("tag", "Empreinte", required=False),
)

NAMING = ("reference", "session_id")

SHOWN = (
    Column("version", "Version"),
    Column("status", "Statut"),
    Column("phase", "Phase"),
    Column("enrolment", "Inscriptions"),
    Column("enrolled", "Personnes inscrites"),
    Column("waiting", "En attente"),
)

WORDS: Mapping[str, Mapping[Any, str]] = {
    "waiting_list": labels.WAITING_LISTS,
    "approval": labels.APPROVALS,
}
"""What a workbook says for a code. An import reads both."""
_OF_SHOWN: Mapping[str, Mapping[Any, str]] = {
    "status": labels.STATUSES,
    "phase": {Phase.UPCOMING: "À venir", Phase.RUNNING: "En cours", Phase.OVER: "Terminée"},
    "enrolment": {
        EnrolmentWindow.NOT_YET_OPEN: "Pas encore ouvertes",
        EnrolmentWindow.OPEN: "Ouvertes",
        EnrolmentWindow.CLOSED: "Closes",
    },
}
UNLIMITED = "illimité"
EXPERTS = " | "
DATES = of_kind(FieldKind.MOMENT)
WRITTEN = "%Y-%m-%d %H:%M"
_BATCH = 1_000


def labels_by_title() -> dict[str, Mapping[Any, str]]:
    of_codes = {**WORDS, **_OF_SHOWN}
    return {column.title: of_codes[column.name] for column in (*COLUMNS, *SHOWN) if column.name in of_codes}


async def write(
    tx: Transaction, search: SessionSearch, after: Position | None
) -> tuple[bytes, Position | None]:
    """Return None instead of a position after the last part."""
    found = await session_lists.page(tx, search, after, _BATCH)
    lines = spreadsheets.lines(tuple(_cells(listed, search.now)) for listed in found)
    heading = b"" if after else spreadsheets.heading((*COLUMNS, *SHOWN))
    if len(found) < _BATCH:
        return heading + lines, None
    last = found[-1].session
    return heading + lines, (last.plan.starts_at, last.session_id)


def cells_of(session: ShownSession) -> dict[str, Cell]:
    plan, shown = session.plan, session.presentation
    zone = ZoneInfo(plan.timezone)
    given: dict[str, Cell] = {
        "offer_id": session.offer_id,
        "organiser": session.organiser,
        "capacity": UNLIMITED if plan.capacity is None else plan.capacity,
        "summary": shown.summary,
        "experts": EXPERTS.join(shown.experts) or None,
        "reference": session.reference,
        "session_id": str(session.session_id),
        "tag": tag_of(session),
        **{name: getattr(plan, name).astimezone(zone).strftime(WRITTEN) for name in DATES},
    }
    return {column.name: given.get(column.name, _plain(plan, column.name)) for column in COLUMNS}


def _plain(plan: Plan, name: str) -> Cell:
    value = getattr(plan, name, None)
    return value if value is None or isinstance(value, int) else str(value)


def _cells(listed: ListedSession, now: datetime) -> Iterator[Cell]:
    session, seats = listed.session, listed.occupancy
    yield from cells_of(session).values()
    yield session.version
    yield session.status.value
    yield phase_at(session.plan, now).value
    yield enrolment_at(session.plan, now).value
    yield None if seats is None else seats.enrolled
    yield None if seats is None else seats.waiting
