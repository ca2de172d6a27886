"""Workbooks: what is written is read again, what programs write is read, and each bound is kept."""

import io
import re
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping

import pytest

from shared.web import workbooks
from shared.web.spreadsheets import Column, UnreadableSheet, read

COLUMNS = (Column("agent_id", "Identifiant"), Column("rank", "Rang"))
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
BOOK, SHARED, SHEET = "xl/workbook.xml", "xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"

ENTRY, END = b"PK\x01\x02", b"PK\x05\x06"


def packed(parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method, compresslevel=1) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return written.getvalue()


def a_workbook(sheet: str, shared: str = "", book: str = "") -> bytes:
    return packed(
        {
            BOOK: f"<workbook {MAIN}>{book}</workbook>",
            SHARED: f"<sst {MAIN}>{shared}</sst>",
            SHEET: f"<worksheet {MAIN}><sheetData>{sheet}</sheetData></worksheet>",
        }
    )


def with_declared_size(content: bytes, size: int) -> bytes:
    """The ZIP of one part whose directory says that the part unpacks to this size."""
    at = content.index(ENTRY) + 24
    return content[:at] + struct.pack("<I", size) + content[at + 4 :]


def as_zip64(content: bytes) -> bytes:
    """The ZIP whose directory is described by the end of a ZIP64: there zipfile takes its size from."""
    entries, size, place = struct.unpack("<10xHII2x", content[-22:])
    end = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, place)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(content) - 22, 1)
    return content[:-22] + end + locator + content[-22:]


def test_what_is_written_is_read_again() -> None:
    like_xml = "<r><t>a</t></r></si><si><t>b</t></si>"
    content = f'Identifiant;Rang\r\n{like_xml};"a;b\n<c> & é _x0041_"\r\nA-2;\x02\r\n'.encode("utf-8-sig")
    rows = read(workbooks.as_csv(workbooks.of_csv(content)), COLUMNS).rows
    assert [row.cells for row in rows] == [
        {"agent_id": like_xml, "rank": "a;b\n<c> & é _x0041_"},
        {"agent_id": "A-2", "rank": "\x02"},
    ]


def test_a_short_whole_number_is_a_number_and_a_siret_or_a_code_a_text() -> None:
    texts = ["0", "12", "123456789", "1234567890", "007", "35000", "21350238800019", "-3", "1.0", "\u0663"]
    content = "\n".join(["title", *texts]).encode()
    with zipfile.ZipFile(io.BytesIO(workbooks.of_csv(content))) as opened:
        cells = re.findall('<c r="A[0-9]+"([^>]*)>', opened.read(SHEET).decode())
    numbers = [text for text, cell in zip(["title", *texts], cells, strict=True) if "t=" not in cell]
    assert numbers == ["0", "12", "123456789", "35000"]
    assert [
        row.cells["title"]
        for row in read(workbooks.as_csv(workbooks.of_csv(content)), [Column("title", "T")]).rows
    ] == texts


def test_a_moment_is_a_date_and_time_and_a_code_its_word() -> None:
    content = b"\n".join(
        [b"Fin;Statut", b"2027-03-30 09:30;draft", b"2027-02-30 09:30;2027-03-30 09:30:00", b"draft;x"]
    )
    written = workbooks.of_csv(content, {"Statut": {"draft": "Brouillon"}})
    rows = read(workbooks.as_csv(written), [Column("ends_at", "Fin"), Column("status", "Statut")]).rows
    assert [list(row.cells.values()) for row in rows] == [
        ["46476.39583333334", "Brouillon"],
        ["2027-02-30 09:30", "2027-03-30 09:30:00"],
        ["draft", "x"],
    ]
    with zipfile.ZipFile(io.BytesIO(written)) as opened:
        assert 'formatCode="dd/mm/yyyy hh:mm"' in opened.read("xl/styles.xml").decode()


def test_what_excel_writes_is_read_with_gaps_shared_texts_numbers_and_escapes() -> None:
    shared = "<si><t>Identifiant</t></si><si><r><t>Ra</t></r><r><t>ng</t></r></si><si><t>A-1</t></si>"
    sheet = (
        '<row r="1"><c r="B1" t="s"><v>0</v></c><c r="D1" t="s"><v>1</v></c></row>'
        '<row r="2"><c r="B2" t="s"><v>2</v></c><c r="D2"><f>1+2</f><v>3.0</v></c></row>'
        '<row r="3"><c r="B3" t="inlineStr"><is><t>A_x002D_2</t></is></c></row>'
    )
    rows = read(workbooks.as_csv(a_workbook(sheet, shared)), COLUMNS).rows
    assert [row.cells for row in rows] == [
        {"agent_id": "A-1", "rank": "3"},
        {"agent_id": "A-2", "rank": ""},
    ]


