"""Services as users run them: own processes with settings of their own, ended by signals.

Each is forked from a server that has imported the services, which takes a twentieth of the time of a new
interpreter; what runs in it is what ``python -m services.<name>`` runs. None outlives the tests' process.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

from local.ports import free_port
from local.readiness import wait_until

ROOT = Path(__file__).parents[2]
SERVICES = ("catalogue", "enrolment", "notifier")
MODULES = [f"services.{name}.{module}" for name in SERVICES for module in ("__main__", "app", "commands")]
Files = tuple[str, str, str]
"""Where a process reads and writes: standard input, output, errors."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([__name__, *MODULES, "tests.integration.notifier.workers"])


class Forked:
    """A process that runs ``work`` with ``arguments``; both must be known to the server by their names."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self._process = _server.Process(target=_work, args=(work, *arguments), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        """Its exit code, once it ends by itself. Raises ``TimeoutError``."""
        self._process.join(seconds)
        if self.exit_code is None:
            raise TimeoutError(f"the process still runs after {seconds} s")
        return self.exit_code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; it must be alive, or the test would prove nothing."""
        assert self.exit_code is None, f"it had ended before, with {self.exit_code}"
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.send(signal.SIGKILL)
        code = self.wait(10)
        assert code == -signal.SIGKILL, f"it ended with {code} before it was killed"

    def clear_away(self) -> None:
        """End it, if it still runs."""
        self._process.kill()
        self._process.join(10)
        self._process.close()


def _work(work: Callable[..., None], *arguments: object) -> None:
    """In the fork: do the work, and die with the process of the tests."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def die_with_it() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=die_with_it, daemon=True).start()
    work(*arguments)


def _main(name: str, arguments: tuple[str, ...], environment: Mapping[str, str], files: Files) -> None:
    """In the fork: ``python -m services.<name> …``."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    redirect(files)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = [name, *arguments]
    module = f"services.{name}.__main__"
    sys.modules.pop(module, None)  # as ``python -m`` finds it
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def redirect(files: Files) -> None:
    """Have this process read and write there from now on."""
    for number, path in enumerate(files):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
        descriptor = os.open(path, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)


class ServiceProcess:
    """``python -m services.<name> serve`` with an environment and a port of its own."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = log
        self._environment = {**inherited(), **environment, f"{name.upper()}_PORT": str(self.port)}
        self._process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> Forked:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> "ServiceProcess":
        self._process = self.fork(self._environment, (os.devnull, str(self.log), str(self.log)))
        self.wait_until_ready()
        return self

    def fork(self, environment: dict[str, str], files: Files) -> Forked:
        """Begin the process."""
        return Forked(_main, self.name, ("serve",), environment, files)

    def wait_until_ready(self) -> None:
        wait_until(self._ready, seconds=60, what=f"{self.name}, whose log is {self.log},")

    def _ready(self) -> bool:
        ended = self.process.exit_code
        assert ended is None, f"{self.name} ended with {ended}:\n{self.log.read_text()}"
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def terminate(self, seconds: float = 40) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End it, whatever its state is."""
        if self._process is not None:
            try:
                if self._process.exit_code is None:
                    self.terminate()
            finally:
                self._process.clear_away()
                self._process = None


def run_cli(name: str, *arguments: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """``python -m services.<name> …``; the result, whatever the code."""
    with TemporaryDirectory(prefix="parcours-test-command-") as folder:
        files = (os.devnull, f"{folder}/output", f"{folder}/errors")
        process = Forked(_main, name, arguments, {**inherited(), **environment}, files)
        try:
            code = process.wait(60)
        finally:
            process.clear_away()
        output, errors = (Path(file).read_text() for file in files[1:])
    return subprocess.CompletedProcess([name, *arguments], code, output, errors)


def inherited() -> dict[str, str]:
    """Our environment without settings of a stack that may be running beside the tests."""
    ours = ("KAFKA_", "SMTP_", "CATALOGUE_", "ENROLMENT_", "NOTIFIER_", "API_TOKENS_FILE", "PORTALS_FILE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
