"""A service process: what it says when it cannot run, how it stops, what it tells, and when it gives up."""

import asyncio
import json
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

import shared.process
from local.kafka import KafkaBroker
from local.ports import free_port
from local.postgres import PostgresServer
from services.enrolment.definition import DEFINITION
from shared.cli.running import run
from shared.cli.service import service_cli
from shared.database import Database
from shared.messaging import faststream
from shared.process import CannotRun
from tests.conftest import Eventually, RunService, settings_of
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal
from tests.support.otlp import Collector, collecting
from tests.support.processes import ROOT, run_cli

NOWHERE = "127.0.0.1:1"
TRY_OUT_TOKENS = ROOT / "deploy" / "try-out-tokens.json"
TRY_OUT_PORTALS = ROOT / "deploy" / "try-out-portals.json"


Environment = Mapping[str, str | None]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command of the service inside this process; return the one line that it ends with."""

    def run_command(changes: Environment, *command: str) -> str:
        database = {"ENROLMENT_DATABASE_URL": f"postgresql://x@{NOWHERE}/x"}
        given = settings_of("enrolment", "", NOWHERE) | database | {"ENROLMENT_PORT": str(free_port())}
        for name, value in {**given, **changes}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["parcours", *(command or ("serve",))])
        monkeypatch.setattr("shared.cli.service.configure_logging", lambda *_: None)
        monkeypatch.setattr(shared.process, "tune_gc", lambda: None)
        with pytest.raises(SystemExit) as ended:
            run(service_cli(DEFINITION))
        assert ended.value.code not in (0, None)
        printed = capsys.readouterr().err
        assert "Traceback" not in printed
        [line] = [line for line in printed.splitlines() if line.startswith("parcours: ")]
        return line

    return run_command


# ------------------------------------------------------------------------------ what is wrong, in one line

OUTSIDE_A_TRIAL = {"PARCOURS_TRIAL": "0"}
WRONG_SETTINGS: list[tuple[Environment, str]] = [
    ({"ENROLMENT_DATABASE_URL": None}, "ENROLMENT_DATABASE_URL is not set"),
    ({"KAFKA_BOOTSTRAP_SERVERS": None}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ({"ENROLMENT_DATABASE_URL": ""}, "ENROLMENT_DATABASE_URL is not a database URL"),
    ({"ENROLMENT_DATABASE_URL": "mysql://x/y"}, "only PostgreSQL is supported"),
    ({"ENROLMENT_PORT": "99999"}, "ENROLMENT_PORT"),
    ({"KAFKA_BOOTSTRAP_SERVERS": "kafka:nine"}, "'kafka:nine', which is not host:port"),
    ({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092,"}, "'', which is not host:port"),
    (
        {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", **OUTSIDE_A_TRIAL},
        "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT sends personal data",
    ),
    (
        {"ENROLMENT_DATABASE_URL": "postgresql://x@db/x", **OUTSIDE_A_TRIAL},
        "accept it by UNPROTECTED_ACCEPTED=database",
    ),
    ({"PORTALS_FILE": "/nowhere.json"}, "PORTALS_FILE /nowhere.json cannot be read"),
    ({"INTAKE_SIGNING_KEY": "secret"}, "INTAKE_SIGNING_KEY a secret begins with whsec_"),
    ({"KAFKA_CA_FILE": "/nowhere.pem"}, "KAFKA_CA_FILE"),
    ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    ({"SECURITY_CONTACT": "nobody"}, "SECURITY_CONTACT is not an address such as"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG_SETTINGS)
def test_a_missing_or_wrong_setting_is_named(
    ends: Callable[..., str], changes: Environment, expected: str
) -> None:
    assert expected in ends(changes)


@pytest.mark.parametrize(("trial", "is_said"), [("0", True), ("1", False)])
def test_a_service_says_at_its_start_what_others_on_the_network_may_read(
    ends: Callable[..., str], caplog: pytest.LogCaptureFixture, trial: str, is_said: bool
) -> None:
    nowhere = "postgresql://x@127.0.0.2:1/x"
    ends({"ENROLMENT_DATABASE_URL": nowhere, "PARCOURS_TRIAL": trial, "UNPROTECTED_ACCEPTED": "database"})
    assert ("may read, or answer, what is sent to: the database" in caplog.text) == is_said


def test_a_port_that_cannot_be_used_is_named(ends: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        line = ends({"ENROLMENT_PORT": port})
    assert f"Port {port} on 127.0.0.1 cannot be used (Address already in use)" in line
    assert "ENROLMENT_PORT" in line


def test_a_database_that_cannot_be_used_is_named_without_its_password(
    ends: Callable[..., str], postgres: PostgresServer
) -> None:
    line = ends({"ENROLMENT_DATABASE_URL": f"postgresql://someone:secret@{NOWHERE}/seats"})
    assert f"someone:***@{NOWHERE}/seats cannot be used" in line
    wrong = f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres"
    assert "password authentication failed" in ends({"ENROLMENT_DATABASE_URL": wrong})
    empty = {"ENROLMENT_DATABASE_URL": postgres.fresh_database()}
    for command in (("serve",), ("dead-letters", "list")):
        assert "migrate' first" in ends(empty, *command)


def test_an_unreachable_kafka_is_named_with_the_setting(ends: Callable[..., str], enrolment_url: str) -> None:
    environment = settings_of("enrolment", enrolment_url, NOWHERE) | {"ENROLMENT_PORT": str(free_port())}
    served = run_cli("enrolment", "serve", environment=environment | {"LOG_FORMAT": "json"})
    *_, as_json = map(json.loads, served.stderr.splitlines())  # a line like any other
    line = ends({"ENROLMENT_DATABASE_URL": enrolment_url}, "topics", "create")
    for said in (line, as_json["message"]):
        assert "Kafka" in said
        assert said.endswith("KAFKA_BOOTSTRAP_SERVERS is right.")


# ------------------------------------------------------------------------------------------ while it runs


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as client:
        return await client.get(url)


async def has(url: str, *parts: str) -> bool:
    """Whether this is there, with these parts in it."""
    answer = await get(url)
    return answer.status_code == 200 and all(part in answer.text for part in parts)


def session_record(session: Any) -> tuple[str, Any, bytes]:
    return (
        str(session.session_id),
        headers("fr.cnfpt.catalogue.SessionScheduled.v1", source="/services/catalogue"),
        session.model_dump_json().encode(),
    )


def request_record(session: Any) -> tuple[str, Any, bytes]:
    return (
        str(session.session_id),
        [*headers("fr.cnfpt.portal.EnrolmentRequested.v1"), ("traceparent", TRACED)],
        as_json(enrolment_request(session.session_id, an_agent())),
    )


TRACED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


async def files_with_mistakes_are_told(metrics: str, folder: Path, eventually: Eventually) -> None:
    """By metrics, before anybody needs them; and what may be rejected is counted from 0."""
    rejected = 'parcours_requests_rejected_total{code="invalid",portal="exemple",topic="portal.enrolments"}'
    assert await has(metrics, f"\n{rejected} 0.0\n")
    files = [folder / "tokens.json", folder / "portals.json"]
    before = [file.read_text() for file in files]
    for valid, contents in ((0, ["[", "["]), (1, before)):
        for file, content in zip(files, contents, strict=True):
            file.write_text(content)
        lines = [f"\nparcours_{file.stem}_file_valid {valid}.0\n" for file in files]
        await eventually(partial(has, metrics, *lines), f"{lines}")


async def test_a_service_tells_its_health_metrics_and_contracts_and_drains_on_sigterm(
    *,
    kafka: KafkaBroker,
    enrolment_url: str,
    database: Database,
    run_service: RunService,
    eventually: Eventually,
    collector: Collector,
    tmp_path: Path,
) -> None:
    service = run_service(
        "enrolment",
        enrolment_url,
        kafka.bootstrap_servers,
        API_TOKENS_FILE=str(shutil.copy(TRY_OUT_TOKENS, tmp_path / "tokens.json")),
        PORTALS_FILE=str(shutil.copy(TRY_OUT_PORTALS, tmp_path / "portals.json")),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_TRACES_SAMPLER_ARG="0.01",
        SECURITY_CONTACT="securite@cnfpt.example",
        LOG_FORMAT="json",
        LOG_LEVEL="DEBUG",
    )
    metrics, of_topic = f"{service.url}/metrics", 'topic="portal.enrolments"'

    assert await has(f"{service.url}/health/live")
    assert await has(f"{service.url}/health/ready")
    await eventually(partial(has, f"{service.url}/health/consuming"), "each partition is read")
    nothing_waits = f"parcours_consumer_lag_records{{{of_topic}}} 0.0"
    await eventually(partial(has, metrics, nothing_waits), "what other tests left there is read")
    owned = f"parcours_consumer_owned_partitions{{{of_topic}}} 12.0"
    assert await has(metrics, "parcours_consuming 1.0", owned)
    contact = "Contact: mailto:securite@cnfpt.example\n"
    assert await has(f"{service.url}/.well-known/security.txt", contact)
    assert (await get(f"{service.url}/asyncapi")).json()["asyncapi"] == "3.0.0"
    unknown = await get(f"{service.url}/nowhere")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    await files_with_mistakes_are_told(metrics, tmp_path, eventually)

    # Now work, and a stop in the middle of it.
    session = open_now(capacity=None)
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [session_record(session)])
        await portal.send("portal.enrolments", [request_record(session) for _ in range(1_500)])

    async def begun() -> bool:
        async with database.quiet_transaction() as tx:
            return bool(await tx.scalar(text("SELECT count(*) FROM request WHERE decided_at IS NOT NULL")))

    await eventually(begun, "the first are answered")
    code = await asyncio.to_thread(service.terminate)

    log = service.log.read_text()
    assert code == 0, log
    assert "Traceback" not in log
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    for beginning in ("GET /asyncapi: 200 in ", "portal.enrolments: a batch of "):
        assert any(message.startswith(beginning) for message in messages)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")) == 0
        taken = await tx.scalar(text("SELECT count(*) FROM request"))
    assert taken > 0
    assert {span.service for span in collector.spans} <= {"parcours-enrolment"}
    assert 0 < len(collector.named("process portal.enrolments")) <= 100 + taken / 100


async def test_a_service_is_not_ready_while_its_database_is_gone_but_lives_on(
    *,
    kafka: KafkaBroker,
    new_database: Callable[[str], str],
    run_service: RunService,
    postgres: PostgresServer,
    eventually: Eventually,
) -> None:
    url = new_database("enrolment")
    service = run_service("enrolment", url, kafka.bootstrap_servers)
    name = url.rpartition("/")[2]
    postgres.execute(
        f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; "
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';"
    )

    async def unready() -> bool:
        answer = await get(f"{service.url}/health/ready")
        return answer.status_code == 503 and "database" in answer.text

    await eventually(unready, "it says that the database does not answer")
    assert await has(f"{service.url}/health/live")

    postgres.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true;")
    await asyncio.to_thread(service.wait_until_ready)
    assert await asyncio.to_thread(service.terminate) == 0


@pytest.mark.usefixtures("in_this_process")
async def test_a_consumer_that_hangs_over_a_batch_ends_the_process(
    kafka: KafkaBroker, enrolment_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all its records in hand it is not behind; it has stalled all the same."""
    monkeypatch.setattr(faststream, "GRACEFUL_SECONDS", 0.1)
    environment = settings_of("enrolment", enrolment_url, kafka.bootstrap_servers)
    for name, value in (environment | {"ENROLMENT_PORT": str(free_port()), "STALLED_SECONDS": "3"}).items():
        monkeypatch.setenv(name, value)
    process = DEFINITION.compose(DEFINITION.settings())
    async with database.transaction() as tx, asyncio.timeout(40):
        await tx.execute(text("LOCK TABLE request IN SHARE ROW EXCLUSIVE MODE"))
        async with KafkaPortal(kafka.bootstrap_servers) as portal:
            await portal.send("portal.enrolments", [request_record(open_now(session_id=uuid.uuid4()))])
        # The sessions' consumer asks the locked table as well, where another test left it something to take.
        stalled = r"the consumer of (portal.enrolments|catalogue.sessions) has made no progress for \d+ s"
        with pytest.raises(CannotRun, match=stalled):
            await process.run()


async def test_a_part_that_is_cancelled_though_nobody_ends_it_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a library whose own task was cancelled; the process would go on without that part."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    for name, value in settings_of("enrolment", f"postgresql://x@{NOWHERE}/x", NOWHERE).items():
        monkeypatch.setenv(name, value)
    process = DEFINITION.compose(DEFINITION.settings())
    await process._start("the relay", cancelled())
    assert process._fault == "the relay failed; see the log above"
    ended = process._start("a worker", asyncio.sleep(60))
    await asyncio.sleep(0)
    ended.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended
