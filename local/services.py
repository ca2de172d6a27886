"""The three services as processes, run as in production: `python -m services.<name> serve`."""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.children import Child
from local.failures import LocalStackError
from local.places import PROJECT
from local.ports import LOOPBACK
from local.readiness import is_ready, wait_until

SERVICES = ("catalogue", "enrolment", "notifier")
STANDARD_PORTS = {"catalogue": 8001, "enrolment": 8002, "notifier": 8003}

COMMAND_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
_STABLE_SECONDS = 30.0


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


@dataclass
class SupervisedProcess:
    service: str
    number: int
    port: int
    env: Mapping[str, str]
    log_file: Path
    operations_port: int | None = None
    child: Child | None = None
    _started_at: float = 0.0
    _pause: float = field(default=_FIRST_PAUSE)
    _restart_at: float | None = None

    @property
    def name(self) -> str:
        return f"{self.service} {self.number}"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def operations_url(self) -> str:
        return f"http://{LOOPBACK}:{self.operations_port or self.port}"

    def start(self) -> None:
        ports = {"PORT": self.port, "OPERATIONS_PORT": self.operations_port}
        settings = {f"{self.service.upper()}_{name}": str(port) for name, port in ports.items() if port}
        self.child = Child.start(
            self.name,
            [sys.executable, "-m", f"services.{self.service}", "serve"],
            log_file=self.log_file,
            env={**self.env, **settings},
            cwd=PROJECT,
        )
        self._started_at = time.monotonic()
        self._restart_at = None

    def wait_until_ready(self, seconds: float) -> None:
        """Return once the process can work. Raises `LocalStackError` if it ends first or takes too long."""
        wait_until(self.ready, seconds=seconds, what=f"{self.name} being ready", child=self.child)

    def ready(self) -> bool:
        return self.child is not None and self.child.listens_on(self.port) and is_ready(self.operations_url)

    def revive(self) -> str | None:
        """Start an ended service again after a pause. Return a message about the end or the start, or None.

        The pause doubles with each end soon after a start, up to 15 s. A service that ended without an error
        has the shortest pause.
        """
        if self.child is not None:
            code = self.child.exit_code()
            if code is None:
                return None
            self.child = None
            if code == 0 or time.monotonic() - self._started_at > _STABLE_SECONDS:
                self._pause = _FIRST_PAUSE
            pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
            self._restart_at = time.monotonic() + pause
            return (
                f"{self.name} ended ({_cause(code)}); starting it again in {pause:g} s, log: {self.log_file}"
            )
        if self._restart_at is not None and time.monotonic() >= self._restart_at:
            self.start()
            return f"{self.name} is started again"
        return None


def _cause(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
