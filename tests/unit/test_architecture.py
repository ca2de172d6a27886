"""The promises of the frame: who may import whom, what is declared, what is locked, where things are."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions
from importlib.util import find_spec
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


def places(rooms: Sequence[str], is_wrong: Callable[[ast.AST], bool]) -> set[str]:
    """Return the places in these rooms of the services where a syntax node is wrong."""
    return {
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for room in rooms
        for path in (ROOT / "services").glob(f"*/{room}/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if is_wrong(node)
    }


def test_a_service_layer_opens_no_transaction() -> None:
    def is_wrong(node: ast.AST) -> bool:
        return (isinstance(node, ast.alias) and node.name == "Database") or (
            isinstance(node, ast.Attribute) and node.attr in ("transaction", "quiet_transaction")
        )

    assert places(["service"], is_wrong) == set()


def test_a_service_layer_changes_no_row_by_setting_an_attribute() -> None:
    """The store changes rows, by statements (docs/adr/0016)."""

    def is_wrong(node: ast.AST) -> bool:
        is_own = (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        )
        return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and not is_own

    assert places(["service"], is_wrong) == set()


def test_a_metric_in_a_transaction_is_counted_by_the_transaction() -> None:
    """A metric's own ``inc`` would also count what is rolled back or done again."""

    def is_wrong(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "inc"

    assert places(["service", "store"], is_wrong) == set()


# ------------------------------------------------------------------------------------------- what is declared


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def declared(*extras: str) -> set[str]:
    requirements = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        requirements += PROJECT["project"]["optional-dependencies"][extra]
    return {normalised(requirement) for requirement in requirements}


def is_a_class_by_name(value: object) -> bool:
    """Whether this is the name of a class, as the configuration of logging has them."""
    return (
        isinstance(value, str)
        and re.fullmatch(r"\w+(\.\w+)*\.[A-Z]\w+", value) is not None
        and find_spec(value.partition(".")[0]) is not None
    )


def imported(*folders: Path) -> dict[str, Path]:
    """Give each third-party package that code under `folders` imports, with one file that does."""
    found: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(), path.name)):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Constant) and is_a_class_by_name(node.value):
                names = [str(node.value)]
            for name in names:
                top = name.partition(".")[0]
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


def undeclared(found: dict[str, Path], allowed: set[str]) -> dict[str, Path]:
    distributions = packages_distributions()
    return {
        module: path
        for module, path in found.items()
        if allowed.isdisjoint(
            {COMES_WITH.get(module, "")} | {normalised(name) for name in distributions.get(module, [module])}
        )
    }


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        *((f"services/{service}", [service]) for service in SERVICES),
        ("services/console", SERVICES),
        ("shared", []),
        ("local", ["local", *SERVICES]),
        ("tests", ["dev", "local", *SERVICES]),
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


def test_no_other_lock_is_kept() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    locks = r"(uv\.lock|pylock.*\.toml|poetry\.lock|pdm\.lock|Pipfile\.lock|package-lock\.json|yarn\.lock)"
    assert [path for path in listed if re.fullmatch(locks, Path(path).name)] == []


# ------------------------------------------------------------------------------------------- where things are


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "room",
    [
        *("__main__", "app", "settings", "handlers", "api", "pages", "jobs", "service", "rules", "store"),
        *("tables", "migrations", "templates", "personal_data"),
    ],
)
def test_every_service_has_the_same_rooms(service: str, room: str) -> None:
    folder = ROOT / "services" / service
    room = "letters" if (service, room) == ("notifier", "rules") else room
    assert (folder / f"{room}.py").exists() or (folder / room).is_dir()


def test_every_make_target_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?m)^\.PHONY: (\S+)$", makefile)
    documented = re.findall(r"(?m)^([a-z-]+):.*## \S", makefile)
    assert targets == documented
    promised = {"help", "demo", "run", "test", "check", "faults", "bench", "up", "down"}
    assert promised <= set(documented)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_one_service_and_not_the_local_stack(service: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stage = re.search(rf"(?ms)^FROM runtime AS {service}$(.*?)(?=^FROM|\Z)", dockerfile)
    assert stage, f"Dockerfile has no target {service}"
    copied = re.findall(r"^COPY .* (\S+)$", stage[1], re.MULTILINE)
    assert copied == ["/venv", f"services/{service}"]
    assert f'CMD ["python", "-m", "services.{service}", "serve"]' in stage[1]
    assert "HEALTHCHECK" in stage[1]


def test_the_image_of_an_operator_holds_all_services_with_what_each_needs() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for service in SERVICES:
        assert f" -r /{service}.txt" in dockerfile.partition("FROM packages AS console-packages")[2]
    stage = dockerfile.partition("FROM runtime AS console\n")[2].partition("FROM ")[0]
    assert re.findall(r"^COPY .* (\S+)$", stage, re.MULTILINE) == ["/venv", "services"]
    assert 'ENTRYPOINT ["python", "-m", "services"]' in stage
