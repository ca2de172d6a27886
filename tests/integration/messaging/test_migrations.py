"""Replicas are replaced one by one: old code runs beside a database that new code has migrated."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from services.enrolment import tables
from services.enrolment.app import REVISIONS
from shared import migrations
from shared.database import Database
from tests.conftest import opened


@pytest.fixture
async def database(new_database: Callable[[str], str]) -> AsyncIterator[Database]:
    """One whose revision can be changed."""
    async with opened(new_database("enrolment")) as database:
        yield database


async def test_a_database_that_a_newer_version_has_migrated_will_do(database: Database) -> None:
    assert await migrations.missing(database, REVISIONS) is None
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = 'of tomorrow'"))
    assert await migrations.missing(database, REVISIONS) is None


async def test_a_database_without_revisions_will_not(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM alembic_version"))
    assert "is at revision none, this version needs" in (await migrations.missing(database, REVISIONS) or "")


def test_a_migration_that_is_added_has_the_next_number(
    new_database: Callable[[str], str], tmp_path: Path
) -> None:
    revisions = Path(shutil.copytree(REVISIONS, tmp_path / "migrations"))
    migrations.make(new_database("enrolment"), revisions, tables.metadata, "Change nothing")
    last = len(list(REVISIONS.glob("0*.py")))
    (added,) = revisions.glob("*_change_nothing.py")
    assert added.name.startswith(f"{last + 1:04d}_")
    assert f'down_revision: str | None = "{last:04d}"' in added.read_text().replace("'", '"')
