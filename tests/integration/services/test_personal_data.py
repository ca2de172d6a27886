"""What a service learns of a person is in its register, in no log, and gone when it must be."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from shared import clock, tracing
from shared.events.topics import TOPICS
from shared.events.vocabulary import Format
from shared.messaging import held
from shared.messaging.giving_up import end_undecided
from shared.observability import configure_logging
from shared.process import Process
from shared.process.jobs import end_old_rows
from tests.integration.catalogue.conftest import BESPOKE_OFFER, an_offer
from tests.integration.enrolment.conftest import INTAKE_KEY
from tests.integration.messaging.conftest import services_set_up
from tests.integration.notifier.conftest import Notifier, relay
from tests.integration.services.by_api import call_every_operation, is_success
from tests.integration.services.by_commands import is_done, run_every_command
from tests.integration.services.by_forms import fill_in_every_form
from tests.integration.services.cases import OFFER
from tests.integration.services.composed import definition_of
from tests.integration.services.conftest import Compose
from tests.integration.services.lives import (
    correct_address,
    forget,
    let_all_leave,
    live_by_events,
    run_jobs,
)
from tests.support.logs import lines_of, logging_as_before
from tests.support.marking import ADDRESS, ANY_MARK, PERSON, Marks, marks_in
from tests.support.otlp import collecting
from tests.support.processes import SERVICES
from tests.support.searching import MARK, registered
from tests.support.smtp import Reply, ScriptedRelay
from tests.support.statements import execute

__all__ = ["relay", "services_set_up"]

NOT_CALLED = {
    "GET /api/v1/mails",  # takes no identifier of an agent
    "POST /api/v1/sessions/{session_id}/cancel",
    "POST /api/v1/replays",
}
"""Operations that take no text about a person."""
NOT_SENT = {
    "/attestations",
    "/attestations/{code}",
    "/courriels/confirmation/{token}",
    "/courriels/abonnements/{token}",
    "/courriels/resume/{token}",
    "/courriels/suivi/personnes/correction",
    "/courriels/suivi/personnes/ecrire-de-nouveau",
    "/courriels/exploitation/incidents/{number}",
    "/inscriptions/exploitation/incidents/{number}",
    "/inscriptions/designation/{token}",
    "/inscriptions/mes-inscriptions/{token}",
    "/inscriptions/nouvelle-adresse/{token}",
    "/inscriptions/changement/{token}",
    "/inscriptions/adresse-corrigee/{token}",
    "/inscriptions/gestion/sessions/{session_id:uuid}/candidatures",
    "/inscriptions/gestion/inscriptions/{enrolment_id:uuid}/reponse",
    "/inscriptions/gestion/arrivee/{enrolment_id:uuid}",
    "/inscriptions/gestion/sessions/{session_id:uuid}/fichiers",
    "/inscriptions/gestion/sessions/{session_id:uuid}/messages/retrait",
    "/inscriptions/gestion/sessions/{session_id:uuid}/candidatures/decision",
    "/inscriptions/gestion/inscriptions/{enrolment_id:uuid}/note/retrait",
    "/inscriptions/gestion/inscriptions/{enrolment_id:uuid}/deplacement",
}
"""Forms without a text about a person, or whose text an event or an operation brings too."""
OF_SESSIONS = (
    *(
        f"GET {{}}/{file}"
        for file in ("roster", "roster.csv", "attendance.csv", "selection.csv", "certificates.zip")
    ),
    "PUT {}/selection.csv",
    "POST {}/attendance.csv",
)
FRUITLESS = {
    *(f"{service} topics {act}" for service in SERVICES for act in ("create", "rewind")),
    *(f"{service} outbox accept-cluster" for service in SERVICES),
    *(f"{service} projections {act}" for service in SERVICES for act in ("verify", "rebuild")),
    *(f"{service} dead-letters redrive" for service in SERVICES),
    "enrolment enrolments reconcile",
    "enrolment explain",
    "enrolment webhooks replay",
    *(f"notifier mails {act}" for act in ("resolve", "reconcile")),
    "notifier bounces take",
    "notifier digests resume",
    "person erase",
    "logins end",
    "portals new",
    "portals rotate",
    "tokens revoke",
}
"""Commands that need a broker, or something that the person's service has not: they read what is typed."""
STAYS: Mapping[str, Mapping[str, set[str]]] = {
    "catalogue": {
        "session.summary": {"SessionChange.summary"},
        "session.experts": {"SessionChange.0"},
        "session.search_vector": {"SessionChange.0", "SessionChange.summary"},
        "audit_log.changes": {
            f"Session{act}.{text}" for act in ("Change", "Draft") for text in ("0", "summary")
        },
    },
    "enrolment": {
        "read_log.purpose": {
            *(
                f"{operation.format('/api/v1/sessions/{session_id}')} Read-Purpose"
                for operation in OF_SESSIONS
            ),
        },
    },
    "notifier": {
        "login.purpose": {"/courriels/suivi/effacement motif"},
        "dead_letter.value": {"ParticipantsMessaged.text", "ParticipantsMessaged.link"},
        "dead_letter.error": {MARK.lower()},
        "dead_letter.traceback": {MARK.lower()},
    },
}
"""What stays when the person is forgotten, by column: texts about a session, and why somebody read of it.

A message in a dead letter, and the purpose in a log-in, end within days.
"""
ENDS_LATER = {
    "catalogue": {"audit_log", "session", "read_log"},
    "enrolment": {"read_log"},
    "notifier": {"read_log", "subscriber"},
}
"""Tables from which somebody takes a text away, and logs that the database keeps by its own clock."""


