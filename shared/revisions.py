"""Which revision of its migrations a database has. Alembic is not needed to know it."""

from pathlib import Path

from sqlalchemy import text

from shared.database import Database


def known_revisions(folder: Path) -> list[str]:
    """Return the revisions of a service from the oldest to the newest: the files begin with their numbers."""
    return sorted(path.name.partition("_")[0] for path in folder.glob("[0-9]*.py"))


async def missing(database: Database, folder: Path) -> str | None:
    """Return the missing revisions as a sentence, or None at the newest one.

    The additions of a newer version do not matter to this one.
    """
    known = known_revisions(folder)
    async with database.quiet_transaction() as tx:
        is_migrated = await tx.scalar(_IS_MIGRATED)
        current = await tx.scalar(_CURRENT) if is_migrated else None
    if current == known[-1] or (current is not None and current not in known):
        return None
    return f"the database is at revision {current or 'none'}, this version needs {known[-1]}"


_IS_MIGRATED = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_CURRENT = text("SELECT version_num FROM alembic_version")
