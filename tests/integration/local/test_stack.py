"""Promises of `run`: everything is up and told, what dies comes back, what is stopped leaves nothing."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from local import unprivileged
from local.failures import LocalStackError
from local.places import PROJECT
from local.readiness import kafka_answers, wait_until
from local.servers import KAFKA_PORT, MAILBOX_PORT, SMTP_PORT
from local.services import STANDARD_PORTS
from local.stack import Stack, StackOptions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

FIELDS = {
    "kafka", "catalogue_url", "enrolment_url", "notifier_url", "smtp", "mailbox_url", "mailbox_dir",
    "catalogue_database_url", "enrolment_database_url", "notifier_database_url", "pids",
}  # fmt: skip


@dataclass
class Running:
    """A `run` in a folder of its own."""

    process: subprocess.Popen[bytes]
    directory: Path
    output: Path

    def description(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads((self.directory / "stack.json").read_text())
        return described

    def said(self) -> str:
        return self.output.read_text()


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else's server on a port, be it ours or one that was there."""
    with socket.socket() as listener:
        with contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            listener.listen()
        yield


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with contextlib.ExitStack() as ports:
        for port in (*STANDARD_PORTS.values(), KAFKA_PORT, SMTP_PORT, MAILBOX_PORT):
            ports.enter_context(taken(port))  # all: a stack of the tests beside these may look for its own
        yield from run(tmp_path_factory)


def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("stack") / "local"
    output = directory.with_name("output")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KAFKA_", "SMTP_")) and not name.endswith("_DATABASE_URL")
    }
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "local",
                "run",
                "--directory",
                str(directory),
                "--scale",
                "enrolment=2",
            ],
            cwd=PROJECT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    stack = Running(process, directory, output)
    try:
        wait_until(
            lambda: "Ctrl-C stops it" in stack.said() or process.poll() is not None,
            seconds=240,  # a dozen seconds on an idle machine
            what="the whole stack",
        )
        assert process.poll() is None, stack.said()
        yield stack
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(40)
        unprivileged.remove_data(directory / "postgres")


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=10, trust_env=False)


def is_well(url: str) -> bool:
    try:
        return get(url).is_success
    except httpx.TransportError:
        return False


async def test_stack_json_says_where_everything_is(running: Running) -> None:
    described = running.description()
    assert described.keys() == FIELDS
    assert kafka_answers(described["kafka"])
    for service in ("catalogue", "enrolment", "notifier"):
        assert get(f"{described[f'{service}_url']}/health/ready").is_success
        connection = await asyncpg.connect(described[f"{service}_database_url"])
        await connection.close()
    assert get(described["mailbox_url"]).is_success
    assert Path(described["mailbox_dir"]) == running.directory / "mailbox"
    assert {part: len(pids) for part, pids in described["pids"].items()} == {
        "postgres": 1,
        "kafka": 1,
        "mailbox": 1,
        "catalogue": 1,
        "enrolment": 2,
        "notifier": 1,
    }
    assert all(psutil.pid_exists(pid) for pids in described["pids"].values() for pid in pids)


def test_a_part_that_found_its_port_taken_says_where_it_is(running: Running) -> None:
    url = running.description()["notifier_url"]
    assert not url.endswith(":8003")
    assert (
        f"Port 8003 is in use by another program: notifier is at {url.rpartition(':')[2]}" in running.said()
    )


def test_the_real_offer_is_loaded_and_the_demo_token_opens_the_api(running: Running) -> None:
    url = running.description()["catalogue_url"]
    assert get(f"{url}/api/v1/sessions?format=mooc").json()["items"]
    token = (running.directory / "demo-token").read_text().strip()
    answer = httpx.post(
        f"{url}/api/v1/sessions", headers={"Authorization": f"Bearer {token}"}, json={}, trust_env=False
    )
    assert answer.status_code == 422, "known, and only the empty body is refused"


def test_a_second_stack_in_the_same_folder_is_refused(running: Running) -> None:
    with pytest.raises(
        LocalStackError, match=f"another stack runs in this folder \\(process {running.process.pid}\\)"
    ):
        Stack(StackOptions(directory=running.directory)).start()
    assert get(f"{running.description()['catalogue_url']}/health/ready").is_success, "the first is untouched"


@pytest.mark.parametrize("part", ["enrolment", "mailbox", "postgres"])
def test_a_part_that_is_killed_is_started_again_and_told(running: Running, part: str) -> None:
    before = running.description()
    victim = before["pids"][part][0]
    os.kill(victim, signal.SIGKILL)

    def is_back() -> bool:
        now = running.description()["pids"]
        return len(now[part]) == len(before["pids"][part]) and victim not in now[part]

    wait_until(is_back, seconds=30, what=f"a new process of {part}")
    assert f"{part} " in running.said()
    assert "start" in running.said().split(f"\n{part} ", 1)[1].split("\n", 1)[0]
    for url in (f"{before['enrolment_url']}/health/ready", before["mailbox_url"]):
        wait_until(lambda url=url: is_well(url), seconds=60, what=f"{url} answering again")  # type: ignore[misc]


def test_sigterm_stops_everything_in_order_and_keeps_the_data(running: Running) -> None:
    pids = [pid for pids in running.description()["pids"].values() for pid in pids]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=40) == 0
    assert not (running.directory / "stack.json").exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not (running.directory / "postgres" / "data" / "postmaster.pid").exists()
    assert (running.directory / "postgres" / "data" / "PG_VERSION").exists()
    assert (running.directory / "logs" / "enrolment-2.log").exists()


def test_a_part_that_cannot_start_stops_the_others_and_says_why(tmp_path: Path) -> None:
    nowhere = {"CATALOGUE_DATABASE_URL": "postgresql://nobody:x@127.0.0.1:9/nothing"}
    stack = Stack(StackOptions(directory=tmp_path, environment={**os.environ, **nowhere}))
    with pytest.raises(LocalStackError, match=r"services.catalogue migrate` failed"):
        stack.start()
    assert not any(stack.pids().values())
    assert not (tmp_path / "stack.json").exists()
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if the folder was not let go
    unprivileged.remove_data(tmp_path / "postgres")
