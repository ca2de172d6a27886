"""The way of one request over all services: received, decided, published, heard, queued and sent, when.

By the id of a request (its ``ce_id``), of an enrolment, a session or a mail, or by the reference in a letter.
Names, addresses and identifiers of people are left out, unless they are asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.catalogue.app import DEFINITION as CATALOGUE
from services.catalogue.rules.bespoke import BespokeRequest
from services.catalogue.service import bespoke
from services.catalogue.service import sessions as catalogue_sessions
from services.console.asking import DEFINITIONS, Asked, ConsoleSettings, Unanswered, ask, broker_answers
from services.console.broker import LATE
from services.console.findings import Finding, Mark
from services.console.waiting import MAILS_LATE
from services.enrolment.app import DEFINITION as ENROLMENT
from services.enrolment.service import intake
from services.enrolment.service.explain import (
    AgentExplanation,
    EnrolmentHistory,
    IdExplanation,
    OutcomeExplanation,
    RequestExplanation,
    SessionExplanation,
    explain,
)
from services.enrolment.tables import EnrolmentRow, RequestRow
from services.notifier.app import DEFINITION as NOTIFIER
from services.notifier.service import mails as mail_service
from services.notifier.service import sessions as notifier_sessions
from services.notifier.tables import MailRow, MailState
from shared import clock
from shared.cli import Definition
from shared.database import Database
from shared.events.topics import Topic, is_of_portals
from shared.messaging import dead_letters, inbox, places
from shared.messaging.places import RecordPlace
from shared.messaging.tables import DeadLetterRow, InboxRow
from shared.read_log import Reading

BEFORE, AFTER = timedelta(minutes=1), timedelta(minutes=10)
"""Where a record is looked for, about the moment at which a service knows it: clocks differ, relays wait."""


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """Who asks, whether people are named, and how far back an id is looked for that no service knows."""

    reading: Reading
    with_personal_data: bool
    unknown_since: timedelta


@dataclass(slots=True)
class Way:
    """What is known so far, and the ids by which the next one is asked."""

    identifier: str
    steps: list[Finding] = field(default_factory=list)
    could_not: list[Finding] = field(default_factory=list)
    event_ids: set[UUID] = field(default_factory=set)
    published: dict[UUID, tuple[str, datetime]] = field(default_factory=dict)
    enrolment_ids: set[UUID] = field(default_factory=set)
    sessions: dict[str, int | None] = field(default_factory=dict)
    received_at: datetime | None = None
    accepted_at: datetime | None = None

    @property
    def known_id(self) -> UUID | None:
        """The identifier as an id; None: it is a reference."""
        try:
            return UUID(self.identifier)
        except ValueError:
            return None


async def trace(settings: ConsoleSettings, identifier: str, options: TraceOptions) -> list[Finding]:
    """Return the steps in the order of time, then whoever could not be asked."""
    way = Way(identifier)
    if way.known_id is not None:
        way.event_ids.add(way.known_id)
    await _enrolment(settings, way, options)
    await _by_http(settings, way)
    await _sessions(settings, way)
    for asked in await ask(DEFINITIONS, settings, lambda _, database: _heard(database, way.event_ids)):
        _mechanisms(way, asked)
    await _mails(settings, way, options)
    await _topics(settings, way, options)
    is_taken_in = any(step.what not in ("accepted", "record") for step in way.steps)
    if way.accepted_at is not None and not is_taken_in and clock.now() - way.accepted_at > LATE:
        remedy = "parcours status, parcours lag"
        way.steps.append(Finding("all", "not taken in", Mark.ACT, "no service has it from its topic", remedy))
    if not way.steps:
        found = f"nothing is known of {identifier}"
        remedy = "is it the id of a request, an enrolment, a session or a mail, or the reference of a letter?"
        way.steps.append(Finding("all", "trace", Mark.ACT, found, remedy))
    in_time = sorted(way.steps, key=_place_in_time)
    return [*in_time, *way.could_not]


def _place_in_time(step: Finding) -> tuple[bool, datetime, bool]:
    """Put a record before what was made of it in the same millisecond, and what has no time at the end."""
    return step.at is None, step.at or clock.now(), step.about != "kafka"


# ------------------------------------------------------------------------------------------- enrolment


async def _enrolment(settings: ConsoleSettings, way: Way, options: TraceOptions) -> None:
    """Add what enrolment knows; of a mail, by the enrolment that it is about."""

    async def find(identifier: str) -> Asked[Sequence[IdExplanation]]:
        async def explain_it(_: Definition, database: Database) -> Sequence[IdExplanation]:
            async with database.quiet_transaction() as tx:
                return await explain(tx, identifier, options.reading)

        [asked] = await ask([ENROLMENT], settings, explain_it)
        return asked

    explained = await find(way.identifier)
    if explained.answer is None:
        way.could_not.append(explained.finding("trace"))
        return
    explanations = explained.answer
    if not explanations and (of_mail := await _enrolment_of_mail(settings, way)) is not None:
        explanations = (await find(str(of_mail))).answer or ()
    for explanation in explanations:
        way.steps += _explained(way, explanation, options)


async def _enrolment_of_mail(settings: ConsoleSettings, way: Way) -> UUID | None:
    mail_id = way.known_id
    if mail_id is None:
        return None

    async def find(_: Definition, database: Database) -> UUID | None:
        async with database.quiet_transaction() as tx:
            return await mail_service.enrolment_of(tx, mail_id)

    [asked] = await ask([NOTIFIER], settings, find)
    return asked.answer


def _explained(way: Way, explanation: IdExplanation, options: TraceOptions) -> Iterator[Finding]:
    match explanation:
        case RequestExplanation(request, histories):
            way.received_at = request.received_at
            yield from _request(request)
            for past in histories:
                yield from _history(way, past, options)
        case OutcomeExplanation(_, outcomes):
            for outcome in outcomes:
                why = f", {outcome.code}" if outcome.code else ""
                yield _step("enrolment", "told its portal", outcome.at, f"{outcome.state}{why}")
        case SessionExplanation(session, row, _, _):
            way.sessions[str(session.session_id)] = row.version
        case AgentExplanation(_, histories, _):
            for past in histories:
                yield from _history(way, past, options)
        case EnrolmentHistory():
            yield from _history(way, explanation, options)


def _request(request: RequestRow) -> Iterator[Finding]:
    sender = f" from {request.source}" if request.source else ""
    received = f"{request.kind} {request.request_id}{sender}, for session {request.session_id}"
    yield _step("enrolment", "received", request.received_at, received)
    if request.decided_at is None:
        yield Finding("enrolment", "waits", Mark.OK, "for the event of its session, five minutes at most")
    else:
        reason = f", {request.reason}" if request.reason else ""
        yield _step("enrolment", "decided", request.decided_at, f"{request.outcome}{reason}")


def _history(way: Way, past: EnrolmentHistory, options: TraceOptions) -> Iterator[Finding]:
    enrolment = past.enrolment
    way.enrolment_ids.add(enrolment.enrolment_id)
    way.event_ids.add(enrolment.request_id)
    if past.request is not None and way.received_at is None:
        way.received_at = past.request.received_at
        yield from _request(past.request)
    if options.with_personal_data:
        yield _step("enrolment", "agent", enrolment.received_at, _person(enrolment))
    for change in past.changes:
        moved = f"{change.state}, {change.cause}: enrolment {enrolment.enrolment_id}"
        yield _step("enrolment", "moved", change.at, moved)
    for event in past.events:
        name = event.type.split(".")[-2]
        what = f"{name} {event.event_id}, version {event.version} of enrolment {enrolment.enrolment_id}"
        if event.sent_at is None:
            remedy = "start enrolment; then parcours outbox, parcours doctor"
            yield Finding("enrolment", "not published", Mark.ACT, what, remedy)
        else:
            way.event_ids.add(event.event_id)
            way.published[event.event_id] = (name, event.sent_at)
            yield _step("enrolment", "published", event.sent_at, what)


def _person(enrolment: EnrolmentRow) -> str:
    agent = enrolment.agent
    name = f"{agent.get('given_name')} {agent.get('family_name')} <{agent.get('email')}>"
    return f"{name}, {enrolment.agent_id} of {enrolment.issuer}"


async def _by_http(settings: ConsoleSettings, way: Way) -> None:
    """Add when the request came by HTTP, which enrolment accepts for all services."""
    event_id = way.known_id
    if event_id is None:
        return

    async def find(_: Definition, database: Database) -> datetime | None:
        async with database.quiet_transaction() as tx:
            return await intake.accepted_at(tx, event_id)

    [asked] = await ask([ENROLMENT], settings, find)
    way.accepted_at = asked.answer
    if way.accepted_at is not None:
        way.received_at = way.received_at or way.accepted_at
        way.steps.append(_step("enrolment", "accepted", way.accepted_at, f"by HTTP: {event_id}"))


# ------------------------------------------------------------------------------------------- sessions


async def _sessions(settings: ConsoleSettings, way: Way) -> None:
    """Compare what the services know of a session, where the id is that of one."""
    session_id = way.known_id
    if session_id is None:
        return

    async def published(_: Definition, database: Database) -> tuple[str, int] | None:
        async with database.quiet_transaction() as tx:
            found = await catalogue_sessions.find(tx, session_id)
            return None if found is None else (found.status.value, found.version)

    async def heard(_: Definition, database: Database) -> int | None:
        async with database.quiet_transaction() as tx:
            known = (await notifier_sessions.find(tx, [session_id])).get(session_id)
            return None if known is None else known.version

    [of_catalogue] = await ask([CATALOGUE], settings, published)
    if of_catalogue.answer is None and str(session_id) not in way.sessions:
        return
    [of_notifier] = await ask([NOTIFIER], settings, heard)
    newest = None if of_catalogue.answer is None else of_catalogue.answer[1]
    if of_catalogue.answer is not None:
        status, version = of_catalogue.answer
        way.steps.append(Finding("catalogue", "session", Mark.OK, f"{status}, version {version}"))
        newest = None if status == "draft" else version
    known = {"enrolment": way.sessions.get(str(session_id)), "notifier": of_notifier.answer}
    unasked = {line.about for line in way.could_not} | ({"notifier"} if of_notifier.why_not else set())
    way.steps += [
        _knows(service, version, newest) for service, version in known.items() if service not in unasked
    ]


def _knows(service: str, version: int | None, newest: int | None) -> Finding:
    found = "does not know it" if version is None else f"knows version {version}"
    if newest is None or version == newest:
        return Finding(service, "session", Mark.OK, found)
    remedy = f"parcours lag; then python -m services.{service} projections verify"
    return Finding(service, "session", Mark.ACT, f"{found}; published is {newest}", remedy)


# ------------------------------------------------------------------------------------------- mechanisms


@dataclass(frozen=True, slots=True)
class Heard:
    """What a service's mechanisms know of events."""

    rows: list[InboxRow]
    parked: list[DeadLetterRow]


