"""The whole system as child processes: started in order, watched, started again, stopped in order.

Owns the order and the watching; each part knows how it is started and stopped. Parts that the environment
names (`KAFKA_BOOTSTRAP_SERVERS`, `<SERVICE>_DATABASE_URL`, `SMTP_HOST`) are used instead of started.
"""

import contextlib
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Protocol, Self, TypeVar
from urllib.parse import urlsplit

from local import credentials, unprivileged
from local.failures import LocalStackError
from local.kafka import KafkaBroker
from local.mailbox import MailboxServer
from local.places import LOCAL
from local.ports import free_port, is_free, standard_or_free
from local.postgres import PostgresServer
from local.services import SERVICES, STANDARD_PORTS, ServiceProcess, run_command
from local.tansu import TansuBroker

READY_SECONDS = 120.0
STOP_SECONDS = 20.0
KAFKA_PORT, SMTP_PORT, MAILBOX_PORT = 9092, 1025, 8025

P = TypeVar("P")
BrokerKind = Literal["embedded", "kafka"]


class Part(Protocol):
    """A server of the stack that is not one of the services."""

    @property
    def pid(self) -> int: ...
    def running(self) -> bool: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...


CONTACT = "formations@cnfpt.example"
SENDER = f"CNFPT Formations <{CONTACT}>"


