import contextlib
import socket
import sys
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from shared.process.clients import PATIENCE, ImpatientProtocol, Patience


class CannotListen(Exception):
    """The port cannot be used. The message names the setting for another port."""


class Server(uvicorn.Server):
    """uvicorn without signal handlers, because the process stops its parts in order.

    ``proxies`` are trusted to name the visitor in X-Forwarded-For.
    """

    def __init__(
        self, api: FastAPI, *, proxies: str, protocol: type[ImpatientProtocol] = ImpatientProtocol
    ) -> None:
        super().__init__(
            uvicorn.Config(
                api,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                forwarded_allow_ips=proxies,
            )
        )

    def stop(self) -> None:
        """Take no more requests, and end once the others are answered."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int, setting: str, patience: Patience = PATIENCE) -> socket.socket:
    """Raises :class:`CannotListen`; ``setting`` is where the port comes from.

    Linux itself gives up a client that does not read: uvicorn does not notice the last 64 KiB of a response.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":
        milliseconds = int(1000 * patience.answer_seconds)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(
            f"Port {port} on {host} cannot be used ({reason}). "
            f"Stop what uses it, or set {setting} to another."
        ) from error
    return listener
