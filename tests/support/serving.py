"""An application on a port and in a thread of its own: for clients that are no part of its event loop."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import uvicorn


@contextmanager
def serving(
    compose: Callable[[str], AbstractAsyncContextManager[Any]], *, seconds: float = 60
) -> Iterator[str]:
    """The address at which the application answers, until the end.

    ``compose`` is given the address and yields the ASGI application; it is entered and left in the loop that
    serves it, so that its database belongs there; that may take so many ``seconds``. Raises what it raises.
    """
    listener = socket.create_server(("127.0.0.1", 0))  # which takes connections before anybody serves them
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers: list[uvicorn.Server] = []
    failures: list[BaseException] = []
    ready = threading.Event()

    async def serve() -> None:
        async with compose(address) as application:
            config = uvicorn.Config(
                application,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,  # a request that waits for news would wait on
            )
            servers.append(uvicorn.Server(config))
            ready.set()
            await servers[0].serve(sockets=[listener])

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 raised below, in the thread that waits
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)  # what hangs must not hold the tests up
    thread.start()
    ready.wait(seconds)
    try:
        if servers and not failures:
            yield address
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive(), f"{address} is still served: was time turned forward and back meanwhile?"
    if failures:
        raise failures[0]
    assert servers, f"the application was not composed within {seconds} s"
