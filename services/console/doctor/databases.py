import asyncio
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from services.console.asking import why
from services.console.doctor import certificates
from services.console.findings import Finding, Mark
from shared import clock, revisions
from shared.cli.definition import Definition
from shared.database import FAILURES, Database, is_temporary
from shared.messaging import cluster
from shared.settings import ServiceSettings

CLOCKS_DIFFER = timedelta(seconds=1)
"""Deadlines use the broker's clock, jobs this machine's, retention the database's."""


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """How much of a disk must be free: in percent, and in GiB."""

    percent: float
    gib: float


async def look(
    definition: Definition, settings: ServiceSettings, cluster_id: str | None, disk: DiskOptions
) -> list[Finding]:
    """``cluster_id`` is None if the broker does not answer."""
    name = definition.name
    database = Database(settings.database_url, application_name="doctor", pool_size=1)
    try:
        await database.check()
        version = await _version(definition, database)
        found = [*await _connection(name, database), version, await _clock(name, database)]
        if cluster_id is not None and version.mark is Mark.OK:
            found.append(await _cluster(name, database, cluster_id))
        return [*found, await _disk(name, database, disk)]
    except FAILURES as error:
        if not is_temporary(error):
            raise
        remedy = f"start it, or mend {name.upper()}_DATABASE_URL"
        return [Finding(name, "database", Mark.ACT, why(definition, error), remedy)]
    finally:
        await database.close()


async def _connection(name: str, database: Database) -> list[Finding]:
    async with database.quiet_transaction() as tx:
        server = await tx.scalar(_SERVER_VERSION)
        driver: Any = tx.driver
        transport = driver._transport  # noqa: SLF001 asyncpg has no public name for it
        tls = transport.get_extra_info("ssl_object")
        presented = transport.get_extra_info("peercert")
    how = "without TLS" if tls is None else tls.version()
    answers = f"answers, PostgreSQL {server}, {how}"
    return [
        Finding(name, "database", Mark.OK, answers, figures={"tls": tls is not None}),
        certificates.finding(name, presented, clock.now()),
    ]


async def _version(definition: Definition, database: Database) -> Finding:
    name = definition.name
    lacking = await revisions.missing(database, definition.revisions)
    if lacking is None:
        return Finding(name, "migrations", Mark.OK, "at this version")
    return Finding(name, "migrations", Mark.ACT, lacking, f"run 'python -m services.{name} migrate'")


async def _clock(name: str, database: Database) -> Finding:
    """The time of the question itself does not count."""
    async with database.quiet_transaction() as tx:
        before = clock.now()
        there = await tx.scalar(_CLOCK)
        after = clock.now()
    away = max(before - there, there - after, timedelta(0))
    differ = away > CLOCKS_DIFFER
    return Finding(
        name,
        "clock",
        Mark.ACT if differ else Mark.OK,
        f"the database's is {away.total_seconds():.1f} s away from this machine's",
        "have both machines follow NTP" if differ else "",
        {"seconds": round(away.total_seconds(), 3)},
    )


async def _cluster(name: str, database: Database, cluster_id: str) -> Finding:
    async with database.quiet_transaction() as tx:
        kept = await cluster.kept(tx)
    if kept in (None, cluster_id, cluster.EMBEDDED) or cluster_id == cluster.EMBEDDED:
        return Finding(name, "kafka cluster", Mark.OK, kept or "none yet")
    return Finding(
        name,
        "kafka cluster",
        Mark.ACT,
        f"outbox and offsets belong to {kept}, and {cluster_id} answers",
        f"mend KAFKA_BOOTSTRAP_SERVERS; if the cluster was made anew: parcours {name} outbox accept-cluster",
    )


async def _disk(name: str, database: Database, disk: DiskOptions) -> Finding:
    """The database's files must be on this machine, and this role must be allowed to see where."""
    async with database.quiet_transaction() as tx:
        directory = await tx.scalar(_DATA_DIRECTORY)
    folder = Path(directory or "")
    if not directory or not await asyncio.to_thread(folder.is_dir):
        return Finding(name, "disk", Mark.SKIPPED, "where the database's files lie is not known here")
    return free(name, folder, disk)


def free(about: str, folder: Path, disk: DiskOptions) -> Finding:
    usage = shutil.disk_usage(folder)
    percent, gib = 100 * usage.free / usage.total, usage.free / 2**30
    is_low = percent < disk.percent or gib < disk.gib
    return Finding(
        about,
        "disk",
        Mark.ACT if is_low else Mark.OK,
        f"{gib:.1f} GiB free, {percent:.0f} %, at {folder}",
        "free or add some: Postgres stops where its disk is full" if is_low else "",
        {"free_gib": round(gib, 2), "free_percent": round(percent, 1)},
    )


_SERVER_VERSION = text("SELECT current_setting('server_version')")
_CLOCK = text("SELECT clock_timestamp()")
_DATA_DIRECTORY = text(
    "SELECT setting FROM pg_settings WHERE name = 'data_directory'"  # no row without the right to see it
)
