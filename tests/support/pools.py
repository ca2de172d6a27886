"""Connections that stay open from test to test: a new one costs 30 ms, and its first statements more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


class KeptEngine(AsyncEngine):
    """An engine that its database does not close. It has compiled and prepared what earlier tests asked."""

    async def dispose(self, close: bool = True) -> None:
        """Leave the connections open. A test that still uses one has forgotten a transaction."""
        in_use = self.pool.checkedout()  # type: ignore[attr-defined]
        if in_use:
            await super().dispose(close)  # later tests get new connections
        assert in_use == 0, f"{in_use} connections are still in use at the end"

    async def end(self) -> None:
        await super().dispose()


class Pools:
    """The kept engines of a worker, by URL. All belong to the loop of the session."""

    def __init__(self) -> None:
        self._engines: dict[tuple[URL, str], KeptEngine] = {}

    @contextmanager
    def used(self) -> Iterator[None]:
        """What opens a database in this block gets the engine of earlier tests."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shared.database.create_async_engine", self._engine)
            yield

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.end()

    def _engine(self, url: URL | str, **options: Any) -> AsyncEngine:
        key = make_url(url), repr(options)
        if key not in self._engines:
            self._engines[key] = KeptEngine(create_async_engine(url, **options).sync_engine)
        return self._engines[key]
