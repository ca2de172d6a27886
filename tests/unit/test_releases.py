"""What was released stays: its migrations, and its commit in the changelog. Version and licence agree."""

import hashlib
import tomllib
from pathlib import Path

import yaml

from shared import VERSION
from tests.support.releases import releases

ROOT = Path(__file__).parents[2]
OFFICIAL_TEXT = "57fb42fbcd0b037ce528ed8f72f1ec095d67bc6825ecf1448ff39be1fe68a4b4"
"""SHA-256 of the English text of the EUPL 1.2, as the SPDX list of licences has it."""


def test_the_licence_is_the_official_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == OFFICIAL_TEXT


def test_version_and_licence_are_the_same_in_code_project_and_catalogue_of_public_software() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    public = yaml.safe_load((ROOT / "publiccode.yml").read_text())
    assert public["legal"]["license"] == project["license"] == "EUPL-1.2"
    assert public["softwareVersion"] == project["version"] == VERSION


def test_the_version_of_the_project_is_the_last_release_that_the_changelog_tells_of() -> None:
    assert releases()[0].version == VERSION


def test_every_release_but_the_one_that_is_being_made_names_its_commit() -> None:
    """A commit cannot name itself: the newest release may wait for the next commit."""
    assert [release.version for release in releases()[1:] if release.commit is None] == []


def test_releases_stand_in_the_order_of_their_days() -> None:
    days = [release.day for release in releases()]
    assert days == sorted(days, reverse=True)


def test_a_released_migration_is_what_it_was_when_it_was_released() -> None:
    """A database that has run it never runs it again: add a migration instead (CONTRIBUTING.md)."""
    listed = (ROOT / "tests" / "unit" / "released_migrations.sha256").read_text().split()
    released = dict(zip(listed[1::2], listed[::2], strict=True))
    assert released
    now = {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in released}
    assert now == released, "a released migration was changed: add another, CONTRIBUTING.md says how"
