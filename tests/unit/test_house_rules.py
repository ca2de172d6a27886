"""The house: the edge of a service calls its service layer alone, and a thing has one plain name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("catalogue", "enrolment", "notifier")
# How many there still are: zero, and gone from here, when the services are done.
FILES_WITH_ONE = 5
SHARED_NAMES = {"catalogue": 0, "enrolment": 1, "notifier": 3}

EDGE = ("handlers", "api", "pages", "jobs", "__main__")


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Each module below these folders of the project, by its path there."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(), path.name)


def imported(module: ast.Module) -> set[str]:
    """What a module imports, in full: ``from a import b`` is ``a.b``."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def names_given(module: ast.Module) -> set[str]:
    """Every variable and parameter of a module."""
    nodes = list(ast.walk(module))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_the_edge_of_a_service_reaches_its_store_through_the_service_layer(service: str) -> None:
    store = f"services.{service}.store"
    found = {
        path
        for path, module in modules(f"services/{service}")
        if Path(path).relative_to(f"services/{service}").parts[0].removesuffix(".py") in EDGE
        and any(name == store or name.startswith(f"{store}.") for name in imported(module))
    }
    assert found == set()


def test_no_variable_is_called_one() -> None:
    found = {path for path, module in modules("services", "shared", "local") if "one" in names_given(module)}
    assert len(found) <= FILES_WITH_ONE, sorted(found)


@pytest.mark.parametrize("service", SERVICES)
def test_a_class_has_its_name_to_itself(service: str) -> None:
    where = defaultdict(set)
    for path, module in modules(f"services/{service}", "shared"):
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                where[node.name].add(path)
    shared = {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}
    assert len(shared) <= SHARED_NAMES[service], shared
