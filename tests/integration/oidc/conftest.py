"""An issuer for each worker, and services that believe it."""

from collections.abc import Iterator

import pytest

from tests.support.oidc import OidcIssuer, running_issuer


@pytest.fixture(scope="session")
def running() -> Iterator[OidcIssuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: OidcIssuer) -> OidcIssuer:
    """The worker's issuer, as it was at the start."""
    running.forget()
    return running