async def _heard(database: Database, ids: set[UUID]) -> Heard:
    async with database.quiet_transaction() as tx:
        parked = [letter for known in ids if (letter := await dead_letters.of_event(tx, known)) is not None]
        return Heard(await inbox.rows_of(tx, ids), parked)


def _mechanisms(way: Way, asked: Asked[Heard]) -> None:
    service = asked.service
    if asked.answer is None:
        if service not in {line.about for line in way.could_not}:
            way.could_not.append(asked.finding("trace"))
        return
    for row in asked.answer.rows:
        name, _ = way.published.get(row.event_id, (row.topic, None))
        way.steps.append(_step(service, "heard", row.seen_at, f"{name} {row.event_id}"))
    way.steps += [_parked(service, letter) for letter in asked.answer.parked]
    if service == NOTIFIER.name:
        heard = {row.event_id for row in asked.answer.rows} | {row.event_id for row in asked.answer.parked}
        way.steps += [
            Finding(service, "not heard", Mark.ACT, f"{name} {event_id}", "parcours lag --service notifier")
            for event_id, (name, at) in way.published.items()
            if event_id not in heard and clock.now() - at > LATE
        ]


def _parked(service: str, letter: DeadLetterRow) -> Finding:
    where = f"{letter.topic}/{letter.partition}@{letter.offset}"
    is_parked, is_rejected = letter.state == "parked", letter.state == "rejected"
    remedy = ""
    if is_parked:
        remedy = f"decide: parcours {service} dead-letters redrive | discard {letter.id}"
    elif is_rejected:
        remedy = "its portal sends it again, mended"
    code = f", {letter.code}" if letter.code else ""
    mark = Mark.ACT if remedy else Mark.OK
    return replace(_step(service, letter.state, letter.parked_at, f"{where}{code}"), mark=mark, remedy=remedy)


