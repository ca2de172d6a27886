"""Sessions as CSV: the columns, and sessions written under them, to look at, to edit and to import again.

Times in a sheet are wall-clock times of the session's zone, as in the offer's files. Séances, reserved seats
and the audience have no column. What a sheet says of how full a session is, and where it stands, is not read.
"""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from services.catalogue.rules.lifecycle import enrolment_at, phase_at
from services.catalogue.rules.searching import Position, SessionSearch
from services.catalogue.rules.sessions import ListedSession, Plan, ShownSession
from services.catalogue.service.sessions import tag_of
from services.catalogue.store import session_lists
from shared.database import Transaction
from shared.web import spreadsheets
from shared.web.spreadsheets import Cell, Column

COLUMNS = (
    Column("offer_id", "Offre"),
    Column("title", "Titre", required=False),
    Column("organiser", "Délégation", required=False),
    Column("starts_at", "Début"),
    Column("ends_at", "Fin"),
    Column("enrolment_opens_at", "Ouverture des inscriptions"),
    Column("enrolment_closes_at", "Clôture des inscriptions", required=False),
    Column("timezone", "Fuseau horaire", required=False),
    Column("capacity", "Places", required=False),
    Column("minimum", "Minimum", required=False),
    Column("waiting_list", "Liste d’attente", required=False),
    Column("offer_hold_hours", "Heures pour répondre", required=False),
    Column("approval", "Accord", required=False),
    Column("quota_per_authority", "Places par collectivité", required=False),
    Column("venue", "Lieu", required=False),
    Column("join_url", "Lien", required=False),
    Column("summary", "Présentation", required=False),
    Column("experts", "Intervenants", required=False),
    Column("reference", "Référence", required=False),
    Column("session_id", "Identifiant", required=False),
    Column("tag", "Empreinte", required=False),
)
"""What is read, in the order in which it is written; what is required is required of a new session."""

NAMING = ("reference", "session_id")
"""The columns by which a line names a session."""

SHOWN = (
    Column("version", "Version"),
    Column("status", "Statut"),
    Column("phase", "Phase"),
    Column("enrolment", "Inscriptions"),
    Column("enrolled", "Personnes inscrites"),
    Column("waiting", "En attente"),
)
"""What is written besides, and passed over when read."""

UNLIMITED = "illimité"
EXPERTS = " | "
DATES = ("starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at")
WRITTEN = "%Y-%m-%d %H:%M"
"""How a date is written."""
_BATCH = 1_000


async def write(
    tx: Transaction, search: SessionSearch, after: Position | None
) -> tuple[bytes, Position | None]:
    """A part of the sheet of the sessions that are searched, and after which session the next part begins.

    ``after`` is None for the first part, and what is returned for the last.
    """
    found = await session_lists.page(tx, search, after, _BATCH)
    lines = spreadsheets.lines(tuple(_cells(listed, search.now)) for listed in found)
    heading = b"" if after else spreadsheets.heading((*COLUMNS, *SHOWN))
    if len(found) < _BATCH:
        return heading + lines, None
    last = found[-1].session
    return heading + lines, (last.plan.starts_at, last.session_id)


def cells_of(session: ShownSession) -> dict[str, Cell]:
    """What is written of a session into the columns that are read."""
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
