"""Real parts, started when first needed: each worker has its Postgres and its brokers to itself."""

import asyncio
import functools
import gc
import itertools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from local import ports
from local.kafka import KafkaBroker
from local.postgres import PostgresServer
from local.tansu import TansuBroker
from shared import security_log
from shared.database import Database
from shared.garbage import tune_gc
from shared.messaging import outbox, topics
from shared.messaging.broker import KafkaSettings
from shared.messaging.portals import registry
from shared.messaging.portals.registry import PortalsFile
from tests.support.answers import a_registry
from tests.support.databases import MigratedDatabases, migrated_databases
from tests.support.lacking import EXCUSED, need_kafka
from tests.support.pools import Pools
from tests.support.processes import ROOT, ServiceProcess
from tests.support.secured_kafka import SecuredKafka

Ask = Callable[..., Awaitable[httpx.Response]]
Eventually = Callable[..., Awaitable[None]]

Broker = TansuBroker | KafkaBroker

# An example may take as long as it likes: what else the machine does is no fault of the code.
settings.register_profile("parcours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("parcours")


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than there are cores: tests wait for processes half of their time."""
    return (os.cpu_count() or 1) + 2


def pytest_configure() -> None:
    """Have each worker choose its ports where no other does; collect no garbage until tests are found."""
    gc.disable()
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    width = (ports.LAST - ports.FIRST) // count
    ports.FIRST += number * width
    ports.LAST = ports.FIRST + width - 1


class LoadFileAndKafkaScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """File by file, but all files that use the same Kafka run on one worker: it starts once."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope_of(nodeid.partition("::")[0])


@functools.cache
def _scope_of(file: str) -> str:
    text = (ROOT / file).read_text()
    if "secured_kafka: SecuredKafka" in text:
        return "secured kafka"
    return "kafka" if "kafka: KafkaBroker" in text else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileAndKafkaScheduling:
    """Share the tests out among the workers."""
    return LoadFileAndKafkaScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Apache Kafka."""
    for item in items:
        if any("kafka" in name for name in getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_collection_finish() -> None:
    """Leave modules and tests, which stay to the end, out of every garbage collection; see `tune_gc`."""
    gc.collect()
    tune_gc()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that is skipped has failed: everything that tests need is there, but for old commits."""
    report = yield
    is_excused = hasattr(report, "wasxfail") or any(why in report.longreprtext for why in EXCUSED)
    if os.environ.get("CI") and report.skipped and not is_excused:
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a command called in this process has set up: its standard error is closed by then."""
    loggers = [logging.getLogger(), logging.getLogger(security_log.LOGGER)]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


SecurityLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def security_lines(caplog: pytest.LogCaptureFixture) -> SecurityLines:
    """A function that returns the lines of the security log since the test began, as their fields."""
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    return lambda: [vars(line) for line in caplog.records if line.name == security_log.LOGGER]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer.temporary() as server:
        yield server


@pytest.fixture(scope="session")
async def pools(postgres: PostgresServer) -> AsyncIterator[Pools]:
    """Connections to this Postgres that stay open from test to test."""
    pools = Pools()
    yield pools
    await pools.close()


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer) -> Iterator[MigratedDatabases]:
    with migrated_databases(postgres) as databases:
        yield databases


@pytest.fixture(scope="session")
def new_database(databases: MigratedDatabases) -> Callable[[str], str]:
    """``new_database("enrolment")``: one that no other test sees, for who spoils it or keeps it long."""
    return databases.new


def settings_of(service: str, database_url: str, kafka: str) -> dict[str, str]:
    """The environment of a service, as small as it gets."""
    environment = {
        f"{service.upper()}_DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "PARCOURS_TRIAL": "1",
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
def enrolment_url(databases: MigratedDatabases) -> str:
    """The worker's database of enrolment, empty; so the two below."""
    return databases.empty("enrolment")


@pytest.fixture
def catalogue_url(databases: MigratedDatabases) -> str:
    return databases.empty("catalogue")


@pytest.fixture
def notifier_url(databases: MigratedDatabases) -> str:
    return databases.empty("notifier")


@pytest.fixture
async def enrolment_database(enrolment_url: str, pools: Pools) -> AsyncIterator[Database]:
    async with pooled(enrolment_url, pools) as database:
        yield database


@pytest.fixture
async def catalogue_database(catalogue_url: str, pools: Pools) -> AsyncIterator[Database]:
    async with pooled(catalogue_url, pools) as database:
        yield database


@pytest.fixture
async def notifier_database(notifier_url: str, pools: Pools) -> AsyncIterator[Database]:
    async with pooled(notifier_url, pools) as database:
        yield database


@pytest.fixture
def portals(tmp_path: Path) -> PortalsFile:
    """Portals iel and iel-mobile of one issuer, ouest of another."""
    return a_registry(tmp_path)


@pytest.fixture
async def answering(enrolment_url: str, portals: PortalsFile, pools: Pools) -> AsyncIterator[Database]:
    """The database of the enrolment service, which answers these portals."""
    with pools.used():
        database = Database(enrolment_url, application_name="test", info={outbox.REGISTRY: portals})
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened(url: str, info: Mapping[str, object] = MappingProxyType({})) -> AsyncIterator[Database]:
    """A database that is closed at the end."""
    database = Database(url, application_name="test", info=info)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def pooled(url: str, pools: Pools) -> AsyncIterator[Database]:
    """A database whose connections stay open after the test, with what they have prepared."""
    with pools.used():
        database = Database(url, application_name="test")
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture(scope="session")
def tansu() -> Iterator[TansuBroker]:
    """The embedded broker."""
    with TansuBroker.temporary() as broker:
        create_topics(broker)
        yield broker


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """Apache Kafka, with topics. Its tests share it: use new ids, and expect no empty topic.

    A test that kills it starts it again, on the same port: another broker would cost 5 s of CPU.
    """
    need_kafka()
    with KafkaBroker.temporary() as broker:
        create_topics(broker)
        yield broker


@pytest.fixture
def stoppable_kafka(kafka: KafkaBroker) -> Iterator[KafkaBroker]:
    """The same for a test that stops or kills it: it runs again afterwards, also if the test fails."""
    yield kafka
    if not kafka.running():
        kafka.restart()


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """Apache Kafka as in production: its users log in, and each has its own rights. Topics are created."""
    with SecuredKafka.with_rights(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


def create_topics(broker: Broker) -> None:
    """Create every topic, as the contract says, with that of the answers to the portal of the trial."""

    async def create() -> None:
        settings = KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
        await topics.create(settings, portals=registry.read(None, trial=True))
        await asyncio.sleep(0.01)  # let the sockets be closed

    asyncio.run(create())


RunService = Callable[..., ServiceProcess]


@pytest.fixture
def run_service(tmp_path: Path) -> Iterator[RunService]:
    """Start services as processes; whatever still runs at the end is stopped."""
    with running_services(tmp_path) as run_service:
        yield run_service


@contextmanager
def running_services(folder: Path) -> Iterator[RunService]:
    """The same for longer than a test. Their logs are in ``folder``."""
    numbers = itertools.count()
    with ExitStack() as started:  # each is stopped, even if another cannot be

        def start(service: str, database_url: str, kafka: str, **environment: str) -> ServiceProcess:
            process = ServiceProcess(
                service,
                settings_of(service, database_url, kafka) | environment,
                folder / f"{service}-{next(numbers)}.log",
            )
            started.callback(process.stop)
            return process.start()

        yield start


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait for a condition, with a deadline."""

    async def wait(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.05)

    return wait
