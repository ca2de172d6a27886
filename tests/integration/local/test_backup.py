"""Promises of ``deploy/backup``: what was committed is there again, all or one database, as at any moment."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.failures import LocalStackError
from local.ports import is_free
from local.postgres import PostgresServer
from local.readiness import wait_until
from shared import archive as received
from shared.database import Database
from tests.support.archive import Archive, an_archive
from tests.support.metrics import metric

ALL = "SELECT string_agg(word, ' ' ORDER BY word) FROM said"
NOW = "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS.USOF')"
TOMORROW = str(datetime.now(UTC) + timedelta(days=1))
"""Which no archive reaches."""


SERVICES = ("catalogue", "enrolment")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that stays as durable as it is, with the databases of two services."""
    with PostgresServer.temporary(durable=True) as server:
        for service in SERVICES:
            server.create_database(service)
            server.execute("CREATE TABLE said (word text)", service)
        yield server


@pytest.fixture
def postgres(server: PostgresServer) -> PostgresServer:
    """The same without what the last test left there: its archive, databases put aside, words."""
    if not server.running():
        server.restart()
    server.execute(
        r"""
        ALTER SYSTEM RESET ALL;
        SELECT pg_reload_conf();
        SET synchronous_commit = 'local';
        SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active;
        SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots;
        SELECT format('DROP DATABASE %I', datname) FROM pg_database WHERE datname LIKE '%_until_%' \gexec
        """
    )
    for service in SERVICES:
        server.execute("SET synchronous_commit = 'local'; TRUNCATE said", service)
    return server


@pytest.fixture
def archive(postgres: PostgresServer) -> Iterator[Archive]:
    with an_archive(postgres) as archive:
        yield archive


def say(postgres: PostgresServer, word: str, service: str = "enrolment") -> None:
    postgres.execute(f"INSERT INTO said VALUES ('{word}')", service)


def test_what_was_committed_survives_a_crash_in_which_the_disk_is_lost(
    postgres: PostgresServer, archive: Archive
) -> None:
    archive.receive()
    say(postgres, "before")
    archive.back_up()
    say(postgres, "since")
    postgres.kill()
    archive.stop()
    archive.lose_disk()
    archive.restore_all()
    with pytest.raises(AssertionError, match="put aside the WAL that leads on"):
        archive.restore_all()
    [aside] = archive.put_aside()
    archive.restore_all("--wal", aside)
    postgres.restart()
    archive.receive()
    assert postgres.execute(ALL, "enrolment") == "before since"
    with pytest.raises(AssertionError, match=f"say --wal {aside}"):
        archive.restore("enrolment")
    say(postgres, "after")  # it is archived anew, or nothing would be committed
    archive.back_up()
    assert len(archive.bases()) == 2


def test_one_database_is_as_it_was_at_a_moment_and_the_others_stay_as_they_are(
    postgres: PostgresServer, archive: Archive
) -> None:
    archive.receive()
    archive.back_up()
    with pytest.raises(AssertionError, match="say an earlier time"):
        archive.restore("enrolment", "--until", TOMORROW)
    say(postgres, "right")
    with pytest.raises(AssertionError, match="say an earlier time"):
        archive.restore("enrolment", "--until", TOMORROW)
    assert postgres.execute(ALL, "enrolment") == "right"
    moment = postgres.execute(NOW)
    for service in SERVICES:
        say(postgres, "wrong", service)
    archive.restore("enrolment", "--until", moment)
    assert postgres.execute(ALL, "enrolment") == "right"
    assert postgres.execute(ALL, "catalogue") == "wrong"
    [aside] = postgres.execute("SELECT datname FROM pg_database WHERE datname LIKE '%_until_%'").split()
    with pytest.raises(LocalStackError, match="not currently accepting connections"):
        postgres.execute(ALL, aside)
    say(postgres, "more")


