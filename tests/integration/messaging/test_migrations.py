"""Replicas are replaced one by one: old code runs beside a database that new code has migrated."""

from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text

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
