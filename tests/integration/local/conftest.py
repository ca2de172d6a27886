"""Servers shared by the tests of the local stack, which stop and kill them."""

from collections.abc import Iterator

import pytest

from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from tests.support.lacking import need_kafka


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer.temporary() as server:
        yield server


@pytest.fixture(scope="module")
def apache_kafka() -> Iterator[KafkaBroker]:
    need_kafka()
    with KafkaBroker.temporary() as broker:
        yield broker
