"""Promises of the two local brokers: the embedded one answers at once, Apache Kafka keeps what it took."""

import time
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from local.failures import LocalStackError
from local.kafka import KafkaBroker, broker
from local.ports import is_free
from local.readiness import kafka_answers
from local.tansu import TansuBroker

APPEND_TIME = 1


async def create_topic(bootstrap_servers: str, name: str, **settings: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        topic = NewTopic(
            name, 1, 1, topic_configs={key.replace("_", "."): value for key, value in settings.items()}
        )
        await admin.create_topics([topic])
    finally:
        await admin.close()


async def produce(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", request_timeout_ms=5_000)
    await producer.start()
    try:
        for value in values:
            # The sender's clock says 1970: only a broker's stamp can say otherwise.
            await producer.send_and_wait(topic, value, timestamp_ms=1_000)
    finally:
        await producer.stop()


async def read(bootstrap_servers: str, topic: str, count: int) -> list[tuple[bytes, int, int]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        records: list[tuple[bytes, int, int]] = []
        deadline = time.monotonic() + 20
        while len(records) < count and time.monotonic() < deadline:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += [(record.value, record.timestamp, record.timestamp_type) for record in batch]
        return records
    finally:
        await consumer.stop()


async def test_the_embedded_broker_takes_and_gives_records_and_answers_again_after_a_kill(
    tmp_path: Path,
) -> None:
    with TansuBroker.temporary() as tansu:
        address, pid = tansu.bootstrap_servers, tansu.pid
        await create_topic(address, "seats")
        await produce(address, "seats", b"one", b"two")
        assert [value for value, _, _ in await read(address, "seats", 2)] == [b"one", b"two"]
        with pytest.raises(LocalStackError, match=f"port {tansu.port}.* in use"):
            TansuBroker(tansu.port, tmp_path / "log").start()
        tansu.kill()
        assert not kafka_answers(address)
        tansu.restart()
        assert (tansu.bootstrap_servers, tansu.pid == pid) == (address, False)
        assert kafka_answers(address)
    assert is_free(tansu.port)


def test_without_java_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    problem = broker.missing_tools()
    assert problem is not None
    assert "java" in problem
    assert "\n" not in problem


def test_a_java_that_is_too_old_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("java", "mvn"):
        path = tmp_path / "jdk" / "bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o755)
    release = tmp_path / "jdk" / "release"
    monkeypatch.setenv("PATH", str(tmp_path / "jdk" / "bin"))
    assert broker.missing_tools() is None, "it does not say how old it is"
    for version, problem in (("11.0.22", "java 17 (this is 11)"), ("1.8.0_402", "java 17 (this is 1)")):
        release.write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
        assert problem in (broker.missing_tools() or "")
    release.write_text('JAVA_VERSION="21.0.2"\n')
    assert broker.missing_tools() is None


def test_kafka_starts_with_the_archive_of_its_classes(kafka: KafkaBroker) -> None:
    command = psutil.Process(kafka.pid).cmdline()
    [archive] = [word.partition("=")[2] for word in command if word.startswith("-XX:SharedArchiveFile=")]
    assert Path(archive).stat().st_size > 0
    assert "[cds" not in (kafka.directory / "kafka.log").read_text(), "Java refused it"


async def test_kafka_stamps_records_itself_and_never_creates_a_topic_by_accident(
    kafka: KafkaBroker,
) -> None:
    address = kafka.bootstrap_servers
    await create_topic(address, "stamped", message_timestamp_type="LogAppendTime")
    before = time.time() * 1000
    await produce(address, "stamped", b"x")
    [(_, stamp, kind)] = await read(address, "stamped", 1)
    assert kind == APPEND_TIME
    assert before - 1 <= stamp <= time.time() * 1000 + 1
    with pytest.raises(KafkaError):
        await produce(address, "a-typing-mistake", b"x")