async def a_service(name: str, compose_service: Compose) -> Process:
    """A service that no rate keeps anybody from asking."""
    rates = dict.fromkeys(("refused_rate", "link_rate", "log_in_rate"), "100000/day")
    keys = {"link_signing_key": "k" * 32, "intake_signing_key": INTAKE_KEY}
    process = compose_service(name, **keys, **rates)
    if process.name == "catalogue":
        await execute(process.database, "INSERT INTO theme (theme, title) VALUES ('enjeux-ia', 'Enjeux')")
        terms = {"closes_days_before": 5, "capacity": 20}
        await an_offer(process.database, OFFER, kind=Format.LOCAL_EVENT, waiting_list="automatic", **terms)
        await an_offer(process.database, BESPOKE_OFFER, kind=Format.BESPOKE, minimum=12, **terms)
    return process


@pytest.fixture(params=SERVICES)
async def process(request: pytest.FixtureRequest, compose_service: Compose) -> Process:
    return await a_service(request.param, compose_service)


async def live(process: Process, marks: Marks, relay: ScriptedRelay) -> None:
    await live_by_events(process, marks)
    if process.name == "notifier":
        relay.script("RCPT", Reply(f"550 5.1.1 <{ADDRESS}>: Recipient address rejected: User unknown"))
        await Notifier(process.database, relay).deliver()


async def kept_on_topics(process: Process) -> set[str]:
    """Return the marks in events that Kafka keeps without end."""
    compacted = [topic.value for topic, settings in TOPICS.items() if settings.compacted]
    published = "SELECT data FROM outbox WHERE topic = ANY(:compacted)"
    events = await execute(process.database, published, compacted=compacted)
    return {mark for event in events for mark in re.findall(ANY_MARK, event.data.lower())}


async def found_in(process: Process) -> dict[str, set[str]]:
    return await marks_in(process.database, definition_of(process.name).metadata())


