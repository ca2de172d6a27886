"""Promises of `run`: everything is up and told, what dies comes back, what is stopped leaves nothing.

Whole stacks stand in this file alone, so that one follows the other: each wants the standard ports.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import psutil
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from local import unprivileged
from local.__main__ import cli
from local.children import Child
from local.credentials import portals_file
from local.demo import command as demonstration
from local.demo.progress import Say
from local.demo.requests import Crowd
from local.demo.sessions import ORGANISERS_ADDRESS, WITH_CONTACT
from local.failures import LocalStackError
from local.kafka import missing_tools
from local.mailbox.server import MailboxServer
from local.observing import Mailbox
from local.places import PROJECT
from local.ports import free_port
from local.readiness import kafka_answers, wait_until
from local.running import links, signals_interrupt
from local.services import SERVICES, STANDARD_PORTS, LocalService
from local.stack import Stack, StackOptions
from services.catalogue import tables as catalogue
from services.enrolment import tables as enrolment
from services.notifier import tables as notifier
from shared.events.topics import TOPICS, Topic
from tests.conftest import opened
from tests.support.builders import an_agent, enrolment_request
from tests.support.lacking import need_kafka, program
from tests.support.processes import inherited
from tests.support.searching import columns_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TABLES = {
    "catalogue": catalogue.metadata,
    "enrolment": enrolment.metadata,
    "notifier": notifier.metadata,
}
TOPICS_WITHOUT_PEOPLE = [
    topic.value for topic, settings in TOPICS.items() if settings.compacted or topic is Topic.AGENTS_ERASED
]
"""What they keep is kept for ever, or is the proof that an agent was forgotten."""
PROCESSES = {
    "postgres": 1, "kafka": 1, "mailbox": 1, "portal": 1, "catalogue": 1, "enrolment": 2, "notifier": 1,
}  # fmt: skip
FIELDS = {
    "kafka", "catalogue_url", "enrolment_url", "notifier_url", "portal_url", "smtp", "mailbox_url",
    "mailbox_dir", "catalogue_database_url", "enrolment_database_url", "notifier_database_url", "pids",
    "enrolment_operations_url",
}  # fmt: skip

OPERATIONS_URLS = {
    "catalogue": "catalogue_url",
    "enrolment": "enrolment_operations_url",
    "notifier": "notifier_url",
}
"""The field with the address of a service's health. Enrolment is started with a port of its own for it."""


@dataclass
class Running:
    """A `run` in a folder of its own."""

    process: subprocess.Popen[bytes]
    directory: Path
    output: Path

    def description(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads((self.directory / "stack.json").read_text())
        return described

    def printed(self) -> str:
        return self.output.read_text()

    def mailbox(self) -> Mailbox:
        """The mails that come from now on."""
        return Mailbox(self.directory / "mailbox")


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else's server on a port, be it ours or one that was there."""
    with socket.socket() as listener:
        with contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            listener.listen()
        yield


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with taken(STANDARD_PORTS["notifier"]):
        yield from run(tmp_path_factory.mktemp("stack") / "local")


def run(directory: Path) -> Iterator[Running]:
    """Run a stack that can play the demonstration: with its portals, and as impatient."""
    portals_file(directory, demonstration.PORTALS, issuer="demo")
    contacts = {WITH_CONTACT: {"organisers": [ORGANISERS_ADDRESS]}}
    settings = {
        **demonstration.IMPATIENCE,
        "DELEGATION_CONTACTS": json.dumps(contacts),
        "ENROLMENT_OPERATIONS_PORT": str(free_port()),
    }
    output = directory.with_name("output")
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "local", "run", "--directory", str(directory)),
                *("--scale", "enrolment=2", "--broker", "embedded" if missing_tools() else "kafka"),
            ],
            cwd=PROJECT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=inherited() | settings,
        )
    stack = Running(process, directory, output)
    try:
        wait_until(
            lambda: "Ctrl-C stops it" in stack.printed() or process.poll() is not None,
            seconds=240,  # a dozen seconds on an idle machine
            what="the whole stack",
        )
        assert process.poll() is None, stack.printed()
        yield stack
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            finally:
                process.kill()  # nothing, where it has ended; else its watchdog ends what it started
        unprivileged.remove_data(directory / "postgres")


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=10, trust_env=False)


