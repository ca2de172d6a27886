import asyncio
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnElement, Connection, MetaData, TextClause
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database import NAMES, async_url

LOCK_TIMEOUT = 1_000
"""After so many milliseconds a migration gives up the lock of a table and tries again."""


def upgrade(url: str, revisions: Path) -> None:
    """A database of a newer version stays as it is. Concurrent upgrades wait for each other."""
    names = MetaData(naming_convention=NAMES)  # a migration names its constraints by it
    command.upgrade(_config(url, revisions, names), "head")


def build_index(
    name: str,
    table: str,
    columns: Sequence[str | TextClause | ColumnElement[Any]],
    *,
    where: TextClause | None = None,
) -> None:
    """Build an index while everybody reads and writes the table.

    It commits what the migration has done before, so such a migration does nothing else. The rest of an
    interrupted attempt is dropped first. It waits for running transactions, however long they take.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, postgresql_where=where)
        op.execute(f"SET lock_timeout = {LOCK_TIMEOUT}")


def make(url: str, revisions: Path, metadata: MetaData, message: str) -> None:
    """Write the next revision from the differences between code and database."""
    config = _config(url, revisions, metadata)
    number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
    command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")


def is_of_newer_version(revision: str | None, script: ScriptDirectory) -> bool:
    return revision is not None and revision not in {known.revision for known in script.walk_revisions()}


def drift(url: str, metadata: MetaData) -> list[Any]:
    """An empty result needs no migration."""

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        with warnings.catch_warnings():
            # Of an index on an expression with an operator class, Alembic only sees whether it exists.
            warnings.filterwarnings("ignore", "Expression #")
            return list(compare_metadata(context, metadata))

    return asyncio.run(_connected(url, compare))


def _config(url: str, revisions: Path, metadata: MetaData) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("version_locations", str(revisions))
    config.set_main_option("path_separator", "newline")
    config.attributes["url"] = url
    config.attributes["metadata"] = metadata
    return config


async def _connected(url: str, work: Any) -> Any:
    engine = create_async_engine(async_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
