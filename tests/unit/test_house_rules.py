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


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Each module below these folders of the project, by its path there."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(), path.name)


def names_given(path: str, module: ast.Module) -> set[str]:
    """Every variable, parameter and field of a module, but the fields that are published, or columns."""
    nodes = list(ast.walk(module))
    fields = {
        id(field.target)
        for node in nodes
        if HAS_NAMED_FIELDS.search(path) and isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    }
    return {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields
    } | {node.arg for node in nodes if isinstance(node, ast.arg)}


def test_no_variable_has_a_name_that_says_nothing() -> None:
    say_nothing = {"one", "told", "words", "facts"}
    found = {
        path: names
        for path, module in modules(*FOLDERS)
        if (names := names_given(path, module) & say_nothing)
    }
    assert found == {}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    say_nothing = {
        "base",
        "common",
        "helper",
        "helpers",
        "lanes",
        "manager",
        "misc",
        "told",
        "util",
        "utils",
        "words",
    }
    found = [
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if say_nothing & set(path.stem.split("_"))
    ]
    assert found == []


def names_of_types(module: ast.Module) -> Iterator[str]:
    """The classes and type aliases that other modules may import."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id


def test_a_class_or_type_alias_has_its_name_to_itself() -> None:
    where = defaultdict(set)
    for path, module in modules(*FOLDERS):
        if not path.startswith(OF_OTHERS):
            for name in names_of_types(module):
                if re.fullmatch(r"[A-Z][a-z]\w*", name):
                    where[name].add(path)
    several = {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}
    assert several.keys() <= SHARED_NAMES, several
    assert several.keys() >= SHARED_NAMES, "no exception is needed any more for these"


def test_what_a_rule_on_security_is_told_to_pass_over_has_a_reason_beside_it() -> None:
    bare = re.compile(r"# noqa: S\d+(?:, ?\w+)*[ )]*$", re.MULTILINE)
    found = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared", "local")
        for path in (ROOT / folder).rglob("*.py")
        if bare.search(path.read_text())
    }
    assert found == set()
