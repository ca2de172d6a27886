"""Each portal of `examples/`, as its README has it run, against the service on a Kafka with rights."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner

from local.places import LOCAL, PROJECT
from local.readiness import wait_until
from shared.events.catalogue import SessionScheduled
from shared.events.portal import AgentCorrected
from tests.conftest import running_services
from tests.support.builders import a_question, headers, open_now
from tests.support.kafka import KafkaPortal, PublishedRecord, collect
from tests.support.lacking import lacking, program
from tests.support.secured_kafka import SecuredKafka

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

EXAMPLES = PROJECT / "examples"
SECRET = "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM="


def fetched(name: str, *commands: Sequence[str | Path]) -> Path:
    """A copy of an example below `.local`, with the packages that these commands fetch; made once."""
    folder = LOCAL / "examples" / name
    pinned = {path.name: path.read_bytes() for path in (EXAMPLES / name).iterdir() if path.is_file()}
    stamp = folder / ".fetched"
    wanted = hashlib.sha256(json.dumps([str(commands), *map(str, pinned.values())]).encode()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:  # another worker may fetch it at this moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for file, content in pinned.items():
                (folder / file).write_bytes(content)
            for command in commands:
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    wrong = (done.stderr or done.stdout)[-500:]
                    lacking(f"the packages of {name} could not be fetched: {wrong}")
            stamp.write_text(wanted)
    return folder


def python_aiokafka() -> list[str]:
    return [sys.executable, str(EXAMPLES / "python-aiokafka" / "portal.py")]  # whose version is the same


def python_confluent() -> list[str]:
    python = Path(".venv") / "bin" / "python"
    folder = fetched(
        "python-confluent",
        [sys.executable, "-m", "venv", ".venv"],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"],
    )
    return [str(folder / python), str(folder / "portal.py")]


def node() -> list[str]:
    runtime, npm = program("node", package="nodejs"), program("npm", package="npm")
    folder = fetched("node", [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"])
    return [runtime, str(folder / "portal.js")]


def java() -> list[str]:
    runtime, maven = program("java", package="default-jdk-headless"), program("mvn", package="maven")
    compiler = program("javac", package="default-jdk-headless")
    folder = fetched(
        "java",
        [maven, "-q", "dependency:copy-dependencies", "-DoutputDirectory=libs"],
        [compiler, "-cp", "libs/*", "Portal.java"],
    )
    return [
        runtime,
        "-XX:TieredStopAtLevel=1",
        "-cp",
        f"{folder}/libs/*:{folder}",
        "Portal",
    ]  # starts sooner


def shell() -> list[str]:
    for tool in ("curl", "jq", "openssl"):
        program(tool, package=tool)
    return [str(EXAMPLES / "shell" / "portal.sh")]


COMMANDS: Mapping[str, Callable[[], list[str]]] = {
    "python-aiokafka": python_aiokafka,
    "python-confluent": python_confluent,
    "node": node,
    "java": java,
    "shell": shell,
}


def entry(name: str) -> dict[str, Any]:
    """A portal of the registry: each example is one, with agents of its own."""
    return {
        "portal": name,
        "issuer": name,
        "contact": "equipe@portail.example",
        "keys": [{"id": "essai", "secret": SECRET}],
        "tokens": [{"sha256": hashlib.sha256(name.encode()).hexdigest()}],
        "answers": ["http"] if name == "shell" else ["kafka", "http"],
    }


@dataclass(frozen=True)
class Parcours:
    """Where portals find Kafka and the enrolment service."""

    kafka: SecuredKafka
    url: str

    def a_session_of_one_seat(self, **changes: Any) -> str:
        """Publish a session that offers its seat to the next in line; all are of one offer."""
        session = open_now(capacity=1, waiting_list="offer", **changes)
        head = headers(SessionScheduled.TYPE, source="/services/catalogue")
        record = str(session.session_id), head, session.model_dump_json().encode()

        async def publish() -> None:
            async with KafkaPortal(self.kafka.bootstrap_servers) as catalogue:
                await catalogue.send("catalogue.sessions", [record])

        asyncio.run(publish())
        return str(session.session_id)

    def published(self, topic: str, *ids: str) -> list[PublishedRecord]:
        """The requests with these ids."""

        def ours(found: list[PublishedRecord]) -> list[PublishedRecord]:
            return [record for record in found if record.id in ids]

        found = collect(self.kafka.bootstrap_servers, topic, lambda found: len(ours(found)) == len(ids))
        return ours(asyncio.run(found))


@pytest.fixture(scope="module")
def parcours(
    secured_kafka: SecuredKafka, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parcours]:
    """The enrolment service, which answers these portals."""
    folder = tmp_path_factory.mktemp("examples")
    registry = folder / "registry.json"
    registry.write_text(json.dumps([entry(name) for name in COMMANDS]))
    settings = secured_kafka.environment("parcours-enrolment")
    settings |= {"PORTALS_FILE": str(registry), "INTAKE_SIGNING_KEY": SECRET}
    with running_services(folder) as run:
        kafka = settings.pop("KAFKA_BOOTSTRAP_SERVERS")
        service = run("enrolment", new_database("enrolment"), kafka, **settings)
        yield Parcours(secured_kafka, service.url)


@dataclass
class Example:
    """An example's program, with its environment, and what it printed of what it heard."""

    command: list[str]
    environment: dict[str, str]
    output: Path

    def run(self, request: str, agent_id: str, **environment: str) -> str:
        """Run a command to its end; the ce_id that it prints."""
        done = subprocess.run(
            [*self.command, request],
            env={**self.environment, "AGENT_ID": agent_id, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return str(uuid.UUID(done.stdout.strip()))

    def heard(self) -> list[tuple[str, str | None, str]]:
        """Each answer whose line was printed whole: type, request, agent."""
        answers = []
        for line in self.output.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            kind, _, data = line.partition(" ")
            answer = json.loads(data)
            answers.append((kind.split(".")[3], answer["request_id"], answer["agent"]["agent_id"]))
        return answers

    def wait_for(self, *expected: tuple[str, str | None, str]) -> None:
        """Return once the answers are heard."""
        wait_until(
            lambda: set(expected) <= set(self.heard()), seconds=90, what=f"{expected}, after {self.heard()},"
        )


@contextmanager
def listening(command: list[str], environment: dict[str, str], output: Path) -> Iterator[Example]:
    """An example that listens until the end, and must not end before."""
    with output.open("wb") as file, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, "hear"], env=environment, stdout=file, stderr=errors, start_new_session=True
        )
        try:
            yield Example(command, environment, output)
            if process.poll() is not None:
                errors.seek(0)
                pytest.fail(errors.read().decode())
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the curl of the shell too
            process.wait()


