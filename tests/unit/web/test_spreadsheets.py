"""CSV as spreadsheets save it is read; what is written is no formula and comes back as it was."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.spreadsheets import Bounds, Code, Column, Fault, Sheet, UnreadableSheet, read, write

AGENT, NAME = Column("agent_id", "Identifiant de l’agent"), Column("family_name", "Nom")
REMARK = Column("remark", "Remarque", required=False)
COLUMNS = (AGENT, NAME, REMARK)


def cells(sheet: Sheet) -> list[tuple[str, ...]]:
    assert sheet.faults == ()
    return [tuple(row.cells.values()) for row in sheet.rows]


def refused(content: bytes, **options: Any) -> list[Fault]:
    with pytest.raises(UnreadableSheet) as caught:
        read(content, COLUMNS, **options)
    return list(caught.value.faults)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r"])
def test_what_spreadsheets_save_is_read(encoding: str, delimiter: str, ending: str) -> None:
    text = ending.join(
        delimiter.join(line) for line in [("agent_id", "family_name"), ("IEL-1", "Hélène Œuvrard"), ("", "")]
    )
    assert cells(read(text.encode(encoding), COLUMNS)) == [("IEL-1", "Hélène Œuvrard", "")]


@pytest.mark.parametrize("heading", ["IDENTIFIANT DE L'AGENT", " identifiant_de_l_agent ", "Agent ID"])
def test_a_heading_counts_without_case_accents_and_punctuation(heading: str) -> None:
    assert cells(read(f"nom;{heading}\nDurand;IEL-1\n".encode(), COLUMNS)) == [("IEL-1", "Durand", "")]


def test_a_delimiter_inside_a_quoted_cell_is_no_delimiter() -> None:
    content = b'agent_id;family_name;remark\nIEL-1;"Durand; Martin";"said ""no"",\non two lines"\nIEL-2;B;\n'
    sheet = read(content, COLUMNS)
    assert cells(sheet) == [("IEL-1", "Durand; Martin", 'said "no",\non two lines'), ("IEL-2", "B", "")]
    assert [row.line for row in sheet.rows] == [2, 4]


def test_everything_that_is_wrong_is_said_at_once_by_line() -> None:
    content = b'agent_id;family_name\nIEL-1;A\n"IEL"-2;B\nIEL-3\n\nIEL-4;D;more\nIEL-5;E;;\nIEL-6;"F\n'
    sheet = read(content, COLUMNS)
    assert [(fault.line, fault.code) for fault in sheet.faults] == [
        (3, Code.BAD_QUOTES),
        (4, Code.CELLS_MISSING),
        (6, Code.TOO_MANY_CELLS),
        (8, Code.BAD_QUOTES),
    ]
    assert [row.cells["agent_id"] for row in sheet.rows] == ["IEL-1", "IEL-5"]


def test_columns_that_are_missing_or_there_twice_are_named() -> None:
    assert [(fault.code, fault.column) for fault in refused(b"agent_id;Agent-Id;other\n")] == [
        (Code.COLUMN_TWICE, "agent_id"),
        (Code.COLUMN_MISSING, "family_name"),
    ]


def test_columns_that_nobody_asked_for_are_ignored_or_named() -> None:
    content = b"agent_id;family_name;remrak\nIEL-1;A;lost\n"
    assert read(content, COLUMNS).faults == ()
    [fault] = read(content, COLUMNS, others_are_faults=True).faults
    assert (fault.line, fault.code, fault.column) == (1, Code.COLUMN_UNKNOWN, "remrak")


@pytest.mark.parametrize(
    ("content", "line", "code"),
    [
        (b"", 1, Code.EMPTY),
        (b"\n\nagent_id;family_name\n", 1, Code.EMPTY),
        (b";;;\n", 1, Code.EMPTY),
        (b'"agent_id', 1, Code.EMPTY),
        (b"PK\x03\x04 a workbook", 1, Code.NOT_CSV),
        (b"\xd0\xcf\x11\xe0 an old workbook", 1, Code.NOT_CSV),
        (b"agent_id;family_name\n\nIEL-1;\x8d\n", 3, Code.NOT_TEXT),
        (b"agent_id;family_name\r\nIEL-1;\0\r\n", 2, Code.NOT_TEXT),
        (b"\xff\xfea", 1, Code.NOT_TEXT),
    ],
)
def test_what_is_no_csv_is_refused_with_the_line(content: bytes, line: int, code: Code) -> None:
    [fault] = refused(content)
    assert (fault.line, fault.code) == (line, code)


def test_what_is_too_large_is_refused() -> None:
    content = b"agent_id;family_name;a;b\n" + b"IEL-1;A;;\n" * 3
    for bounds, code in [
        (Bounds(bytes=len(content) - 1), Code.TOO_LARGE),
        (Bounds(columns=3), Code.TOO_MANY_COLUMNS),
        (Bounds(rows=2), Code.TOO_MANY_ROWS),
    ]:
        assert [fault.code for fault in refused(content, bounds=bounds)] == [code]
    assert len(read(content, COLUMNS, bounds=Bounds(len(content), 3, 4)).rows) == 3


@given(st.binary(max_size=300))
def test_rubbish_is_read_or_refused_and_nothing_else(content: bytes) -> None:
    try:
        read(b"agent_id;family_name\n" + content, COLUMNS)
        read(content, COLUMNS)
    except UnreadableSheet as error:
        assert error.faults  # noqa: PT017 refusing is one of the two good ends


@pytest.mark.parametrize(
    "cell", ["=1+1", "+33 2", "-1", "@SUM(A1)", "\tx", "\r=1", "\n", " =1", "'=1", "'' +1", "＝1+1"]
)
def test_a_formula_is_written_as_text(cell: str) -> None:
    written = write([AGENT], [[cell]]).decode("utf-8-sig")
    [_heading, [shown]] = csv.reader(io.StringIO(written, newline=""), delimiter=";")
    assert shown == "'" + cell


def test_a_file_is_utf_8_with_a_mark_semicolons_and_crlf_and_numbers_stay_numbers() -> None:
    written = write([AGENT, NAME, REMARK], [["IEL-1", "Zoé", -1], ["IEL-2", 'd’"Arc"; A', None]])
    assert written == (
        '\ufeffIdentifiant de l’agent;Nom;Remarque\r\nIEL-1;Zoé;-1\r\nIEL-2;"d’""Arc""; A";\r\n'.encode()
    )


@given(st.lists(st.tuples(st.text(min_size=1), st.text(), st.text()), max_size=5))
def test_what_is_written_is_read_back_as_it_was(rows: list[tuple[str, str, str]]) -> None:
    stripped = [tuple(cell.replace("\0", "").strip() for cell in row) for row in rows]
    assert cells(read(write(COLUMNS, stripped), COLUMNS)) == [row for row in stripped if any(row)]