def is_well(url: str) -> bool:
    try:
        return get(url).is_success
    except httpx.TransportError:
        return False


# --------------------------------------------------------------------------------- the demonstration, whole

STANDING = (
    "enrolled",
    "waitlisted",
    "offered",
    "pending",
    "withdrawn",
    "cancelled",
    "lapsed",
    "not_obtained",
)
FIGURES = {
    "requests", "answers", "demands", *STANDING, "refused", "offers", "selection", "groups", "nominations",
    "withdrawals", "moves", "approvals", "corrections", "offers_answered", "reserved_seats_released",
    "by_hand", "above_capacity", "minimums_missed", "mails_expected", "mails_received", "mails_superseded",
    "lost", "duplicated", "overbooked", "parked", "seconds",
}  # fmt: skip
REASONS = {
    "already_enrolled", "approval_denied", "deadline_passed", "group_does_not_fit", "not_eligible",
    "not_open_yet", "not_selected", "session_cancelled", "session_full", "unknown_session",
}  # fmt: skip


class StackOfAnotherProcess(Stack):
    """A stack that runs already, as it is described."""

    def __init__(self, running: Running) -> None:
        super().__init__(StackOptions(directory=running.directory))
        self._described = running.description()
        self.mailbox = MailboxServer(Path(self._described["mailbox_dir"]))

    @property
    def kafka(self) -> str:
        return str(self._described["kafka"])

    @property
    def broker_is_idempotent(self) -> bool:
        return missing_tools() is None

    def url(self, service: str) -> str:
        return str(self._described[f"{service}_url"])

    def database_url(self, service: str) -> str:
        return str(self._described[f"{service}_database_url"])

    def start(self) -> Self:
        return self


