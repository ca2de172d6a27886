"""Sessions as CSV: out, to look at and to edit; in, as new drafts, all of them or none.

Times in a sheet are wall-clock times of the session's zone, as in the offer's files. An export can be read
again: what it says of how full a session is, and where it stands, is passed over. Séances, reserved seats and
the audience have no column: a draft has its offer's audience and none of the others.
"""

import asyncio
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.catalogue.rules.lifecycle import enrolment_at, instant, phase_at
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.searching import Position, SessionSearch
from services.catalogue.rules.sessions import Done, ListedSession, Session
from services.catalogue.service.commands import SessionDraft
from services.catalogue.service.failures import Impossible, NotYours
from services.catalogue.service.sessions import new_draft
from services.catalogue.store import session_lists, sessions
from services.catalogue.store.audit_log import Action
from shared.auth import Principal
from shared.database import Transaction
from shared.events.faults import sentence_of
from shared.web import spreadsheets
from shared.web.spreadsheets import Column, Fault, Row, UnreadableSheet

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
    Column("waiting_list", "Liste d’attente", required=False),
    Column("offer_hold_hours", "Heures pour répondre", required=False),
    Column("approval", "Accord", required=False),
    Column("quota_per_authority", "Places par collectivité", required=False),
    Column("venue", "Lieu", required=False),
    Column("join_url", "Lien", required=False),
    Column("summary", "Présentation", required=False),
    Column("experts", "Intervenants", required=False),
)
"""What is read, in the order in which it is written. An empty cell is as the offer has it."""

SHOWN = (
    Column("session_id", "Identifiant"),
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
_DATES = ("starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at")
_WRITTEN = "%Y-%m-%d %H:%M"
_READ = (_WRITTEN, "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
_WHOLE = re.compile(r"[0-9]{1,9}")
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Drafts:
    """What was read from a sheet: how many ``rows``, and a draft of each; with any fault, none."""

    rows: int
    faults: tuple[Fault, ...]
    sessions: tuple[Session, ...] = ()


async def read(content: bytes, known: Sequence[Offer], who: Principal) -> Drafts:
    """Read a draft from each line; ``known`` are the offers. Nothing is stored.

    In a thread: ten thousand lines take a second, and others are being answered meanwhile.
    """
    return await asyncio.to_thread(_read, content, {offer.offer_id: offer for offer in known}, who)


async def save(tx: Transaction, who: Principal, drafts: Drafts) -> None:
    """Store the drafts."""
    for start in range(0, len(drafts.sessions), _BATCH):
        added = [(None, Done(session)) for session in drafts.sessions[start : start + _BATCH]]
        await sessions.save(tx, added, actor=who.name, action=Action.IMPORTED)


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


# --------------------------------------------------------------------------------------------- reading


def _read(content: bytes, known: Mapping[str, Offer], who: Principal) -> Drafts:
    try:
        sheet = spreadsheets.read(content, COLUMNS)
    except UnreadableSheet as error:
        return Drafts(0, error.faults)
    faults = list(sheet.faults)
    drafts: list[Session] = []
    for row in sheet.rows:
        draft = _draft(row, known, who)
        if isinstance(draft, Session):
            drafts.append(draft)
        else:
            faults += draft
    faults.sort(key=lambda fault: fault.line)
    return Drafts(len(sheet.rows) + len(sheet.faults), tuple(faults), () if faults else tuple(drafts))


def _draft(row: Row, known: Mapping[str, Offer], who: Principal) -> Session | list[Fault]:
    offer = known.get(row.cells["offer_id"])
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, cell in row.cells.items():
        if cell:
            try:
                fields[name] = _READERS.get(name, _as_it_is)(cell)
            except ValueError as error:
                faults.append(Fault(row.line, "invalid", str(error), name))
    if offer is None:
        faults.append(
            Fault(row.line, "unknown_offer", f"there is no offer {row.cells['offer_id'][:100]!r}", "offer_id")
        )
    zone = _zone(fields.get("timezone") or (offer.terms.timezone if offer else "Europe/Paris"))
    faults += [Fault(row.line, "invalid", why, name) for name, why in _set_by(zone, fields)]
    if faults:
        return faults
    try:
        return new_draft(SessionDraft.model_validate(fields), offer, who)
    except ValidationError as error:
        return [
            Fault(row.line, "invalid", sentence_of(fault), str(fault["loc"][0]) if fault["loc"] else None)
            for fault in error.errors(include_url=False, include_input=False)
        ]
    except Impossible as error:
        return [
            Fault(
                row.line,
                violation.code.value if violation.code else "invalid",
                violation.detail,
                violation.field,
            )
            for violation in error.violations
        ]
    except NotYours as error:
        return [Fault(row.line, "not_yours", str(error), "organiser")]


def _set_by(zone: str | None, fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Make instants of the wall clock's dates; yields the columns where there is none, and why."""
    for name in _DATES:
        if name in fields and zone is not None:
            try:
                fields[name] = instant(fields[name], zone)
            except ValueError as error:
                yield name, str(error)


def _zone(name: str) -> str | None:
    try:
        return str(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return None


def _as_it_is(cell: str) -> str:
    return cell


def _moment(cell: str) -> datetime:
    for written in _READ:
        try:
            return datetime.strptime(cell, written)  # noqa: DTZ007 a wall clock's: the zone is another column
        except ValueError:
            continue
    raise ValueError(f"{cell[:40]!r} is not a date and time such as 2027-03-30 09:30 or 30/03/2027 09:30")


def _number(cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise ValueError(f"{cell[:40]!r} is not a whole number")
    return int(cell)


def _seats(cell: str) -> int | None:
    return None if _bare(cell) == _bare(UNLIMITED) else _number(cell)


def _experts(cell: str) -> list[str]:
    return [name.strip() for name in cell.split("|") if name.strip()]


def _bare(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if c.isalnum())


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_DATES, _moment),
    "capacity": _seats,
    "offer_hold_hours": _number,
    "quota_per_authority": _number,
    "experts": _experts,
}


# --------------------------------------------------------------------------------------------- writing


def _cells(listed: ListedSession, now: datetime) -> Iterator[spreadsheets.Cell]:
    session, plan, seats = listed.session, listed.session.plan, listed.occupancy
    zone = ZoneInfo(plan.timezone)
    given: dict[str, Any] = {
        "offer_id": session.offer_id,
        "organiser": session.organiser,
        "capacity": UNLIMITED if plan.capacity is None else plan.capacity,
        "summary": session.presentation.summary,
        "experts": EXPERTS.join(session.presentation.experts) or None,
        "session_id": str(session.session_id),
        "version": session.version,
        "status": session.status.value,
        "phase": phase_at(plan, now).value,
        "enrolment": enrolment_at(plan, now).value,
        "enrolled": seats and seats.enrolled,
        "waiting": seats and seats.waiting,
    }
    for column in (*COLUMNS, *SHOWN):
        if column.name in given:
            yield given[column.name]
        elif column.name in _DATES:
            yield getattr(plan, column.name).astimezone(zone).strftime(_WRITTEN)
        else:
            value = getattr(plan, column.name)
            yield value if value is None or isinstance(value, int) else str(value)
