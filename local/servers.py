from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from local.failures import LocalStackError
from local.folder import Folder
from local.kafka import KafkaBroker
from local.mailbox.server import MailboxServer
from local.ports import free_port, is_free, standard_or_free
from local.postgres import PostgresServer
from local.server import LocalServer
from local.services import SERVICES
from local.tansu import TansuBroker

KAFKA_PORT, SMTP_PORT, MAILBOX_PORT = 9092, 1025, 8025

S = TypeVar("S", bound=LocalServer)
BrokerKind = Literal["embedded", "kafka"]


class Servers:
    """Postgres, the broker and the mailbox. A server is None if `environment` names one to use instead."""

    def __init__(
        self, folder: Folder, broker: BrokerKind, environment: Mapping[str, str], *, durable: bool
    ) -> None:
        self.postgres: PostgresServer | None = None
        self.broker: TansuBroker | KafkaBroker | None = None
        self.mailbox: MailboxServer | None = None
        self._folder = folder
        self._broker_kind = broker
        self._environment = environment
        self._durable = durable

    def start(self) -> None:
        starts: list[Callable[[], None]] = []
        if not all(self._environment.get(database_variable(service)) for service in SERVICES):
            starts.append(self._start_postgres)
        if not self._environment.get("KAFKA_BOOTSTRAP_SERVERS"):
            starts.append(self._start_broker)
        if not self._environment.get("SMTP_HOST"):
            starts.append(self._start_mailbox)
        in_parallel(*starts)

    def stop(self) -> None:
        for server in reversed(self.started().values()):
            server.stop()

    def started(self) -> dict[str, LocalServer]:
        servers = {"postgres": self.postgres, "kafka": self.broker, "mailbox": self.mailbox}
        return {name: server for name, server in servers.items() if server is not None}

    @property
    def kafka(self) -> str:
        if self.broker is not None:
            return self.broker.bootstrap_servers
        return self._environment["KAFKA_BOOTSTRAP_SERVERS"]

    @property
    def smtp(self) -> tuple[str, int]:
        if self.mailbox is not None:
            return self.mailbox.smtp_host, self.mailbox.smtp_port
        return self._environment["SMTP_HOST"], int(self._environment.get("SMTP_PORT", "25"))

    def database_url(self, service: str) -> str:
        given = self._environment.get(database_variable(service))
        if given:
            return given
        if self.postgres is None:
            raise LocalStackError("Postgres is not running")
        return self.postgres.url(f"parcours_{service}", f"parcours_{service}")

    def ports(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        if self.broker is not None:
            found["Kafka"] = KAFKA_PORT, self.broker.port
        if self.mailbox is not None:
            found["SMTP"] = SMTP_PORT, self.mailbox.smtp_port
            found["the mailbox's page"] = MAILBOX_PORT, self.mailbox.http_port
        return found

    def _start_postgres(self) -> None:
        self.postgres = PostgresServer.start(
            self._folder.data / "postgres", durable=self._durable, log_file=self._folder.log("postgres")
        )
        for service in SERVICES:
            if not self._environment.get(database_variable(service)):
                self.postgres.create_database(f"parcours_{service}")

    def _start_broker(self) -> None:
        log = self._folder.log("kafka")

        def start(port: int) -> TansuBroker | KafkaBroker:
            if self._broker_kind == "kafka":
                return KafkaBroker.start(self._folder.data / "kafka", port, log_file=log)
            return TansuBroker.start(port, log_file=log)

        self.broker = on_a_port(KAFKA_PORT, start)

    def _start_mailbox(self) -> None:
        def start(port: int) -> MailboxServer:
            page, log = standard_or_free(MAILBOX_PORT), self._folder.log("mailbox")
            return MailboxServer.start(self._folder.path / "mailbox", port, page, log_file=log)

        self.mailbox = on_a_port(SMTP_PORT, start)


def database_variable(service: str) -> str:
    return f"{service.upper()}_DATABASE_URL"


def in_parallel(*work: Callable[[], object]) -> None:
    """Run each part in a thread. Once all have ended, raise the first error."""
    with ThreadPoolExecutor(max_workers=max(1, len(work))) as pool:
        running = [pool.submit(start) for start in work]
    for part in running:
        part.result()


def on_a_port(standard: int, start: Callable[[int], S]) -> S:
    """Try another port once if another process took the port meanwhile."""
    port = standard_or_free(standard)
    try:
        return start(port)
    except LocalStackError:
        if is_free(port):
            raise
        return start(free_port())