@pytest.mark.timeout(700)  # with the start of the stack
def test_the_demonstration_loses_doubles_and_overbooks_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first test of the stack, because the demonstration needs an empty database."""
    given: list[StackOptions] = []

    def stack_of_the_tests(options: StackOptions, _say: Say) -> Stack:
        given.append(options)
        return StackOfAnotherProcess(running)

    monkeypatch.setattr(demonstration, "Stack", stack_of_the_tests)
    small = partial(demonstration.demo, crowd=Crowd(mooc=30, popular=40, most_sessions=1))
    monkeypatch.setattr(demonstration, "demo", small)
    arguments = ["demo", "--directory", str(running.directory)]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output

    [options] = given
    assert (options.fresh, options.data) == (True, running.directory / "demo")
    assert options.environment.keys() >= {*demonstration.IMPATIENCE, "PORTALS_FILE", "DELEGATION_CONTACTS"}

    figures = json.loads((running.directory / "demo.json").read_text())
    assert figures.keys() == FIGURES
    assert figures["requests"] == figures["answers"] >= 400
    assert figures["mails_received"] == figures["mails_expected"]
    assert figures["mails_received"] + figures["mails_superseded"] > figures["requests"]
    assert (figures["lost"], figures["duplicated"], figures["overbooked"]) == (0, 0, 0)
    assert figures["refused"].keys() == REASONS
    assert figures["parked"] > 10

    assert figures["demands"] == sum(figures["refused"].values()) + sum(figures[name] for name in STANDING)
    offers = figures["offers"]
    assert offers["made"] == sum(offers.values()) - offers["made"]
    assert min(offers["accepted"], offers["declined"], offers["lapsed"]) > 0
    assert figures["selection"] == {"enrolled": 9, "waitlisted": 5, "refused": 7}
    assert figures["refused"]["group_does_not_fit"] == 5
    assert (figures["groups"], figures["nominations"], figures["approvals"]) == (4, 2, 13)
    assert figures["reserved_seats_released"] == 2
    assert (figures["by_hand"], figures["above_capacity"], figures["corrections"]) == (3, 1, 2)
    assert (figures["not_obtained"], figures["minimums_missed"]) == (2, 1)
    assert figures["pending"] > 0


# ----------------------------------------------------------------------------- what is up


async def test_stack_json_says_where_everything_is(running: Running) -> None:
    described = running.description()
    assert described.keys() == FIELDS
    assert kafka_answers(described["kafka"])
    for service, url in OPERATIONS_URLS.items():
        assert get(f"{described[url]}/health/ready").is_success
        connection = await asyncpg.connect(described[f"{service}_database_url"])
        await connection.close()
    assert get(described["mailbox_url"]).is_success
    assert Path(described["mailbox_dir"]) == running.directory / "mailbox"
    assert {part: len(pids) for part, pids in described["pids"].items()} == PROCESSES
    assert all(psutil.pid_exists(pid) for pids in described["pids"].values() for pid in pids)


def test_a_part_that_found_its_port_taken_says_where_it_is(running: Running) -> None:
    port = running.description()["notifier_url"].rpartition(":")[2]
    assert f"Port 8003 is in use by another program: notifier is at {port}" in running.printed()


def test_the_real_offer_is_loaded_and_the_demo_token_opens_the_api(running: Running) -> None:
    url = running.description()["catalogue_url"]
    token = (running.directory / "demo-token").read_text().strip()
    answer = httpx.post(
        f"{url}/api/v1/sessions", headers={"Authorization": f"Bearer {token}"}, json={}, trust_env=False
    )
    assert answer.status_code == 422, "known, and only the empty body is refused"
    assert a_mooc(running)


def test_other_users_of_the_machine_can_read_neither_the_folder_nor_its_mails(running: Running) -> None:
    assert running.directory.stat().st_mode & 0o067 == 0
    assert (running.directory / "mailbox").stat().st_mode & 0o077 == 0
    assert all(mail.stat().st_mode & 0o077 == 0 for mail in (running.directory / "mailbox").glob("*.eml"))


def test_the_catalogue_leads_to_the_example_portal_which_asks_for_a_seat_and_shows_the_answer(
    running: Running,
) -> None:
    described, session_id = running.description(), a_mooc(running)
    portal = described["portal_url"]
    catalogue = get(f"{described['catalogue_url']}/sessions/{session_id}").text
    assert f'href="{portal}/sessions/{session_id}"' in catalogue
    assert "Demander une place" in get(f"{portal}/sessions/{session_id}").text
    form = {"agent_id": "EX-101"}
    sent = httpx.post(f"{portal}/sessions/{session_id}/inscription", data=form, trust_env=False)
    assert sent.headers["location"] == "/agents/EX-101"
    wait_until(
        lambda: "Inscription confirmée" in get(f"{portal}/agents/EX-101").text, seconds=60, what="the answer"
    )


def test_a_second_stack_in_the_same_folder_is_refused(running: Running) -> None:
    with pytest.raises(
        LocalStackError, match=f"another stack runs in this folder \\(process {running.process.pid}\\)"
    ):
        Stack(StackOptions(directory=running.directory)).start()
    assert get(f"{running.description()['catalogue_url']}/health/ready").is_success, "the first is untouched"


def kcat(running: Running, *arguments: str, value: bytes = b"") -> str:
    command = [program("kcat", package="kcat"), "-b", running.description()["kafka"], *arguments]
    done = subprocess.run(command, input=value, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def produce(
    running: Running, key: str, value: dict[str, Any], *headers: str, topic: str = "portal.enrolments"
) -> None:
    """One record; kcat takes a line for a record, so the JSON has none in it."""
    options = [option for header in headers for option in ("-H", header)]
    kcat(running, "-P", "-t", topic, "-k", key, *options, value=json.dumps(value).encode())


def decisions_about(running: Running, agent_id: str) -> list[dict[str, Any]]:
    written = r'{"key":"%k","headers":"%h","data":%s}\n'
    lines = kcat(running, "-C", "-t", "enrolment.decisions", "-e", "-q", "-f", written).splitlines()
    return [decision for decision in map(json.loads, lines) if decision["key"] == agent_id]


def a_mooc(running: Running) -> str:
    answer = get(f"{running.description()['catalogue_url']}/api/v1/sessions?format=mooc")
    return str(answer.raise_for_status().json()["items"][0]["session_id"])


@pytest.mark.kafka
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_a_record_of_kcat_is_answered_explained_and_mailed(running: Running, mode: str) -> None:
    """kcat, a program by others: our headers and JSON are not only read by our own code."""
    need_kafka()
    session_id, request_id, mailbox = a_mooc(running), str(uuid.uuid4()), running.mailbox()
    agent = an_agent(f"kcat-{uuid.uuid4()}", email=f"{request_id}@ville-exemple.fr")
    attributes = {
        "specversion": "1.0",
        "id": request_id,
        "type": "fr.cnfpt.portal.EnrolmentRequested.v1",
        "source": "/portals/essai",
    }
    data = enrolment_request(session_id, agent)
    if mode == "binary":
        headers = [f"ce_{name}={value}" for name, value in attributes.items()]
        produce(running, session_id, data, *headers, "content-type=application/json")
    else:
        document = {**attributes, "datacontenttype": "application/json", "data": data}
        produce(running, session_id, document, "content-type=application/cloudevents+json")

    wait_until(lambda: len(mailbox.to(agent.email)) > 0, seconds=60, what="a mail")

    [decision] = decisions_about(running, agent.agent_id)
    assert "ce_type=fr.cnfpt.enrolment.AgentEnrolled.v1" in decision["headers"]
    assert decision["data"]["request_id"] == request_id
    assert decision["data"]["agent"] == agent.model_dump(mode="json") | {"issuer": "essai"}
    answer = get(f"{running.description()['enrolment_url']}/api/v1/requests/{request_id}").json()
    assert (answer["state"], answer["outcome"]) == ("answered", "enrolled")
    [mail] = mailbox.to(agent.email)
    assert "Bonjour Zoé Durand," in (mail.read().text or "")


def request(event: str, request_id: str | None = None) -> list[str]:
    """The headers of a request of the trial's portal."""
    return [
        "ce_specversion=1.0",
        f"ce_id={request_id or uuid.uuid4()}",
        f"ce_type=fr.cnfpt.portal.{event}.v1",
        "ce_source=/portals/essai",
        "content-type=application/json",
    ]