# ------------------------------------------------------------------------------------------- mails


async def _mails(settings: ConsoleSettings, way: Way, options: TraceOptions) -> None:
    """Add the mails about these enrolments, and those that these events called for."""

    async def find(_: Definition, database: Database) -> list[MailRow]:
        async with database.quiet_transaction() as tx:
            return await mail_service.of_events(tx, way.event_ids, way.enrolment_ids, options.reading)

    [asked] = await ask([NOTIFIER], settings, find)
    for row in asked.answer or ():
        way.steps += _mail(row, options)
    bespoke_id = way.known_id
    if bespoke_id is None:
        return

    async def find_bespoke(_: Definition, database: Database) -> BespokeRequest | None:
        async with database.quiet_transaction() as tx:
            return await bespoke.find(tx, bespoke_id)

    [of_catalogue] = await ask([CATALOGUE], settings, find_bespoke)
    if (request := of_catalogue.answer) is not None:
        found = f"bespoke request, for {request.delegation}: {request.state}"
        way.steps.append(_step("catalogue", "received", request.received_at, found))


def _mail(row: MailRow, options: TraceOptions) -> Iterator[Finding]:
    whose = f" to {row.given_name} {row.family_name} <{row.address}>" if options.with_personal_data else ""
    yield _step("notifier", "queued", row.created_at, f"{row.template}{whose}: mail {row.mail_id}")
    code = f"{row.smtp_code} " if row.smtp_code else ""
    answer = f"{code}{row.smtp_answer or ''}".strip()
    found = f"{row.template}, attempt {row.attempts}, Message-ID {row.message_id or 'not given yet'}"
    when = row.settled_at or row.due_at
    settled = _step("notifier", row.state, when, f"{found}; {answer or 'no answer'}")
    match MailState(row.state):
        case MailState.AMBIGUOUS:
            remedy = f"ask the relay's log, then parcours notifier mails resolve {row.mail_id}"
        case MailState.FAILED:
            remedy = f"parcours notifier mails show {row.mail_id}; to send it again: mails resend"
        case MailState.PENDING | MailState.RETRY if clock.now() - row.due_at > MAILS_LATE:
            remedy = "the notifier does not send it: parcours status, parcours doctor"
        case _:
            remedy = ""
    yield replace(settled, mark=Mark.ACT, remedy=remedy) if remedy else settled
    if row.bounced_at is not None:
        yield _step("notifier", "came back", row.bounced_at, f"{row.bounce_status or 'without a status'}")


