"""Services as users run them: own processes, ended by signals."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from local.ports import free_port

ROOT = Path(__file__).parents[2]


class ServiceProcess:
    """``python -m services.<name> serve`` with an environment of its own."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = log
        self._environment = {
            **_inherited(),
            **environment,
            f"{name.upper()}_PORT": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> "ServiceProcess":
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.name}", "serve"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()}"
                )
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready after {seconds} s:\n{self.log.read_text()}")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def send(self, signal_number: signal.Signals) -> None:
        self.process.send_signal(signal_number)

    def terminate(self, seconds: float = 20) -> int:
        """SIGTERM; returns the exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL: nothing gets a last word."""
        self.send(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()


def run_cli(
    name: str, *arguments: str, environment: Mapping[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """``python -m services.<name> …``; the result with its output, whatever the exit code."""
    return subprocess.run(
        [sys.executable, "-m", f"services.{name}", *arguments],
        cwd=ROOT,
        env={**_inherited(), **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _inherited() -> dict[str, str]:
    """Our environment without settings of a stack that may be running beside the tests."""
    ours = ("KAFKA_", "SMTP_", "CATALOGUE_", "ENROLMENT_", "NOTIFIER_", "API_TOKENS_FILE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