@pytest.fixture(scope="module", params=COMMANDS)
def listener(
    request: pytest.FixtureRequest, parcours: Parcours, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Example]:
    """An example that listens through all its tests: a group waits long for a member that was killed."""
    name = request.param
    logged_in = parcours.kafka.environment(f"portal-{name}")
    del (
        logged_in["KAFKA_SASL_MECHANISM"],
        logged_in["KAFKA_SECURITY_PROTOCOL"],
    )  # the examples have no such variables
    environment = {
        **os.environ,
        **logged_in,
        "ENROLMENT_URL": parcours.url,
        "TOKEN": name,
        "PORTAL": name,
        "KEY_ID": "essai",
        "SECRET": SECRET,
    }
    with listening(COMMANDS[name](), environment, tmp_path_factory.mktemp(name) / "heard") as example:
        yield example


@pytest.fixture
def example(listener: Example, parcours: Parcours) -> Example:
    """An example that listens, and asks for the seat of a new session."""
    session = {"SESSION_ID": parcours.a_session_of_one_seat()}
    return replace(listener, environment=listener.environment | session)


def test_an_example_logs_in_makes_each_request_and_hears_each_answer(
    example: Example, parcours: Parcours
) -> None:
    enrolled = example.run("ask", "EX-1")
    example.wait_for(("AgentEnrolled", enrolled, "EX-1"))
    waiting = example.run("ask", "EX-2")
    example.wait_for(("AgentWaitlisted", waiting, "EX-2"))
    there = parcours.a_session_of_one_seat(
        questions=[a_question("repas", "choice", required=True), a_question("train", "yes_no", required=True)]
    )
    answers = [{"question_id": "repas", "value": "végétarien"}, {"question_id": "train", "value": True}]
    moved = example.run("move", "EX-1", TO_SESSION_ID=there, ANSWERS=json.dumps(answers))
    example.wait_for(("AgentEnrolled", moved, "EX-1"), ("SeatOffered", None, "EX-2"))
    withdrawn = example.run("withdraw", "EX-1", SESSION_ID=there)
    example.wait_for(("EnrolmentWithdrawn", withdrawn, "EX-1"))
    accepted = example.run("accept", "EX-2")
    declined = example.run("decline", "EX-2")  # an accepted offer cannot be declined any more
    example.wait_for(("EnrolmentRefused", declined, "EX-2"))
    assert [answer[:2] for answer in example.heard() if answer[2] == "EX-2"] == [
        ("AgentWaitlisted", waiting),
        ("SeatOffered", None),
        ("AgentEnrolled", accepted),
        ("EnrolmentRefused", declined),
    ]
    for request in parcours.published("portal.enrolments", enrolled, moved, withdrawn):
        partition = DefaultPartitioner()  # aiokafka's, which is Java's
        assert request.key == request.data["session_id"]
        assert request.partition == partition(request.key.encode(), list(range(12)), list(range(12)))
    corrected = without_login(example, parcours.kafka).run("correct", "EX-1", EMAIL="zoe@nouvelle-ville.fr")
    [request] = parcours.published("portal.agents", corrected)
    assert request.key == "EX-1"
    assert AgentCorrected.model_validate(request.data).email == "zoe@nouvelle-ville.fr"


