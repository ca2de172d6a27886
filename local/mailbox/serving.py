import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
import uvloop

from local.failures import LocalStackError
from local.mailbox.index import MailIndex
from local.mailbox.pages import pages
from local.mailbox.reception import reception


def serve(
    host: str, smtp_port: int, http_port: int, directory: Path, announce: Callable[[str], None]
) -> None:
    """Run until SIGINT or SIGTERM. Raises `LocalStackError` when a port is busy."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    mails, web = _listen(host, smtp_port), _listen(host, http_port)
    announce(
        f"Mailbox: SMTP on {host}:{smtp_port}, mails in {directory}, to be read at http://{host}:{http_port}"
    )
    uvloop.run(_serve(mails, web, MailIndex(directory)))


async def _serve(mails: socket.socket, web: socket.socket, index: MailIndex) -> None:
    smtp = await asyncio.get_running_loop().create_server(reception(index.keep), sock=mails, backlog=512)
    config = uvicorn.Config(
        pages(index), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    # The page comes last: once it answers, mails are taken.
    await uvicorn.Server(config).serve(sockets=[web])
    smtp.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), reuse_port=False)
    except OSError as error:
        raise LocalStackError(
            f"the mailbox cannot listen on {host}:{port} ({error.strerror}): choose another port "
            "with --smtp-port or --http-port"
        ) from None
