"""Health and metrics have a port of their own where it is set; then the public port has none of them."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from local.services import SupervisedProcess
from services.catalogue import app as catalogue
from services.catalogue.settings import Settings
from shared.http import Probes, add_asyncapi, add_operations
from tests.conftest import settings_of

SETTINGS = settings_of("catalogue", "postgresql://x@localhost/x", "x:1")
PATHS = ("/health/live", "/health/ready", "/health/consuming", "/metrics")


def served(**settings: Any) -> tuple[FastAPI, FastAPI]:
    """What a process serves on its port, and on that of operations."""
    given: dict[str, Any] = {name.lower(): value for name, value in SETTINGS.items()}
    process = catalogue.compose(Settings(**given | settings))

    async def ready() -> str | None:
        return None

    add_operations(process.operations, Probes(live=lambda: None, ready=ready, consuming=lambda: None))
    add_asyncapi(process.api, {})
    return process.api, process.operations


async def status(api: FastAPI, path: str) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://test") as client:
        return (await client.get(path)).status_code


@pytest.mark.parametrize("path", PATHS)
async def test_with_a_port_of_their_own_the_public_has_none(path: str) -> None:
    public, operations = served(catalogue_operations_port=9001)
    assert (await status(public, path), await status(operations, path)) == (404, 200)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/asyncapi", "/api/v1/offers", "/"])
async def test_the_port_of_operations_has_nothing_else(path: str) -> None:
    assert await status(served(catalogue_operations_port=9001)[1], path) == 404


@pytest.mark.parametrize("path", PATHS)
async def test_without_it_they_are_on_the_port_of_all(path: str) -> None:
    public, operations = served()
    assert public is operations
    assert await status(public, path) == 200


def test_each_process_of_the_local_stack_is_asked_where_it_answers() -> None:
    given = {"CATALOGUE_OPERATIONS_PORT": "1"}
    without = SupervisedProcess("catalogue", 1, 8001, given, Path())
    apart = SupervisedProcess("catalogue", 2, 8001, given, Path(), 9001)
    assert [process.operations_url for process in (without, apart)] == [
        "http://127.0.0.1:8001",
        "http://127.0.0.1:9001",
    ]
