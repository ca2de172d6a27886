"""The archive of a local Postgres, by the scripts of ``deploy/backup`` that Compose runs."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from local import unprivileged
from local.children import Child
from local.postgres import PostgresServer
from tests.support.processes import ROOT


class Archive:
    """``folder`` is what the volume is to Compose. Its scripts run as the user of Postgres, as there."""

    def __init__(self, postgres: PostgresServer, folder: Path) -> None:
        self._postgres = postgres
        self._folder = folder
        self._account = unprivileged.account_for(None)
        self._receiver: Child | None = None
        shutil.copytree(ROOT / "deploy" / "backup", folder / "scripts")
        for part in (folder / "wal", folder / "base", folder / "temporary"):
            part.mkdir(mode=0o700)
            self._give(part)

    @property
    def data(self) -> Path:
        """The folder of Postgres."""
        return (self._postgres.directory / "data").resolve()

    def receive(self) -> None:
        """Receive WAL from now on; nothing is committed any more that has not been received."""
        (self._folder / "wal").mkdir(mode=0o700, exist_ok=True)
        self._give(self._folder / "wal")
        self._receiver = Child.start(
            "the archive",
            ["sh", self._folder / "scripts" / "archive.sh"],
            log_file=self._folder / "archive.log",
            env=self._environment(),
            cwd=Path("/"),
            account=self._account,
            stop_signal=signal.SIGINT,
        )
        self._postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'archive'")
        self._postgres.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        if self._receiver is not None:
            self._receiver.stop(10)
            self._receiver = None

    def back_up(self, kept_days: int = 30) -> None:
        """Make a base backup, and end what is older than so many days."""
        self._run("backup.sh", as_root=False, ARCHIVE_KEPT_DAYS=str(kept_days))

    def wal(self) -> set[str]:
        """The files of WAL that are whole."""
        return {path.name for path in (self._folder / "wal").iterdir() if not path.suffix}

    def put_aside(self) -> list[str]:
        """The folders of WAL that restores have put aside, in their order."""
        return sorted(path.name for path in self._folder.glob("wal.until-*"))

    def date_files(self, moment: datetime) -> None:
        """Let all files be of that moment, as after a copy that keeps no times."""
        for path in self._folder.rglob("*"):
            os.utime(path, (moment.timestamp(), moment.timestamp()))

    def lose_disk(self) -> None:
        """Remove the folder of a Postgres that is down."""
        shutil.rmtree(self.data)

    def bases(self) -> list[str]:
        """The moments of the base backups, in their order."""
        return sorted(path.name for path in (self._folder / "base").iterdir())

    def label(self, base: str) -> Path:
        """What says when this base backup began."""
        return self._folder / "base" / base / "backup_label"

    def restore_all(self, *options: str) -> None:
        """Put all back, into the folder of a Postgres that is down."""
        self._run("restore.sh", *options, "all", as_root=True)
        for path in [self.data, *self.data.rglob("*")]:
            self._give(path)

    def restore(self, database: str, *options: str) -> str:
        """Put one back, while Postgres runs. Returns what it prints."""
        return self._run("restore.sh", *options, database, as_root=False)

    def _run(self, script: str, *arguments: str, as_root: bool, **more: str) -> str:
        account = None if as_root else self._account
        done = subprocess.run(
            ["sh", str(self._folder / "scripts" / script), *arguments],
            env=self._environment() | more,
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            capture_output=True,
            text=True,
            check=False,
        )
        print("".join(f"        {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        binaries = unprivileged.installation(self._account) / "bin"
        return {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "ARCHIVE": str(self._folder),
            "PGDATA": str(self.data),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._postgres.port),
            "PGUSER": "postgres",
            "PGPASSWORD": str(urlsplit(self._postgres.url()).password),
            "TMPDIR": str(self._folder / "temporary"),
            "TZ": "UTC",
            "LC_ALL": "C",
        }

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)


@contextmanager
def an_archive(postgres: PostgresServer) -> Iterator[Archive]:
    """Give an archive, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="parcours-archive-", dir=unprivileged.OPEN_PLACE))
    folder.chmod(0o755)
    archive = Archive(postgres, folder)
    try:
        yield archive
    finally:
        archive.stop()
        shutil.rmtree(folder)
