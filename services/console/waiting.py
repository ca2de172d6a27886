"""What waits in each service, for a decision or for too long."""

import getpass
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.console.asking import ConsoleSettings, ServiceAnswer, ask, ask_in_transaction, ask_service
from services.console.findings import Finding, Mark, duration, moment
from services.notifier.app import DEFINITION as NOTIFIER
from services.notifier.service import mails as mail_service
from services.notifier.service import queue
from services.notifier.service.queue import MAILS_LATE
from services.notifier.tables import MailRow, MailState
from shared import clock, migrations
from shared.cli import Definition
from shared.database import Database, Transaction
from shared.messaging import dead_letters, held, outbox
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.held import HeldEvent
from shared.messaging.lag import LATE
from shared.read_log import Reading

LISTED = 100
"""Lines of one service at most."""


@dataclass(frozen=True, slots=True)
class MailFigures:
    """The number of due mails, the age of the oldest, and the number of ambiguous mails."""

    due: int
    oldest: timedelta
    ambiguous: int


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The figures of a service's database. ``lacking``: what it lacks to be at this version."""

    lacking: str | None
    unsent: int = 0
    unsent_for: timedelta = timedelta(0)
    refused: int = 0
    waiting: int = 0
    parked: int = 0
    parked_since: datetime | None = None
    mails: MailFigures | None = None


async def figures(definition: Definition, database: Database) -> ServiceFigures:
    lacking = await migrations.missing(database, definition.revisions)
    if lacking is not None:
        return ServiceFigures(lacking)
    async with database.quiet_transaction() as tx:
        unsent, age = await outbox.unsent(tx)
        refused, waiting = await held.count(tx)
        mails = None
        if definition is NOTIFIER:
            waiting_mails = await queue.measure(tx)
            mails = MailFigures(
                waiting_mails.due, timedelta(seconds=waiting_mails.age), waiting_mails.ambiguous
            )
        return ServiceFigures(
            None,
            unsent,
            timedelta(seconds=age),
            refused,
            waiting,
            await dead_letters.count_parked(tx),
            await dead_letters.oldest_parked(tx),
            mails,
        )


async def status(settings: ConsoleSettings, services: Sequence[Definition]) -> list[Finding]:
    """Return the lines of each service."""
    now = clock.now()
    findings: list[Finding] = []
    for answer in await ask(services, settings, figures):
        if answer.value is None:
            findings.append(answer.finding("database"))
        else:
            findings += _lines(answer.service, answer.value, now)
    return findings


def _lines(service: str, known: ServiceFigures, now: datetime) -> Iterator[Finding]:
    if known.lacking is not None:
        yield Finding(
            service, "database", Mark.ACT, known.lacking, f"run 'python -m services.{service} migrate'"
        )
        return
    yield Finding(service, "database", Mark.OK, "answers, at this version")
    yield _outbox(service, known)
    yield _dead_letters(service, known, now)
    if known.mails is not None:
        yield _mails(known.mails)


def _outbox(service: str, known: ServiceFigures) -> Finding:
    remedy = ""
    if known.refused:
        remedy = f"decide: parcours outbox, then parcours {service} outbox redrive | discard"
    elif known.waiting:
        remedy = "a topic is missing: parcours topics"
    elif known.unsent_for > LATE:
        remedy = f"start {service}; where it runs, Kafka refuses or is away: parcours doctor"
    oldest = f", the oldest for {duration(known.unsent_for)}" if known.unsent else ""
    held_back = (
        f"; {known.refused} refused, {known.waiting} held back" if known.refused + known.waiting else ""
    )
    return Finding(
        service,
        "outbox",
        Mark.ACT if remedy else Mark.OK,
        f"{known.unsent} events to publish{oldest}{held_back}",
        remedy,
        {
            "unsent": known.unsent,
            "oldest_seconds": round(known.unsent_for.total_seconds(), 1),
            "refused": known.refused,
            "held": known.waiting,
        },
    )


def _dead_letters(service: str, known: ServiceFigures, now: datetime) -> Finding:
    since = None if known.parked_since is None else now - known.parked_since
    return Finding(
        service,
        "dead letters",
        Mark.ACT if known.parked else Mark.OK,
        f"{known.parked} parked" + ("" if since is None else f", the oldest for {duration(since)}"),
        f"decide: parcours {service} dead-letters redrive | discard" if known.parked else "",
        {
            "parked": known.parked,
            "oldest_seconds": None if since is None else round(since.total_seconds(), 1),
        },
    )


def _mails(mails: MailFigures) -> Finding:
    remedy = ""
    is_late = mails.oldest > MAILS_LATE
    if mails.ambiguous:
        remedy = "decide: parcours mails, then parcours notifier mails resolve"
    elif is_late:
        remedy = "start the notifier; where it runs, the relay is away or slow: parcours doctor"
    oldest = f", the oldest for {duration(mails.oldest)}" if mails.due or is_late else ""
    return Finding(
        "notifier",
        "mails",
        Mark.ACT if remedy else Mark.OK,
        f"{mails.due} due{oldest}; {mails.ambiguous} ambiguous",
        remedy,
        {
            "due": mails.due,
            "oldest_seconds": round(mails.oldest.total_seconds(), 1),
            "ambiguous": mails.ambiguous,
        },
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
    """Return a line for each held event, or one for a service without any."""

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
    """Return the number of mails in each state, and a line for each ambiguous mail."""

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
    """Return these lines; without any, one that none waits, or why it is unknown."""
    if answer.value is None:
        return [answer.finding(what)]
    return lines or [Finding(answer.service, what, Mark.OK, "none wait")]
