"""Mutants: one break of the product each, named in a file or drawn by a seed."""

import ast
import copy
import fnmatch
import hashlib
import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
AREAS = {
    "rules": ("services/*/rules/*.py", "services/notifier/letters/*.py"),
    "service": ("services/*/service/*.py",),
    "store": ("services/*/store/*.py",),
    "messaging": ("shared/messaging/*.py", "services/notifier/delivery/*.py", "services/*/handlers.py"),
    "security": (
        "shared/auth.py", "shared/guard.py", "shared/limits.py", "shared/personal_data.py",
        "shared/read_log.py", "shared/database.py", "shared/oidc/*.py", "shared/web/links.py",
        "shared/web/logins/*.py", "shared/web/networks.py", "shared/web/spreadsheets.py",
    ),
}  # fmt: skip
NOT_DRAWN = "shared/messaging/asyncapi.py", "shared/messaging/acls.py", "shared/messaging/traces.py"
PER_AREA, PER_OPERATOR, PER_FILE = 6, 8, 2

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_NOT_BROKEN = (ast.Raise, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.AnnAssign, ast.Assert)
_TELLS = re.compile(r"log\.|(\w+\.)?[A-Z]{3}[A-Z_]*\.")
_LEFT_OUT = {"order_by", "desc", "distinct"}
_SQL = re.compile(r"\b(SELECT|UPDATE|DELETE FROM|INSERT INTO)\b")
_IN_SQL: dict[str, tuple[str, str]] = {
    "condition cut": (r" AND [\w.]+ (?:IS (?:NOT )?NULL|(?:=|<>|<=|>=|<|>) :?[\w.']+)(?=[ \")])", ""),
    "comparison turned in SQL": (r" ([<>])= ", r" \1 "),
    "order turned in SQL": (r" DESC\b", ""),
}  # fmt: skip


Break = tuple[str, tuple[int, int], str]
"""The operator, the bytes of the file that it replaces, and what it puts there."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A break: the bytes from ``start`` to ``end`` become ``after``. ``places`` run its statement."""

    kind: str
    path: str
    function: str
    operator: str
    before: str
    after: str
    start: int
    end: int
    places: frozenset[tuple[str, str, int]]
    tests: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What stays the same when other code changes, or the function moves to another file."""
        return f"{self.function}: {self.operator}: {self.before} → {self.after}"

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:90] for text in (self.before, self.after))
        return f"{self.path} {self.function}: {self.operator}: {before} → {after}"


class ProductFile:
    """A file of the product."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = (ROOT / path).read_bytes()
        self._starts = [0]
        for line in self.bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.bytes)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first, last = self._starts[node.lineno - 1], self._starts[node.end_lineno - 1]
        return first + node.col_offset, last + node.end_col_offset

    @cached_property
    def statements(self) -> list[tuple[ast.stmt, str]]:
        """Return each statement with the function around it, in a module with the name that it gives.

        A compound statement comes before its parts.
        """
        return list(_outside_in(self.tree, ""))

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """Return for each line the innermost function, and the number of the line there.

        So a line is known after a change above the function.
        """
        places = [("", number) for number in range(len(self._starts) + 1)]
        for statement, function in self.statements:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{function}.{statement.name}".removeprefix(".")
                for number in range(statement.lineno, (statement.end_lineno or 0) + 1):
                    places[number] = name, number - statement.lineno
        return places

    def statement_at(self, offset: int) -> tuple[ast.stmt, str]:
        """Return the innermost statement there."""
        found = self.statements[0]
        for statement, function in self.statements:
            start, end = self.span(statement)
            if start <= offset < end:
                found = statement, function
        return found


def _outside_in(node: ast.AST, function: str) -> Iterator[tuple[ast.stmt, str]]:
    for child in ast.iter_child_nodes(node):
        inside = function
        if isinstance(child, ast.stmt):
            yield child, function or "".join(_given(child))
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{function}.{child.name}".removeprefix(".")
        if not isinstance(child, ast.expr):
            yield from _outside_in(child, inside)


