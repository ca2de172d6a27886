import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from local import credentials
from local.failures import LocalStackError
from local.folder import Folder
from local.kafka import KafkaBroker
from local.mailbox.server import MailboxServer
from local.places import LOCAL
from local.portal.server import PortalServer
from local.ports import free_port, is_free, standard_or_free
from local.postgres import PostgresServer
from local.server import LocalServer
from local.services import SERVICES, STANDARD_PORTS, LocalService, run_command
from local.tansu import TansuBroker
from shared.messaging.broker import KafkaSettings, client_options

CONTACT = "formations@cnfpt.example"
SENDER = f"CNFPT Formations <{CONTACT}>"
PORTAL, PORTAL_PORT = "exemple", 8004
KAFKA_PORT, SMTP_PORT, MAILBOX_PORT = 9092, 1025, 8025

_SERVERS = ("mailbox", "kafka", "postgres")
"""The parts that services, example portal and commands use, in the order in which they are stopped."""

# All parts start at once. `parse_scale` allows 32 processes of each of the three services.
_THREADS = 128

S = TypeVar("S", bound=LocalServer)
BrokerKind = Literal["embedded", "kafka"]


@dataclass(frozen=True)
class StackOptions:
    """`data` has the databases and Kafka's records; the rest is in `directory`, which is also the default.

    `fresh` empties `data`, which must then be a folder of its own, and writes to it without fsync.
    `offer_day` None loads no offer. `environment` has the settings of the services, and names the servers to
    use.
    """

    broker: BrokerKind = "embedded"
    scale: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))
    directory: Path = LOCAL
    data: Path | None = None
    fresh: bool = False
    example_portal: bool = False
    offer_day: Callable[[Path], date] | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Stack:
    """`start` returns once every service is ready. Before, there are no servers.

    Servers that the environment names (`KAFKA_BOOTSTRAP_SERVERS`, `SMTP_HOST`, the `<SERVICE>_DATABASE_URL`
    of all services) are used instead of started.
    """

    postgres: PostgresServer
    broker: TansuBroker | KafkaBroker
    mailbox: MailboxServer

    def __init__(self, options: StackOptions | None = None, say: Callable[[str], None] = print) -> None:
        self.options = options or StackOptions()
        self.portal: PortalServer | None = None
        self._parts: dict[str, LocalServer] = {}
        self._folder = Folder(self.options.directory, self.options.data)
        self._say = say
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(_THREADS)
        self._watcher: threading.Thread | None = None

    # ------------------------------------------------------------------------------------ what is where

    @property
    def directory(self) -> Path:
        return self._folder.path

    @property
    def kafka(self) -> str:
        return self._given("KAFKA_BOOTSTRAP_SERVERS") or self.broker.bootstrap_servers

    @property
    def broker_is_idempotent(self) -> bool:
        """Return whether a record that a producer repeats gets the offset of the first one."""
        return bool(self._given("KAFKA_BOOTSTRAP_SERVERS")) or not isinstance(self.broker, TansuBroker)

    def kafka_client(self, client_id: str) -> dict[str, Any]:
        if self._given("KAFKA_BOOTSTRAP_SERVERS"):
            return client_options(KafkaSettings(kafka_bootstrap_servers=self.kafka), client_id)
        return {"bootstrap_servers": self.kafka, "client_id": client_id}

    @property
    def smtp(self) -> tuple[str, int]:
        if host := self._given("SMTP_HOST"):
            return host, int(self._given("SMTP_PORT") or 25)
        return self.mailbox.smtp_host, self.mailbox.smtp_port

    @property
    def mailbox_url(self) -> str | None:
        return None if self._given("SMTP_HOST") else self.mailbox.url

    def _given(self, setting: str) -> str:
        return self.options.environment.get(setting, "")

    def database_url(self, service: str) -> str:
        return self._given(f"{service.upper()}_DATABASE_URL") or self.postgres.url(
            f"parcours_{service}", f"parcours_{service}"
        )

    def url(self, service: str) -> str:
        return self._processes(service)[0].url

    @property
    def token(self) -> str:
        return (self.directory / "demo-token").read_text().strip()

    def environment(self, service: str) -> dict[str, str]:
        # Settings for another broker or relay would make our own servers unreachable.
        ours = {"KAFKA_BOOTSTRAP_SERVERS": "KAFKA_", "SMTP_HOST": "SMTP_"}
        others = tuple(start for setting, start in ours.items() if not self._given(setting))
        given = {
            name: value
            for name, value in self.options.environment.items()
            if not name.startswith(others) and not name.endswith("_OPERATIONS_PORT")
        }
        host, port = self.smtp
        defaults = {
            "LOG_FORMAT": "console",
            "SMTP_SENDER": SENDER,
            "PUBLIC_CONTACT": CONTACT,
            "API_TOKENS_FILE": str(credentials.api_tokens_file(self.directory)),
            "LINK_SIGNING_KEY": credentials.link_signing_key(self.directory),
            "INTAKE_SIGNING_KEY": credentials.intake_signing_key(self.directory),
            "PARCOURS_TRIAL": "1",
        }
        if self.options.example_portal:
            registry = credentials.portals_file(self.directory, [PORTAL], issuer=PORTAL)
            defaults["PORTALS_FILE"] = str(registry)
        if self.portal is not None:
            defaults["PORTAL_URL"] = f"{self.portal.url}/sessions/{{session_id}}"
        for process in reversed(self.services):  # the first process of each service stays
            defaults[f"{process.service.upper()}_PUBLIC_URL"] = process.url
        return {
            **defaults,
            **given,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            f"{service.upper()}_DATABASE_URL": self.database_url(service),
            "SMTP_HOST": host,
            "SMTP_PORT": str(port),
            **({} if self._given("SMTP_HOST") else {"SMTP_TLS": "none"}),
        }

    def _environment_of_portal(self) -> dict[str, str]:
        """The portal gets nothing of the services' settings.

        If `PORTALS_FILE` has no entry for it, it is `essai`, unsigned.
        """
        given = self.environment("catalogue")
        key = credentials.signing_keys(Path(given["PORTALS_FILE"])).get(PORTAL)
        portal = {"PORTAL": PORTAL, "KEY_ID": key[0], "SECRET": key[1]} if key else {"PORTAL": "essai"}
        kept = {name: value for name, value in given.items() if name.startswith(("KAFKA_", "PATH", "PYTHON"))}
        return {
            **kept,
            **portal,
            "CATALOGUE_URL": self.url("catalogue"),
            "MAILBOX_URL": self.mailbox_url or "",
        }

    def description(self) -> dict[str, object]:
        return {
            "kafka": self.kafka,
            **{f"{service}_url": self.url(service) for service in SERVICES},
            **{
                f"{process.service}_operations_url": process.operations_url
                for process in reversed(self.services)  # the first process of each service stays
                if process.operations_port is not None
            },
            "portal_url": self.portal.url if self.portal else None,
            "smtp": "{}:{}".format(*self.smtp),
            "mailbox_url": self.mailbox_url,
            "mailbox_dir": str(self.mailbox.directory) if self.mailbox_url else None,
            **{f"{service}_database_url": self.database_url(service) for service in SERVICES},
            "pids": self.pids(),
        }

    def pids(self) -> dict[str, list[int]]:
        return {
            part: [
                server.pid
                for name, server in self._parts.items()
                if name.split()[0] == part and server.running()
            ]
            for part in ("portal", *_SERVERS, *SERVICES)
        }

    @property
    def services(self) -> list[LocalService]:
        # A copy, because a start adds parts in other threads.
        return [server for server in list(self._parts.values()) if isinstance(server, LocalService)]

    def _processes(self, service: str) -> list[LocalService]:
        return [process for process in self.services if process.service == service]

    # -------------------------------------------------------------------------------------- start, stop

    def start(self) -> Self:
        """Raises `LocalStackError` if a part fails, after stopping everything."""
        try:
            self._folder.take()
            self._folder.set_logs_aside()
            if self.options.fresh:
                self._folder.empty_data()
            self._in_parallel(*self._needed())
            self._in_parallel(self._create_topics, *(partial(self._migrate, service) for service in SERVICES))
            self._in_parallel(self._start_services, self._load_offer)
            self._say_what_moved()
            self._folder.describe(self.description())
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="stack-watcher", daemon=True)
        self._watcher.start()
        return self

    def stop(self) -> None:
        """Stop services and example portal, then mailbox, broker, Postgres.

        Safe to call twice, also after an interrupted call.
        """
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if not self._folder.taken:
            return
        self._folder.description.unlink(missing_ok=True)
        users = [server for part, server in list(self._parts.items()) if part not in _SERVERS]
        with ThreadPoolExecutor(_THREADS) as threads:  # an interrupted stop has closed those of the start
            list(threads.map(lambda server: server.stop(), users))
        self._threads.shutdown()  # the commands of an interrupted start end while their servers are there
        for part in _SERVERS:
            if part in self._parts:
                self._parts[part].stop()
        self._folder.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _needed(self) -> list[Callable[[], None]]:
        needed: list[Callable[[], None]] = []
        if not all(self._given(f"{service.upper()}_DATABASE_URL") for service in SERVICES):
            needed.append(self._start_postgres)
        if not self._given("KAFKA_BOOTSTRAP_SERVERS"):
            needed.append(self._start_broker)
        if not self._given("SMTP_HOST"):
            needed.append(self._start_mailbox)
        return needed

    def _start_postgres(self) -> None:
        data, log = self._folder.data / "postgres", self._folder.log("postgres")
        server = PostgresServer(data, durable=not self.options.fresh, log_file=log)
        self.postgres = self._start("postgres", server)
        for service in SERVICES:
            self.postgres.create_database(f"parcours_{service}")

    def _start_broker(self) -> None:
        self.broker = self._start_on_a_port("kafka", KAFKA_PORT, self.new_broker)

    def new_broker(self, port: int) -> TansuBroker | KafkaBroker:
        """Return a broker that is not started yet."""
        log = self._folder.log("kafka")
        if self.options.broker == "kafka":
            return KafkaBroker(self._folder.data / "kafka", port, log)
        return TansuBroker(port, log)

    def _start_mailbox(self) -> None:
        def mailbox(port: int) -> MailboxServer:
            page, log = standard_or_free(MAILBOX_PORT), self._folder.log("mailbox")
            return MailboxServer(self._folder.path / "mailbox", port, page, log)

        self.mailbox = self._start_on_a_port("mailbox", SMTP_PORT, mailbox)

    def _create_topics(self) -> None:
        run_command("catalogue", "topics", "create", env=self.environment("catalogue"))

    def _migrate(self, service: str) -> None:
        run_command(service, "migrate", env=self.environment(service))

    def _load_offer(self) -> None:
        if self.options.offer_day is not None:
            as_of = self.options.offer_day(self.directory).isoformat()
            env = self.environment("catalogue")
            self._say(run_command("catalogue", "load-offer", "--as-of", as_of, env=env))

    def _start_services(self) -> None:
        for service in SERVICES:
            operations = self._given(f"{service.upper()}_OPERATIONS_PORT")
            for number in range(1, self.options.scale.get(service, 1) + 1):
                port = standard_or_free(STANDARD_PORTS[service]) if number == 1 else free_port()
                process = LocalService(service, number, port, self._folder.log(service, number))
                if operations:
                    process.operations_port = int(operations) if number == 1 else free_port()
                self._parts[process.title] = process
        if self.options.example_portal:
            directory, log = self._folder.path / "portal", self._folder.log("portal")
            environment = self._environment_of_portal()
            self.portal = self._start_on_a_port(
                "portal", PORTAL_PORT, lambda port: PortalServer(directory, port, environment, log)
            )
        self._in_parallel(*(partial(self._start_service, process) for process in self.services))

    def _start_service(self, process: LocalService) -> None:
        def on_port(port: int) -> LocalService:
            process.port = port
            process.env = self.environment(process.service)
            return process

        self._start_on_a_port(process.title, process.port, on_port)

    def _start_on_a_port(self, part: str, standard: int, make: Callable[[int], S]) -> S:
        """Try another port once if another process took the port meanwhile."""
        port = standard_or_free(standard)
        try:
            return self._start(part, make(port))
        except LocalStackError:
            if is_free(port):
                raise
            return self._start(part, make(free_port()))

    def _start(self, part: str, server: S) -> S:
        """Raises `LocalStackError` if the stack is being stopped."""
        if not self._stopping.is_set():
            self._parts[part] = server
            server.start()
        if self._stopping.is_set():
            server.stop()  # `Stack.stop` may have come before the process existed
            raise LocalStackError(f"{server.title} is not started any more")
        return server

    def _in_parallel(self, *work: Callable[[], object]) -> None:
        """Once all have ended, raise the first error."""
        running = [self._threads.submit(start) for start in work]
        wait(running)
        for part in running:
            part.result()

    def _say_what_moved(self) -> None:
        """The documentation names the standard ports, so print the others."""
        ports = {service: (STANDARD_PORTS[service], self._processes(service)[0].port) for service in SERVICES}
        if "kafka" in self._parts:
            ports["Kafka"] = KAFKA_PORT, self.broker.port
        if "mailbox" in self._parts:
            ports["SMTP"] = SMTP_PORT, self.mailbox.smtp_port
            ports["the mailbox's page"] = MAILBOX_PORT, self.mailbox.http_port
        if self.portal is not None:
            ports["the example portal"] = PORTAL_PORT, self.portal.port
        for name, (standard, port) in ports.items():
            if port != standard:
                self._say(f"Port {standard} is in use by another program: {name} is at {port} instead.")

    # ---------------------------------------------------------------------------------------- watching

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            with contextlib.suppress(OSError):  # a full disk must not end the watching
                events = [event for server in self._parts.values() for event in self._revive(server)]
                for event in events:
                    self._say(event)
                if events:
                    self._folder.describe(self.description())

    def _revive(self, server: LocalServer) -> Iterator[str]:
        try:
            if event := server.revive():
                yield event
            if event and isinstance(server, TansuBroker) and server.running():
                server.wait_until_ready()
                self._create_topics()
                yield (
                    "the embedded broker keeps nothing on disk: its records are gone; "
                    "`python -m services.<name> outbox replay --since …` publishes events again"
                )
        except LocalStackError as error:
            yield f"{server.title} could not be started again: {error}"
