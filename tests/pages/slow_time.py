"""Time that is always the same day, and nearly stands still, for services and their databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest import mock

import asyncpg

from shared import clock

MOMENT = datetime(2025, 3, 20, 10, tzinfo=UTC)
"""Begins when the block is entered. A day on which the national offer that tests load is open."""
SLOWER = 50
"""No minute passes during a visit, and no two events have the same microsecond."""

_DATABASE = """
CREATE SCHEMA slow;
CREATE FUNCTION slow.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT '{moment}'::timestamptz + (pg_catalog.now() - '{start}'::timestamptz) / {slower} $$;
CREATE FUNCTION slow.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT '{moment}'::timestamptz + (pg_catalog.clock_timestamp() - '{start}'::timestamptz) / {slower} $$;
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT table_name, column_name, column_default FROM information_schema.columns
        WHERE table_schema = 'public' AND column_default ~ '^(now|clock_timestamp)\\(\\)'
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER %I SET DEFAULT slow.%s',
            found.table_name, found.column_name, found.column_default);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I SET search_path = slow, pg_catalog, public', current_database());
END $$
"""


@contextmanager
def slow_time() -> Iterator[datetime]:
    """Set the clock of this process. Returns when it began, for `slow_database`."""
    start = datetime.now(UTC)

    def now() -> datetime:
        return MOMENT + (datetime.now(UTC) - start) / SLOWER

    with mock.patch.object(clock, "now", now):
        yield start


async def slow_database(url: str, start: datetime) -> None:
    """Set the clock of a database: order is kept, and minutes stay what they are."""
    connection = await asyncpg.connect(url)
    await connection.execute(_DATABASE.format(moment=MOMENT, start=start, slower=SLOWER))
    await connection.close()
