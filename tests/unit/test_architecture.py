"""The promises of the frame: who may import whom, what is declared, what is locked, where things are."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("catalogue", "enrolment", "notifier")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# ------------------------------------------------------------------------------------------- import contracts


def test_every_import_keeps_the_contracts() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


FORBIDDEN_TO_RULES = next(
    contract["forbidden_modules"]
    for contract in PROJECT["tool"]["importlinter"]["contracts"]
    if contract["id"] == "pure"
)


def test_rules_may_use_nothing_of_shared_but_the_contracts() -> None:
    parts = {f"shared.{path.stem}" for path in (ROOT / "shared").iterdir() if not path.name.startswith("__")}
    forbidden = {module for module in FORBIDDEN_TO_RULES if module.startswith("shared.")}
    assert forbidden == parts - {"shared.events"}


RARELY_NEEDED = (
    "alembic",
    *("authlib", "httpx", "joserfc"),  # log-in at an issuer
    *("opentelemetry.exporter", "opentelemetry.sdk"),  # FastStream imports the rest of OpenTelemetry
    "typst",
    "xlsxwriter",
)


NO_COMMAND_NEEDS = ("aiokafka", "fastapi", "faststream", "jinja2", "starlette", "uvicorn")
"""A command that needs some of it imports it when it is called."""


def test_nothing_is_imported_at_a_start_that_only_some_of_it_needs() -> None:
    """The contracts of import-linter cannot tell an import at the start from one inside a function."""
    commands, apps = (
        ", ".join(f"services.{service}.{module}" for service in SERVICES) for module in ("__main__", "app")
    )
    program = f"""
import sys, {commands}, shared.cli.portals, shared.cli.tokens, shared.migrations
print(*sys.modules.keys() & {set(NO_COMMAND_NEEDS)})
del sys.modules["alembic"]  # the migrations' own
import {apps}
print(*sys.modules.keys() & {set(RARELY_NEEDED)})
"""
    command = [sys.executable, "-c", program]
    imported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert imported.stdout.splitlines() == ["", ""]


OPENS = ("transaction", "quiet_transaction")
FORBIDDEN: dict[str, tuple[list[str], Callable[[ast.Attribute], bool]]] = {
    "a service layer opens no transaction": (["service"], lambda node: node.attr in OPENS),
    "a service layer changes no row by setting an attribute, see docs/adr/0016": (
        ["service"],
        lambda node: isinstance(node.ctx, ast.Store) and ast.unparse(node.value) != "self",
    ),
    "a metric is counted by the transaction, or it would count what is rolled back": (
        ["service", "store"],
        lambda node: node.attr == "inc",
    ),
}


@pytest.mark.parametrize(("rooms", "is_wrong"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_no_service_does_in_a_room_what_is_forbidden_there(
    rooms: Sequence[str], is_wrong: Callable[[ast.Attribute], bool]
) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in rooms
        for path in (ROOT / "services").glob(f"*/{room}/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and is_wrong(node)
    }
    assert found == set()


# ------------------------------------------------------------------------------------------- what is declared


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


DECLARED = PROJECT["project"]["optional-dependencies"] | PROJECT["dependency-groups"]


def declared(*extras: str) -> set[str]:
    requirements = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        requirements += DECLARED[extra]
    return {normalised(requirement) for requirement in requirements}


IMPORT = re.compile(r"^ *(?:import (\w+)[\w.]*(?= as |  #|$)|from (\w+)[\w.]* import )", re.MULTILINE)


def imported(*folders: Path) -> dict[str, Path]:
    """Give each third-party package that code under `folders` imports, with one file that does."""
    found: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py"))):
        for plain, source in IMPORT.findall(path.read_text()):
            top = plain or source
            if top not in sys.stdlib_module_names and top not in ("services", "shared", "local", "tests"):
                found.setdefault(top, path)
    return found


# Comes with a declared package that promises it as its own interface.
COMES_WITH = {
    "starlette": "fastapi",
    "mako": "alembic",
    "markupsafe": "jinja2",
    "fast_depends": "faststream",
}


distributions = functools.cache(packages_distributions)


def undeclared(found: dict[str, Path], allowed: set[str]) -> dict[str, Path]:
    return {
        module: path
        for module, path in found.items()
        if allowed.isdisjoint(
            {COMES_WITH.get(module, "")}
            | {normalised(name) for name in distributions().get(module, [module])}
        )
    }


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        *((f"services/{service}", [service]) for service in SERVICES),
        ("services/console", SERVICES),
        ("shared", []),
        ("local", ["local", *SERVICES]),
        ("tests", ["dev", "fuzz", "local", *SERVICES]),
    ],
)
def test_code_imports_only_what_its_image_holds(folder: str, extras: Sequence[str]) -> None:
    assert not undeclared(imported(ROOT / folder), declared(*extras))


# --------------------------------------------------------------------------------------------- what is locked

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


EXTRAS = [lock for lock in LOCKS if lock.stem not in PROJECT["dependency-groups"]]
"""A group has an environment of its own, and its versions may be others."""


def test_there_is_a_lock_for_each_extra() -> None:
    assert {lock.stem for lock in EXTRAS} == set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_each_package_with_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"://|^\s*-(i|f|-index|-extra-index|-find-links|-trusted)|\s@\s", text, re.MULTILINE)
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", text).strip())
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def versions(lock: Path) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9._-]+==[^ ;\\]+)", lock.read_text()))


@pytest.mark.parametrize("lock", EXTRAS, ids=lambda lock: lock.stem)
def test_every_lock_agrees_with_the_one_that_tests_use(lock: Path) -> None:
    assert versions(lock) <= versions(ROOT / "requirements" / "dev.txt")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_what_is_declared_is_locked(lock: Path) -> None:
    locked = {normalised(version) for version in versions(lock)}
    group = PROJECT["dependency-groups"].get(lock.stem)
    wanted = {normalised(requirement) for requirement in group} if group else declared(lock.stem)
    assert not wanted - locked - {"parcours"}, "run `make lock`"


# ------------------------------------------------------------------------------------------- where things are


ROOMS = {
    *("__main__", "app", "settings", "handlers", "api", "pages", "jobs", "service", "rules", "store"),
    *("tables", "migrations", "templates", "personal_data"),
}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_rooms(service: str) -> None:
    rooms = {path.stem for path in (ROOT / "services" / service).iterdir()}
    assert ROOMS - rooms == ({"rules"} if service == "notifier" else set())  # there they are letters


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_one_service_and_not_the_local_stack(service: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stage = re.search(rf"(?ms)^FROM runtime AS {service}$(.*?)(?=^FROM|\Z)", dockerfile)
    assert stage, f"Dockerfile has no target {service}"
    copied = re.findall(r"^COPY .* (\S+)$", stage[1], re.MULTILINE)
    assert copied == ["/venv", f"services/{service}"]
    assert f'CMD ["python", "-m", "services.{service}", "serve"]' in stage[1]
    assert "HEALTHCHECK" in stage[1]
