"""The house: a thing has one plain name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("services", "shared", "local", "tests")
OF_OTHERS = ("local/demo", "local/model", "local/observing", "local/people", "local/portal", "local/year")
"""Written as somebody else would write them, or to check the services: they have names of their own."""
OF_EACH_SERVICE = {"Acting", "Settings", "SessionRow", "EnrolmentRow", "TrainerRow", "Kind"}
"""Each service has its settings and tables of its own, and what it calls a kind; none imports another's."""
OF_EACH_API = {"ActingOrganiser", "Database", "Organiser", "OrganiserReading"}
"""What FastAPI gives to the functions of a service's API."""
OF_OPENAPI = {"Record"}
"""A name in a published document."""
HAS_NAMED_FIELDS = re.compile(r"^shared/events/|^services/\w+/(api/|tables\.py)")
"""Where the fields of classes are published, or columns: their names stay."""
SHARED_NAMES = OF_EACH_SERVICE | OF_EACH_API | OF_OPENAPI


def modules(*folders: str) -> Iterator[tuple[str, str]]:
    """Path and text of each module below these folders of the project."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def test_no_variable_or_file_has_a_name_that_says_nothing() -> None:
    variables = {"one", "told", "words", "facts"}
    files = {"base", "common", "helper", "helpers", "manager", "misc", "told", "util", "utils", "words"}
    # What stands behind a name that gets a value. The other modules, eleven of twelve, need not be parsed.
    behind = r",|:|=|\)|\]| in\b| \S{0,3}=|$"
    may_get_a_value = re.compile(rf"\b(?:{'|'.join(variables)})\b(?={behind})", re.MULTILINE)
    found = set()
    for path, text in modules(*FOLDERS):
        found |= {path for part in Path(path).stem.split("_") if part in files}
        if HAS_NAMED_FIELDS.search(path) or not may_get_a_value.search(text):
            continue
        for node in ast.walk(ast.parse(text, path)):
            match node:
                case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) if name in variables:
                    found.add(f"{path}: {name}")
    assert found == set()


def test_a_class_has_its_name_to_itself() -> None:
    where = defaultdict(set)
    for path, text in modules(*FOLDERS):
        if not path.startswith(OF_OTHERS):
            for name in re.findall(r"^class ([A-Z][a-z]\w*)\b", text, re.MULTILINE):
                where[name].add(path)
    several = {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}
    assert several.keys() <= SHARED_NAMES, several


def test_an_exception_to_a_rule_on_security_has_a_reason_beside_it() -> None:
    bare = re.compile(r"# noqa: S\d+(?:, ?\w+)*[ )]*$", re.MULTILINE)
    found = {path for path, text in modules("services", "shared", "local") if bare.search(text)}
    assert found == set()
