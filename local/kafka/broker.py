"""Apache Kafka 4.3 (KRaft, one node) as a child process on 127.0.0.1.

Maven fetches its libraries once into `.local/kafka/libs`. The catalogue's `topics create` creates topics,
never this module.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

from local.children import Child
from local.failures import LocalStackError
from local.places import LOCAL
from local.ports import LOOPBACK, free_port, is_free
from local.readiness import kafka_answers, wait_for_port
from local.server import LocalServer

LIBRARIES = LOCAL / "kafka" / "libs"
_POM = Path(__file__).with_name("pom.xml")
_PROPERTIES = Path(__file__).with_name("server.properties")

_JAVA_OPTIONS = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dlog4j2.level=WARN",
)


def missing_tools() -> str | None:
    """Return None if Apache Kafka can run here."""
    needed = ["java"] if _libraries_are_there() else ["java", "mvn"]
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if not missing and (version := _version(_java_program())) < 17:
        missing = [f"java 17 (this is {version})"]
    if not missing:
        return None
    return (
        f"Apache Kafka needs Java 17 or later and, the first time, Maven; not found: {', '.join(missing)}. "
        "Install them (Debian: apt-get install openjdk-17-jre-headless maven) or use the embedded broker."
    )


class KafkaBroker(LocalServer):
    title = "Apache Kafka"
    start_seconds = 60.0
    grace_seconds = 20.0

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        log_file: Path | None = None,
        java_options: Sequence[str] = (),
    ) -> None:
        """Kafka creates its data in `directory`/data at the first start."""
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._controller_port = _controller_port(self.directory)
        self._log_file = log_file or self.directory / "kafka.log"
        self._java_options = java_options

    def start(self) -> Self:
        """Raises `LocalStackError` without Java or Maven, or if Kafka does not answer."""
        if (problem := missing_tools()) is not None:
            raise LocalStackError(problem)
        prepare()
        return super().start()

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Iterator["KafkaBroker"]:
        with (
            tempfile.TemporaryDirectory(prefix="parcours-test-kafka-") as directory,
            cls(Path(directory)).start() as broker,
        ):
            yield broker
            broker.kill()  # its data is no longer needed, and a stop would take seconds

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start_process(self) -> Child:
        wait_for_port(self.port, self.title)
        properties = self.directory / "server.properties"
        properties.write_text(self.properties())
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(properties)
        return Child.start(
            self.title,
            [*_java(), *self._java_options, "kafka.Kafka", properties],
            log_file=self._log_file,
            env=_environment(),
            cwd=self.directory,
        )

    def answers(self) -> bool:
        return self.child.listens_on(self.port) and kafka_answers(self.bootstrap_servers)

    def properties(self) -> str:
        data = self.directory / "data"
        return _PROPERTIES.read_text().format(
            host=LOOPBACK, port=self.port, controller_port=self._controller_port, data=data
        )

    def format_options(self) -> tuple[str, ...]:
        return ()

    def _format(self, properties: Path) -> None:
        cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        made = subprocess.run(
            [
                *_java(),
                "kafka.tools.StorageTool",
                "format",
                "--standalone",
                f"--cluster-id={cluster_id}",  # one word: an id that starts with "-" would read as an option
                f"--config={properties}",
                *self.format_options(),
            ],
            capture_output=True,
            text=True,
            env=_environment(),
            check=False,
        )
        if made.returncode != 0:
            output = (made.stderr or made.stdout).strip()
            raise LocalStackError(f"Kafka could not make its data in {self.directory}: {output}")


def prepare() -> None:
    if _libraries_are_there() and _archive().exists():
        return
    LIBRARIES.parent.mkdir(parents=True, exist_ok=True)
    with (LIBRARIES.parent / "libs.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _libraries_are_there():
            _fetch_libraries()
        if not _archive().exists():
            _archive_classes()


def _fetch_libraries() -> None:
    with tempfile.TemporaryDirectory(prefix="libs-", dir=LIBRARIES.parent) as draft:
        libraries = Path(draft) / "libs"
        fetched = subprocess.run(
            [
                *("mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"),
                f"-DoutputDirectory={libraries}",
                "-DincludeScope=runtime",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode != 0 or not libraries.is_dir():
            output = (fetched.stdout + fetched.stderr).strip().splitlines()
            reason = next((line for line in output if "ERROR" in line), "no reason given")
            raise LocalStackError(f"Maven could not fetch Apache Kafka (use the embedded broker): {reason}")
        (libraries / "pom.sha256").write_text(_pom_digest())
        if LIBRARIES.exists():
            shutil.rmtree(LIBRARIES)
        libraries.rename(LIBRARIES)


def _archive_classes() -> None:
    """Run a broker once to make its class archive, which makes each later start a third shorter."""
    with tempfile.TemporaryDirectory(prefix="classes-", dir=LIBRARIES.parent) as draft:
        archive = Path(draft) / "classes.jsa"
        broker = KafkaBroker(Path(draft), java_options=[f"-XX:ArchiveClassesAtExit={archive}"])
        LocalServer.start(broker)  # the archive is not prepared for the broker that makes it
        broker.stop()
        archive.touch()  # a Java that writes no archive is asked only once
        for old in LIBRARIES.parent.glob("classes-*.jsa"):
            old.unlink()
        archive.rename(_archive())


def _archive() -> Path:
    """Return the archive's path for this Java and these libraries. Java refuses an archive of others."""
    java = _java_program()
    changed = java.stat().st_mtime_ns if java.exists() else 0
    fits = sha256(f"{_pom_digest()} {java} {changed}".encode()).hexdigest()[:16]
    return LIBRARIES.parent / f"classes-{fits}.jsa"


def _java_program() -> Path:
    return Path(shutil.which("java") or "java").resolve()


def _version(java: Path) -> int:
    """Return the version in the file `release` of this Java, or 17 if there is no such file."""
    try:
        found = re.search(r'^JAVA_VERSION="(\d+)', (java.parent.parent / "release").read_text(), re.MULTILINE)
    except OSError:
        return 17
    return int(found[1]) if found else 17


def _libraries_are_there() -> bool:
    try:
        return (LIBRARIES / "pom.sha256").read_text() == _pom_digest()
    except OSError:
        return False


def _pom_digest() -> str:
    return sha256(_POM.read_bytes()).hexdigest()


def _controller_port(directory: Path) -> int:
    """The quorum stores the controller's address, so return the last port if it is free."""
    path = directory / "controller-port"
    try:
        port = int(path.read_text())
    except (OSError, ValueError):
        port = 0
    if not port or not is_free(port):
        port = free_port()
        path.write_text(str(port))
    return port


def _java() -> list[str]:
    archive = _archive()
    known = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() and archive.stat().st_size else []
    return ["java", *_JAVA_OPTIONS, *known, "-cp", f"{LIBRARIES}/*"]


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "JAVA_HOME", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}
