"""What was released stays: its migrations, and its commit in the changelog. Version and licence agree."""

import hashlib
import tomllib
from pathlib import Path

import yaml

from shared import VERSION
from tests.support.releases import releases

ROOT = Path(__file__).parents[2]


def test_version_and_licence_are_the_same_in_code_project_and_catalogue_of_public_software() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    public = yaml.safe_load((ROOT / "publiccode.yml").read_text())
    assert public["legal"]["license"] == project["license"] == "EUPL-1.2"
    assert public["softwareVersion"] == project["version"] == VERSION


def test_the_changelog_begins_with_this_version_and_each_older_release_names_its_commit() -> None:
    """A commit cannot name itself: the newest release may wait for the next commit."""
    assert releases()[0].version == VERSION
    assert [release.version for release in releases()[1:] if release.commit is None] == []
    days = [release.day for release in releases()]
    assert days == sorted(days, reverse=True)


def test_a_released_migration_is_what_it_was_when_it_was_released() -> None:
    """A database that has run it never runs it again: add a migration instead (CONTRIBUTING.md)."""
    listed = (ROOT / "tests" / "unit" / "released_migrations.sha256").read_text().split()
    released = dict(zip(listed[1::2], listed[::2], strict=True))
    assert released
    now = {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in released}
    assert now == released, "a released migration was changed: add another, CONTRIBUTING.md says how"
