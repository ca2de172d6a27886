"""A database's error ends in a log: it must not quote what was written, which may be a name."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.database import Database


async def test_an_error_of_the_database_quotes_no_parameters(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with database.transaction() as tx:
            await tx.execute(text("SELECT CAST(:name AS text)"), {"name": "Zoé Durand\0"})
    assert "parameters hidden" in str(failed.value)
