"""An issuer for each worker, and services that believe it."""

from collections.abc import Iterator

import pytest

from tests.support.oidc import Issuer, running_issuer


@pytest.fixture(scope="session")
def running() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    """The worker's issuer, as it was at the start."""
    running.forget()
    return running
