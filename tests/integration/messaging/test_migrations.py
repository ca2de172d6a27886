"""Replicas are replaced one by one: old code runs beside a database that new code has migrated."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from local.failures import LocalStackError
from local.postgres import PostgresServer
from local.unprivileged import installation
from services.enrolment import tables
from services.enrolment.definition import DEFINITION
from shared import migrations, revisions
from shared.database import Database
from tests.conftest import opened
from tests.support.locks import locks_awaited
from tests.support.migration_drift import LEFT_BEHIND, is_left_behind

ROOT = Path(__file__).parents[3]
SERVICES = ("catalogue", "enrolment", "notifier")


@pytest.fixture
async def database(new_database: Callable[[str], str]) -> AsyncIterator[Database]:
    """One whose revision can be changed."""
    async with opened(new_database("enrolment")) as database:
        yield database


async def test_a_database_that_a_newer_version_has_migrated_will_do_and_one_without_revisions_will_not(
    database: Database,
) -> None:
    assert await revisions.missing(database, DEFINITION.revisions) is None
    await run(database, "UPDATE alembic_version SET version_num = 'of tomorrow'")
    assert await revisions.missing(database, DEFINITION.revisions) is None
    await asyncio.to_thread(migrations.upgrade, url_of(database), DEFINITION.revisions)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT version_num FROM alembic_version")) == "of tomorrow"
    await run(database, "DELETE FROM alembic_version")
    assert "is at revision none, this version needs" in (
        await revisions.missing(database, DEFINITION.revisions) or ""
    )


@pytest.mark.parametrize("service", SERVICES)
def test_the_known_revisions_are_those_that_alembic_applies(service: str) -> None:
    folder = ROOT / "services" / service / "migrations"
    newest_first = ScriptDirectory(str(folder), version_locations=[str(folder)]).walk_revisions()
    assert revisions.known_revisions(folder) == [script.revision for script in newest_first][::-1]


def test_a_migration_that_is_added_has_the_next_number(
    new_database: Callable[[str], str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(DEFINITION.revisions, tmp_path / "migrations"))
    migrations.make(new_database("enrolment"), folder, tables.metadata, "Change nothing")
    last = len(list(DEFINITION.revisions.glob("0*.py")))
    (added,) = folder.glob("*_change_nothing.py")
    assert added.name.startswith(f"{last + 1:04d}_")
    assert f'down_revision: str | None = "{last:04d}"' in added.read_text().replace("'", '"')


BEFORE_LATER_ONES = (
    "ALTER TABLE note DROP COLUMN removed_by, DROP COLUMN removed_at",
    "DROP TABLE address_hold",
    "DROP TABLE logout_token",
    "DROP TABLE webhook",
    "ALTER TABLE certificate DROP COLUMN void_codes",
    "ALTER TABLE login DROP COLUMN sealed_tokens, DROP COLUMN issuer_session, DROP COLUMN renew_at",
    "ALTER TABLE login DROP COLUMN proved_at, DROP COLUMN has_second_factor",
)
"""Takes back what later migrations add."""


async def test_indexes_are_built_while_the_last_release_writes(database: Database) -> None:
    """What an interrupted attempt left is replaced: here an index of that name."""
    await run(
        database,
        "UPDATE alembic_version SET version_num = '0006'",
        *BEFORE_LATER_ONES,
        "DROP INDEX ix_enrolment_roster, ix_enrolment_name",
        "CREATE INDEX ix_enrolment_name ON enrolment (version)",
    )
    async with migrating_behind("LOCK TABLE enrolment IN ROW EXCLUSIVE MODE", database):
        await run(database, "SET LOCAL lock_timeout = '1s'", "UPDATE enrolment SET version = version + 1")
    async with database.quiet_transaction() as tx:
        assert not list(await tx.scalars(text("SELECT indexrelid FROM pg_index WHERE NOT indisvalid")))
    drift = await asyncio.to_thread(migrations.drift, url_of(database), tables.metadata)
    assert [each for each in drift if not is_left_behind("enrolment", each, LEFT_BEHIND)] == []


async def test_a_migration_that_waits_for_a_table_lets_others_pass_and_tries_again(
    database: Database,
) -> None:
    await run(
        database,
        "DROP TRIGGER enrolment_agent ON enrolment",
        "DROP FUNCTION enrolment_forget_sought",
        "ALTER TABLE enrolment DROP COLUMN sought",
        "UPDATE alembic_version SET version_num = '0005'",
        *BEFORE_LATER_ONES,
    )
    async with migrating_behind("SELECT count(*) FROM enrolment", database):
        await run(database, "SET LOCAL lock_timeout = '15s'", "SELECT count(*) FROM enrolment")
    assert await revisions.missing(database, DEFINITION.revisions) is None


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


async def run(database: Database, *statements: str) -> None:
    """Run these in a transaction of their own."""
    async with database.transaction() as tx:
        for statement in statements:
            await tx.execute(text(statement))


@asynccontextmanager
async def migrating_behind(statement: str, database: Database) -> AsyncIterator[None]:
    """Hold what the statement locks while a migration waits for it; in the end the migration is done."""
    async with database.transaction() as slow:
        await slow.execute(text(statement))
        upgrade = asyncio.to_thread(migrations.upgrade, url_of(database), DEFINITION.revisions)
        migrated = asyncio.create_task(upgrade)
        await locks_awaited(database)  # the migration waits for the table
        yield
        assert not migrated.done()
    await migrated


@pytest.fixture
def databases_removed(postgres: PostgresServer) -> Iterator[None]:
    """Remove what Compose makes, since other tests share the server."""
    yield
    for service in SERVICES:
        postgres.execute(f"DROP DATABASE IF EXISTS {service}")
        postgres.execute(f"DROP ROLE IF EXISTS {service}, {service}_owner")


@pytest.mark.usefixtures("databases_removed")
def test_with_docker_the_owner_migrates_and_the_service_works_with_the_rows_and_alters_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{postgres.port}"
    for service in SERVICES:
        for kind, role in (("DATABASE_URL", service), ("OWNER_DATABASE_URL", f"{service}_owner")):
            url = f"postgresql+asyncpg://{role}:of_{role}@{address}/{service}\n"
            (tmp_path / f"{service.upper()}_{kind}").write_text(url)
    make_databases(postgres, tmp_path)
    owner = (tmp_path / "ENROLMENT_OWNER_DATABASE_URL").read_text().strip()
    migrations.upgrade(owner, DEFINITION.revisions)
    assert postgres.execute(_LACKING_RIGHTS, "enrolment") == ""
    for statement in (
        "CREATE TABLE mine (id int)",
        "ALTER TABLE outbox ADD COLUMN mine int",
        "ALTER TABLE read_log DISABLE TRIGGER keep_read_log",
        "TRUNCATE outbox",
        "DROP TABLE outbox",
    ):
        with pytest.raises(LocalStackError, match=r"permission denied|must be owner"):
            postgres.execute(f"SET ROLE enrolment; {statement};", "enrolment")
    assert postgres.execute(_OPEN_DATABASES) == "catalogue catalogue\nenrolment enrolment\nnotifier notifier"


_LACKING_RIGHTS = " UNION ".join(
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
    f"AND NOT has_table_privilege('enrolment', oid, '{right}')"
    for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
)
_OPEN_DATABASES = (
    "SELECT role || ' ' || name FROM unnest(ARRAY['catalogue', 'enrolment', 'notifier']) AS role, "
    "unnest(ARRAY['catalogue', 'enrolment', 'notifier']) AS name "
    "WHERE has_database_privilege(role, name, 'CONNECT') ORDER BY 1"
)


def make_databases(postgres: PostgresServer, secrets: Path) -> None:
    """Run what Compose runs when its volume is new, with these secrets."""
    script = (ROOT / "deploy" / "postgres" / "10-databases.sh").read_text()
    url = postgres.url()
    subprocess.run(
        ["bash", "-c", script.replace("/run/secrets", str(secrets))],
        env={
            "PATH": f"{installation(None) / 'bin'}:/usr/bin:/bin",
            "POSTGRES_USER": "postgres",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGPASSWORD": url.split(":")[2].split("@")[0],
        },
        check=True,
        capture_output=True,
    )
