"""Sessions from a sheet: each line changes a session or drafts one; all lines count, or none.

A line without ``session_id`` and ``reference`` is recognised by its content: a second import of it drafts
nothing (ADR 0041).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.catalogue.rules.offers import Offer
from services.catalogue.service import offers
from services.catalogue.service.sessions import CHANGED_TOO_OFTEN, count_changes
from services.catalogue.service.sheet_cells import uuid_of
from services.catalogue.service.sheet_lines import Outcome, SheetLine, SheetLines, Targets, violations_of
from services.catalogue.service.sheets import COLUMNS, NAMING
from services.catalogue.store import sessions
from services.catalogue.store.audit_log import Action
from shared import clock
from shared.auth import Principal
from shared.database import Transaction
from shared.web import spreadsheets, workbooks
from shared.web.spreadsheets import Fault, SheetRow, UnreadableSheet

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class SheetContent:
    rows: int = 0
    lines: tuple[SheetRow, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    rows: int
    faults: tuple[Fault, ...]
    lines: tuple[SheetLine, ...] = ()

    def count(self, outcome: Outcome) -> int:
        return sum(line.outcome is outcome for line in self.lines)


Background = Callable[[Callable[[], SheetLines]], Awaitable[SheetLines]]


def read(content: bytes, *, may_be_workbook: bool = False) -> SheetContent:
    """The largest file takes some seconds."""
    read_sheet = workbooks.read if may_be_workbook else spreadsheets.read
    try:
        sheet = read_sheet(content, COLUMNS, unless=NAMING)
    except UnreadableSheet as error:
        return SheetContent(faults=error.faults)
    return SheetContent(len(sheet.rows) + len(sheet.faults), sheet.rows, sheet.faults)


async def apply(
    tx: Transaction, who: Principal, content: SheetContent, background: Background, *, dry_run: bool
) -> Imported:
    """A dry run locks no session. ``background`` runs the decision, which may take some seconds."""
    known = {offer.offer_id: offer for offer in await offers.every(tx)}
    targets = await _targets(tx, who, content.lines)

    def decided(known: Mapping[str, Offer], targets: Targets) -> Awaitable[SheetLines]:
        lines = SheetLines(who, known, targets, clock.now())
        return background(lambda: lines.decide(content.lines))

    found = await decided(known, targets)
    if not (dry_run or content.faults or found.faults):
        await sessions.lock_references(tx)
        held = await offers.hold(tx, known)
        locked = await _targets(tx, who, content.lines, lock=True)
        # The decision holds if no session has changed meanwhile and no announcement has come due.
        if (held, locked) != (known, targets) or any(line.is_announced for line in found.lines):
            found = await decided(held, locked)
    faults = sorted((*content.faults, *found.faults), key=_line_of)
    if faults:
        return Imported(content.rows, tuple(faults))
    lines = await _without_known(tx, found.lines)
    if too_often := await _count_changes(tx, lines, dry_run=dry_run):
        return Imported(content.rows, too_often)
    if not dry_run:
        await _save(tx, who, lines)
    return Imported(content.rows, (), tuple(lines))


def _line_of(fault: Fault) -> int:
    return fault.line


async def _targets(
    tx: Transaction, who: Principal, rows: Sequence[SheetRow], *, lock: bool = False
) -> Targets:
    references = {row.cells["reference"] for row in rows if row.cells["reference"]}
    holders = await sessions.by_references(tx, references, who.delegation) if references else {}
    ids: dict[int, UUID] = {}
    for row in rows:
        named = uuid_of(row.cells["session_id"])
        if not row.cells["session_id"]:
            organiser = row.cells["organiser"] or who.delegation or ""
            named = holders.get((organiser, row.cells["reference"].lower()))
        if named is not None:
            ids[row.line] = named
    find = sessions.lock if lock else sessions.by_ids
    own = await find(tx, set(ids.values()), organiser=who.delegation) if ids else {}
    by_line = {line: own[session_id] for line, session_id in ids.items() if session_id in own}
    return Targets(by_line, holders)


async def _without_known(tx: Transaction, lines: Sequence[SheetLine]) -> list[SheetLine]:
    new = {line.session.session_id for line in lines if line.outcome is Outcome.CREATED}
    known = await sessions.existing(tx, new) if new else set()
    return [
        replace(line, outcome=Outcome.UNCHANGED, done=None) if line.session.session_id in known else line
        for line in lines
    ]


async def _count_changes(tx: Transaction, lines: Sequence[SheetLine], *, dry_run: bool) -> tuple[Fault, ...]:
    """Return a fault for each change too many."""
    announced = [line for line in lines if line.is_announced and line.done is not None and line.done.events]
    session_ids = [line.session.session_id for line in announced]
    too_often = await count_changes(tx, session_ids, dry_run=dry_run)
    return tuple(
        fault
        for line in announced
        if line.session.session_id in too_often
        for fault in violations_of(line.line, [CHANGED_TOO_OFTEN])
    )


async def _save(tx: Transaction, who: Principal, lines: Sequence[SheetLine]) -> None:
    for action, outcome in ((Action.IMPORTED, Outcome.CREATED), (Action.CHANGED, Outcome.CHANGED)):
        done = [(line.before, line.done) for line in lines if line.outcome is outcome and line.done]
        for start in range(0, len(done), _BATCH):
            await sessions.save(tx, done[start : start + _BATCH], actor=who.name, action=action)
