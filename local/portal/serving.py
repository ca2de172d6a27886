import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import uvicorn

from local.failures import LocalStackError
from local.portal.exchange import Exchange
from local.portal.journal import Journal
from local.portal.offer import Offer
from local.portal.pages import pages
from local.portal.settings import Settings, from_environment


def serve(host: str, port: int, directory: Path, announce: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises `LocalStackError`."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # `exchange.py` logs the important parts
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = from_environment()
        web = socket.create_server((host, port), reuse_port=False)
    except KeyError as missing:
        raise LocalStackError(f"the example portal needs {missing.args[0]} in its environment") from None
    except ValueError as error:
        raise LocalStackError(f"SECRET is no secret of a portal (whsec_ and base64): {error}") from None
    except OSError as error:
        raise LocalStackError(f"the portal cannot listen on {host}:{port} ({error.strerror})") from None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again: ignore it
    announce(f"Portal {settings.portal}: http://{host}:{port}")
    asyncio.run(_serve(settings, web, Journal(directory / "journal.jsonl")))


async def _serve(settings: Settings, web: socket.socket, journal: Journal) -> None:
    async with httpx.AsyncClient(base_url=settings.catalogue, timeout=5, trust_env=False) as client:
        exchange = Exchange(settings, journal)
        config = uvicorn.Config(
            pages(settings, journal, exchange, Offer(client)),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,  # a page that waits for news asks again
        )
        # A failed task ends the process. The next process reads the journal.
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(exchange.send()), tasks.create_task(exchange.listen())]
            await uvicorn.Server(config).serve(sockets=[web])
            for task in work:
                task.cancel()