# ------------------------------------------------------------------------------------------- topics


async def _topics(settings: ConsoleSettings, way: Way, options: TraceOptions) -> None:
    """Add where the records lie: the request's, and those of the events that were published."""
    requests = [topic.value for topic in Topic if is_of_portals(topic)]
    is_known = bool(way.steps)
    if way.known_id is not None and (way.received_at is not None or not is_known):
        since = way.received_at or clock.now() - options.unknown_since
        until = way.received_at or clock.now()
        ids = [str(known) for known in way.event_ids - way.published.keys()]
        found = await _places(settings, way, requests, ids, (since - BEFORE, until + AFTER))
        for place in found:
            way.steps.append(_lies(place, is_known=is_known))
    for event_id, (_, sent_at) in way.published.items():
        topics = [Topic.ENROLMENT_DECISIONS.value]
        time = (sent_at - AFTER, sent_at + BEFORE)
        way.steps += [
            _lies(place, is_known=True)
            for place in await _places(settings, way, topics, [str(event_id)], time)
        ]


async def _places(
    settings: ConsoleSettings,
    way: Way,
    topics: list[str],
    ids: list[str],
    time: tuple[datetime, datetime],
) -> list[RecordPlace]:
    if any(line.about == "kafka" for line in way.could_not):
        return []
    found = await broker_answers(settings, places.find(settings, topics, ids, *time))
    if isinstance(found, Unanswered):
        way.could_not.append(Finding("kafka", "trace", Mark.UNKNOWN, found.why))
        return []
    return found


def _lies(place: RecordPlace, *, is_known: bool) -> Finding:
    where = f"{place.topic}/{place.partition}@{place.offset}: {place.event_id}"
    step = _step("kafka", "record", place.at, where)
    if is_known:
        return step
    unread = f"{where}, which no service has taken in"
    return replace(step, mark=Mark.ACT, found=unread, remedy="parcours lag")


def _step(service: str, what: str, at: datetime | None, found: str) -> Finding:
    return Finding(service, what, Mark.OK, found, at=at)