@dataclass(frozen=True)
class StackOptions:
    """What to start, and where.

    `data` holds the databases and Kafka's records (default: `directory`); everything else is in `directory`.
    `fresh` empties `data` first, which must then be a folder of its own.
    `extra` is added to the services' environment. `environment` stands in for the process's own, for tests.
    """

    broker: BrokerKind = "embedded"
    scale: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))
    directory: Path = LOCAL
    data: Path | None = None
    fresh: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Stack:
    """The running system; a context manager. `start` returns once every service is ready."""

    def __init__(self, options: StackOptions | None = None, say: Callable[[str], None] = print) -> None:
        self.options = options or StackOptions()
        self.directory = self.options.directory.absolute()
        self.postgres: PostgresServer | None = None
        self.broker: TansuBroker | KafkaBroker | None = None
        self.mailbox: MailboxServer | None = None
        self.services: list[ServiceProcess] = []
        self._say = say
        self._lock: IO[str] | None = None
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    # ------------------------------------------------------------------------------------ what is where

    @property
    def kafka(self) -> str:
        """The broker's bootstrap servers."""
        if self.broker is not None:
            return self.broker.bootstrap_servers
        return self.options.environment["KAFKA_BOOTSTRAP_SERVERS"]

    @property
    def smtp(self) -> tuple[str, int]:
        """Where mails are handed over."""
        if self.mailbox is not None:
            return self.mailbox.smtp_host, self.mailbox.smtp_port
        environment = self.options.environment
        return environment["SMTP_HOST"], int(environment.get("SMTP_PORT", "25"))

    def database_url(self, service: str) -> str:
        """The URL of a service's database, with its role and password."""
        given = self.options.environment.get(_database_variable(service))
        if given:
            return given
        if self.postgres is None:
            raise LocalStackError("Postgres is not running")
        return self.postgres.url(f"parcours_{service}", f"parcours_{service}")

    def url(self, service: str) -> str:
        """The address of a service's first process."""
        return next(process.url for process in self.services if process.service == service)

    @property
    def token(self) -> str:
        """The demonstration's bearer token for the services' APIs."""
        return (self.directory / "demo-token").read_text().strip()

    def environment(self, service: str) -> dict[str, str]:
        """The settings of a service's process, its port aside."""
        env = dict(self.options.environment)
        if self.broker is not None:
            # A security setting meant for another broker would make ours unreachable.
            env = {name: value for name, value in env.items() if not name.startswith("KAFKA_")}
        if self.mailbox is not None:
            env = {name: value for name, value in env.items() if not name.startswith("SMTP_")}
            env["SMTP_TLS"] = "none"
        host, port = self.smtp
        defaults = {
            "LOG_FORMAT": "console",
            "SMTP_SENDER": SENDER,
            "PUBLIC_CONTACT": CONTACT,
            "API_TOKENS_FILE": str(credentials.api_tokens_file(self.directory)),
            "LINK_SIGNING_KEY": credentials.link_signing_key(self.directory),
        }
        for process in reversed(self.services):  # the first of each stays
            defaults[f"{process.service.upper()}_PUBLIC_URL"] = process.url
            if process.service == "enrolment":  # the desk that takes requests stands in for a portal
                defaults["PORTAL_URL"] = f"{process.url}/docs?session={{session_id}}#/requests"
        return {
            **defaults,
            **env,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            _database_variable(service): self.database_url(service),
            "SMTP_HOST": host,
            "SMTP_PORT": str(port),
            **self.options.extra,
        }

    def description(self) -> dict[str, object]:
        """What `.local/stack.json` says."""
        host, port = self.smtp
        return {
            "kafka": self.kafka,
            **{f"{service}_url": self.url(service) for service in SERVICES},
            "smtp": f"{host}:{port}",
            "mailbox_url": self.mailbox.url if self.mailbox else None,
            "mailbox_dir": str(self.mailbox.directory) if self.mailbox else None,
            **{f"{service}_database_url": self.database_url(service) for service in SERVICES},
            "pids": self.pids(),
        }

    def pids(self) -> dict[str, list[int]]:
        """The living processes of each part; none for a part that the environment gave."""
        return {
            **{name: [part.pid] if part and part.running() else [] for name, part in self._parts()},
            **{
                service: [
                    process.child.pid
                    for process in self.services
                    if process.service == service and process.child is not None and process.child.running()
                ]
                for service in SERVICES
            },
        }

    # -------------------------------------------------------------------------------------- start, stop

    def start(self) -> Self:
        """Start everything. Raises `LocalStackError`, with everything stopped again, when a part fails."""
        try:
            self._take_folder()
            self._set_logs_aside()
            if self.options.fresh:
                self._empty_data()
            self._start_parts()
            self._prepare()
            self._start_services()
            self._tell_what_moved()
            self._write_description()
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="stack-watcher", daemon=True)
        self._watcher.start()
        return self

    def stop(self) -> None:
        """Stop in order: services, mailbox, broker, Postgres. Safe to call twice."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self._lock is None:
            return
        (self.directory / "stack.json").unlink(missing_ok=True)
        living = [process.child for process in self.services if process.child is not None]
        for child in living:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in living:
            child.stop(grace_seconds=max(0.1, deadline - time.monotonic()))
        for _, part in reversed(self._parts()):
            if part is not None:
                part.stop()
        self._lock.close()
        self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def load_offer(self, as_of: str) -> str:
        """Load the offer, moved so that its day `as_of` (YYYY-MM-DD) is today; return what was said."""
        return run_command("catalogue", "load-offer", "--as-of", as_of, env=self.environment("catalogue"))

    def _take_folder(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / "lock").open("a+")
        except OSError as error:
            raise LocalStackError(
                f"{self.directory} cannot be written ({error.strerror}): "
                "it may belong to another user who ran the stack; run as that user or remove it"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "?"
            lock.close()
            raise LocalStackError(
                f"another stack runs in this folder (process {owner}): stop it with Ctrl-C or kill {owner}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        (self.directory / "stack.json").unlink(missing_ok=True)  # of one that was killed

    def _set_logs_aside(self) -> None:
        """Logs tell of one run; those of the run before are in `logs/previous`."""
        previous = self.directory / "logs" / "previous"
        shutil.rmtree(previous, ignore_errors=True)
        previous.mkdir(parents=True)
        for log in previous.parent.glob("*.log"):
            log.rename(previous / log.name)

    def _empty_data(self) -> None:
        if self._data() == self.directory:
            raise ValueError("a fresh stack needs a data folder of its own")
        remove_data(self._data())

    def _start_parts(self) -> None:
        given = self.options.environment
        starts: list[Callable[[], None]] = []
        if not all(given.get(_database_variable(service)) for service in SERVICES):
            starts.append(self._start_postgres)
        if not given.get("KAFKA_BOOTSTRAP_SERVERS"):
            starts.append(self._start_broker)
        if not given.get("SMTP_HOST"):
            starts.append(self._start_mailbox)
        with ThreadPoolExecutor(max_workers=3) as pool:
            started = [pool.submit(start) for start in starts]
        for one in started:
            one.result()

    def _start_postgres(self) -> None:
        self.postgres = PostgresServer.start(self._data() / "postgres", log_file=self._log("postgres"))
        for service in SERVICES:
            if not self.options.environment.get(_database_variable(service)):
                self.postgres.create_database(f"parcours_{service}")

    def _start_broker(self) -> None:
        log = self._log("kafka")

        def start(port: int) -> TansuBroker | KafkaBroker:
            if self.options.broker == "kafka":
                return KafkaBroker.start(self._data() / "kafka", port, log_file=log)
            return TansuBroker.start(port, log_file=log)

        self.broker = _on_a_port(KAFKA_PORT, start)

    def _start_mailbox(self) -> None:
        def start(port: int) -> MailboxServer:
            page = standard_or_free(MAILBOX_PORT)
            return MailboxServer.start(self.directory / "mailbox", port, page, log_file=self._log("mailbox"))

        self.mailbox = _on_a_port(SMTP_PORT, start)

    def _prepare(self) -> None:
        """Create the topics and migrate the databases; each is a process, so all at once."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            done = [pool.submit(self._create_topics)]
            done += [
                pool.submit(run_command, service, "migrate", env=self.environment(service))
                for service in SERVICES
            ]
        for one in done:
            one.result()

    def _create_topics(self) -> str:
        return run_command("catalogue", "topics", "create", env=self.environment("catalogue"))

    def _start_services(self) -> None:
        for service in SERVICES:
            for number in range(1, self.options.scale.get(service, 1) + 1):
                port = standard_or_free(STANDARD_PORTS[service]) if number == 1 else free_port()
                log = self._log(service, number)
                self.services.append(ServiceProcess(service, number, port, {}, log))
        for process in self.services:
            process.env = self.environment(process.service)
            process.start()
        for process in self.services:
            try:
                process.wait_until_ready(READY_SECONDS)
            except LocalStackError:
                if is_free(process.port):
                    raise
                # Between our look and its bind, seconds later, another stack on this machine took the port.
                process.port = free_port()
                process.env = self.environment(process.service)
                process.start()
                process.wait_until_ready(READY_SECONDS)

    def _tell_what_moved(self) -> None:
        """Say what is not at the port where everything written about the stack has it."""
        found: dict[str, tuple[int, int]] = {}
        if self.broker is not None:
            found["Kafka"] = KAFKA_PORT, urlsplit(f"//{self.broker.bootstrap_servers}").port or 0
        if self.mailbox is not None:
            found["SMTP"] = SMTP_PORT, self.mailbox.smtp_port
            found["the mailbox's page"] = MAILBOX_PORT, urlsplit(self.mailbox.url).port or 0
        for service in SERVICES:
            found[service] = STANDARD_PORTS[service], urlsplit(self.url(service)).port or 0
        for name, (standard, port) in found.items():
            if port != standard:
                self._say(f"Port {standard} is in use by another program: {name} is at {port} instead.")

    # ---------------------------------------------------------------------------------------- watching

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            with contextlib.suppress(OSError):  # a full disk must not end the watching
                told = [*self._revive_parts(), *filter(None, (each.revive() for each in self.services))]
                for line in told:
                    self._say(line)
                if told:
                    self._write_description()

    def _revive_parts(self) -> Iterator[str]:
        for name, part in self._parts():
            if part is None or part.running():
                continue
            yield f"{name} ended; it is started again, log: {self._log(name)}"
            try:
                part.restart()
                if isinstance(part, TansuBroker):
                    self._create_topics()
                    yield (
                        "the embedded broker keeps nothing on disk: its records are gone; "
                        "`python -m services.<name> outbox replay --since …` publishes events again"
                    )
            except LocalStackError as error:
                yield f"{name} could not be started again: {error}"
                self._stopping.wait(2)

    def _parts(self) -> list[tuple[str, Part | None]]:
        return [("postgres", self.postgres), ("kafka", self.broker), ("mailbox", self.mailbox)]

    def _write_description(self) -> None:
        with self._changing:
            text = json.dumps(self.description(), indent=2)
            credentials.write_privately(self.directory / "stack.json", text + "\n")

    def _data(self) -> Path:
        return (self.options.data or self.directory).absolute()

    def _log(self, part: str, number: int = 1) -> Path:
        return self.directory / "logs" / f"{part}-{number}.log"


def remove_data(data: Path) -> None:
    """Remove the databases and records of a stack that is stopped, wherever they are."""
    unprivileged.remove_data(data / "postgres")
    shutil.rmtree(data, ignore_errors=True)


def _on_a_port(standard: int, start: Callable[[int], P]) -> P:
    """Start a part on its standard port or a free one; once more when somebody took the port meanwhile."""
    port = standard_or_free(standard)
    try:
        return start(port)
    except LocalStackError:
        if is_free(port):
            raise
        return start(free_port())


def _database_variable(service: str) -> str:
    return f"{service.upper()}_DATABASE_URL"
