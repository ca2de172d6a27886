"""Sessions from CSV: each line changes the session that it names, or drafts a new one; all lines, or none.

A line names a session by ``session_id``, or by the organiser's own ``reference``. It changes what it says
otherwise than the session is, by the rules of any change; an empty cell leaves what is there. Without a name,
a line is known by what it says: imported once more, it drafts nothing (ADR 0041).
"""

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.catalogue.rules.changes import differences
from services.catalogue.rules.lifecycle import instant
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.refusals import Refused, Violation
from services.catalogue.rules.sessions import Done, Session
from services.catalogue.service import offers
from services.catalogue.service.commands import SessionChange, SessionDraft
from services.catalogue.service.failures import Busy, Impossible, NotYours
from services.catalogue.service.sessions import changed, count_change, new_draft, reference_taken
from services.catalogue.service.sheets import COLUMNS, DATES, NAMING, UNLIMITED, WRITTEN, cells_of
from services.catalogue.store import sessions
from services.catalogue.store.audit_log import Action
from shared import clock
from shared.auth import Principal
from shared.database import Transaction
from shared.events.faults import sentence_of
from shared.events.vocabulary import Status
from shared.limits import Rate
from shared.web import spreadsheets
from shared.web.spreadsheets import Fault, Row, UnreadableSheet