async def tables_with(running: Running, mark: str) -> set[tuple[str, str, str]]:
    """The services, tables and columns that hold it."""
    found = set()
    for service, metadata in TABLES.items():
        async with opened(running.description()[f"{service}_database_url"]) as database:
            columns = await columns_with(database, metadata, mark)
            found |= {(service, table, column) for table, column in columns}
    return found


def files_with(running: Running, mark: str) -> list[str]:
    """The files that hold it, but for the mailbox, which is the agent's own, and the servers' data."""
    others = "mailbox", "postgres", "kafka"
    files = [running.output, *(path for path in running.directory.rglob("*") if path.is_file())]
    return [
        str(path)
        for path in files
        if not set(others) & set(path.parts) and mark.encode() in path.read_bytes().lower()
    ]


@pytest.mark.kafka
async def test_an_agent_is_forgotten_in_every_database_log_and_file_and_a_replay_brings_nothing_back(
    running: Running, eventually: Callable[..., Awaitable[None]]
) -> None:
    need_kafka()
    mark, mooc, mailbox = f"zyxwvut-{uuid.uuid4().hex[:8]}", a_mooc(running), running.mailbox()
    names = mark, f"other-{mark[::-1]}"
    agent, other = (an_agent(name, email=f"{name}@ville-exemple.fr") for name in names)
    subscription = {"agent_id": mark, "email": agent.email, "theme": "enjeux-ia", "subscribed": True}
    sent = (
        (mooc, enrolment_request(mooc, agent), request("EnrolmentRequested"), "portal.enrolments"),
        (mooc, enrolment_request("no-session", agent), request("EnrolmentRequested"), "portal.enrolments"),
        (mark, subscription, request("SubscriptionChanged"), "portal.agents"),
    )

    def send(*records: tuple[str, dict[str, Any], list[str], str]) -> None:
        for key, value, headers, topic in records:
            produce(running, key, value, *headers, topic=topic)

    async def is_everywhere() -> bool:
        tables = {(service, table) for service, table, _ in await tables_with(running, mark)}
        return tables >= {
            *(("enrolment", table) for table in ("enrolment", "request", "outbox", "dead_letter")),
            *(("notifier", table) for table in ("enrolment", "mail", "subscriber")),
        }

    async def is_mailed() -> bool:
        return bool(mailbox.to(agent.email))

    async def other_is_mailed() -> bool:
        return bool(mailbox.to(other.email))

    send(*sent)
    await eventually(is_mailed, "the confirmation is mailed")
    await eventually(is_everywhere, "the agent is known")
    erasure = {"agent_id": mark, "requested_at": "2026-11-25T08:30:00Z"}
    send((mark, erasure, request("AgentErasureRequested"), "portal.agents"))
    async with opened(running.description()["notifier_database_url"]) as database:

        async def is_erased() -> bool:
            async with database.quiet_transaction() as tx:
                return bool(await tx.scalar(text("SELECT count(*) = 3 FROM erasure_answer")))

        await eventually(is_erased, "all services have answered")
    assert await tables_with(running, mark) == set()

    accepted = sent[0], sent[2]  # a rejected record that is sent again is a new one
    send(
        *accepted, (mooc, enrolment_request(mooc, other), request("EnrolmentRequested"), "portal.enrolments")
    )
    await eventually(other_is_mailed, "what came after the replay is mailed")
    assert await tables_with(running, mark) == set()
    assert files_with(running, mark) == []
    for topic in TOPICS_WITHOUT_PEOPLE:
        assert mark not in kcat(running, "-C", "-t", topic, "-e", "-q", "-f", r"%k %h %s\n")