def test_empty_cells_at_the_end_of_a_row_may_be_left_out() -> None:
    sheet = "<row><c><v>Identifiant</v></c><c><v>Rang</v></c></row><row><c><v>A-1</v></c></row><row/>"
    read_rows = workbooks.read(packed({SHEET: f"<worksheet {MAIN}>{sheet}</worksheet>"}), COLUMNS)
    assert [row.cells for row in read_rows.rows] == [{"agent_id": "A-1", "rank": ""}]
    assert read_rows.faults == ()


def test_the_prefix_of_the_workbook_does_not_matter_and_elements_with_another_are_no_cells() -> None:
    sheet = "<x:row><x:c><x:v>Identifiant</x:v></x:c><o:c><o:v>no</o:v></o:c></x:row><o:row/>"
    content = packed({SHEET: f"<x:worksheet {MAIN.replace('=', ':x=', 1)}>{sheet}</x:worksheet>"})
    assert workbooks.as_csv(content) == b"Identifiant\n"


SMALL = a_workbook("<row/>")
REFUSED = {
    "cut off": b"PK\x03\x04",
    "without a sheet": packed({BOOK: "<workbook/>"}),
    "no XML": a_workbook("<row>"),
    "no such text": a_workbook('<row><c t="s"><v>1</v></c></row>', "<si><t>x</t></si>"),
    "before the first text": a_workbook('<row><c t="s"><v>-1</v></c></row>', "<si><t>x</t></si>"),
    "entities": packed({SHEET: '<!DOCTYPE x [<!ENTITY e "e">]><worksheet/>'}),
    "UTF-16": packed({SHEET: "<worksheet/>".encode("utf-16")}),
    "days from 1904": a_workbook("<row/>", book='<workbookPr date1904="1"/>'),
    "packed as no program does": packed({SHEET: "<worksheet/>"}, zipfile.ZIP_LZMA),
    "no cell": a_workbook('<row><c r="ß1"/></row>'),
    "no column": a_workbook('<row><c r="A1"/><c r="1"/></row>'),
    "unknown encoding": packed({SHEET: '<?xml version="1.0" encoding="x"?><worksheet/>'}),
    "damaged": with_declared_size(packed({SHEET: "<worksheet></worksheet>"}), 11),
    "ZIP64": as_zip64(SMALL),
    "comment": SMALL[:-2] + b"\x16\0" + bytes(22),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_is_no_workbook_is_refused(content: bytes) -> None:
    assert workbooks.is_workbook(content)
    with pytest.raises(UnreadableSheet):
        workbooks.as_csv(content)


def test_a_tag_of_256_kib_is_read_and_a_longer_one_is_refused() -> None:
    longest = f"<row{' ' * (256 * 1024 - 5)}/>"
    workbooks.as_csv(a_workbook(longest[:-3] + "/>"))
    with pytest.raises(UnreadableSheet):
        workbooks.as_csv(a_workbook(longest))


def of_sheet(elements: str) -> bytes:
    return packed({SHEET: f"<w>{elements}</w>"})


MEBIBYTES = f"<w>{'<a/>' * (10 * 1024 * 1024 // 4 - 2)}</w>"
NAMESPACE = f"<w xmlns:a='{'a' * 200_000}'>"
DIRECTORY = (ENTRY + bytes(42)) * 220_000
HOSTILE: dict[str, Callable[[], bytes]] = {
    "elements": lambda: packed(dict.fromkeys((BOOK, SHARED, SHEET), MEBIBYTES)),
    "entries": lambda: b"PK\x03\x04" + DIRECTORY + END + struct.pack("<8xIIH", len(DIRECTORY), 4, 0),
    "attributes": lambda: of_sheet("<a " + " ".join(f"a{number}=''" for number in range(100_000)) + "/>"),
    "names": lambda: of_sheet("".join(f"<a{number}/>" for number in range(100_000))),
    "namespace": lambda: of_sheet(f"{NAMESPACE}{'<a:a/>' * 5_000}</w>" + "<a>" * 100_000),
    "names in a namespace": lambda: of_sheet(
        f"{NAMESPACE}<w " + " ".join(f"a:a{number}=''" for number in range(2_000)) + "/></w>"
    ),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_at_once(hostile: Callable[[], bytes]) -> None:
    content = hostile()
    tracemalloc.start()
    started = time.thread_time()
    with pytest.raises(UnreadableSheet):
        workbooks.as_csv(content)
    seconds, (_, peak) = time.thread_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5  # 0.06 to 0.12 were measured on a busy machine
    assert peak < 50_000_000