def product() -> dict[str, ProductFile]:
    """Return the files of services and shared, but migrations."""
    found = sorted(path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py"))
    paths = [str(path.relative_to(ROOT)) for path in found]
    return {path: ProductFile(path) for path in paths if "/migrations/" not in path}


def _own_places(source: ProductFile, statement: ast.stmt) -> set[tuple[str, str, int]]:
    """Return the places of the lines of a statement, without the body of a compound one."""
    body = getattr(statement, "body", None)
    end = body[0].lineno if body else (statement.end_lineno or 0) + 1
    lines = range(statement.lineno, max(statement.lineno + 1, end))
    return {(source.path, *source.places[line]) for line in lines}


def _places(
    sources: dict[str, ProductFile], source: ProductFile, statement: ast.stmt
) -> frozenset[tuple[str, str, int]]:
    """Return the places that run a statement: its own, or those that use the name it gives in a module."""
    if statement not in source.tree.body:
        return frozenset(_own_places(source, statement))
    found: set[tuple[str, str, int]] = set()
    names, known = _given(statement), set[str]()
    while names:
        users: set[str] = set()
        for name in names:
            for user in [source] if name.startswith("_") else sources.values():
                if name.encode() not in user.bytes:
                    continue
                for inner, _ in user.statements:
                    if any(_name(node) == name for node in _own_nodes(inner)):
                        if inner not in user.tree.body:
                            found |= _own_places(user, inner)
                        elif user is source:
                            users |= _given(inner)
        known |= names
        names = users - known
    return frozenset(found)


def _given(statement: ast.stmt) -> set[str]:
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a statement without those of the statements in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt):
            yield child
            yield from _own_nodes(child)


def named(sources: dict[str, ProductFile], file: str = "places.toml") -> tuple[list[Mutant], list[str]]:
    """Return the mutants that a file names, and what is not in the tree as the file says."""
    mutants, lost = [], []
    for place in _read(file)["named"]:
        before = place["text"].encode()
        gone = [test for test in place.get("tests", ()) if not (ROOT / test.partition("::")[0]).exists()]
        where = [source for source in sources.values() for _ in range(source.bytes.count(before))]
        if len(where) != 1:
            lost.append(f"{place['class']}: {place['breaks']}: {len(where)} places have {place['text']!r}")
            continue
        if gone:
            lost.append(f"{place['class']}: {place['breaks']}: there is no {', '.join(gone)}")
            continue
        [source] = where
        start = source.bytes.index(before)
        broken = (place["breaks"], (start, start + len(before)), place["put"])
        mutants.append(_mutant(sources, source, place["class"], broken, tuple(place.get("tests", ()))))
    return mutants, lost


def _mutant(
    sources: dict[str, ProductFile],
    source: ProductFile,
    kind: str,
    broken: Break,
    tests: tuple[str, ...] = (),
) -> Mutant:
    operator, (start, end), after = broken
    statement, function = source.statement_at(start)
    before = source.bytes[start:end].decode()
    places = _places(sources, source, statement)
    return Mutant(kind, source.path, function, operator, before, after, start, end, places, tests)


def drawn(sources: dict[str, ProductFile], seed: int, number: int, others: list[Mutant]) -> list[Mutant]:
    """Return the mutants whose digests of seed and place come first, without places that ``others`` have.

    The digest does not depend on other code: a change there leaves nearly all that are drawn.
    """
    left_out = {(place["function"], place["text"]) for place in _read("places.toml")["equivalent"]}
    left_out |= {(mutant.function, mutant.before) for mutant in others}
    places = []
    for area, source in _sources_by_area(sources):
        seen: Counter[tuple[str, ...]] = Counter()
        for broken, function in _breaks(source):
            operator, (start, end), after = broken
            before = source.bytes[start:end].decode()
            place = (source.path, function, operator, before, after)
            seen[place] += 1
            if (function, before) not in left_out:
                digest = hashlib.sha256(repr((seed, *place, seen[place])).encode()).digest()
                places.append((digest, area, source, broken))
    taken: list[Mutant] = []
    counts: Counter[str] = Counter()
    for _, area, source, broken in sorted(places, key=lambda place: place[0]):
        most = {area: PER_AREA, broken[0]: PER_OPERATOR, source.path: PER_FILE}
        if len(taken) < number and all(counts[name] < limit for name, limit in most.items()):
            counts.update(most.keys())
            taken.append(_mutant(sources, source, area, broken))
    return taken


