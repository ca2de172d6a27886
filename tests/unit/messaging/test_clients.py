"""A client that cannot connect is closed by whoever wanted it."""

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import reading_client


@pytest.mark.parametrize("group_id", [None, "a-group"])
async def test_a_reader_that_cannot_connect_is_closed(
    monkeypatch: pytest.MonkeyPatch, group_id: str | None
) -> None:
    stopped, stop = [], AIOKafkaConsumer.stop

    async def noted(consumer: AIOKafkaConsumer) -> None:
        stopped.append(consumer)
        await stop(consumer)

    monkeypatch.setattr(AIOKafkaConsumer, "stop", noted)
    nowhere = KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaConnectionError):
        async with reading_client(nowhere, "parcours-test", group_id=group_id):
            pass
    assert len(stopped) == 1
