"""Servers shared by the tests of the local stack."""

import os
from collections.abc import Iterator

import pytest

from local.kafka import KafkaBroker, missing_tools
from local.postgres import PostgresServer


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer.temporary() as server:
        yield server


@pytest.fixture(scope="module")
def apache_kafka() -> Iterator[KafkaBroker]:
    if (problem := missing_tools()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(problem)
        pytest.skip(problem)
    with KafkaBroker.temporary() as broker:
        yield broker
