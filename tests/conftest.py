"""Real parts: one Postgres per run, a fresh database per test, the brokers that this machine has."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from local.kafka import KafkaBroker, missing_tools
from local.postgres import PostgresServer
from local.tansu import TansuBroker
from shared.database import Database
from shared.messaging import topics
from shared.messaging.broker import KafkaSettings
from tests.support.processes import ServiceProcess, run_cli

Broker = TansuBroker | KafkaBroker


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer.temporary() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> Callable[[str], str]:
    """A fresh database of a service, by cloning one that its migrations made."""
    templates: dict[str, str] = {}

    def fresh(service: str) -> str:
        if service not in templates:
            name = f"template_{service}"
            url = postgres.create_database(name)
            done = run_cli(service, "migrate", environment=settings_of(service, url, "localhost:1"))
            assert done.returncode == 0, done.stderr
            templates[service] = name
        name = templates[service]
        return postgres.fresh_database(owner=name, template=name)  # whose tables are the template owner's

    return fresh


def settings_of(service: str, database_url: str, kafka: str) -> dict[str, str]:
    """The environment of a service, as small as it gets."""
    environment = {
        f"{service.upper()}_DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
    }
    if service == "notifier":
        environment |= {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": "1",
            "SMTP_TLS": "none",
            "SMTP_SENDER": "Parcours <ne-pas-repondre@parcours.example>",
            "PUBLIC_BASE_URL": "https://parcours.example",
            "LINK_SIGNING_KEY": "a key of thirty-two characters for tests only",
        }
    return environment


@pytest.fixture
def enrolment_url(migrated: Callable[[str], str]) -> str:
    return migrated("enrolment")


@pytest.fixture
def catalogue_url(migrated: Callable[[str], str]) -> str:
    return migrated("catalogue")


@pytest.fixture
def notifier_url(migrated: Callable[[str], str]) -> str:
    return migrated("notifier")


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Databases that are closed when the test ends."""
    opened: list[Database] = []

    def open_one(url: str) -> Database:
        opened.append(Database(url, application_name="test"))
        return opened[-1]

    yield open_one
    for database in opened:
        asyncio.run(database.close())


@pytest.fixture(scope="session")
def tansu() -> Iterator[TansuBroker]:
    """The embedded broker."""
    with TansuBroker.start() as broker:
        create_topics(broker)
        yield broker


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """Apache Kafka itself. Where Java or Maven is missing its tests are skipped; never in CI."""
    lacking = missing_tools()
    if lacking is not None:
        if os.environ.get("CI"):
            pytest.fail(f"Apache Kafka must run in CI: {lacking}")
        pytest.skip(f"NOT TESTED on Apache Kafka: {lacking}")
    with KafkaBroker.temporary() as broker:
        create_topics(broker)
        yield broker


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the two brokers in turn, topics created. Shared by the run: use new ids, not an empty topic."""
    one: Broker = request.getfixturevalue(request.param)
    return one


def create_topics(broker: Broker) -> None:
    """Create every topic, as the contract says."""

    async def create() -> None:
        await topics.create(KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers))
        await asyncio.sleep(0.01)  # let the sockets be closed

    asyncio.run(create())


@pytest.fixture
def run_service(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Start services as processes; whatever still runs at the end is stopped."""
    started: list[ServiceProcess] = []

    def start(service: str, database_url: str, kafka: str, **environment: str) -> ServiceProcess:
        process = ServiceProcess(
            service,
            settings_of(service, database_url, kafka) | environment,
            tmp_path / f"{service}-{len(started)}.log",
        )
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait for a condition, with a deadline."""

    async def wait(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 20) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.05)

    return wait