def test_times_of_files_do_not_count_for_the_moment_from_which_on_is_read_again(
    postgres: PostgresServer, archive: Archive
) -> None:
    archive.receive()
    archive.back_up()
    before = postgres.execute(NOW)
    say(postgres, "last")
    archive.date_files(datetime(2037, 1, 1, tzinfo=UTC))
    printed = archive.restore("enrolment")
    after = postgres.execute(NOW)  # Postgres commits for itself too, now and then
    assert postgres.execute(ALL, "enrolment") == "last"
    [since] = re.findall(r"enrolment topics rewind --since (\S+)", printed)
    read_from = datetime.fromisoformat(since) + timedelta(hours=1, seconds=1)
    assert datetime.fromisoformat(before) <= read_from <= datetime.fromisoformat(after) + timedelta(seconds=1)


def test_a_refused_restore_changes_nothing(postgres: PostgresServer, archive: Archive) -> None:
    def is_refused(why: str, *options: str) -> None:
        with pytest.raises(AssertionError, match=why):
            archive.restore("enrolment", *options)
        assert postgres.execute(ALL, "enrolment") == "before"

    say(postgres, "before")
    is_refused("no such base backup")
    archive.back_up()
    [base] = archive.bases()
    is_refused("mistyped is no folder", "--wal", "wal.until-mistyped")
    with pytest.raises(AssertionError, match="Postgres runs"):
        archive.restore_all()
    archive.label(base).unlink()  # a base backup without its label beside it is put back all the same
    say(postgres, "since")
    archive.restore("enrolment", "--base", base)  # without WAL it leads to its own moment
    (archive.label(base).parent / "data" / "base.tar.gz").write_bytes(b"cut off")
    is_refused("is not whole: it has no backup_label")


def test_a_database_that_cannot_be_put_aside_takes_connections_as_before(
    postgres: PostgresServer, archive: Archive
) -> None:
    postgres.execute("ALTER SYSTEM SET max_prepared_transactions = 1")
    postgres.stop()
    postgres.restart()
    archive.back_up()
    postgres.execute("BEGIN; INSERT INTO said VALUES ('held'); PREPARE TRANSACTION 'held'", "enrolment")
    with pytest.raises(AssertionError, match="could not be put aside, and is as it was"):
        archive.restore("enrolment")
    postgres.execute("COMMIT PREPARED 'held'", "enrolment")
    assert postgres.execute(ALL, "enrolment") == "held"
    postgres.stop()
    (archive.data / "standby.signal").touch()
    with (archive.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("hot_standby = 'off'\n")
    recovering = postgres.start_process()
    try:
        wait_until(lambda: not is_free(postgres.port), seconds=60, what="Postgres", child=recovering)
        with pytest.raises(AssertionError, match="starting or stopping"):
            archive.restore_all()
    finally:
        recovering.kill()
    archive.restore_all()


def test_what_is_old_ends_and_what_leads_on_from_the_oldest_stays(
    postgres: PostgresServer, archive: Archive
) -> None:
    archive.receive()
    archive.back_up()
    postgres.execute("SELECT pg_switch_wal()")
    say(postgres, "between")
    before = archive.wal()
    archive.date_files(datetime(2025, 1, 1, tzinfo=UTC))
    archive.back_up(kept_days=0)
    [base] = archive.bases()
    assert before
    assert not before & archive.wal()
    archive.label(base).unlink()
    archive.back_up()  # and look in the data of the oldest for what it needs
    say(postgres, "since")
    archive.restore("enrolment")
    assert postgres.execute(ALL, "enrolment") == "between since"


async def test_a_service_sees_whether_the_archive_receives_and_how_much_it_lacks(
    postgres: PostgresServer, archive: Archive
) -> None:
    database = Database(postgres.url("enrolment", "enrolment"), application_name="test")

    async def measured() -> tuple[float, bool]:
        async with database.quiet_transaction() as tx:
            await received.measure(tx)
        of_archive = {"slot": "archive"}
        return (
            metric("parcours_wal_slot_away", **of_archive),
            metric("parcours_wal_slot_unread_bytes", **of_archive) > 0,
        )

    archive.receive()
    say(postgres, "received")  # it commits once the archive has it
    assert (await measured())[0] == 0
    archive.stop()
    postgres.execute(
        "SET synchronous_commit = 'local'; INSERT INTO said VALUES ('not received')", "enrolment"
    )
    assert await measured() == (1, True)
    postgres.execute("SELECT pg_drop_replication_slot('archive')")
    assert await measured() == (0, False)
    await database.close()
