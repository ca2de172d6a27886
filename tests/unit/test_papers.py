"""The papers of a public body's software say the same thing, and the licence is the official text."""

import functools
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import VERSION

ROOT = Path(__file__).parents[2]
OFFICIAL_TEXT = "57fb42fbcd0b037ce528ed8f72f1ec095d67bc6825ecf1448ff39be1fe68a4b4"
"""SHA-256 of the English text of the EUPL 1.2, as the SPDX list of licences has it."""


def project() -> dict[str, Any]:
    """The table ``[project]`` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_licence_is_the_official_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == OFFICIAL_TEXT


def test_the_description_for_catalogues_has_the_version_and_licence_of_the_project() -> None:
    public = yaml.safe_load((ROOT / "publiccode.yml").read_text())
    assert public["legal"]["license"] == project()["license"] == "EUPL-1.2"
    assert public["softwareVersion"] == project()["version"]


def test_a_process_says_the_version_of_the_project() -> None:
    assert project()["version"] == VERSION


SECURITY = [ROOT / "docs" / name for name in ("security.md", "security-asvs.md")]
# Of each section of ASVS 5.0.0, how many requirements are of levels 1 and 2: they are the first.
ASVS = {
    1: {1: 2, 2: 9, 3: 11, 4: 3, 5: 2},
    2: {1: 3, 2: 3, 3: 4, 4: 1},
    3: {2: 2, 3: 4, 4: 6, 5: 5, 7: 2},
    4: {1: 3, 2: 1, 3: 2, 4: 4},
    5: {1: 1, 2: 3, 3: 2, 4: 3},
    6: {1: 3, 2: 12, 3: 4, 4: 4, 5: 5, 6: 3, 8: 4},
    7: {1: 3, 2: 4, 3: 2, 4: 5, 5: 2, 6: 2},
    8: {1: 2, 2: 3, 3: 1, 4: 1},
    9: {1: 3, 2: 4},
    10: {1: 2, 2: 2, 3: 4, 4: 11, 5: 5, 6: 2, 7: 3},
    11: {1: 2, 2: 3, 3: 3, 4: 4, 5: 1, 6: 1},
    12: {1: 3, 2: 2, 3: 4},
    13: {1: 1, 2: 5, 3: 2, 4: 5},
    14: {1: 2, 2: 4, 3: 3},
    15: {1: 3, 2: 3, 3: 7},
    16: {1: 1, 2: 5, 3: 4, 4: 3, 5: 3},
    17: {1: 1, 2: 4, 3: 2},
}


def verdicts() -> list[tuple[str, str]]:
    """Each requirement that the table answers, and its verdict; `6.2.1–6.2.12` are twelve."""
    found = []
    row = re.compile(r"^\| (\d[\d., –]*) \| [^|]+ \| ([^|]+) \|", re.MULTILINE)
    for numbers, verdict in row.findall(SECURITY[1].read_text()):
        for part in numbers.split(", "):
            first, _, last = part.partition("–")
            section, _, number = first.rpartition(".")
            end = int((last or first).rpartition(".")[2])
            found += [(f"{section}.{n}", verdict.strip("*")) for n in range(int(number), end + 1)]
    return found


def test_every_requirement_of_asvs_has_one_answer_and_they_are_counted_right() -> None:
    wanted = [
        f"{chapter}.{section}.{n + 1}"
        for chapter, sections in ASVS.items()
        for section, number in sections.items()
        for n in range(number)
    ]
    assert sorted(number for number, _ in verdicts()) == sorted(wanted)
    total = re.compile(r"^\| (met|n/a|yours|not met) \| (\d+) \|", re.MULTILINE)
    counted = dict(total.findall(SECURITY[1].read_text()))
    answers = [verdict for _, verdict in verdicts()]
    assert counted == {verdict: str(answers.count(verdict)) for verdict in set(answers)}


COPIED = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "examples" / "README.md"]
"""The papers that have lines to copy into a shell."""


def test_the_python_of_lines_to_copy_is_that_of_the_oldest_version_that_works_here() -> None:
    copied = [code for paper in COPIED for code in re.findall(r"(?s)python3 -c '(.*?)'", paper.read_text())]
    assert len(copied) > 3
    for code in copied:
        compile(code, code, "exec")  # CI has that version, too


ARCHITECTURE = ROOT / "docs" / "architecture.md"


@pytest.mark.parametrize(
    "paper", [*SECURITY, ARCHITECTURE, ROOT / "CONTRIBUTING.md"], ids=lambda paper: paper.name
)
def test_what_the_papers_name_in_the_code_exists(paper: Path) -> None:
    named = set(re.findall(r"`([^`\n]+)`", paper.read_text()))
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in named if re.fullmatch(r"test_\w+", name) and f"def {name}(" not in tests] == []
    for name in named:
        path, _, function = name.partition(": ")
        if re.match(r"(shared|services|tests|docs|deploy)/\S+$|Dockerfile$", path):
            assert list(ROOT.glob(re.sub(r"<\w+>", "*", path).rstrip("/"))), name
        if re.fullmatch(r"[\w/]+\.py", path):
            last = function.rpartition(".")[2]
            files = [text for file, text in code().items() if file.endswith(f"/{path}")]
            assert any(re.search(rf"\b{last}\b", text) for text in files), name
        elif method := re.fullmatch(r"([A-Z][a-z]\w+)\.([a-z_]\w+)", name):
            classes = [text for text in code().values() if f"class {method[1]}" in text]
            assert any(re.search(rf"\b{method[2]}\b", text) for text in classes), name


@functools.cache
def code() -> dict[str, str]:
    """Every file of the product and of the tests, by its path; a paper may leave out the folder."""
    folders = ("services", "shared", "local", "tests")
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {f"/{file.relative_to(ROOT)}": file.read_text() for file in files}


def test_the_way_of_a_request_names_functions_of_the_files_beside_them() -> None:
    steps = re.findall(
        r"(?m)^\| (?:\d+ \| )?(`(?:services|shared)/.+?) \| (.+?) \|", ARCHITECTURE.read_text()
    )
    assert len(steps) > 20
    for files, functions in steps:
        folder, *paths = re.findall(r"`([^`]+)`", files)
        paths = [ROOT / folder, *((ROOT / folder).parent / path for path in paths)]
        code = "\n".join(path.read_text() for path in paths)
        for name in re.findall(r"`([^`]+)`", functions):
            assert re.search(rf"def {name.rpartition('.')[2]}\(", code), f"{files}: {name}"