def test_parts_that_are_killed_are_started_again_and_told(running: Running) -> None:
    before = running.description()
    parts = {
        "enrolment": "enrolment 1",
        "mailbox": "the mailbox",
        "portal": "the example portal",
        "postgres": "Postgres",
    }
    victims = {part: before["pids"][part][0] for part in parts}
    for victim in victims.values():
        os.kill(victim, signal.SIGKILL)

    def are_back() -> bool:
        now = running.description()["pids"]
        return all(len(now[part]) == PROCESSES[part] and victims[part] not in now[part] for part in parts)

    wait_until(are_back, seconds=60, what="new processes")
    for title in parts.values():
        assert f"\n{title} ended (killed by signal 9); starting it again in 0.5 s" in running.printed()
        assert f"\n{title} is started again" in running.printed()
    for url in (
        f"{before['enrolment_operations_url']}/health/ready",
        before["mailbox_url"],
        before["portal_url"],
    ):
        wait_until(partial(is_well, url), seconds=60, what=f"{url} answering again")


def test_sigterm_stops_everything_in_order_and_keeps_the_data(running: Running) -> None:
    pids = [pid for pids in running.description()["pids"].values() for pid in pids]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=40) == 0
    assert not (running.directory / "stack.json").exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not (running.directory / "postgres" / "data" / "postmaster.pid").exists()
    assert (running.directory / "postgres" / "data" / "PG_VERSION").exists()
    assert (running.directory / "logs" / "enrolment-2.log").exists()


DATABASES = {f"{name.upper()}_DATABASE_URL": f"postgresql://db.example/{name}" for name in SERVICES}
"""Addresses of databases that the stack does not start."""


def test_servers_that_the_environment_names_are_used_instead_of_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.stack.run_command", lambda *_, **__: "")
    monkeypatch.setattr(LocalService, "start", lambda process: process)
    servers = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "SMTP_HOST": "smtp.example",
        "SMTP_PORT": "587",
        "SMTP_TLS": "starttls",
    }
    with Stack(StackOptions(directory=tmp_path, environment={**servers, **DATABASES})) as stack:
        described = json.loads((tmp_path / "stack.json").read_text())
        assert "smtp.example:587" in links(stack)
    for process in stack.services:
        url = f"{process.service.upper()}_DATABASE_URL"
        assert process.env.items() >= {**servers, url: DATABASES[url]}.items()
        assert described[url.lower()] == DATABASES[url]
    assert (described["kafka"], described["smtp"]) == ("kafka.example:9092", "smtp.example:587")
    assert (described["mailbox_url"], described["mailbox_dir"]) == (None, None)
    assert not any(described["pids"].values())