def without_login(example: Example, kafka: SecuredKafka) -> Example:
    """The same at the listener of Kafka that is open, as in a trial."""
    others = {name: value for name, value in example.environment.items() if not name.startswith("KAFKA_")}
    return replace(example, environment=others | {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers})


def failed(command: list[str], **environment: str) -> str:
    """Run an example that must fail and print nothing. Returns its errors."""
    inherited = {name: value for name, value in os.environ.items() if name != "ENROLMENT_URL"}
    done = subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_corrects_nothing_without_an_address(name: str) -> None:
    errors = failed(
        [*COMMANDS[name](), "correct"],
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        ENROLMENT_URL="http://127.0.0.1:1",
        TOKEN=name,
        PORTAL=name,
        KEY_ID="essai",
        SECRET=SECRET,
    )
    assert "EMAIL: the address from now on" in errors


def test_the_shell_says_why_it_is_refused(parcours: Parcours) -> None:
    errors = failed(
        [*shell(), "ask"], ENROLMENT_URL=parcours.url, TOKEN="shell", PORTAL="node", SESSION_ID="x"
    )
    assert '"code":"not_authenticated"' in errors


def test_the_shell_does_not_listen_without_an_address() -> None:
    assert "ENROLMENT_URL: where Parcours is" in failed([*shell(), "hear"])


def test_openssl_makes_the_signature_that_the_contract_says() -> None:
    """docs/portals.md."""
    done = subprocess.run(
        [
            *shell(),
            "sign",
            "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11",
            "fr.cnfpt.portal.WithdrawalRequested.v1",
            "2026-11-25T08:30:00Z",
        ],
        env={**os.environ, "PORTAL": "iel", "KEY_ID": "2026-11", "SECRET": SECRET},
        input='{"session_id":"6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11","agent_id":"IEL-0048151"}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "v1,kLlrbAPvxvGcaSwpm+f4kE6oitj09AtRuiFnKFeyNm4="