_READ = (WRITTEN, "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
_WHOLE = re.compile(r"[0-9]{1,9}")
_FIXED = ("offer_id", "organiser")
_ABOUT_THE_LINE = frozenset((*_FIXED, "session_id", "tag"))
"""Columns that say which session a line is about, and not what becomes of it."""
_LINES = UUID("6d8c7c0b-7a7e-4f2c-9a55-0f5a2a0c3b71")
"""Whence the ids of sessions that are known by their line."""
_BATCH = 1_000
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sheets")
"""One sheet after the other: together they are no faster, and the threads of all are for short work."""
MOST_WAITING = 5
"""Sheets that wait in a process; one of 20,000 lines takes some seconds."""
_BUSY_SECONDS = 10
SENT = Rate(64 * 1024, 3600)
"""KiB of sheets that are read of an organiser, tried ones too: some forty of 20,000 short lines."""

T = TypeVar("T")


class Outcome(StrEnum):
    """What a line of a sheet does."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class SheetLine:
    """What a line does to ``session``, as it is then; ``fields`` are what differs of one that is changed.

    ``before`` is the session as it was, None where it is new; ``done`` is None where nothing is to be stored.
    """

    line: int
    outcome: Outcome
    session: Session
    before: Session | None = None
    done: Done | None = None
    fields: tuple[str, ...] = ()

    @property
    def is_announced(self) -> bool:
        """Whether a published session changes, of which others hear."""
        return self.outcome is Outcome.CHANGED and self.session.status is Status.PUBLISHED


@dataclass(frozen=True, slots=True)
class SheetContent:
    """What was read of a file: its lines, how many in all, and what is wrong with the others."""

    rows: int = 0
    lines: tuple[Row, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file of so many ``rows``, or would become: with any fault, nothing."""

    rows: int
    faults: tuple[Fault, ...]
    lines: tuple[SheetLine, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """How many lines do that."""
        return sum(line.outcome is outcome for line in self.lines)


def sender_of(who: Principal) -> str:
    """Whose sheets count together: those of a delegation, or of somebody who acts everywhere."""
    return who.delegation or who.name


def kibibytes(content: bytes) -> int:
    """What a file counts for of :data:`SENT`."""
    return len(content) // 1024 + 1


class Turns:
    """Whose sheet is at work in a process, and whose wait: one of each organiser, and a few in all.

    A turn is taken before any connection, so that who waits keeps neither that nor a lock from others.
    """

    def __init__(self) -> None:
        self._at_work = asyncio.Lock()
        self._waiting: set[str] = set()

    @asynccontextmanager
    async def take(self, who: Principal) -> AsyncIterator[None]:
        """Wait until no other sheet is at work, and keep others waiting. Raises :class:`Busy`."""
        whose = sender_of(who)
        if whose in self._waiting or len(self._waiting) >= MOST_WAITING:
            raise Busy(_BUSY_SECONDS)
        self._waiting.add(whose)
        try:
            await self._at_work.acquire()
        finally:
            self._waiting.discard(whose)
        try:
            yield
        finally:
            self._at_work.release()


async def read(content: bytes) -> SheetContent:
    """Read the lines of a file, in a thread: meanwhile others are answered."""
    return await _in_thread(lambda: _read(content))


async def apply(tx: Transaction, who: Principal, content: SheetContent, *, dry_run: bool) -> Imported:
    """Do what the lines say, unless there is any fault, or they are only tried: then no session is locked."""
    known = {offer.offer_id: offer for offer in await offers.every(tx)}
    targets = await _targets(tx, who, content.lines)
    found = await _decide(_Lines(who, known, targets, clock.now()), content.lines)
    if not (dry_run or content.faults or found.faults):
        await sessions.lock_references(tx)
        locked = await _targets(tx, who, content.lines, lock=True)
        # What was decided holds where nothing has changed meanwhile, and no time has come that matters.
        if locked != targets or any(line.is_announced for line in found.lines):
            found = await _decide(_Lines(who, known, locked, clock.now()), content.lines)
    faults = sorted((*content.faults, *found.faults), key=_line_of)
    if faults:
        return Imported(content.rows, tuple(faults))
    lines = await _without_known(tx, found.lines)
    if too_often := await _count_changes(tx, lines, dry_run=dry_run):
        return Imported(content.rows, too_often)
    if not dry_run:
        await _save(tx, who, lines)
    return Imported(content.rows, (), tuple(lines))


async def _decide(lines: "_Lines", rows: Sequence[Row]) -> "_Lines":
    return await _in_thread(lambda: lines.decide(rows))


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)


def _line_of(fault: Fault) -> int:
    return fault.line


def _read(content: bytes) -> SheetContent:
    try:
        sheet = spreadsheets.read(content, COLUMNS, unless=NAMING)
    except UnreadableSheet as error:
        return SheetContent(faults=error.faults)
    return SheetContent(len(sheet.rows) + len(sheet.faults), sheet.rows, sheet.faults)


# ------------------------------------------------------------------------------------- in the database


@dataclass(frozen=True, slots=True)
class Targets:
    """The sessions that lines name, and who imports may change, by the line's number.

    ``holders``: who has which reference.
    """

    by_line: Mapping[int, Session]
    holders: Mapping[tuple[str, str], UUID]


async def _targets(tx: Transaction, who: Principal, rows: Sequence[Row], *, lock: bool = False) -> Targets:
    references = {row.cells["reference"] for row in rows if row.cells["reference"]}
    holders = await sessions.by_references(tx, references, who.delegation) if references else {}
    ids: dict[int, UUID] = {}
    for row in rows:
        named = _uuid(row.cells["session_id"])
        if not row.cells["session_id"]:
            organiser = row.cells["organiser"] or who.delegation or ""
            named = holders.get((organiser, row.cells["reference"]))
        if named is not None:
            ids[row.line] = named
    find = sessions.lock if lock else sessions.by_ids
    own = await find(tx, set(ids.values()), organiser=who.delegation) if ids else {}
    by_line = {line: own[session_id] for line, session_id in ids.items() if session_id in own}
    return Targets(by_line, holders)


async def _without_known(tx: Transaction, lines: Sequence[SheetLine]) -> list[SheetLine]:
    """The lines; one without a name that was imported before does nothing."""
    new = {line.session.session_id for line in lines if line.outcome is Outcome.CREATED}
    known = await sessions.existing(tx, new) if new else set()
    return [
        replace(line, outcome=Outcome.UNCHANGED, done=None) if line.session.session_id in known else line
        for line in lines
    ]


async def _count_changes(tx: Transaction, lines: Sequence[SheetLine], *, dry_run: bool) -> tuple[Fault, ...]:
    """Count the changes that are announced. Returns those that are too many.

    Where there is one of these, or the lines are only tried, none is counted. In the order of the sessions'
    ids, so that two who count the same ones wait for each other in one direction.
    """
    announced = [line for line in lines if line.is_announced and line.done is not None and line.done.events]
    too_often: list[Fault] = []
    async with tx.begin_nested() as counts:
        for line in sorted(announced, key=lambda line: line.session.session_id):
            violation = await count_change(tx, line.session.session_id)
            too_often += _violations(line.line, [violation] if violation is not None else [])
        if too_often or dry_run:
            await counts.rollback()
    return tuple(sorted(too_often, key=_line_of))


async def _save(tx: Transaction, who: Principal, lines: Sequence[SheetLine]) -> None:
    for action, outcome in ((Action.IMPORTED, Outcome.CREATED), (Action.CHANGED, Outcome.CHANGED)):
        done = [(line.before, line.done) for line in lines if line.outcome is outcome and line.done]
        for start in range(0, len(done), _BATCH):
            await sessions.save(tx, done[start : start + _BATCH], actor=who.name, action=action)


# -------------------------------------------------------------------------------------------- deciding


class _Wrong(Exception):
    """A line cannot be imported."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(slots=True)
class _Lines:
    """Decides line by line; what the lines before it are about is wrong for a later one."""

    who: Principal
    offers: Mapping[str, Offer]
    targets: Targets
    now: datetime
    lines: list[SheetLine] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _references: set[tuple[str, str]] = field(default_factory=set)
    _sessions: set[UUID] = field(default_factory=set)
    _equal: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many lines without a name said the same, by organiser."""

    def decide(self, rows: Sequence[Row]) -> "_Lines":
        """Decide about each row."""
        for row in rows:
            try:
                self.lines.append(self._decide(row))
            except _Wrong as wrong:
                self.faults += wrong.faults
        return self

    def _decide(self, row: Row) -> SheetLine:
        before = self.targets.by_line.get(row.line)
        if before is not None:
            decided = self._change(row, before)
        elif row.cells["session_id"]:
            raise _Wrong(_unknown_session(row))
        else:
            decided = self._draft(row)
        self._take_names(row, decided.session)
        return decided

    def _draft(self, row: Row) -> SheetLine:
        offer = self.offers.get(row.cells["offer_id"])
        cells = {name: cell for name, cell in row.cells.items() if cell and name not in ("session_id", "tag")}
        zone = _zone(row.cells["timezone"] or (offer.terms.timezone if offer else "Europe/Paris"))
        fields, faults = _fields(row.line, cells, zone)
        if offer is None:
            detail = f"there is no offer {row.cells['offer_id'][:100]!r}"
            faults.append(Fault(row.line, "unknown_offer", detail, "offer_id"))
        if faults:
            raise _Wrong(*faults)
        try:
            draft = SessionDraft.model_validate(fields)
            session = new_draft(draft, offer, self.who)
        except ValidationError as error:
            raise _Wrong(*_invalid(row.line, error)) from error
        except Impossible as error:
            raise _Wrong(*_violations(row.line, error.violations)) from error
        except NotYours as error:
            raise _Wrong(Fault(row.line, "not_yours", str(error), "organiser")) from error
        if session.reference is None:
            session = replace(session, session_id=self._id_by_content(draft, session.organiser))
        return SheetLine(row.line, Outcome.CREATED, session, done=Done(session))

    def _id_by_content(self, draft: SessionDraft, organiser: str) -> UUID:
        """The id that the same line has in each file; the second line that says the same has another."""
        said = draft.model_dump_json(exclude_unset=True, exclude={"organiser"})
        while True:
            number = self._equal[organiser, said]
            self._equal[organiser, said] += 1
            session_id = uuid5(_LINES, f"{organiser}/{number}/{said}")
            if session_id not in self._sessions:  # which a line before it named by its id
                return session_id

    def _change(self, row: Row, before: Session) -> SheetLine:
        written = {name: "" if cell is None else str(cell).strip() for name, cell in cells_of(before).items()}
        cells = {name: cell for name, cell in row.cells.items() if cell and cell != written[name]}
        fixed = [
            Fault(row.line, f"{name}_fixed", f"the session has {written[name]!r}, for good", name)
            for name in _FIXED
            if name in cells
        ]
        if fixed:
            raise _Wrong(*fixed)
        if "timezone" in cells:  # on other clocks the same figures are other instants
            cells |= {name: row.cells[name] for name in DATES if row.cells[name]}
        else:
            cells = {name: cell for name, cell in cells.items() if _as_written(name, cell) != written[name]}
        said = {name: cell for name, cell in cells.items() if name not in _ABOUT_THE_LINE}
        fields, faults = _fields(row.line, said, _zone(cells.get("timezone", before.plan.timezone)))
        if faults:
            raise _Wrong(*faults)
        try:
            change = SessionChange.model_validate(fields)
        except ValidationError as error:
            raise _Wrong(*_invalid(row.line, error)) from error
        differing = _differing(before, change)
        if not differing:
            return SheetLine(row.line, Outcome.UNCHANGED, before, before)
        if "tag" in cells:
            detail = "the session has changed since the export: export it again, or empty this cell"
            raise _Wrong(Fault(row.line, "stale", detail, "tag"))
        done = changed(before, change, self.now)
        if isinstance(done, Refused):
            raise _Wrong(*_violations(row.line, done.violations))
        return SheetLine(row.line, Outcome.CHANGED, done.session, before, done, differing)

    def _take_names(self, row: Row, session: Session) -> None:
        """Keep what the line is about. Raises where a line before it is about the same."""
        if session.session_id in self._sessions:
            raise _Wrong(Fault(row.line, "session_twice", "a line before it names the same session", None))
        if session.reference is not None and row.cells["reference"]:
            name = (session.organiser, session.reference)
            if name in self._references:
                detail = "a line before it has this reference"
                raise _Wrong(Fault(row.line, "reference_twice", detail, "reference"))
            if self.targets.holders.get(name, session.session_id) != session.session_id:
                raise _Wrong(*_violations(row.line, [reference_taken()]))
            self._references.add(name)
        self._sessions.add(session.session_id)


def _differing(session: Session, change: SessionChange) -> tuple[str, ...]:
    """What the change has otherwise than the session."""
    shown, becomes = session.presentation, change.present(session.presentation)
    others = [name for name in ("summary", "experts") if getattr(shown, name) != getattr(becomes, name)]
    if change.names(session).reference != session.reference:
        others.append("reference")
    return (*differences(session.plan, change.apply_to(session.plan)), *others)


def _unknown_session(row: Row) -> Fault:
    cell = row.cells["session_id"]
    if _uuid(cell) is None:
        return Fault(row.line, "invalid", f"{cell[:40]!r} is not the id of a session", "session_id")
    detail = f"there is no session {cell}, or it is not yours"
    return Fault(row.line, "unknown_session", detail, "session_id")


def _invalid(line: int, error: ValidationError) -> Iterator[Fault]:
    for fault in error.errors(include_url=False, include_input=False):
        yield Fault(line, "invalid", sentence_of(fault), str(fault["loc"][0]) if fault["loc"] else None)


def _violations(line: int, violations: Sequence[Violation]) -> Iterator[Fault]:
    for violation in violations:
        code = violation.code.value if violation.code else "invalid"
        yield Fault(line, code, violation.detail, violation.field)


# ------------------------------------------------------------------------------------------------ cells


def _fields(line: int, cells: Mapping[str, str], zone: str | None) -> tuple[dict[str, Any], list[Fault]]:
    """What the cells say, by field; and what of it cannot be read."""
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, cell in cells.items():
        try:
            fields[name] = _READERS.get(name, _as_it_is)(cell)
            if name in DATES and zone is not None:
                fields[name] = instant(fields[name], zone)
        except ValueError as error:
            faults.append(Fault(line, "invalid", str(error), name))
    return fields, faults


def _as_written(name: str, cell: str) -> str:
    """The cell as it would be written, if it has a date: one is written to the minute."""
    try:
        return _moment(cell).strftime(WRITTEN) if name in DATES else cell
    except ValueError:
        return cell


def _uuid(cell: str) -> UUID | None:
    try:
        return UUID(cell)
    except ValueError:
        return None


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
    **dict.fromkeys(DATES, _moment),
    "capacity": _seats,
    "offer_hold_hours": _number,
    "quota_per_authority": _number,
    "minimum": _number,
    "experts": _experts,
}