@pytest.mark.parametrize("command", ["demo", "rehearsal", "year"])
def test_a_command_that_reads_its_own_mailbox_refuses_another_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("SMTP_HOST", "smtp.example")
    with pytest.raises(LocalStackError, match="own mailbox: run it without SMTP_HOST"):
        CliRunner().invoke(cli, [command, "--directory", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize("interruptions", [1, 2])
def test_an_interrupted_start_ends_its_commands_and_services_before_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruptions: int
) -> None:
    """The first Ctrl-C comes before the processes of the services exist, the second while the stop waits."""
    options = StackOptions(
        directory=tmp_path,
        environment={**inherited(), **DATABASES, "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092"},
        offer_day=lambda _: date(2025, 3, 10),
    )
    stack = Stack(options)
    main = threading.get_ident()
    begun = threading.Barrier(1 + len(SERVICES), lambda: signal.pthread_kill(main, signal.SIGINT))
    stop_waits = threading.Event()
    mailbox_ran: list[bool] = []
    children: list[Child] = []
    wait_for_threads = stack._threads.shutdown
    interrupted_waits = iter(range(1, interruptions))

    def shutdown() -> None:
        if next(interrupted_waits, None):
            wait_for_threads(wait=False)
            raise KeyboardInterrupt
        stop_waits.set()
        wait_for_threads()

    def command(_service: str, name: str, *_: str, **__: object) -> str:
        if name == "load-offer":
            begun.wait(60)
            assert stop_waits.wait(60)
            mailbox_ran.append(stack.mailbox.running())
        return ""

    def start_process(service: LocalService) -> Child:
        begun.wait(60)
        assert stop_waits.wait(60)
        log = tmp_path / f"{service.title}.log"
        children.append(Child.start(service.title, ["sleep", "300"], log_file=log))
        return children[-1]

    monkeypatch.setattr(stack._threads, "shutdown", shutdown)
    monkeypatch.setattr("local.stack.run_command", command)
    monkeypatch.setattr(LocalService, "start_process", start_process)
    monkeypatch.setattr(LocalService, "answers", LocalService.running)
    try:
        with signals_interrupt(), pytest.raises(KeyboardInterrupt):
            stack.start()
        stack.stop()
        assert mailbox_ran == [True]
        assert not any(stack.pids().values())
        assert {child.exit_code() for child in children} == {-signal.SIGTERM}, "killed only after a wait"
    finally:
        stop_waits.set()
        for process in stack.services:
            process.stop()


@pytest.mark.parametrize("command", ["run", "demo"])
def test_a_folder_that_cannot_be_written_is_named_in_one_line(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "local"
    folder.write_text("a file, where root cannot write either")
    arguments = [command, "--directory", str(folder), "--broker", "embedded"]
    with pytest.raises(LocalStackError, match=f"{folder} cannot be written .*remove it"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_a_part_that_cannot_start_stops_the_others_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres, the embedded broker with its topics, and the mailbox run by then."""
    monkeypatch.setattr("local.stack.SERVICES", ["nothing"])
    stack = Stack(StackOptions(directory=tmp_path, environment=inherited()))
    with pytest.raises(LocalStackError, match=r"services.nothing migrate` failed with 1:\n.*No module"):
        stack.start()
    assert not any(stack.pids().values())
    logs = {log.name for log in (tmp_path / "logs").glob("*.log")}
    assert logs == {"kafka-1.log", "mailbox-1.log", "postgres-1.log"}
    assert not (tmp_path / "stack.json").exists()
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if the folder was not let go
    unprivileged.remove_data(tmp_path / "postgres")
