import sys
from collections.abc import Mapping
from pathlib import Path

from local.children import Child
from local.places import PROJECT
from local.ports import LOOPBACK
from local.readiness import is_ready, wait_for_port
from local.server import LocalServer


class PortalServer(LocalServer):
    title = "the example portal"

    def __init__(self, directory: Path, port: int, environment: Mapping[str, str], log_file: Path) -> None:
        self.port = port
        self._directory = directory.absolute()
        self._environment = environment
        self._log_file = log_file

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start_process(self) -> Child:
        wait_for_port(self.port, self.title)
        return Child.start(
            self.title,
            [
                *(sys.executable, "-m", "local", "portal"),
                f"--host={LOOPBACK}",
                f"--port={self.port}",
                f"--directory={self._directory}",
            ],
            log_file=self._log_file,
            env=self._environment,
            cwd=PROJECT,
        )

    def answers(self) -> bool:
        return self.child.listens_on(self.port) and is_ready(self.url)
