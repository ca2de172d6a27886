import sys
from pathlib import Path

from local.children import Child
from local.places import PROJECT
from local.ports import LOOPBACK, free_port
from local.readiness import is_ready, wait_for_port
from local.server import LocalServer


class MailboxServer(LocalServer):
    title = "the mailbox"

    smtp_host = LOOPBACK

    def __init__(
        self,
        directory: Path,
        smtp_port: int | None = None,
        http_port: int | None = None,
        log_file: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.smtp_port = smtp_port or free_port()
        self.http_port = http_port or free_port()
        self._log_file = log_file or self.directory.with_name(directory.name + ".log")

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.http_port}"

    def mails(self) -> list[Path]:
        return sorted(self.directory.glob("*.eml"))

    def start_process(self) -> Child:
        wait_for_port(self.smtp_port, "the mailbox (SMTP)")
        wait_for_port(self.http_port, "the mailbox (page)")
        return Child.start(
            self.title,
            [
                *(sys.executable, "-m", "local", "mailbox"),
                f"--host={LOOPBACK}",
                f"--smtp-port={self.smtp_port}",
                f"--http-port={self.http_port}",
                f"--directory={self.directory}",
            ],
            log_file=self._log_file,
            cwd=PROJECT,
        )

    def answers(self) -> bool:
        return self.child.listens_on(self.smtp_port) and is_ready(self.url)
