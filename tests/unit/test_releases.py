"""What was released stays. Version and licence agree."""

import hashlib
import tomllib
from pathlib import Path

import yaml

from shared import VERSION

ROOT = Path(__file__).parents[2]


def test_version_and_licence_are_the_same_in_code_project_and_catalogue_of_public_software() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    public = yaml.safe_load((ROOT / "publiccode.yml").read_text())
    assert public["legal"]["license"] == project["license"] == "EUPL-1.2"
    assert public["softwareVersion"] == project["version"] == VERSION


def test_a_released_migration_is_what_it_was_when_it_was_released() -> None:
    """A database that has run it never runs it again: add a migration instead (CONTRIBUTING.md)."""
    listed = (ROOT / "tests" / "unit" / "released_migrations.sha256").read_text().split()
    released = dict(zip(listed[1::2], listed[::2], strict=True))
    assert released
    now = {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in released}
    assert now == released, "a released migration was changed: add another, CONTRIBUTING.md says how"