@pytest.mark.timeout(300)
async def test_whatever_is_known_stands_in_the_register_in_no_log_and_is_forgotten(
    process: Process, relay: ScriptedRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = Marks()
    with logging_as_before(), collecting() as collector, tracing.export(collector.settings(), process.name):
        configure_logging("json", "DEBUG", process.name)
        await live(process, marks, relay)
        called = await call_every_operation(process, marks)
        sent = await fill_in_every_form(process, marks)
        await correct_address(process)
        found, kept = await found_in(process), await kept_on_topics(process)
        await forget(process)

    uncalled = {operation for operation, answers in called.items() if not any(map(is_success, answers))}
    unsent = {form for form, answers in sent.items() if not any(answer[3:] == " " for answer in answers)}
    columns = {".".join(place) for place in registered(process.register)}
    left = {column: marks.places(found) for column, found in (await found_in(process)).items()}
    lines = [line for line in lines_of(capsys) if line["logger"] != "httpx"]  # the test's own client
    said = [*lines, generate_latest(), *collector.raw]
    assert any("a batch of 1 in " in line["message"] for line in lines)
    assert collector.spans != []
    assert [line for line in said if MARK.lower() in str(line).lower()] == []
    not_done = (uncalled - NOT_CALLED, unsent - NOT_SENT, found.keys() - columns)
    assert not_done == (set(), set(), set()), "called, filled in, registered"
    assert left == STAYS[process.name]
    assert marks.places(kept) == set()


@pytest.mark.timeout(300)
async def test_nothing_ends_before_its_time_and_nothing_is_left_when_every_rule_has_ended_it(
    process: Process, relay: ScriptedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live(process, Marks(), relay)
    await call_every_operation(process, Marks())
    await correct_address(process)
    await let_all_leave(process)
    before = await found_in(process)
    await end_old_rows(process.database, process.register, process.settings)
    assert (await found_in(process)).keys() == before.keys()

    kept = dict.fromkeys(("read_log_kept_days", "catalogue_audit_kept_days"), 10_000)
    settings = process.settings.model_copy(update=kept)
    start = clock.now()
    for days in (2, 40, 6 * 366 + 400):
        later = start + timedelta(days=days)
        monkeypatch.setattr("shared.clock.now", lambda later=later: later)
        await run_jobs(process)
        await let_all_leave(process)
        while await end_undecided(process.database, process.router, settings.dead_letters_kept_days) == 0:
            pass
        await end_old_rows(process.database, process.register, settings)

    left = {column.partition(".")[0] for column in await found_in(process)}
    assert left == ENDS_LATER[process.name]


@pytest.mark.timeout(300)
async def test_what_an_operator_types_is_registered_and_forgotten_and_only_its_owner_reads_a_file(
    compose_service: Compose, relay: ScriptedRelay, services_set_up: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services_set_up.setenv("LINK_SIGNING_KEY", "k" * 32)
    services_set_up.setenv("INTAKE_SIGNING_KEY", INTAKE_KEY)
    marks, typed, beside = Marks(), tmp_path / "typed", tmp_path / "beside"
    for folder in (typed, beside):
        folder.mkdir()
    services_set_up.chdir(beside)
    processes = {name: await a_service(name, compose_service) for name in SERVICES}
    for process in processes.values():
        await live(process, marks, relay)
        await refuse_some(process)
    ran = await run_every_command(processes, marks, typed)

    fruitless = {command for command, answers in ran.items() if not any(map(is_done, answers))}
    assert fruitless == FRUITLESS
    for process in processes.values():
        found = await found_in(process)
        await forget(process)
        columns = {".".join(place) for place in registered(process.register)}
        left = {column: marks.places(found) for column, found in (await found_in(process)).items()}
        assert found.keys() - columns == set()
        for column, places in _kept_of_operators(process.name).items():
            assert left.pop(column, set()) <= places, (process.name, column)
        assert left.items() <= STAYS[process.name].items(), process.name
    assert files_in(beside) == {}
    assert files_in(typed) == {"page": 0o600}


def _kept_of_operators(service: str) -> dict[str, set[str]]:
    """Who decided and read is kept as a proof. What a discarded event says of others ends with the event."""
    return {
        "read_log.actor": {f"{service} {group} show by" for group in ("dead-letters", "outbox")}
        | {"agent correct by", "agent erase by"},
        "dead_letter_audit.actor": {f"{service} dead-letters {act} by" for act in ("redrive", "discard")},
        "outbox.error": {f"catalogue outbox discard {typed}" for typed in ("by", "reason")},
    }


async def refuse_some(process: Process) -> None:
    """Hold back two events, of the person if there are any, as if the broker had refused them."""
    events = await execute(
        process.database,
        "SELECT id FROM outbox WHERE held IS NULL ORDER BY strpos(data, :agent) = 0, id LIMIT 2",
        agent=PERSON.agent_id,
    )
    async with process.database.transaction() as tx:
        await held.hold(tx, {event.id: "no reason" for event in events}, {})


def files_in(folder: Path) -> dict[str, int]:
    """Return the mode of each file that names the person."""
    files = [path for path in folder.rglob("*") if path.is_file() and MARK in path.read_text()]
    return {path.name: path.stat().st_mode & 0o777 for path in files}
