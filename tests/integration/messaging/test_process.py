"""A service process: what it says when it cannot run, how it stops, what it tells, and when it gives up."""

import asyncio
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import shared.process
from local.kafka import KafkaBroker
from local.ports import free_port
from local.postgres import PostgresServer
from services.enrolment.app import DEFINITION
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


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a person gets; fails when there is another, or a traceback."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("parcours: ")]
    assert len(lines) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == lines[0]
    return lines[0]


# ------------------------------------------------------------------------------ what is wrong, in one line

WRONG_SETTINGS = {
    "no database": ({"ENROLMENT_DATABASE_URL": None}, "ENROLMENT_DATABASE_URL is not set"),
    "no Kafka": ({"KAFKA_BOOTSTRAP_SERVERS": None}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    "empty database": ({"ENROLMENT_DATABASE_URL": ""}, "ENROLMENT_DATABASE_URL is not a database URL"),
    "other database": ({"ENROLMENT_DATABASE_URL": "mysql://x/y"}, "only PostgreSQL is supported"),
    "no port number": ({"ENROLMENT_PORT": "eight"}, "ENROLMENT_PORT"),
    "impossible port": ({"ENROLMENT_PORT": "99999"}, "ENROLMENT_PORT"),
    "no server": ({"KAFKA_BOOTSTRAP_SERVERS": "kafka:nine"}, "'kafka:nine', which is not host:port"),
    "comma too many": ({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092,"}, "'', which is not host:port"),
    "protocol": ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
    "all in clear": (
        {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "PARCOURS_TRIAL": "0"},
        "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT sends personal data",
    ),
    "database in clear": (
        {"ENROLMENT_DATABASE_URL": "postgresql://x@db/x", "PARCOURS_TRIAL": "0"},
        "accept it by UNPROTECTED_ACCEPTED=database",
    ),
    "no portals": ({"PORTALS_FILE": "/nowhere.json"}, "PORTALS_FILE /nowhere.json cannot be read"),
    "no secret": ({"INTAKE_SIGNING_KEY": "secret"}, "INTAKE_SIGNING_KEY a secret begins with whsec_"),
    "no CA file": ({"KAFKA_CA_FILE": "/nowhere.pem"}, "KAFKA_CA_FILE"),
    "log level": ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    "nobody to tell": ({"SECURITY_CONTACT": "nobody"}, "SECURITY_CONTACT is not an address such as"),
    "no time": ({"STALLED_SECONDS": "0"}, "STALLED_SECONDS"),
}


@pytest.mark.parametrize(("changes", "expected"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_missing_or_wrong_setting_is_named(
    changes: dict[str, str | None],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from shared.cli import run, service_cli

    environment: dict[str, str | None] = {
        **settings_of("enrolment", f"postgresql://x@{NOWHERE}/x", NOWHERE),
        **changes,
    }
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["parcours", "serve"])
    monkeypatch.setattr("shared.cli.configure_logging", lambda *_: None)

    with pytest.raises(SystemExit) as ended:
        run(service_cli(DEFINITION))

    printed = capsys.readouterr().err
    assert ended.value.code not in (0, None)
    [line] = printed.splitlines()
    assert line.startswith("parcours: ")
    assert expected in line


@pytest.fixture
def serve(enrolment_url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of the service that is expected to end by itself."""

    def run(*command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = settings_of("enrolment", enrolment_url, NOWHERE) | {
            "ENROLMENT_PORT": str(free_port()),
            **changes,
        }
        return run_cli("enrolment", *(command or ("serve",)), environment=environment)

    return run


@pytest.mark.parametrize(("trial", "is_said"), [("0", True), ("1", False)])
def test_a_service_says_at_its_start_what_others_on_the_network_may_read(
    serve: Callable[..., subprocess.CompletedProcess[str]], trial: str, is_said: bool
) -> None:
    ended = serve(
        ENROLMENT_DATABASE_URL="postgresql://x@127.0.0.2:1/x",
        PARCOURS_TRIAL=trial,
        UNPROTECTED_ACCEPTED="database",
    )
    assert ended.returncode == 1
    assert ("may read, or answer, what is sent to: the database" in ended.stderr) == is_said


def test_what_cannot_be_used_is_named_with_its_setting_and_without_a_password(
    serve: Callable[..., Any], postgres: PostgresServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        line = error_line(serve(ENROLMENT_PORT=port))
    assert f"Port {port} on 127.0.0.1 cannot be used (Address already in use)" in line
    assert "ENROLMENT_PORT" in line
    line = error_line(serve(ENROLMENT_DATABASE_URL=f"postgresql://someone:secret@{NOWHERE}/seats"))
    assert f"someone:***@{NOWHERE}/seats cannot be used" in line
    assert "_DATABASE_URL" in line
    url = f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres"
    assert "password authentication failed" in error_line(serve(ENROLMENT_DATABASE_URL=url))


def test_a_database_without_migrations_is_told_which_command_to_run(
    serve: Callable[..., Any], postgres: PostgresServer
) -> None:
    empty = postgres.fresh_database()

    line = error_line(serve(ENROLMENT_DATABASE_URL=empty))
    assert "run 'python -m services.enrolment migrate' first, as the owner of the tables" in line

    listed = error_line(serve("dead-letters", "list", ENROLMENT_DATABASE_URL=empty))
    assert "run the command 'migrate' first" in listed


def test_an_unreachable_kafka_is_named_with_the_setting(serve: Callable[..., Any]) -> None:
    *_, as_json = map(json.loads, serve(LOG_FORMAT="json").stderr.splitlines())  # a line like any other
    for command in (("serve",), ("topics", "create")):
        line = error_line(serve(*command))

        assert "Kafka" in line
        assert "cannot be used" in line
        assert "KAFKA_BOOTSTRAP_SERVERS is right" in line
    assert as_json["message"].endswith("KAFKA_BOOTSTRAP_SERVERS is right.")


# ------------------------------------------------------------------------------------------ while it runs


async def get(url: str) -> tuple[int, str, str]:
    """Status, content type and text."""

    def ask() -> tuple[int, str, str]:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.headers["content-type"], answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read().decode()

    return await asyncio.to_thread(ask)


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


async def files_with_mistakes_are_told(url: str, folder: Path, eventually: Eventually) -> None:
    """By metrics, before anybody needs them; and what may be rejected is counted from 0."""

    async def metrics_have(*lines: str) -> bool:
        metrics = (await get(f"{url}/metrics"))[2]
        return all(f"\n{line}\n" in metrics for line in lines)

    rejected = 'parcours_requests_rejected_total{code="invalid",portal="exemple",topic="portal.enrolments"}'
    assert await metrics_have(f"{rejected} 0.0")
    files = [folder / "tokens.json", folder / "portals.json"]
    before = [file.read_text() for file in files]
    for valid, contents in ((0, ["[", "["]), (1, before)):
        for file, content in zip(files, contents, strict=True):
            file.write_text(content)
        lines = [f"parcours_{file.stem}_file_valid {valid}.0" for file in files]
        await eventually(partial(metrics_have, *lines), f"{lines}")


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

    assert (await get(f"{service.url}/health/live"))[0] == 200
    assert (await get(f"{service.url}/health/ready"))[0] == 200

    async def consuming() -> bool:
        return (await get(f"{service.url}/health/consuming"))[0] == 200

    async def all_read() -> bool:
        metrics = (await get(f"{service.url}/metrics"))[2]
        return 'parcours_consumer_lag_records{topic="portal.enrolments"} 0.0' in metrics

    await eventually(consuming, "it is in each group, and each partition is read")
    await eventually(all_read, "what other tests left there is read")
    metrics = (await get(f"{service.url}/metrics"))[2]
    assert "parcours_consuming 1.0" in metrics
    assert 'parcours_consumer_owned_partitions{topic="portal.enrolments"} 12.0' in metrics
    whom = (await get(f"{service.url}/.well-known/security.txt"))[2]
    assert whom.startswith("Contact: mailto:securite@cnfpt.example\n")
    assert json.loads((await get(f"{service.url}/asyncapi"))[2])["asyncapi"] == "3.0.0"
    assert (await get(f"{service.url}/nowhere"))[:2] == (404, "application/problem+json")

    await files_with_mistakes_are_told(service.url, tmp_path, eventually)
    # Now work, and a stop in the middle of it.
    session = open_now(capacity=None)
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send("catalogue.sessions", [session_record(session)])
        await portal.send("portal.enrolments", [request_record(session) for _ in range(3_000)])

    async def begun() -> bool:
        async with database.quiet_transaction() as tx:
            return bool(await tx.scalar(text("SELECT count(*) FROM request WHERE decided_at IS NOT NULL")))

    await eventually(begun, "the first are answered")
    code = await asyncio.to_thread(service.terminate)

    log = service.log.read_text()
    assert code == 0, log
    assert "Traceback" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert any(line["message"].startswith("GET /asyncapi: 200 in ") for line in lines)
    assert any(line["message"].startswith("portal.enrolments: a batch of ") for line in lines)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")) == 0
        taken = await tx.scalar(text("SELECT count(*) FROM request"))
    assert taken > 0
    traced = collector.named("process portal.enrolments")
    assert {span.service for span in collector.spans} <= {"parcours-enrolment"}
    assert 0 < len(traced) <= 100 + taken / 100


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
        status, _, body = await get(f"{service.url}/health/ready")
        return status == 503 and "database" in body

    await eventually(unready, "it says that the database does not answer")
    assert (await get(f"{service.url}/health/live"))[0] == 200

    postgres.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true;")
    await asyncio.to_thread(service.wait_until_ready)
    assert await asyncio.to_thread(service.terminate) == 0


async def test_a_consumer_that_hangs_over_a_batch_ends_the_process(
    kafka: KafkaBroker, enrolment_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all its records in hand it is not behind; it has stalled all the same."""
    monkeypatch.setattr(faststream, "GRACEFUL_SECONDS", 0.1)
    monkeypatch.setattr(shared.process, "tune_gc", lambda: None)
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
