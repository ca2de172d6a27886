import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.catalogue.rules.lifecycle import instant
from services.catalogue.service.session_fields import SESSION_FIELDS, FieldKind
from services.catalogue.service.sheets import DATES, UNLIMITED, WORDS, WRITTEN
from shared.web.spreadsheets import Fault

_FIRST_DAY = datetime(1899, 12, 30)  # noqa: DTZ001 a wall clock's
_READ = (WRITTEN, "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
_DAYS = re.compile(r"[3-9][0-9]{4}(\.[0-9]+)?")
"""Days since the end of 1899, as a workbook stores a date; none before 1982."""
_WHOLE = re.compile(r"[0-9]{1,9}")


def fields_of(
    line: int, cells: Mapping[str, str], zone: ZoneInfo | None
) -> tuple[dict[str, Any], list[Fault]]:
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, cell in cells.items():
        try:
            fields[name] = _READERS.get(name, _as_it_is)(cell)
            if name in DATES and zone is not None:
                fields[name] = instant(fields[name], zone.key)
        except ValueError as error:
            faults.append(Fault(line, "invalid", str(error), name))
    return fields, faults


def as_written(name: str, cell: str) -> str:
    if name in _CODES:
        return _code(name, cell)
    try:
        return _moment(cell).strftime(WRITTEN) if name in DATES else cell
    except ValueError:
        return cell


def uuid_of(cell: str) -> UUID | None:
    try:
        return UUID(cell)
    except ValueError:
        return None


def _as_it_is(cell: str) -> str:
    return cell


def _moment(cell: str) -> datetime:
    if _DAYS.fullmatch(cell):
        return _FIRST_DAY + timedelta(seconds=round(float(cell) * 86_400))
    for written in _READ:
        try:
            return datetime.strptime(cell, written)  # noqa: DTZ007 a wall clock's: another column has the zone
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


def _code(name: str, cell: str) -> str:
    """Return the code of a word of a workbook, or what is written."""
    return _CODES[name].get(_bare(cell), cell)


def _bare(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if c.isalnum())


_CODES: Mapping[str, Mapping[str, str]] = {
    name: {_bare(word): code for code, word in of_name.items()} for name, of_name in WORDS.items()
}
_BY_KIND: dict[FieldKind, Callable[[str], Any]] = {
    FieldKind.MOMENT: _moment,
    FieldKind.NUMBER: _number,
    FieldKind.NAMES: _experts,
}
_READERS = {name: _BY_KIND.get(field.kind, _as_it_is) for name, field in SESSION_FIELDS.items()} | {
    "capacity": _seats,
    **{name: partial(_code, name) for name in _CODES},
}
