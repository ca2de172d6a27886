"""Health and metrics have a port of their own where it is set; then the public port has none of them.

The AsyncAPI document is made once.
"""

import asyncio
import threading
from typing import Any

import httpx
from fastapi import FastAPI

from services.catalogue import app as catalogue
from services.catalogue.settings import Settings
from shared.http import Probes, add_asyncapi, add_operations
from tests.conftest import settings_of
from tests.support.guards import a_guard

SETTINGS = settings_of("catalogue", "postgresql://x@localhost/x", "x:1")
PATHS = ("/health/live", "/health/ready", "/health/consuming", "/metrics")


def served(**settings: Any) -> tuple[FastAPI, FastAPI]:
    """What a process serves on its port, and on that of operations."""
    given: dict[str, Any] = {name.lower(): value for name, value in SETTINGS.items()}
    process = catalogue.compose(Settings(**given | settings))

    async def ready() -> str | None:
        return None

    add_operations(process.operations, Probes(live=lambda: None, ready=ready, consuming=lambda: None))
    add_asyncapi(process.api, dict)
    return process.api, process.operations


async def status(api: FastAPI, path: str) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://test") as client:
        return (await client.get(path)).status_code


async def test_operations_have_a_port_of_their_own_where_it_is_set_and_nothing_else_is_there() -> None:
    public, operations = served(catalogue_operations_port=9001)
    for path in PATHS:
        assert (await status(public, path), await status(operations, path)) == (404, 200)
    for path in ("/docs", "/openapi.json", "/asyncapi", "/api/v1/offers", "/"):
        assert await status(operations, path) == 404


async def test_without_it_operations_are_on_the_port_of_all() -> None:
    public, operations = served()
    assert public is operations
    assert {await status(public, path) for path in PATHS} == {200}


async def test_two_first_readers_of_the_asyncapi_document_make_it_once() -> None:
    api = FastAPI()
    api.state.guard = a_guard()
    made: list[bool] = []
    second_began = threading.Event()

    def document() -> dict[str, Any]:
        if made:
            second_began.set()
        made.append(True)
        second_began.wait(0.2)  # time enough for the other reader to begin as well
        return {}

    add_asyncapi(api, document)
    assert set(await asyncio.gather(status(api, "/asyncapi"), status(api, "/asyncapi"))) == {200}
    assert made == [True]
