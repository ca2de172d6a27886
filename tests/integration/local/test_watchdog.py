"""A supervisor that is killed leaves nothing running."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from local import unprivileged
from local.places import PROJECT
from local.readiness import wait_until

SUPERVISOR = """
import sys, threading
from pathlib import Path
from local.ports import free_port
from local.postgres import PostgresServer
from local.tansu import TansuBroker

directory = Path(sys.argv[1])
started = []
def start_in_a_thread_that_ends():
    started.append(PostgresServer(directory, durable=False).start())
thread = threading.Thread(target=start_in_a_thread_that_ends)
thread.start()
thread.join()
started.append(TansuBroker(free_port(), directory / "tansu.log").start())
print(*[server.pid for server in started], flush=True)
threading.Event().wait()
"""


def gone(pid: int) -> bool:
    """Say whether a process has ended; one that waits to be reaped has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_children_end_with_a_supervisor_that_is_killed_and_not_with_the_thread_that_started_them(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "postgres"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(directory)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
    finally:
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        if supervisor.stdout is not None:
            supervisor.stdout.close()
    wait_until(lambda: all(gone(pid) for pid in pids), seconds=60, what="the end of the children")
    assert not (directory / "data" / "postmaster.pid").exists(), "Postgres was not asked, it was killed"
    unprivileged.remove_data(directory)
