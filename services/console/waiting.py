import getpass
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from services.console.asking import ConsoleSettings, ServiceAnswer, ask, ask_in_transaction, ask_service
from services.console.findings import Finding, Mark, duration, moment
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.service import mails as mail_service
from services.notifier.service import queue
from services.notifier.service.queue import MAILS_LATE
from services.notifier.tables import MailRow, MailState
from shared import clock, revisions
from shared.cli.definition import Definition
from shared.database import Database, Transaction
from shared.messaging import dead_letters, held, outbox
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.held import HeldEvent
from shared.messaging.lag import LATE
from shared.read_log import Reading

LISTED = 100


async def status(settings: ConsoleSettings, services: Sequence[Definition]) -> list[Finding]:
    return [
        line
        for answer in await ask(services, settings, _lines)
        for line in answer.value or [answer.finding("database")]
    ]


async def _lines(definition: Definition, database: Database) -> list[Finding]:
    service = definition.name
    lacking = await revisions.missing(database, definition.revisions)
    if lacking is not None:
        remedy = f"run 'python -m services.{service} migrate'"
        return [Finding(service, "database", Mark.ACT, lacking, remedy)]
    async with database.quiet_transaction() as tx:
        lines = [
            Finding(service, "database", Mark.OK, "answers, at this version"),
            await _outbox(tx, service),
            await _dead_letters(tx, service),
        ]
        return [*lines, await _mails(tx)] if definition is NOTIFIER else lines


async def _outbox(tx: Transaction, service: str) -> Finding:
    unsent, age = await outbox.unsent(tx)
    refused, waiting = await held.count(tx)
    unsent_for = timedelta(seconds=age)
    remedy = ""
    if refused:
        remedy = f"decide: parcours outbox, then parcours {service} outbox redrive | discard"
    elif waiting:
        remedy = "a topic is missing: parcours topics"
    elif unsent_for > LATE:
        remedy = f"start {service}; where it runs, Kafka refuses or is away: parcours doctor"
    oldest = f", the oldest for {duration(unsent_for)}" if unsent else ""
    held_back = f"; {refused} refused, {waiting} held back" if refused + waiting else ""
    return Finding(
        service,
        "outbox",
        Mark.ACT if remedy else Mark.OK,
        f"{unsent} events to publish{oldest}{held_back}",
        remedy,
        {"unsent": unsent, "oldest_seconds": round(age, 1), "refused": refused, "held": waiting},
    )


async def _dead_letters(tx: Transaction, service: str) -> Finding:
    parked, parked_since = await dead_letters.count_parked(tx), await dead_letters.oldest_parked(tx)
    since = None if parked_since is None else clock.now() - parked_since
    return Finding(
        service,
        "dead letters",
        Mark.ACT if parked else Mark.OK,
        f"{parked} parked" + ("" if since is None else f", the oldest for {duration(since)}"),
        f"decide: parcours {service} dead-letters redrive | discard" if parked else "",
        {"parked": parked, "oldest_seconds": None if since is None else round(since.total_seconds(), 1)},
    )


async def _mails(tx: Transaction) -> Finding:
    waiting = await queue.measure(tx)
    oldest_for = timedelta(seconds=waiting.age)
    remedy = ""
    is_late = oldest_for > MAILS_LATE
    if waiting.ambiguous:
        remedy = "decide: parcours mails, then parcours notifier mails resolve"
    elif is_late:
        remedy = "start the notifier; where it runs, the relay is away or slow: parcours doctor"
    oldest = f", the oldest for {duration(oldest_for)}" if waiting.due or is_late else ""
    return Finding(
        "notifier",
        "mails",
        Mark.ACT if remedy else Mark.OK,
        f"{waiting.due} due{oldest}; {waiting.ambiguous} ambiguous",
        remedy,
        {"due": waiting.due, "oldest_seconds": round(waiting.age, 1), "ambiguous": waiting.ambiguous},
    )


# ------------------------------------------------------------------------------------------- one by one


async def all_dead_letters(settings: ConsoleSettings, services: Sequence[Definition]) -> list[Finding]:
    """Return a line for each parked record, or one for a service without any."""
    findings: list[Finding] = []
    parked = await ask_in_transaction(
        services, settings, lambda tx: dead_letters.find(tx, state="parked", limit=LISTED)
    )
    for answer in parked:
        lines = [_dead_letter(answer.service, letter) for letter in answer.value or ()]
        findings += _one_by_one(answer, "dead letters", lines)
    return findings


def _dead_letter(service: str, letter: DeadLetter) -> Finding:
    record = letter.record
    return Finding(
        service,
        f"dead letter {letter.id}",
        Mark.ACT,
        f"{moment(letter.parked_at)} {record.topic}/{record.partition}@{record.offset}: {letter.error}",
        f"parcours {service} dead-letters redrive {letter.id}",
        {"id": letter.id, "topic": record.topic, "event_id": letter.event_id},
    )


async def all_held_events(settings: ConsoleSettings, services: Sequence[Definition]) -> list[Finding]:
    async def find(tx: Transaction) -> list[HeldEvent]:
        states = ("refused", "waiting")
        return [event for state in states for event in await held.find(tx, state=state, limit=LISTED)]

    findings: list[Finding] = []
    for answer in await ask_in_transaction(services, settings, find):
        lines = [_held_event(answer.service, event) for event in answer.value or ()]
        findings += _one_by_one(answer, "outbox", lines)
    return findings


def _held_event(service: str, event: HeldEvent) -> Finding:
    is_refused = event.held == "refused"
    return Finding(
        service,
        f"event {event.id}",
        Mark.ACT,
        f"{moment(event.created_at)} {event.held} for {event.topic}: {event.error}",
        f"parcours {service} outbox redrive {event.id}" if is_refused else "parcours topics",
        {"id": event.id, "topic": event.topic, "event_id": event.event_id, "held": event.held},
    )


async def all_mails(settings: ConsoleSettings) -> list[Finding]:
    async def find(tx: Transaction) -> tuple[dict[MailState, int], list[MailRow]]:
        counts = await mail_service.counts(tx)
        if not counts[MailState.AMBIGUOUS]:
            return counts, []
        reading = Reading.by_command(getpass.getuser())
        return counts, await mail_service.find(tx, state=MailState.AMBIGUOUS, limit=LISTED, reading=reading)

    answer = await ask_service(NOTIFIER, settings, find)
    if answer.value is None:
        return [answer.finding("mails")]
    counts, ambiguous = answer.value
    states = [
        Finding("notifier", f"mails {state}", Mark.OK, str(number), figures={"number": number})
        for state, number in counts.items()
        if state is not MailState.AMBIGUOUS
    ]
    return [*states, *_one_by_one(answer, "mails ambiguous", [_mail(row) for row in ambiguous])]


def _mail(row: MailRow) -> Finding:
    return Finding(
        "notifier",
        f"mail {row.mail_id}",
        Mark.ACT,
        f"{moment(row.created_at)} {row.template}, Message-ID {row.message_id}: {row.smtp_answer or ''}",
        f"ask the relay's log, then parcours notifier mails resolve {row.mail_id} --sent | --resend",
        {"mail_id": row.mail_id, "template": row.template, "message_id": row.message_id},
    )


def _one_by_one(answer: ServiceAnswer[Any], what: str, lines: list[Finding]) -> list[Finding]:
    if answer.value is None:
        return [answer.finding(what)]
    return lines or [Finding(answer.service, what, Mark.OK, "none wait")]
