"""What was released stays: its migrations, and the commit that the changelog names."""

import hashlib
from pathlib import Path

from shared import VERSION
from tests.support.releases import releases

ROOT = Path(__file__).parents[2]


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
