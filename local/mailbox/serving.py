"""The mailbox's process, and the handle that starts and stops it."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import uvicorn
import uvloop

from local.children import Child
from local.failures import LocalStackError
from local.mailbox.index import MailIndex
from local.mailbox.pages import pages
from local.mailbox.reception import reception
from local.places import PROJECT
from local.ports import LOOPBACK, free_port
from local.readiness import is_ready, wait_for_port
from local.server import LocalServer


class MailboxServer(LocalServer):
    """A running mailbox. Its mails stay when it is stopped."""

    title = "the mailbox"

    def __init__(self, directory: Path, smtp_port: int, http_port: int, log_file: Path) -> None:
        self.directory = directory
        self.smtp_host = LOOPBACK
        self.smtp_port = smtp_port
        self.http_port = http_port
        self._log_file = log_file

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
        mailbox.launch()
        return mailbox

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def mails(self) -> list[Path]:
        """Return the mails' files in the order of their arrival."""
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
