"""Workbooks of Excel (.xlsx) as sheets of CSV, and back: the first sheet, its texts and numbers alone.

A workbook is a ZIP of XML. It is bounded before it is read, and no XML with a DOCTYPE is. What is written has
texts alone: a program runs none of them as a formula.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from shared.web import spreadsheets
from shared.web.spreadsheets import Code, Column, Fault, Sheet, UnreadableSheet

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LARGEST = 10 * 1024 * 1024
"""Bytes of a part, once it is unpacked, and characters of all cells together."""
_MOST_COLUMNS = 200
_NARROWEST, _WIDEST = 8, 60
"""Characters of a column that is written."""
_MARK = b"PK\x03\x04"
_KNOWN = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ET.ParseError,
    LookupError,
    ValueError,
    RuntimeError,
)
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def is_workbook(content: bytes) -> bool:
    """Whether a file is a ZIP, as workbooks are."""
    return content.startswith(_MARK)


def read(content: bytes, columns: Sequence[Column], *, unless: Collection[str] = ()) -> Sheet:
    """Return the rows of a workbook, or of CSV, as :func:`shared.web.spreadsheets.read` does.

    Raises :class:`UnreadableSheet`.
    """
    return spreadsheets.read(as_csv(content) if is_workbook(content) else content, columns, unless=unless)


def as_csv(content: bytes) -> bytes:
    """Return the first sheet of a workbook as CSV, each row as wide as the first.

    Raises :class:`UnreadableSheet`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_dates(archive)
            texts = list(_shared_texts(archive))
            sheets = sorted(
                name for name in archive.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)
            )
            rows = list(_bounded(_rows(_parsed(archive, sheets[0]), texts)))
    except _UNREADABLE as error:
        fault = Fault(1, Code.NOT_CSV, "the file is no workbook that can be read")
        raise UnreadableSheet(fault) from error
    written = io.StringIO()
    csv.writer(written, delimiter=";", lineterminator="\n").writerows(rows)
    return written.getvalue().encode()


def _parsed(archive: zipfile.ZipFile, name: str) -> ET.Element:
    if archive.getinfo(name).compress_type not in _KNOWN:
        raise ValueError(name)
    with archive.open(name) as part:
        content = part.read(_LARGEST + 1)
    if len(content) > _LARGEST or b"<!DOCTYPE" in content or b"\x00" in content:
        raise ValueError(name)
    return ET.fromstring(content)  # noqa: S314 bounded, and without a DOCTYPE there are no entities


def _check_dates(archive: zipfile.ZipFile) -> None:
    """Refuse a workbook that counts days from 1904: each of its dates would be read four years too early."""
    if "xl/workbook.xml" in archive.namelist():
        for properties in _parsed(archive, "xl/workbook.xml").iter(f"{_MAIN}workbookPr"):
            if properties.get("date1904", "0") not in ("0", "false"):
                raise ValueError("its days count from 1904")


def _shared_texts(archive: zipfile.ZipFile) -> Iterator[str]:
    if "xl/sharedStrings.xml" in archive.namelist():
        for item in _parsed(archive, "xl/sharedStrings.xml").iter(f"{_MAIN}si"):
            yield "".join(text.text or "" for text in item.iter(f"{_MAIN}t"))


def _rows(sheet: ET.Element, texts: list[str]) -> Iterator[list[str]]:
    width = 0
    for row in sheet.iter(f"{_MAIN}row"):
        cells: list[str] = []
        for cell in row.iter(f"{_MAIN}c"):
            at = _column(cell.get("r", "")) if cell.get("r") else len(cells)
            if at >= _MOST_COLUMNS:
                raise ValueError("too many columns")
            cells += [""] * (at + 1 - len(cells))
            cells[at] = _value(cell, texts)
        width = width or len(cells)
        # Programs leave out the empty cells at the end of a row.
        yield cells + [""] * (width - len(cells)) if cells else cells


def _bounded(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows, as long as all their text together is no larger than a part: cells share texts, by number."""
    size = 0
    for row in rows:
        size += sum(map(len, row), len(row))
        if size > _LARGEST:
            raise ValueError("too much text")
        yield row


def _column(reference: str) -> int:
    """The number of a column from 0, of ``B12``."""
    letters = reference.upper().rstrip("0123456789")
    if not re.fullmatch("[A-Z]{1,3}", letters):
        raise ValueError("no cell")
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ET.Element, texts: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(text.text or "" for text in cell.iter(f"{_MAIN}t"))
    found = cell.find(f"{_MAIN}v")
    value = "" if found is None else found.text or ""
    if cell.get("t") == "s":
        number = int(value)
        if number < 0:
            raise IndexError(value)
        return texts[number]
    # Excel keeps whole numbers as 3.0 at times.
    return value.removesuffix(".0")


def of_csv(content: bytes) -> bytes:
    """Return CSV as :func:`shared.web.spreadsheets.write` makes it as a workbook with one sheet of texts.

    Each column is as wide as what it has, and the head stays in sight.
    """
    cells: list[str] = []
    widths: list[int] = []
    for row in csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"):
        cells.append(f"<row>{''.join(map(_cell, row))}</row>")
        widths += [_NARROWEST] * (len(row) - len(widths))
        widths[: len(row)] = map(max, widths, map(_width, row))
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width + 2}" customWidth="1"/>'
        for number, width in enumerate(widths, 1)
    )
    sheet = _SHEET.format(f"<cols>{columns}</cols>" if columns else "", "".join(cells))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in {**_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            archive.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), part, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _width(text: str) -> int:
    """Characters of the longest line of a cell, no more than a screen has room for."""
    return min(_WIDEST, max(map(len, text.split("\n"))))


def _cell(text: str) -> str:
    kept = escape(_NOT_XML.sub("\ufffd", text))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{kept}</t></is></c>'


_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OF_MAIN = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SHEET = (
    f'{_HEAD}<worksheet xmlns="{_SPREADSHEET}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    "{}<sheetData>{}</sheetData></worksheet>"
)
_PARTS = {
    "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_OF_MAIN}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_OF_MAIN}.worksheet+xml"/></Types>',
    "_rels/.rels": f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'{_HEAD}<workbook xmlns="{_SPREADSHEET}" xmlns:r="{_OFFICE}">'
    "<bookViews><workbookView/></bookViews><sheets>"
    '<sheet name="Parcours" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
