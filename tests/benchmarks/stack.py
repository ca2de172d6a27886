"""The servers of the local stack: how fast the mailbox takes mails, and how soon a test has a database."""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiosmtplib

from local.mailbox.server import MailboxServer
from local.postgres import PostgresServer

MAILS = 2_000
CONNECTIONS = 8
DATABASES = 10
MAIL = b"From: <a@ville.example>\r\nTo: <b@ville.example>\r\nSubject: Convocation\r\n\r\nBonjour.\r\n"


async def run() -> dict[str, float]:
    """Mails taken a second over eight connections, and milliseconds for a fresh database."""
    with (
        TemporaryDirectory(prefix="parcours-bench-") as directory,
        MailboxServer(Path(directory) / "mailbox").start() as mailbox,
    ):
        began = time.perf_counter()
        await asyncio.gather(*(_send(mailbox, MAILS // CONNECTIONS) for _ in range(CONNECTIONS)))
        taken = time.perf_counter() - began
    with PostgresServer.temporary() as postgres:
        began = time.perf_counter()
        for _ in range(DATABASES):
            postgres.fresh_database()
        made = time.perf_counter() - began
    return {
        "mailbox_mails_per_second": MAILS / taken,
        "fresh_database_milliseconds": made / DATABASES * 1_000,
    }


async def _send(mailbox: MailboxServer, number: int) -> None:
    async with aiosmtplib.SMTP(
        hostname=mailbox.smtp_host, port=mailbox.smtp_port, start_tls=False, use_tls=False
    ) as client:
        for _ in range(number):
            await client.sendmail("a@ville.example", ["b@ville.example"], MAIL)
