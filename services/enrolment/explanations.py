from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.enrolment.rules.states import Cause
from services.enrolment.service.explain import (
    LAST_CHANGES,
    AgentExplanation,
    EnrolmentHistory,
    IdExplanation,
    OutcomeExplanation,
    RequestExplanation,
    SessionExplanation,
)
from services.enrolment.tables import EnrolmentChangeRow, RequestOutcomeRow, RequestRow, SessionRow
from shared.events.catalogue import SessionState
from shared.events.reasons import Reason

_OF_LINK = {"link_sent_to", "address_corrected_by", "address_corrected_at", "address_corrected_request"}
_NUMBERS = ("capacity", "enrolled", "offered", "waiting", "place_in_line")


def lines_of(explanation: IdExplanation) -> Iterator[str]:
    match explanation:
        case RequestExplanation(request, enrolments):
            yield from _request(request)
            yield from _histories(enrolments)
        case OutcomeExplanation(request_id, outcomes):
            yield f"request {request_id}, answered by another service"
            yield from map(_outcome_of_request, outcomes)
        case SessionExplanation(session, row, answers, changes):
            yield from _session(session, row)
            yield from _answers(answers)
            yield from _changes(changes)
        case AgentExplanation(agent, enrolments, requests):
            yield f"agent {_named(*agent)}"
            yield from _histories(enrolments)
            yield ""
            yield "requests about them by name"
            yield from map(_request_by_name, requests)
        case EnrolmentHistory():
            yield from _histories([explanation])


def _named(issuer: str, agent_id: str) -> str:
    return f"{agent_id} of {issuer}" if issuer else agent_id


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
        yield f"  by the numbers just before: {_numbers(request.facts)}"


def _outcome_of_request(outcome: RequestOutcomeRow) -> str:
    why = f", {outcome.code}" if outcome.code else ""
    return f"  {_moment(outcome.at)}, sent by {outcome.request_source}: {outcome.state}{why}"


def _session(session: SessionState, row: SessionRow) -> Iterator[str]:
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
    yield f"changes, the last {LAST_CHANGES} at most"
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
                yield f"  {_moment(first.decided_at)} {answer}; before it: {_numbers(first.facts)}"
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
    numbers = {name: value for name, value in change.facts.items() if name not in _OF_LINK}
    said = f"{change.state}: {Cause(change.cause).explanation}{_link(change)}"
    return f"{said}; after it: {_numbers(numbers)}"


def _link(change: EnrolmentChangeRow) -> str:
    """Return by which link it was asked for, if the address had been corrected in the month before."""
    if "address_corrected_by" not in change.facts:
        return ""
    address = change.facts.get("link_sent_to", "an address")  # the last release did not keep it
    when = _moment(datetime.fromisoformat(change.facts["address_corrected_at"]))
    by, request = change.facts["address_corrected_by"], change.facts["address_corrected_request"]
    return f" by a link sent to {address}, which {by} had put there on {when} (request {request})"


def _outcome(outcome: str | None, reason: str | None) -> str:
    if outcome is None:
        return "waits for its session"
    return f"{outcome}, {reason}: {Reason(reason).refusal.explained}" if reason else outcome


def _numbers(kept: Mapping[str, Any] | None) -> str:
    if not kept:
        return "no numbers were kept"
    ordered = sorted(kept, key=lambda name: (_NUMBERS.index(name) if name in _NUMBERS else 9, name))
    return ", ".join(f"{name.replace('_', ' ')} {_number(name, kept[name])}" for name in ordered)


def _number(name: str, value: object) -> object:
    return "unlimited" if name in ("capacity", "quota") and value is None else value


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
