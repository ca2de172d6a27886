"""Causes of what is wrong with a process, its database or its files."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from tests.faults.alerts.installed import AlertCause, Installed
from tests.support.archive import an_archive
from tests.support.certificates import Authority

SCRAPED_SECONDS = 1.5
"""In which Prometheus has looked once more."""
AUTHORITY = "kafka.pem"
"""The file that ``KAFKA_CA_FILE`` names."""


@asynccontextmanager
async def _a_process_is_killed(installed: Installed) -> AsyncIterator[None]:
    installed.users.services["catalogue"].process.kill()
    yield
    await installed.restart("catalogue")


@asynccontextmanager
async def _somebody_holds_a_lock(installed: Installed) -> AsyncIterator[None]:
    """Requests and pages wait for a person who left a transaction open."""
    async with installed.open_transaction("enrolment", "LOCK TABLE enrolment IN ACCESS EXCLUSIVE MODE"):
        reading = asyncio.create_task(installed.read_rosters(20))
        yield
    await reading


@asynccontextmanager
async def _the_database_dies(installed: Installed) -> AsyncIterator[None]:
    postgres = installed.users.installation.postgres
    postgres.kill()
    for _ in range(3):  # an error is a growth of their number only where there was one before
        await installed.read_rosters(10)
        await asyncio.sleep(SCRAPED_SECONDS)
    yield
    await asyncio.to_thread(postgres.restart)


@asynccontextmanager
async def _the_database_is_of_another_version(installed: Installed) -> AsyncIterator[None]:
    installed.sql("notifier", "ALTER TABLE fan_out RENAME TO fan_out_of_another_version")
    yield
    installed.sql("notifier", "ALTER TABLE fan_out_of_another_version RENAME TO fan_out")


@asynccontextmanager
async def _a_file_has_a_mistake(name: str, installed: Installed) -> AsyncIterator[None]:
    file = installed.folder / f"{name}.json"
    before = file.read_text()
    file.write_text(before[:-3])
    yield
    file.write_text(before)


@asynccontextmanager
async def _an_authority_ends_soon(installed: Installed) -> AsyncIterator[None]:
    file = installed.folder / AUTHORITY
    Authority(installed.folder, days=20).file.rename(file)
    yield
    new_authority(installed.folder)


@asynccontextmanager
async def _the_archive_ends(installed: Installed) -> AsyncIterator[None]:
    """Commits wait for nobody meanwhile. Once it has received again it is given up, as its page says."""
    received = "EXISTS (SELECT 1 FROM pg_stat_replication WHERE application_name = 'archive')"
    with an_archive(installed.users.installation.postgres) as archive:
        archive.receive()
        await installed.until_sql("enrolment", received)
        installed.sql("enrolment", "ALTER SYSTEM RESET synchronous_standby_names")
        installed.sql("enrolment", "SELECT pg_reload_conf()")
        archive.stop()
        yield
        archive.receive()
        await installed.until_sql("enrolment", received)
        installed.sql("enrolment", "ALTER SYSTEM RESET synchronous_standby_names")
        installed.sql("enrolment", "SELECT pg_reload_conf()")
    await installed.until_sql("enrolment", "NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE active)")
    installed.sql("enrolment", "SELECT pg_drop_replication_slot('archive')")


def new_authority(folder: Path) -> Path:
    """Write the file of an authority that is valid for long."""
    return Authority(folder, days=400).file.rename(folder / AUTHORITY)


CAUSES = [
    AlertCause(("ParcoursDown",), _a_process_is_killed),
    AlertCause(("ParcoursDatabasePoolExhausted",), _somebody_holds_a_lock),
    AlertCause(("ParcoursHttpErrors",), _the_database_dies),
    AlertCause(("ParcoursJobFails",), _the_database_is_of_another_version),
    AlertCause(("ParcoursTokensFileInvalid",), partial(_a_file_has_a_mistake, "tokens")),
    AlertCause(("ParcoursPortalsFileInvalid",), partial(_a_file_has_a_mistake, "portals")),
    AlertCause(("ParcoursCertificateEnds",), _an_authority_ends_soon),
    AlertCause(("ParcoursArchiveAway",), _the_archive_ends),
]
