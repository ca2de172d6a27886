"""Copies the rows of a database, so that a benchmark can be repeated with more data."""

from typing import Any

import asyncpg

_NOT_COPIED = (
    "alembic_version",
    "cluster",
    "outbox_bucket",
    "outbox_producer",
    "partition_number",
    "portal_feed",
    "read_progress",
)
_CURSORS = 10_000_000
"""Numbers of a portal's feed for each copy."""


async def multiply(database: "asyncpg.Connection[Any]", copies: int, *, years_older: int = 0) -> None:
    """Add ``copies`` copies of all rows, each with its own sessions, agents, enrolments and mails."""
    await database.execute("SET statement_timeout = 0")
    for table in await database.fetch(_TABLES, [*_NOT_COPIED]):
        columns = await database.fetch(_COLUMNS, table["name"])
        names = ", ".join(f'"{column["name"]}"' for column in columns)
        values = ", ".join(_copied(column["name"], column["type"], years_older) for column in columns)
        await database.execute(
            f'INSERT INTO "{table["name"]}" ({names}) '
            f'SELECT {values} FROM "{table["name"]}", generate_series(1, {copies}) AS copy '
            "ON CONFLICT DO NOTHING"
        )
    await database.execute("VACUUM ANALYZE")


def _copied(name: str, type_: str, years_older: int) -> str:
    if type_ == "uuid":
        return f"CAST(md5(\"{name}\" || '-' || copy) AS uuid)"
    if name in ("agent_id", "key") and type_ != "bytea":
        return f"\"{name}\" || '-' || copy"
    if name == "cursor":
        return f'"{name}" + copy * {_CURSORS}'
    if type_ == "timestamp with time zone" and years_older:
        return f"\"{name}\" - interval '{years_older} years'"
    return f'"{name}"'


_TABLES = """
    SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> ALL ($1)"""
_COLUMNS = """
    SELECT column_name AS name, data_type AS type FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name = $1 AND is_identity = 'NO' AND is_generated = 'NEVER'
     ORDER BY ordinal_position"""
