from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import ValidationError

from services.catalogue.rules.changes import differences
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.refusals import RefusedByRule, Violation
from services.catalogue.rules.sessions import Done, Session
from services.catalogue.service.commands import SessionChange, SessionDraft
from services.catalogue.service.failures import Impossible, NotYours
from services.catalogue.service.sessions import changed, new_draft, reference_taken
from services.catalogue.service.sheet_cells import as_written, fields_of, uuid_of
from services.catalogue.service.sheets import DATES, cells_of
from shared.auth import Principal
from shared.events.faults import sentence_of
from shared.events.vocabulary import Status
from shared.events.zones import zone_named
from shared.web.spreadsheets import Fault, SheetRow

_FIXED = ("offer_id", "organiser")
_ABOUT_THE_LINE = frozenset((*_FIXED, "session_id", "tag"))
_LINES = UUID("6d8c7c0b-7a7e-4f2c-9a55-0f5a2a0c3b71")


class Outcome(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class SheetLine:
    """The effect of a line on ``session``. ``before`` is None for a new session.

    ``fields`` are the fields that differ. ``done`` is None if nothing is stored.
    """

    line: int
    outcome: Outcome
    session: Session
    before: Session | None = None
    done: Done | None = None
    fields: tuple[str, ...] = ()

    @property
    def is_announced(self) -> bool:
        return self.outcome is Outcome.CHANGED and self.session.status is Status.PUBLISHED


@dataclass(frozen=True, slots=True)
class Targets:
    by_line: Mapping[int, Session]
    holders: Mapping[tuple[str, str], UUID]


class _Wrong(Exception):
    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(slots=True)
class SheetLines:
    who: Principal
    offers: Mapping[str, Offer]
    targets: Targets
    now: datetime
    lines: list[SheetLine] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _references: set[tuple[str, str]] = field(default_factory=set)
    _sessions: set[UUID] = field(default_factory=set)
    _equal: Counter[tuple[str, str]] = field(default_factory=Counter)

    def decide(self, rows: Sequence[SheetRow]) -> "SheetLines":
        for row in rows:
            try:
                self.lines.append(self._decide(row))
            except _Wrong as wrong:
                self.faults += wrong.faults
        return self

    def _decide(self, row: SheetRow) -> SheetLine:
        before = self.targets.by_line.get(row.line)
        if before is not None:
            decided = self._change(row, before)
        elif row.cells["session_id"]:
            raise _Wrong(_unknown_session(row))
        else:
            decided = self._draft(row)
        self._take_names(row, decided.session)
        return decided

    def _draft(self, row: SheetRow) -> SheetLine:
        offer = self.offers.get(row.cells["offer_id"])
        cells = {name: cell for name, cell in row.cells.items() if cell and name not in ("session_id", "tag")}
        zone = zone_named(row.cells["timezone"] or (offer.terms.timezone if offer else "Europe/Paris"))
        fields, faults = fields_of(row.line, cells, zone)
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
            raise _Wrong(*violations_of(row.line, error.violations)) from error
        except NotYours as error:
            raise _Wrong(Fault(row.line, "not_yours", str(error), "organiser")) from error
        if session.reference is None:
            session = replace(session, session_id=self._id_by_content(draft, session.organiser))
        return SheetLine(row.line, Outcome.CREATED, session, done=Done(session))

    def _id_by_content(self, draft: SessionDraft, organiser: str) -> UUID:
        """Equal lines of two files have the same id, equal lines of one file have different ids."""
        content = draft.model_dump_json(exclude_unset=True, exclude={"organiser"})
        while True:
            number = self._equal[organiser, content]
            self._equal[organiser, content] += 1
            session_id = uuid5(_LINES, f"{organiser}/{number}/{content}")
            if session_id not in self._sessions:  # an earlier line named it by id
                return session_id

    def _change(self, row: SheetRow, before: Session) -> SheetLine:
        written = {name: "" if cell is None else str(cell).strip() for name, cell in cells_of(before).items()}
        cells = {name: cell for name, cell in row.cells.items() if cell and cell != written[name]}
        if row.cells["reference"].lower() == written["reference"].lower():
            cells.pop("reference", None)
        fixed = [
            Fault(row.line, f"{name}_fixed", f"the session has {written[name]!r}, for good", name)
            for name in _FIXED
            if name in cells
        ]
        if fixed:
            raise _Wrong(*fixed)
        if "timezone" in cells:  # in another zone the same figures mean another instant
            cells |= {name: row.cells[name] for name in DATES if row.cells[name]}
        else:
            cells = {name: cell for name, cell in cells.items() if as_written(name, cell) != written[name]}
        given = {name: cell for name, cell in cells.items() if name not in _ABOUT_THE_LINE}
        fields, faults = fields_of(row.line, given, zone_named(cells.get("timezone", before.plan.timezone)))
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
        if isinstance(done, RefusedByRule):
            raise _Wrong(*violations_of(row.line, done.violations))
        return SheetLine(row.line, Outcome.CHANGED, done.session, before, done, differing)

    def _take_names(self, row: SheetRow, session: Session) -> None:
        if session.session_id in self._sessions:
            raise _Wrong(Fault(row.line, "session_twice", "a line before it names the same session", None))
        if session.reference is not None and row.cells["reference"]:
            name = (session.organiser, session.reference.lower())
            if name in self._references:
                detail = "a line before it has this reference"
                raise _Wrong(Fault(row.line, "reference_twice", detail, "reference"))
            if self.targets.holders.get(name, session.session_id) != session.session_id:
                raise _Wrong(*violations_of(row.line, [reference_taken()]))
            self._references.add(name)
        self._sessions.add(session.session_id)


def _differing(session: Session, change: SessionChange) -> tuple[str, ...]:
    shown, becomes = session.presentation, change.present(session.presentation)
    others = [name for name in ("summary", "experts") if getattr(shown, name) != getattr(becomes, name)]
    if change.names(session).reference != session.reference:
        others.append("reference")
    return (*differences(session.plan, change.apply_to(session.plan)), *others)


def _unknown_session(row: SheetRow) -> Fault:
    cell = row.cells["session_id"]
    if uuid_of(cell) is None:
        return Fault(row.line, "invalid", f"{cell[:40]!r} is not the id of a session", "session_id")
    detail = f"there is no session {cell}, or it is not yours"
    return Fault(row.line, "unknown_session", detail, "session_id")


def _invalid(line: int, error: ValidationError) -> Iterator[Fault]:
    for fault in error.errors(include_url=False, include_input=False):
        yield Fault(line, "invalid", sentence_of(fault), str(fault["loc"][0]) if fault["loc"] else None)


def violations_of(line: int, violations: Sequence[Violation]) -> Iterator[Fault]:
    for violation in violations:
        code = violation.code.value if violation.code else "invalid"
        yield Fault(line, code, violation.detail, violation.field)
