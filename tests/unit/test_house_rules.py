"""The house: a thing has one plain name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("catalogue", "enrolment", "notifier")
NAMES_OF_OPENAPI = {"Record"}
"""Of published documents, so they stay although a class elsewhere has the same."""


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Each module below these folders of the project, by its path there."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(), path.name)


def names_given(module: ast.Module) -> set[str]:
    """Every variable and parameter of a module."""
    nodes = list(ast.walk(module))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }


def test_no_variable_is_called_one() -> None:
    found = {
        path
        for path, module in modules("services", "shared", "local", "tests")
        if "one" in names_given(module)
    }
    assert found == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_class_has_its_name_to_itself(service: str) -> None:
    where = defaultdict(set)
    for path, module in modules(f"services/{service}", "shared"):
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                where[node.name].add(path)
    shared = {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}
    assert shared.keys() <= NAMES_OF_OPENAPI, shared


def test_what_a_rule_on_security_is_told_to_pass_over_has_a_reason_beside_it() -> None:
    bare = re.compile(r"# noqa: S\d+(?:, ?\w+)*[ )]*$", re.MULTILINE)
    found = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared", "local")
        for path in (ROOT / folder).rglob("*.py")
        if bare.search(path.read_text())
    }
    assert found == set()