def _sources_by_area(sources: dict[str, ProductFile]) -> Iterator[tuple[str, ProductFile]]:
    for area, patterns in AREAS.items():
        for path, source in sources.items():
            if path not in NOT_DRAWN and any(fnmatch.fnmatch(path, pattern) for pattern in patterns):
                yield area, source


def _breaks(source: ProductFile) -> Iterator[tuple[Break, str]]:
    """Yield each break that an operator can make in a file, with the function that it is in."""
    for statement, function in source.statements:
        if statement in source.tree.body:
            found = _breaks_of_sql(source, statement)
        elif isinstance(statement, _NOT_BROKEN) or _only_tells(statement):
            continue
        else:
            found = itertools.chain(
                _breaks_of_statement(source, statement), _breaks_of_expressions(source, statement)
            )
        for broken in found:
            yield broken, function


def _only_tells(statement: ast.stmt) -> bool:
    """Return whether the statement is a docstring, or writes a line to the log or a value to a metric."""
    return isinstance(statement, ast.Expr) and (
        isinstance(statement.value, ast.Constant) or _TELLS.match(ast.unparse(statement)) is not None
    )


def _breaks_of_expressions(source: ProductFile, statement: ast.stmt) -> Iterator[Break]:
    for node in _own_nodes(statement):
        if isinstance(node, ast.expr):
            for operator, broken in _breaks_of_node(node):
                yield operator, source.span(node), f"({ast.unparse(broken)})"


def _breaks_of_statement(source: ProductFile, statement: ast.stmt) -> Iterator[Break]:
    match statement:
        case ast.If(test=ast.UnaryOp(op=ast.Not()), body=[ast.Return(value=value)]) if _is_nothing(value):
            return  # a shorter way to the same end
        case ast.If(test=test, body=[*_, last]) if isinstance(last, ast.Return | ast.Raise | ast.Continue):
            yield "guard never taken", source.span(test), "False"
        case ast.If(test=test):
            yield "condition always true", source.span(test), "True"
        case ast.Return(value=ast.Constant(value=bool(value))):
            yield "other bool returned", source.span(statement), f"return {not value}"
        case ast.Expr(value=ast.Await(value=ast.Call())):
            yield "awaited call left out", source.span(statement), "pass"


def _is_nothing(value: ast.expr | None) -> bool:
    return value is None or ast.unparse(value) in {"None", "0", "[]", "{}", "()", "set()"}


def _breaks_of_node(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    broken = copy.copy(node)
    match broken:
        case ast.Compare(ops=[operator]) if type(operator) in _TURNED:
            broken.ops = [_TURNED[type(operator)]()]
            yield "comparison turned", broken
        case ast.BoolOp(op=operator):
            broken.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield "and and or exchanged", broken
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not dropped", operand
        case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=int(value))):
            broken.right = ast.Constant(value + 1)
            yield "bound moved", broken
        case ast.Call(func=ast.Attribute(attr="where"), args=[*args, _]) if args:
            broken.args = args
            yield "condition cut", broken
        case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in _LEFT_OUT:
            yield "order left out", value


def _breaks_of_sql(source: ProductFile, statement: ast.stmt) -> Iterator[Break]:
    start, end = source.span(statement)
    text = source.bytes[start:end].decode()
    if isinstance(statement, ast.Assign | ast.AnnAssign) and _SQL.search(text):
        for operator, (pattern, after) in _IN_SQL.items():
            for found in re.finditer(pattern, text):
                first = start + len(text[: found.start()].encode())
                yield operator, (first, first + len(found[0].encode())), found.expand(after)


def _read(file: str) -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((Path(__file__).parent / file).read_text())
