"""Each of the three services, composed on the worker's database, and an issuer of log-ins."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from shared.messaging.portals.registry import PortalsFile
from shared.process import Process
from tests.integration.catalogue.conftest import tokens_file
from tests.integration.services.composed import SITE, compose
from tests.support.oidc import OidcIssuer, running_issuer
from tests.support.pools import Pools
from tests.support.processes import SERVICES

__all__ = ["tokens_file"]


class Compose(Protocol):
    def __call__(self, service: str, **settings: Any) -> Process: ...


@pytest.fixture
async def compose_service(
    request: pytest.FixtureRequest, tokens_file: Path, portals: PortalsFile, tmp_path: Path, pools: Pools
) -> AsyncIterator[Compose]:
    """``compose_service("enrolment", setting=…)``: with tokens and portals, on the worker's database."""
    composed: list[Process] = []

    def compose_service(service: str, **settings: Any) -> Process:
        ours = {
            "api_tokens_file": tokens_file,
            "portals_file": tmp_path / "portals.json",
            "public_base_url": SITE,
        }
        url = request.getfixturevalue(f"{service}_url")
        with pools.used():
            process = compose(service, url, **ours | settings)
        composed.append(process)
        return process

    yield compose_service
    for process in composed:
        await process.database.close()


@pytest.fixture(params=SERVICES)
def process(request: pytest.FixtureRequest, compose_service: Compose) -> Process:
    return compose_service(request.param)


@pytest.fixture(scope="session")
def running() -> Iterator[OidcIssuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: OidcIssuer) -> OidcIssuer:
    """The worker's issuer, as it was at the start."""
    running.forget()
    return running
