"""Converts Excel workbooks (.xlsx) to CSV, and back: the first sheet, its texts and numbers.

A small upload can unpack to a large one, so each step of reading has a limit (ADR 0060).
"""

import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from xml.parsers import expat

from shared.web import spreadsheets
from shared.web.spreadsheets import Code, Column, Fault, Sheet, UnreadableSheet

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_LARGEST_DIRECTORY = 64 * 1024
"""Bytes of the directory, in which each file of the ZIP takes at least 46."""
_LARGEST = 10 * 1024 * 1024
"""Bytes of one unpacked part, and characters of all cells together."""
_LARGEST_TOGETHER = 2 * _LARGEST
"""Bytes of all unpacked parts together."""
_MOST_TAGS = 1_000_000
"""Tags of all parts together. A sheet of 20,000 rows of 12 cells has about as many."""
_TOO_LONG = re.compile(rb"<[^<]{262144}")
"""Matches a tag that, with the text after it, exceeds 256 KiB. The parser blocks all threads during a tag."""
_MOST_NAMES = 1_000
"""The parser keeps each name of elements and attributes in memory."""
_STEP = 64 * 1024
"""Bytes that the parser reads in one step."""
_MOST_COLUMNS = 200
_NARROWEST, _WIDEST = 8, 60
_MARK, _END, _END_OF_ZIP64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
_PACKINGS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    expat.ExpatError,
    LookupError,
    ValueError,
    RuntimeError,
)
_ROW, _CELL, _SHARED_TEXT, _PROPERTIES = "row", "c", "si", "workbookPr"
_WITH_TEXT = frozenset("tv")
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
_MOMENT = re.compile("(19[89]|20[0-9])[0-9]-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")
_NO_LABELS: Mapping[str, Mapping[str, str]] = {}
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
"""Excel writes a character that XML does not allow as, for example, ``_x000B_``."""


def is_workbook(content: bytes) -> bool:
    return content.startswith(_MARK)


def read(content: bytes, columns: Sequence[Column], *, unless: Collection[str] = ()) -> Sheet:
    """Read a workbook or CSV. Raises :class:`UnreadableSheet`."""
    return spreadsheets.read(as_csv(content) if is_workbook(content) else content, columns, unless=unless)


def as_csv(content: bytes) -> bytes:
    """Convert the first sheet to CSV, with no row shorter than the first. Raises :class:`UnreadableSheet`."""
    written = io.StringIO()
    try:
        workbook, shared_texts, sheet = _parts(content)
        _check_dates(workbook)
        texts = [_unescaped(text) for _, _, text in _elements(shared_texts, _SHARED_TEXT)]
        csv.writer(written, delimiter=";", lineterminator="\n").writerows(_bounded(_rows(sheet, texts)))
        return written.getvalue().encode()
    except _UNREADABLE as error:
        fault = Fault(1, Code.NOT_CSV, "the file is no workbook that can be read")
        raise UnreadableSheet(fault) from error


def _parts(content: bytes) -> list[bytes]:
    _check_directory(content)
    parts: list[bytes] = []
    tags = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        sheets = sorted(name for name in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name))
        for name in ("xl/workbook.xml", "xl/sharedStrings.xml", sheets[0]):
            parts.append(_unpacked(archive, name) if name in names else b"<missing/>")
            tags += parts[-1].count(b"<")
            if tags > _MOST_TAGS or sum(map(len, parts)) > _LARGEST_TOGETHER:
                raise ValueError("the parts are too large")
    return parts


def _check_directory(content: bytes) -> None:
    """Refuse a ZIP with a large directory, because zipfile reads all of it as soon as it opens the file.

    The size is in the last 22 bytes. zipfile takes it from elsewhere if a comment follows them, or if the end
    of a ZIP64 stands before them, so such files are refused too. zipfile ignores the number of entries.
    """
    mark, size = struct.unpack("<4s8xI6x", content[-22:])
    if mark != _END or size > _LARGEST_DIRECTORY or content[-42:].startswith(_END_OF_ZIP64):
        raise ValueError("the directory is large, or not at the end")


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type not in _PACKINGS:
        raise ValueError(name)
    with archive.open(name) as part:
        content = part.read(_LARGEST + 1)
    if len(content) > _LARGEST or b"<!DOCTYPE" in content or b"\x00" in content:
        raise ValueError(name)
    if _TOO_LONG.search(content):
        raise ValueError(name)
    return content


