"""A broker for the tests of the local stack, which stop and kill it."""

from collections.abc import Iterator

import pytest

from local.kafka import KafkaBroker
from tests.support.lacking import need_kafka


@pytest.fixture(scope="module")
def apache_kafka() -> Iterator[KafkaBroker]:
    need_kafka()
    with KafkaBroker.temporary() as broker:
        yield broker
