"""The history of a request, an agent or a session, as an operator reads it.

Names and addresses are left out: no explanation needs them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.enrolment.rules.states import Cause
from services.enrolment.service.requests import record_read
from services.enrolment.store import changes, history, requests, sessions
from services.enrolment.store.history import EnrolmentHistory
from services.enrolment.store.sessions import session_of
from services.enrolment.tables import EnrolmentChangeRow, RequestRow, SessionRow
from shared import read_log
from shared.database import Transaction
from shared.events.vocabulary import AgentKey, Reason
from shared.read_log import Reading, ReadKind
from shared.references import ids_of
from shared.web.refusals import REFUSALS

_LAST_CHANGES = 50
_NUMBERS = ("capacity", "enrolled", "offered", "waiting", "place_in_line")


async def explain(tx: Transaction, identifier: str, reading: Reading) -> list[str] | None:
    """Return the lines that explain the request, session or agent with this id; None: there is none.

    It may also be the reference of an enrolment, as letters have it. What several have for their id explains
    them all: a request of two portals, an agent of two issuers. Who reads is recorded.
    """
    try:
        known_id = UUID(identifier)
    except ValueError:
        known_id = None
    if known_id is not None:
        if of_portals := await requests.with_id(tx, known_id):
            for request in of_portals:
                await record_read(tx, request, reading, ReadKind.EXPLANATION)
            return [line for request in of_portals for line in await _whole_request(tx, request)]
        if (session := await sessions.find_row(tx, known_id)) is not None:
            await read_log.record(tx, reading, ReadKind.EXPLANATION, session_id=known_id)
            answers = await requests.count_by_outcome(tx, known_id)
            last = await changes.last_of_session(tx, known_id, _LAST_CHANGES)
            return [*_session(session), *_answers(answers), *_changes(last)]
    histories = await history.of_agent(tx, identifier)
    by_name = await requests.of_agent(tx, identifier)
    if not histories and not by_name:
        return await _of_reference(tx, identifier, reading)
    issuers = {past.enrolment.issuer for past in histories} | {request.issuer or "" for request in by_name}
    about = [AgentKey(issuer, identifier) for issuer in sorted(issuers)]
    await read_log.record(tx, reading, ReadKind.EXPLANATION, agents=about)
    return [
        line
        for issuer in sorted(issuers)
        for line in (
            f"agent {_named(issuer, identifier)}",
            *_histories(past for past in histories if past.enrolment.issuer == issuer),
            "",
            "requests about them by name",
            *(_request_by_name(request) for request in by_name if request.issuer == issuer),
        )
    ]


async def _of_reference(tx: Transaction, typed: str, reading: Reading) -> list[str] | None:
    ids = ids_of(typed)
    found = [] if ids is None else await history.between(tx, *ids)
    if not found:
        return None
    about = [AgentKey(past.enrolment.issuer, past.enrolment.agent_id) for past in found]
    await read_log.record(tx, reading, ReadKind.EXPLANATION, agents=about)
    return [*_histories(found)]


def _named(issuer: str, agent_id: str) -> str:
    return f"{agent_id} of {issuer}" if issuer else agent_id


async def _whole_request(tx: Transaction, request: RequestRow) -> list[str]:
    return [*_request(request), *_histories(await history.of_request(tx, request))]


def _request(request: RequestRow) -> Iterator[str]:
    yield f"request {request.request_id} ({request.kind})"
    if request.source:
        yield f"  sent by {request.source}"
    yield f"  session {request.session_id}"
    yield f"  received {_moment(request.received_at)}, by which deadlines are judged"
    if request.decided_at is None:
        yield "  waits for the event of its session"
        return
    yield f"  decided  {_moment(request.decided_at)}: {_outcome(request.outcome, request.reason)}"
    if request.facts:
        yield f"  by the numbers just before: {_facts(request.facts)}"


def _session(row: SessionRow) -> Iterator[str]:
    session = session_of(row)
    yield f"session {session.session_id}, version {session.version}: {session.title} ({session.format})"
    yield f"  {session.status}, organised by {session.organiser}"
    opens, closes = _moment(session.enrolment_opens_at), _moment(session.enrolment_closes_at)
    yield f"  enrolment from {opens} until before {closes}; starts {_moment(session.starts_at)}"
    capacity = "unlimited" if session.capacity is None else session.capacity
    yield f"  capacity {capacity}: {row.enrolled} enrolled, {row.offered} offered; {row.waiting} waiting"
    if row.waiting_groups:
        members = sum(group["members"] for group in row.waiting_groups.values())
        yield f"  of those who wait {members} wait together, in groups: {len(row.waiting_groups)}"
    if session.minimum is not None:
        yield f"  takes place with {session.minimum} or more, unless its organiser decides otherwise"
    yield f"  waiting list {session.waiting_list}, approval {session.approval}"
    for reserved in session.reserved_seats:
        until = _moment(reserved.release_at)
        yield f"  {reserved.seats} seats reserved for {reserved.delegation} until {until}"
    if session.quota_per_authority is not None:
        yield f"  at most {session.quota_per_authority} seats for one authority"


def _answers(counts: Sequence[tuple[str, str | None, str | None, int]]) -> Iterator[str]:
    yield "answers"
    for kind, outcome, reason, number in counts:
        yield f"  {number:6} {kind}: {_outcome(outcome, reason)}"


def _changes(rows: Iterable[EnrolmentChangeRow]) -> Iterator[str]:
    yield f"changes, the last {_LAST_CHANGES} at most"
    for row in rows:
        yield f"  {_moment(row.at)} {_named(row.issuer, row.agent_id)} {_change(row)}"


def _histories(histories: Iterable[EnrolmentHistory]) -> Iterator[str]:
    for past in histories:
        enrolment = past.enrolment
        reason = f" ({enrolment.reason})" if enrolment.reason else ""
        yield ""
        session = f"{past.session.title} ({enrolment.session_id})"
        agent = _named(enrolment.issuer, enrolment.agent_id)
        yield f"enrolment {enrolment.enrolment_id} of {agent} in {session}"
        yield f"  is {enrolment.state}{reason}, version {enrolment.version}"
        if (first := past.request) is not None:
            yield f"  {_moment(first.received_at)} received, request {first.request_id}"
            if first.decided_at is not None:
                answer = _outcome(first.outcome, first.reason)
                yield f"  {_moment(first.decided_at)} {answer}; before it: {_facts(first.facts)}"
        for change in past.changes:
            by = f", by request {change.request_id}" if change.request_id else ""
            yield f"  {_moment(change.at)} {_change(change)}{by}"
        for event in past.events:
            published = _moment(event.sent_at) if event.sent_at else "not yet"
            name = event.type.split(".")[-2]
            yield f"  event {name} {event.event_id}, version {event.version}, published {published}"


def _request_by_name(request: RequestRow) -> str:
    outcome = _outcome(request.outcome, request.reason)
    return f"  {_moment(request.received_at)} {request.kind} {request.request_id}: {outcome}"


def _change(change: EnrolmentChangeRow) -> str:
    return f"{change.state}: {Cause(change.cause).explanation}; after it: {_facts(change.facts)}"


def _outcome(outcome: str | None, reason: str | None) -> str:
    if outcome is None:
        return "waits for its session"
    return f"{outcome}, {reason}: {REFUSALS[Reason(reason)].explained}" if reason else outcome


def _facts(facts: Mapping[str, Any] | None) -> str:
    """Return the numbers, and what else was kept with them, in one line."""
    if not facts:
        return "no numbers were kept"
    ordered = sorted(facts, key=lambda name: (_NUMBERS.index(name) if name in _NUMBERS else 9, name))
    return ", ".join(f"{name.replace('_', ' ')} {_fact(name, facts[name])}" for name in ordered)


def _fact(name: str, value: object) -> object:
    return "unlimited" if name in ("capacity", "quota") and value is None else value


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