def _elements(part: bytes, *wanted: str) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """Yield name, attributes and text of each wanted element as it ends.

    The parser builds no tree, so other elements take no memory. It does not resolve namespaces, because it
    would write the address of the namespace before each name. Names count without the prefix of the root.
    """
    prefix: str | None = None
    names: dict[str, str] = {}
    attributes_of: dict[str, Mapping[str, str]] = {}
    texts: list[str] = []
    ended: list[tuple[str, Mapping[str, str], str]] = []
    parser = expat.ParserCreate(intern=names)
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal prefix
        if prefix is None:
            prefix = name[: name.rfind(":") + 1]
        name = name.removeprefix(prefix)
        if name in wanted:
            attributes_of[name] = attributes
            texts.clear()
        elif name in _WITH_TEXT:
            parser.CharacterDataHandler = texts.append

    def end(name: str) -> None:
        name = name.removeprefix(prefix or "")
        if name in wanted:
            ended.append((name, attributes_of[name], "".join(texts)))
        elif name in _WITH_TEXT:
            parser.CharacterDataHandler = None

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    for place in range(0, len(part) + 1, _STEP):
        step = part[place : place + _STEP]
        parser.Parse(step, len(step) < _STEP)
        if len(names) > _MOST_NAMES:
            raise ValueError("too many names")
        yield from ended
        ended.clear()


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), text)


def _check_dates(workbook: bytes) -> None:
    """Refuse a workbook that counts days from 1904. Its dates would be read four years too early."""
    for _, properties, _ in _elements(workbook, _PROPERTIES):
        if properties.get("date1904", "0") not in ("0", "false"):
            raise ValueError("its days count from 1904")


def _rows(sheet: bytes, texts: Sequence[str]) -> Iterator[list[str]]:
    width = 0
    cells: list[str] = []
    for name, attributes, text in _elements(sheet, _ROW, _CELL):
        if name == _CELL:
            at = _column(attributes["r"]) if "r" in attributes else len(cells)
            if at >= _MOST_COLUMNS:
                raise ValueError("too many columns")
            cells += [""] * (at + 1 - len(cells))
            cells[at] = _value(attributes.get("t"), text, texts)
        else:
            width = width or len(cells)
            # Programs leave out the empty cells at the end of a row.
            yield cells + [""] * (width - len(cells)) if cells else cells
            cells = []


def _bounded(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """A text that several cells share counts for each."""
    size = 0
    for row in rows:
        size += sum(map(len, row), len(row))
        if size > _LARGEST:
            raise ValueError("too much text")
        yield row


def _column(reference: str) -> int:
    """Count from 0: ``B12`` is in column 1."""
    letters = reference.upper().rstrip("0123456789")
    if not re.fullmatch("[A-Z]{1,3}", letters):
        raise ValueError("no cell")
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(kind: str | None, text: str, texts: Sequence[str]) -> str:
    if kind == "s":
        number = int(text)
        if number < 0:
            raise IndexError(text)
        return texts[number]
    # Excel writes some whole numbers as 3.0.
    return _unescaped(text) if kind == "inlineStr" else text.removesuffix(".0")


def of_csv(content: bytes, labels: Mapping[str, Mapping[str, str]] = _NO_LABELS) -> bytes:
    """Write a workbook with one sheet from the CSV of :func:`shared.web.spreadsheets.write`.

    A short whole number becomes a number, ``2027-03-30 09:30`` a date and time; a SIRET or a code that
    begins with 0 stays a text. ``labels`` has the label of each code, by the title of the column.
    An Excel cell holds 32,767 characters; the rest of a longer text is left out.
    """
    # A library that cannot be loaded shows only here, so tests/unit/web/test_workbooks.py writes a workbook.
    import xlsxwriter  # noqa: PLC0415 most processes write no workbook

    written = io.BytesIO()
    widths: list[int] = []
    # In memory, because a temporary file would contain personal data.
    with xlsxwriter.Workbook(written, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet("Parcours")
        sheet.freeze_panes(1, 0)
        moment = workbook.add_format({"num_format": "dd/mm/yyyy hh:mm"})
        titles: list[str] = []
        for line, row in enumerate(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";")):
            titles = titles or row
            texts = [labels.get(title, {}).get(text, text) for title, text in zip(titles, row, strict=True)]
            widths += [_NARROWEST] * (len(texts) - len(widths))
            widths[: len(texts)] = map(max, widths, map(_width, texts))
            for column, text in enumerate(texts):
                if line and _NUMBER.fullmatch(text):
                    sheet.write_number(line, column, int(text))
                    continue
                if (at := _moment(text)) is not None:
                    sheet.write_datetime(line, column, at, moment)
                    continue
                # XlsxWriter writes a text between <r> and </r> unchanged, so a typed text could contain XML.
                sheet.write_string(line, column, f" {text}" if text.startswith("<r>") else text)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width + 2)
    return written.getvalue()


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        return None


def _width(text: str) -> int:
    return min(_WIDEST, max(map(len, text.split("\n"))))
