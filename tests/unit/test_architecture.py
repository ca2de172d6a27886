"""The promises of the frame: who may import whom, what is declared, what is locked, where things are."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("catalogue", "enrolment", "notifier")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# ------------------------------------------------------------------------------------------- import contracts


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_keeps_the_contracts() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


ROOMS = (
    "__main__",
    "app",
    "handlers",
    "api",
    "pages",
    "jobs",
    "service",
    "store",
    "personal_data",
    "rules",
    "tables",
    "settings",
)
FORBIDDEN_TO_RULES = next(
    contract["forbidden_modules"]
    for contract in PROJECT["tool"]["importlinter"]["contracts"]
    if contract["id"] == "pure"
)
SHARED = [
    "shared.events.enrolment",
    *(module for module in FORBIDDEN_TO_RULES if module.startswith("shared.")),
]


DEMO = ("comparison", "model", "people", "portal", "requests", "session_model", "sessions", "summary")


@pytest.fixture
def an_empty_project(tmp_path: Path) -> Path:
    """Lay out every room with nothing in it, under the project's own contracts."""
    modules = [f"services/{service}/{room}" for service in SERVICES for room in ROOMS]
    modules += [f"services/notifier/{room}" for room in ("letters", "render", "delivery")]
    modules += ["services/enrolment/explanations"]
    modules += ["services/notifier/restores", "services/console"]
    modules += ["services/agent", "services/person", "services/logins"]
    modules += ["services/contracts", "services/register", "services/deployment", "services/__main__"]
    modules += [f"local/demo/{module}" for module in DEMO]
    modules += ["local/portal", "local/__init__", *(module.replace(".", "/") for module in SHARED)]
    for module in modules:
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for folder in path.relative_to(tmp_path).parents[:-1]:
            (tmp_path / folder / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("services.enrolment.store", "services.catalogue.rules", "Services never import each other"),
        ("shared.clock", "services.enrolment.rules", "shared never imports services"),
        ("shared.messaging", "shared.web", "Imports of shared go down, too"),
        ("shared.archive", "shared.limits", "Imports of shared go down, too"),
        ("shared.web", "shared.process, shared.messaging", None),
        ("services.enrolment.rules", "services.enrolment.store", "a request walks down once"),
        ("services.enrolment.store", "services.enrolment.handlers", "a request walks down once"),
        ("services.notifier.delivery", "services.notifier.api", "a request walks down once"),
        ("services.notifier.handlers", "services.notifier.api", "a request walks down once"),
        ("services.notifier.render", "services.notifier.store", "a request walks down once"),
        ("services.enrolment.rules", "sqlalchemy", "Rules and contracts do no I/O"),
        ("services.notifier.letters", "shared.clock", "Rules and contracts do no I/O"),
        ("shared.events.enrolment", "pathlib", "Rules and contracts do no I/O"),
        ("services.notifier.app", "local", "Only local and tests import local"),
        ("shared.database", "local", "Only local and tests import local"),
        ("services.notifier.delivery", "services.notifier.render", None),
        ("services.catalogue.handlers", "services.catalogue.service, services.catalogue.rules", None),
        ("services.catalogue.handlers", "services.catalogue.store", "asks it, never the store"),
        ("services.catalogue.pages", "services.catalogue.store", "asks it, never the store"),
        ("services.enrolment.api", "services.enrolment.store", "asks it, never the store"),
        ("services.notifier.jobs", "services.notifier.store", "asks it, never the store"),
        ("services.notifier.app", "services.notifier.store", "asks it, never the store"),
        ("services.console", "services.notifier.store", "asks it, never the store"),
        ("services.person", "services.notifier.store", "asks it, never the store"),
        ("services.register", "services.notifier.store", "asks it, never the store"),
        ("services.console", "services.notifier.service, services.catalogue.app", None),
        ("services.notifier.app", "services.console", "Nothing imports the operators' console"),
        ("services.catalogue.tables", "services.catalogue.rules, sqlmodel", None),
        ("local", "asyncio, shared.clock", None),
        ("local.demo.model", "shared.events.portal", "What checks the services shares no code with them"),
        ("local.portal", "shared.events.portal", "The example portal knows nothing of the inside"),
        ("local.demo.portal", "shared.events.portal", "What checks the services shares no code with them"),
    ],
)
def test_an_import_against_the_layout_breaks_its_contract(
    an_empty_project: Path, module: str, imported: str, contract: str | None
) -> None:
    path = an_empty_project / ("local/__init__.py" if module == "local" else f"{module.replace('.', '/')}.py")
    path.write_text(f"import {imported}\n")
    result = lint_imports(an_empty_project)
    broken = re.findall(r"(?m)^(.+) BROKEN", result.stdout)
    if contract is None:
        assert broken == [], result.stdout
        assert result.returncode == 0, result.stdout + result.stderr
    else:
        assert len(broken) == 1, result.stdout + result.stderr
        assert broken[0].endswith(contract)
        assert result.returncode != 0


