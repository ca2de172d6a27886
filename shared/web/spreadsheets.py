"""CSV as spreadsheet programs write and read it.

Reading accepts the files of Excel and LibreOffice in France: UTF-8 with or without a byte order mark, UTF-16
with one, else Windows-1252; semicolons, commas or tabs; any line ending. A written cell never runs as a
formula.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

MEDIA_TYPE = "text/csv; charset=utf-8"

Cell = str | int | None
"""Numbers stay numbers; None is an empty cell."""

_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ";,\t"
_LINES_OF_A_ROW = 10
LONGEST_SHOWN = 80
_LONGEST_HEADING = 200
_LONGEST_HEADER = 64 * 1024
_FORMULA = re.compile(r"[\t\r\n]|[\s']*[=+\-@＝＋－＠]")
"""The beginning of a cell that a spreadsheet may run (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class Column:
    """Name, title and aliases are accepted as headings, without case, accents and punctuation."""

    name: str
    title: str
    required: bool = True
    aliases: tuple[str, ...] = ()

    @property
    def headings(self) -> set[str]:
        return {_bare(heading) for heading in (self.name, self.title, *self.aliases)}


@dataclass(frozen=True, slots=True)
class Bounds:
    bytes: int = 10 * 1024 * 1024
    rows: int = 20_000
    columns: int = 100


BOUNDS = Bounds()


class Code(StrEnum):
    TOO_LARGE = "too_large"
    NOT_CSV = "not_csv"
    NOT_TEXT = "not_text"
    EMPTY = "empty"
    TOO_MANY_COLUMNS = "too_many_columns"
    TOO_MANY_ROWS = "too_many_rows"
    COLUMN_MISSING = "column_missing"
    COLUMN_TWICE = "column_twice"
    COLUMN_UNKNOWN = "column_unknown"
    BAD_QUOTES = "bad_quotes"
    CELLS_MISSING = "cells_missing"
    TOO_MANY_CELLS = "too_many_cells"


@dataclass(frozen=True, slots=True)
class Fault:
    line: int
    code: str
    message: str
    column: str | None = None


class UnreadableSheet(ValueError):
    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"line {fault.line}: {fault.message}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class SheetRow:
    """``cells`` has every requested column, stripped; a missing one is empty."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """``found`` has the heading of each column that the file has, ``ignored`` the other headings."""

    rows: tuple[SheetRow, ...]
    faults: tuple[Fault, ...]
    found: Mapping[str, str]
    ignored: tuple[str, ...]


# ---------------------------------------------------------------------------------------------- reading


def read(
    content: bytes,
    columns: Sequence[Column],
    *,
    others_are_faults: bool = False,
    unless: Collection[str] = (),
    bounds: Bounds = BOUNDS,
) -> Sheet:
    """Return the rows under ``columns``, in any order. Blank lines are skipped.

    An unknown heading is ignored, or a fault of line 1 if ``others_are_faults``. If the file has one of the
    columns ``unless``, no column is required: the caller checks each row. Raises :class:`UnreadableSheet`.
    """
    text = text_of(content, bounds)
    _check_extent(text, bounds)
    first, delimiter = _header(text, columns)
    indexes = _indexes(first, columns, unless, bounds)
    faults = _unknown(first, columns) if others_are_faults else []
    width = len(first)
    rows: list[SheetRow] = []
    for line, record in _records(text, delimiter):
        if line == 1 or not (isinstance(record, Fault) or any(record)):
            continue
        if len(rows) + len(faults) >= bounds.rows:
            raise UnreadableSheet(_too_many_rows(line, bounds))
        if isinstance(record, Fault):
            faults.append(record)
        else:
            fault = _form(line, record, width)
            if fault is not None:
                faults.append(fault)
            else:
                rows.append(SheetRow(line, {c.name: _cell(record, indexes.get(c.name)) for c in columns}))
    found = {name: _shown(first[index]) for name, index in indexes.items()}
    ignored = tuple(_shown(first[index]) for index in range(width) if index not in indexes.values())
    return Sheet(tuple(rows), tuple(faults), found, ignored)


def text_of(content: bytes, bounds: Bounds = BOUNDS) -> str:
    """Raises :class:`UnreadableSheet`."""
    if len(content) > bounds.bytes:
        raise UnreadableSheet(
            Fault(1, Code.TOO_LARGE, f"the file is larger than {bounds.bytes // 1024} KiB; split it")
        )
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UnreadableSheet(
            Fault(1, Code.NOT_CSV, "this is a workbook, not CSV; save it as CSV (semicolon or comma)")
        )
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise UnreadableSheet(Fault(1, Code.NOT_TEXT, "this begins as UTF-16 and is not")) from error
        text = _windows_1252(content)
    nul = text.find("\0")
    if nul >= 0:
        raise UnreadableSheet(Fault(_line_of(text, nul), Code.NOT_TEXT, "this is not a text file"))
    return text


def _check_extent(text: str, bounds: Bounds) -> None:
    """Refuse a text with too many line ends or cells: it is no sheet, and slow to read.

    Cells may contain line breaks, so a row may have ten lines.
    """
    if max(text.count("\n"), text.count("\r")) > _LINES_OF_A_ROW * bounds.rows:
        raise UnreadableSheet(_too_many_rows(1, bounds))
    if any(text.count(delimiter) > bounds.rows * bounds.columns for delimiter in _DELIMITERS):
        raise UnreadableSheet(Fault(1, Code.TOO_MANY_COLUMNS, "the file has too many cells; split it"))


def _too_many_rows(line: int, bounds: Bounds) -> Fault:
    return Fault(line, Code.TOO_MANY_ROWS, f"the file has more than {bounds.rows} rows; split it")


def _windows_1252(content: bytes) -> str:
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        line = _line_of(content[: error.start].decode("cp1252"), error.start)
        raise UnreadableSheet(
            Fault(line, Code.NOT_TEXT, "the text is neither UTF-8 nor Windows-1252; save it as UTF-8")
        ) from error


def _line_of(text: str, index: int) -> int:
    return len(re.findall(r"\r\n|\r|\n", text[:index])) + 1


def _header(text: str, columns: Sequence[Column]) -> tuple[list[str], str]:
    """Choose the delimiter that finds most of ``columns``."""
    known = set[str]().union(*(column.headings for column in columns))
    beginning = text[:_LONGEST_HEADER]
    candidates = [(_first_record(beginning, delimiter), delimiter) for delimiter in _DELIMITERS]
    first, delimiter = max(
        candidates,
        key=lambda candidate: (sum(_bare(name) in known for name in candidate[0]), len(candidate[0])),
    )
    while first and not first[-1].strip():
        first.pop()
    if not first:
        raise UnreadableSheet(
            Fault(1, Code.EMPTY, "the first line is empty; it must name the columns: " + _names(columns))
        )
    return first, delimiter


def _first_record(text: str, delimiter: str) -> list[str]:
    for _line, record in _records(text, delimiter):
        return [] if isinstance(record, Fault) else record
    return []


def _names(columns: Iterable[Column]) -> str:
    return ", ".join(column.name for column in columns if column.required)


def _shown(heading: str) -> str:
    return heading.strip()[:LONGEST_SHOWN]


def _bare(heading: str) -> str:
    letters = unicodedata.normalize("NFKD", heading[:_LONGEST_HEADING].casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def _indexes(
    first: list[str], columns: Sequence[Column], unless: Collection[str], bounds: Bounds
) -> dict[str, int]:
    """Raises for headings that make every row meaningless."""
    if len(first) > bounds.columns:
        raise UnreadableSheet(
            Fault(1, Code.TOO_MANY_COLUMNS, f"the file has {len(first)} columns, more than {bounds.columns}")
        )
    headings = [_bare(heading) for heading in first]
    indexes: dict[str, int] = {}
    wrong: list[Fault] = []
    missing: list[Fault] = []
    for column in columns:
        found = [index for index, heading in enumerate(headings) if heading in column.headings]
        if len(found) > 1:
            wrong.append(Fault(1, Code.COLUMN_TWICE, f"the column {column.name} is there twice", column.name))
        elif found:
            indexes[column.name] = found[0]
        elif column.required:
            message = f"the column {column.name} ({column.title}) is missing"
            missing.append(Fault(1, Code.COLUMN_MISSING, message, column.name))
    if not indexes.keys() & set(unless):
        wrong += missing
    if wrong:
        raise UnreadableSheet(*wrong)
    return indexes


def _unknown(first: list[str], columns: Sequence[Column]) -> list[Fault]:
    known = set[str]().union(*(column.headings for column in columns))
    return [
        Fault(1, Code.COLUMN_UNKNOWN, f"there is no column {_shown(heading)!r}", _shown(heading))
        for heading in first
        if _bare(heading) not in known
    ]


def _records(text: str, delimiter: str) -> Iterable[tuple[int, list[str] | Fault]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Fault(line, Code.BAD_QUOTES, f"the quotes of this line cannot be read ({error})")


def _form(line: int, record: list[str], width: int) -> Fault | None:
    if len(record) < width:
        return Fault(
            line, Code.CELLS_MISSING, f"the line has {len(record)} cells where the header has {width}"
        )
    if any(cell.strip() for cell in record[width:]):
        return Fault(
            line, Code.TOO_MANY_CELLS, f"the line has {len(record)} cells where the header has {width}"
        )
    return None


def _cell(record: list[str], index: int | None) -> str:
    cell = "" if index is None else record[index].strip()
    # Remove only the apostrophe that `write` puts before a cell.
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


# ---------------------------------------------------------------------------------------------- writing


def write(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Write semicolons, CRLF, UTF-8 with a mark. Without the mark Excel reads Windows-1252."""
    return heading(columns) + lines(rows)


def heading(columns: Sequence[Column]) -> bytes:
    return _BOM + lines([[column.title for column in columns]])


def lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=";", lineterminator="\r\n").writerows(
        [_harmless(cell) for cell in row] for row in rows
    )
    return written.getvalue().encode()


def _harmless(cell: Cell) -> Cell:
    """Put an apostrophe before a cell that a spreadsheet would run. :func:`read` removes it."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
