"""Workbooks: what is written is read again, what programs write is read, and what is none is refused."""

import io
import re
import zipfile

import pytest

from shared.web import workbooks
from shared.web.spreadsheets import Column, UnreadableSheet, read

COLUMNS = (Column("agent_id", "Identifiant"), Column("rank", "Rang"))
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def a_workbook(sheet: str, shared: str = "", **others: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {MAIN}><sheetData>{sheet}</sheetData></worksheet>"
        )
        if shared:
            archive.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{shared}</sst>")
        for name, part in others.items():
            archive.writestr(name, part)
    return written.getvalue()


def damaged() -> bytes:
    """One whose packed workbook.xml begins with what no packer writes."""
    content = workbooks.of_csv(b"Identifiant;Rang\r\n")
    head, name, rest = content.partition(b"xl/workbook.xml")
    return head + name + b"\xff" + rest[1:]


def otherwise_packed() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {MAIN}/>")
    return written.getvalue()


def test_what_is_written_is_read_again() -> None:
    content = 'Identifiant;Rang\r\nA-1;"a;b\n<c> & é"\r\nA-2;\x02\r\n'.encode("utf-8-sig")
    rows = read(workbooks.as_csv(workbooks.of_csv(content)), COLUMNS).rows
    assert [row.cells for row in rows] == [
        {"agent_id": "A-1", "rank": "a;b\n<c> & é"},
        {"agent_id": "A-2", "rank": "\ufffd"},
    ]


def test_what_is_written_is_as_wide_as_its_texts_and_its_head_stays_in_sight() -> None:
    content = f'Rang;Courriel;Motif\r\n1;maximilienne@brest.example;"{"x" * 90}\nb"\r\n2\r\n'.encode()
    with zipfile.ZipFile(io.BytesIO(workbooks.of_csv(content))) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert re.findall(r'<col min="(\d)" max="\d" width="(\d+)"', sheet) == [
        ("1", "10"),
        ("2", "28"),
        ("3", "62"),
    ]
    assert '<pane ySplit="1"' in sheet
    assert sheet.index("<sheetViews>") < sheet.index("<cols>") < sheet.index("<sheetData>")


def test_what_excel_writes_is_read_with_gaps_shared_texts_and_numbers() -> None:
    shared = "<si><t>Identifiant</t></si><si><r><t>Ra</t></r><r><t>ng</t></r></si><si><t>A-1</t></si>"
    sheet = (
        '<row r="1"><c r="B1" t="s"><v>0</v></c><c r="D1" t="s"><v>1</v></c></row>'
        '<row r="2"><c r="B2" t="s"><v>2</v></c><c r="D2"><v>3.0</v></c></row>'
    )
    (row,) = read(workbooks.as_csv(a_workbook(sheet, shared)), COLUMNS).rows
    assert row.cells == {"agent_id": "A-1", "rank": "3"}


def test_empty_cells_at_the_end_of_a_row_may_be_left_out() -> None:
    sheet = "<row><c><v>Identifiant</v></c><c><v>Rang</v></c></row><row><c><v>A-1</v></c></row><row/>"
    read_rows = workbooks.read(a_workbook(sheet), COLUMNS)
    assert [row.cells for row in read_rows.rows] == [{"agent_id": "A-1", "rank": ""}]
    assert read_rows.faults == ()


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04",
        a_workbook("<row>"),
        a_workbook('<row><c r="ZZZ1"><v>1</v></c></row>'),
        a_workbook('<row><c t="s"><v>7</v></c></row>'),
        a_workbook(f"<row><c><v>{'1' * 11_000_000}</v></c></row>"),
        a_workbook('<row><c t="s"><v>0</v></c></row>' * 200, f"<si><t>{'x' * 100_000}</t></si>"),
        a_workbook('<row><c r="GQ1"/></row>' * 60_000),
        a_workbook('<row><c t="s"><v>-1</v></c></row>', "<si><t>x</t></si>"),
        a_workbook('<!DOCTYPE x [<!ENTITY e "e">]>'),
        a_workbook(
            "<row/>", **{"xl/workbook.xml": f'<workbook {MAIN}><workbookPr date1904="1"/></workbook>'}
        ),
        a_workbook('<row><c r="GQ1"/></row>' + "<row><c/></row>" * 60_000),
        damaged(),
        otherwise_packed(),
        a_workbook('<row><c r="ß1"/></row>'),
        a_workbook('<row><c r="A1"/><c r="1"/></row>'),
        a_workbook("<row/>", **{"xl/workbook.xml": '<?xml version="1.0" encoding="x"?><workbook/>'}),
    ],
    ids=[
        "cut off",
        "no XML",
        "too wide",
        "no such text",
        "too large",
        "one text in many cells",
        "far cells",
        "before the first text",
        "entities",
        "days from 1904",
        "short rows below a wide one",
        "damaged",
        "packed as no program does",
        "no cell",
        "no column",
        "unknown encoding",
    ],
)
def test_what_is_no_workbook_is_refused(content: bytes) -> None:
    assert workbooks.is_workbook(content)
    with pytest.raises(UnreadableSheet):
        workbooks.as_csv(content)