def test_rules_may_use_nothing_of_shared_but_the_contracts() -> None:
    parts = {f"shared.{path.stem}" for path in (ROOT / "shared").iterdir() if not path.name.startswith("__")}
    forbidden = {module for module in FORBIDDEN_TO_RULES if module.startswith("shared.")}
    assert forbidden == parts - {"shared.events"}


def test_a_service_layer_is_given_its_transaction() -> None:
    """It opens none, so it never has the database."""
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "services").glob("*/service/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id == "Database")
        or (isinstance(node, ast.alias) and node.name == "Database")
        or (isinstance(node, ast.Attribute) and node.attr in ("transaction", "quiet_transaction"))
    }
    assert found == set()


def test_a_service_layer_changes_no_row_by_setting_an_attribute() -> None:
    """The store changes rows, by statements (docs/adr/0016)."""
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "services").glob("*/service/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    assert found == set()


def test_what_is_counted_in_a_transaction_counts_once_it_is_committed() -> None:
    """By its ``count``: a metric's own ``inc`` would also count what is undone, and what is done again."""
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("service", "store")
        for path in (ROOT / "services").glob(f"*/{room}/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "inc"
    }
    assert found == set()


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


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_only_what_its_image_holds(service: str) -> None:
    assert not undeclared(imported(ROOT / "services" / service), declared(service))


def test_the_console_imports_only_what_its_image_holds() -> None:
    assert not undeclared(imported(ROOT / "services" / "console"), declared(*SERVICES))


def test_shared_code_imports_only_what_every_image_holds() -> None:
    assert not undeclared(imported(ROOT / "shared"), declared())


def test_the_local_stack_imports_only_what_it_declares() -> None:
    assert not undeclared(imported(ROOT / "local"), declared("local", *SERVICES))


def test_tests_import_only_what_is_declared() -> None:
    assert not undeclared(imported(ROOT / "tests"), declared("dev", "local", *SERVICES))


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


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Makefile",
        "pyproject.toml",
        "requirements",
        "Dockerfile",
        "docker-compose.yml",
        "services",
        "shared",
        "local",
        "tests",
        "docs/adr",
        "docs/asyncapi",
    ],
)
def test_the_top_of_the_project_has(name: str) -> None:
    assert (ROOT / name).exists()


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


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {
        path.stem for top in ("services", "shared", "local", "tests") for path in (ROOT / top).rglob("*.py")
    }
    assert names.isdisjoint({"utils", "util", "helpers", "helper", "manager", "common", "base", "misc"})


def test_every_make_target_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?m)^\.PHONY: (\S+)$", makefile)
    documented = re.findall(r"(?m)^([a-z-]+):.*## \S", makefile)
    assert targets == documented
    promised = {"help", "demo", "run", "test", "check", "faults", "bench", "up", "down"}
    assert promised <= set(documented)


def test_make_alone_prints_the_documented_targets() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"(?m)^\s+demo\s+\S", printed)


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
