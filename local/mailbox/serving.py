"""The mailbox's process, and the handle that starts and stops it."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import uvicorn
import uvloop

from local.children import Child
from local.failures import LocalStackError
from local.mailbox.index import MailIndex
from local.mailbox.pages import pages
from local.mailbox.reception import reception
from local.places import PROJECT
from local.ports import LOOPBACK, free_port
from local.readiness import wait_for_port, wait_until

START_SECONDS = 20.0


class MailboxServer:
    """A running mailbox; a context manager that stops it."""

    def __init__(self, directory: Path, smtp_port: int, http_port: int, log_file: Path) -> None:
        self.directory = directory
        self.smtp_host = LOOPBACK
        self.smtp_port = smtp_port
        self.http_port = http_port
        self._log_file = log_file
        self._child: Child | None = None

    @classmethod
    def start(
        cls,
        directory: Path,
        smtp_port: int | None = None,
        http_port: int | None = None,
        *,
        log_file: Path | None = None,
    ) -> Self:
        """Start a mailbox that keeps its mails in `directory`; a port that is None is a free one."""
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        mailbox = cls(
            directory,
            smtp_port if smtp_port is not None else free_port(),
            http_port if http_port is not None else free_port(),
            log_file or directory.with_name(directory.name + ".log"),
        )
        mailbox._launch()
        return mailbox

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def pid(self) -> int:
        """The process id."""
        if self._child is None:
            raise LocalStackError("the mailbox is not running")
        return self._child.pid

    def running(self) -> bool:
        """Say whether the process is alive."""
        return self._child is not None and self._child.running()

    def mails(self) -> list[Path]:
        """Return the mails' files in the order of their arrival."""
        return sorted(self.directory.glob("*.eml"))

    def stop(self) -> None:
        """Stop it; its mails stay."""
        if self._child is not None:
            self._child.stop(grace_seconds=5)
            self._child = None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Start again on the same ports and mails."""
        self.stop()
        self._launch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        wait_for_port(self.smtp_port, "the mailbox (SMTP)")
        wait_for_port(self.http_port, "the mailbox (page)")
        self._child = Child.start(
            "the mailbox",
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
        try:
            wait_until(
                self._answers, seconds=START_SECONDS, what="an answer from the mailbox", child=self._child
            )
        except BaseException:
            self._child.kill()
            raise

    def _answers(self) -> bool:
        if self._child is None or not self._child.listens_on(self.smtp_port):
            return False
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return False


def serve(
    host: str, smtp_port: int, http_port: int, directory: Path, announce: Callable[[str], None]
) -> None:
    """Run a mailbox in this process until SIGINT or SIGTERM; raise `LocalStackError` when a port is busy."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    mails = _listen(host, smtp_port)
    web = _listen(host, http_port)
    announce(
        f"Mailbox: SMTP on {host}:{smtp_port}, mails in {directory}, to be read at http://{host}:{http_port}"
    )
    uvloop.run(_serve(mails, web, MailIndex(directory)))


async def _serve(mails: socket.socket, web: socket.socket, index: MailIndex) -> None:
    smtp = await asyncio.get_running_loop().create_server(reception(index.keep), sock=mails, backlog=512)
    reader = asyncio.create_task(_read_when_idle(index))
    config = uvicorn.Config(
        pages(index), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    # SMTP is served first and the page last: who sees the page may send mails.
    await uvicorn.Server(config).serve(sockets=[web])
    reader.cancel()
    smtp.close()


async def _read_when_idle(index: MailIndex) -> None:
    """Parse header blocks a few at a time, so that no page and no mail waits for thousands of them."""
    while True:
        waiting = index.read_some(50)
        await asyncio.sleep(0.02 if waiting else 0.25)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), reuse_port=False)
    except OSError as error:
        raise LocalStackError(
            f"the mailbox cannot listen on {host}:{port} ({error.strerror}): choose another port "
            "with --smtp-port or --http-port"
        ) from None
