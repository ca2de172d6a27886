import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from aiokafka.errors import KafkaError
from pydantic import Field, field_validator
from sqlalchemy.exc import DBAPIError

from services.catalogue.definition import DEFINITION as CATALOGUE
from services.console.findings import Finding, Mark
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.notifier.definition import DEFINITION as NOTIFIER
from shared.cli.definition import Definition
from shared.cli.running import load, stop
from shared.database import FAILURES, Database, DatabaseUnreachable, Transaction, async_url, is_temporary
from shared.messaging.broker import KafkaSettings
from shared.messaging.portals import registry
from shared.messaging.portals.registry import Portals, PortalSettings, UnreadablePortals
from shared.secret_files import FileSettings

DEFINITIONS = (CATALOGUE, ENROLMENT, NOTIFIER)
BROKER_SECONDS = 30.0
"""All answers of the broker together may take this long."""
_NO_SUCH_TABLE = "42P01"


class ServiceName(StrEnum):
    CATALOGUE = "catalogue"
    ENROLMENT = "enrolment"
    NOTIFIER = "notifier"


T = TypeVar("T")


class ConsoleSettings(FileSettings, KafkaSettings, PortalSettings):
    """A service or broker without its setting is not asked."""

    kafka_bootstrap_servers: str = Field(default="", description="host:port[,host:port …]")
    catalogue_database_url: str = ""
    enrolment_database_url: str = ""
    notifier_database_url: str = ""

    def url_of(self, service: str) -> str:
        return str(getattr(self, f"{service}_database_url"))

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        return super()._hosts_and_ports(value) if value else value

    @field_validator("catalogue_database_url", "enrolment_database_url", "notifier_database_url")
    @classmethod
    def _database_urls(cls, value: str) -> str:
        if value:
            async_url(value)
        return value


def settings() -> ConsoleSettings:
    """A wrong setting ends the command with 2."""
    return load(ConsoleSettings)


def portals(of: PortalSettings) -> Portals:
    """A mistake in ``PORTALS_FILE`` ends the command with 2."""
    try:
        return registry.read(of.portals_file, trial=of.parcours_trial)
    except UnreadablePortals as error:
        stop(str(error), 2)


def named(services: Sequence[str] | None) -> list[Definition]:
    return [definition for definition in DEFINITIONS if not services or definition.name in services]


@dataclass(frozen=True, slots=True)
class ServiceAnswer(Generic[T]):
    service: str
    value: T | None
    why_not: str = ""

    def finding(self, what: str) -> Finding:
        return Finding(self.service, what, Mark.UNKNOWN, self.why_not)


async def ask(
    services: Sequence[Definition],
    urls: ConsoleSettings,
    question: Callable[[Definition, Database], Awaitable[T]],
) -> list[ServiceAnswer[T]]:
    return [await _ask(definition, urls.url_of(definition.name), question) for definition in services]


async def ask_in_transaction(
    services: Sequence[Definition],
    urls: ConsoleSettings,
    question: Callable[[Transaction], Awaitable[T]],
) -> list[ServiceAnswer[T]]:
    async def within(_: Definition, database: Database) -> T:
        async with database.quiet_transaction() as tx:
            return await question(tx)

    return await ask(services, urls, within)


async def ask_service(
    service: Definition, urls: ConsoleSettings, question: Callable[[Transaction], Awaitable[T]]
) -> ServiceAnswer[T]:
    [answer] = await ask_in_transaction([service], urls, question)
    return answer


async def _ask(
    definition: Definition, url: str, question: Callable[[Definition, Database], Awaitable[T]]
) -> ServiceAnswer[T]:
    name = definition.name
    if not url:
        return ServiceAnswer(name, None, f"{name.upper()}_DATABASE_URL is not set")
    database = Database(url, application_name="console", pool_size=1)
    try:
        await database.check()
        return ServiceAnswer(name, await question(definition, database))
    except FAILURES as error:
        if not is_temporary(error):
            raise
        return ServiceAnswer(name, None, why(definition, error))
    finally:
        await database.close()


def why(definition: Definition, error: Exception) -> str:
    if isinstance(error, DatabaseUnreachable):
        return str(error)
    cause = error.orig if isinstance(error, DBAPIError) else error
    line = (str(cause).splitlines() or [type(error).__name__])[0]
    if getattr(cause, "sqlstate", None) == _NO_SUCH_TABLE:
        return f"its database is not at this version: run 'python -m services.{definition.name} migrate'"
    return line


@dataclass(frozen=True, slots=True)
class Unanswered:
    why: str


async def broker_answers(kafka: KafkaSettings, question: Coroutine[Any, Any, T]) -> T | Unanswered:
    servers = kafka.kafka_bootstrap_servers
    if not servers:
        question.close()
        return Unanswered("KAFKA_BOOTSTRAP_SERVERS is not set")
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            return await question
    except (KafkaError, OSError, TimeoutError) as error:
        return Unanswered(f"Kafka at {servers} cannot be used ({str(error) or type(error).__name__})")
