"""The three services as processes, run as in production: `python -m services.<name> serve`."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.children import Child
from local.failures import LocalStackError
from local.places import PROJECT
from local.ports import LOOPBACK
from local.readiness import is_ready, wait_until
from local.server import LocalServer

SERVICES = ("catalogue", "enrolment", "notifier")
STANDARD_PORTS = {"catalogue": 8001, "enrolment": 8002, "notifier": 8003}

COMMAND_SECONDS = 120.0


def parse_scale(text: str) -> dict[str, int]:
    """Read "enrolment=3 notifier=2"; the default is one process."""
    scale = dict.fromkeys(SERVICES, 1)
    for word in text.replace(",", " ").split():
        name, _, number = word.partition("=")
        if name not in SERVICES or not (number.isascii() and number.isdigit() and 1 <= int(number) <= 32):
            raise LocalStackError(
                f'scale "{word}" is not understood: write for example "enrolment=3 notifier=2", '
                f"with {', '.join(SERVICES)} and 1 to 32"
            )
        scale[name] = int(number)
    return scale


def run_command(service: str, *arguments: str, env: Mapping[str, str], given: str = "") -> str:
    command = f"services.{service} {' '.join(arguments)}"
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"services.{service}", *arguments],
            env=dict(env),
            cwd=PROJECT,
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LocalStackError(f"`python -m {command}` did not end within {COMMAND_SECONDS:g} s") from None
    if done.returncode != 0:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise LocalStackError(f"`python -m {command}` failed with {done.returncode}:\n" + "\n".join(output))
    return done.stdout.strip()


class LocalService(LocalServer):
    """One process of a service. `env` has its settings, without its ports."""

    start_seconds = 120.0
    grace_seconds = 20.0

    def __init__(
        self, service: str, number: int, port: int, log_file: Path, operations_port: int | None = None
    ) -> None:
        self.service = service
        self.title = f"{service} {number}"
        self.port = port
        self.operations_port = operations_port
        self.env: Mapping[str, str] = {}
        self._log_file = log_file

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def operations_url(self) -> str:
        return f"http://{LOOPBACK}:{self.operations_port or self.port}"

    def start_process(self) -> Child:
        ports = {"PORT": self.port, "OPERATIONS_PORT": self.operations_port}
        settings = {f"{self.service.upper()}_{name}": str(port) for name, port in ports.items() if port}
        child = Child.start(
            self.title,
            [sys.executable, "-m", f"services.{self.service}", "serve"],
            log_file=self._log_file,
            env={**self.env, **settings},
            cwd=PROJECT,
        )
        if self.service == "notifier":  # while all are busy, requests are answered before letters are sent
            os.setpriority(os.PRIO_PROCESS, child.pid, os.getpriority(os.PRIO_PROCESS, 0) + 10)
        return child

    def answers(self) -> bool:
        return self.child.listens_on(self.port) and is_ready(self.operations_url)


def start_again(processes: Sequence[LocalService]) -> None:
    """Stop the processes, and wait until the stack has started their successors."""
    for process in processes:
        process.child.stop()
    for process in processes:
        wait_until(process.ready, seconds=process.start_seconds, what=f"{process.title} being ready again")
