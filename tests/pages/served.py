"""An application that tests have filled, on a port of its own for a browser."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tests.support.serving import serving

Known = TypeVar("Known")
Compose = Callable[[str, Path, str], AbstractAsyncContextManager[tuple[Any, Known]]]
"""Given a database, a folder and the address: an ASGI application, and what tests know of its content."""


@dataclass(frozen=True)
class Served(Generic[Known]):
    """The address at which the application answers, and what tests know of its content."""

    url: str
    known: Known


@contextmanager
def on_a_port(compose: Compose[Known], database_url: str, folder: Path) -> Iterator[Served[Known]]:
    """Fill the application and serve it until the end."""
    contents: list[Known] = []

    @asynccontextmanager
    async def application(address: str) -> AsyncIterator[object]:
        async with compose(database_url, folder, address) as (web, known):
            contents.append(known)
            yield web

    with serving(application) as address:
        yield Served(address, contents[0])
