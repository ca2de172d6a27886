"""The story of an answer, as an operator reads it: received when, which rule, which numbers, which events.

Names and addresses are left out: an operator needs them to explain nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from services.enrolment.rules import Cause
from services.enrolment.store import request_outcome, stories
from services.enrolment.store.stories import Story
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Reason
from shared.web.refusals import REFUSALS

_LAST_MOVES = 50
_NUMBERS = ("capacity", "enrolled", "offered", "waiting", "place_in_line")

_WHY_MOVED: Mapping[str, str] = {
    Cause.WITHDRAWAL: "withdrawn on request",
    Cause.REPLACED: "left out of a newer list of trainees",
    Cause.SEAT_FREED: "first in line that may take the seat that was free",
    Cause.OFFER_ACCEPTED: "answered yes in time",
    Cause.OFFER_DECLINED: "answered no",
    Cause.OFFER_EXPIRED: "did not answer in time",
    Cause.OFFER_SHORTENED: "the session was brought forward, and the offer ends sooner",
    Cause.APPROVAL_GRANTED: "the employer agreed",
    Cause.APPROVAL_DENIED: "the employer did not agree",
    Cause.APPROVAL_MISSING: "the employer had said nothing when enrolment closed",
    Cause.APPROVAL_DROPPED: "the session needs nobody's agreement any more",
    Cause.SELECTION: "the organiser decided about the candidates",
    Cause.PRIORITY: "an organiser changed the place in line",
    Cause.ATTENDANCE: "attendance was recorded",
    Cause.SESSION_CANCELLED: "the session was cancelled",
}


async def explain(tx: Transaction, about: str) -> list[str] | None:
    """The lines that tell of a request, a session or an agent, whichever ``about`` is; None: it is none."""
    try:
        known_as = UUID(about)
    except ValueError:
        known_as = None
    if known_as is not None:
        if (row := await request_outcome(tx, known_as)) is not None:
            return [*_request(row), *_told(await stories.of_request(tx, known_as))]
        if (known := await stories.session(tx, known_as)) is not None:
            answers = await stories.answers_in(tx, known_as)
            moves = await stories.moves_in(tx, known_as, _LAST_MOVES)
            return [*_session(*known), *_answers(answers), *_moves(moves)]
    told = await stories.of_agent(tx, about)
    asked = await stories.requests_of_agent(tx, about)
    if not told and not asked:
        return None
    return [f"agent {about}", *_told(told), "", "asked about them by name", *(_asked(row) for row in asked)]


def _request(row: Row[Any]) -> Iterator[str]:
    yield f"request {row.request_id} ({row.kind})"
    yield f"  session {row.session_id}"
    yield f"  received {_moment(row.received_at)}, by which deadlines are judged"
    if row.decided_at is None:
        yield "  waits for the event of its session"
        return
    yield f"  decided  {_moment(row.decided_at)}: {_outcome(row.outcome, row.reason)}"
    if row.facts:
        yield f"  by the numbers just before: {_facts(row.facts)}"


def _session(session: SessionState, row: Row[Any]) -> Iterator[str]:
    yield f"session {session.session_id}, version {session.version}: {session.title} ({session.format})"
    yield f"  {session.status}, organised by {session.organiser}"
    opens, closes = _moment(session.enrolment_opens_at), _moment(session.enrolment_closes_at)
    yield f"  enrolment from {opens} until before {closes}; starts {_moment(session.starts_at)}"
    capacity = "unlimited" if session.capacity is None else session.capacity
    yield f"  capacity {capacity}: {row.enrolled} enrolled, {row.offered} offered; {row.waiting} waiting"
    yield f"  waiting list {session.waiting_list}, approval {session.approval}"
    for reserved in session.reserved_seats:
        until = _moment(reserved.release_at)
        yield f"  {reserved.seats} seats reserved for {reserved.delegation} until {until}"
    if session.quota_per_authority is not None:
        yield f"  at most {session.quota_per_authority} seats for one authority"


def _answers(rows: Sequence[Row[Any]]) -> Iterator[str]:
    yield "answers"
    for row in rows:
        outcome = _outcome(row.outcome, row.reason) if row.outcome else "waits for the session"
        yield f"  {row.number:6} {row.kind}: {outcome}"


def _moves(rows: Sequence[Row[Any]]) -> Iterator[str]:
    yield f"moves, the last {_LAST_MOVES} at most"
    for row in rows:
        yield f"  {_moment(row.at)} {row.agent_id} {_change(row)}"


def _told(told: Sequence[Story]) -> Iterator[str]:
    for story in told:
        one = story.enrolment
        yield ""
        yield f"enrolment {one.enrolment_id} of {one.agent_id} in {story.session.title} ({one.session_id})"
        yield f"  is {one.state}{f' ({one.reason})' if one.reason else ''}, version {one.version}"
        if story.began is not None:
            first = story.began
            yield f"  {_moment(first.received_at)} received, request {first.request_id}"
            if first.decided_at is not None:
                answer = _outcome(first.outcome, first.reason)
                yield f"  {_moment(first.decided_at)} {answer}; before it: {_facts(first.facts)}"
        for change in story.changes:
            by = f", by request {change.request_id}" if change.request_id else ""
            yield f"  {_moment(change.at)} {_change(change)}{by}"
        for event in story.events:
            published = _moment(event.sent_at) if event.sent_at else "not yet"
            name = event.type.split(".")[-2]
            yield f"  event {name} {event.event_id}, version {event.version}, published {published}"


def _asked(row: Row[Any]) -> str:
    outcome = _outcome(row.outcome, row.reason) if row.outcome else "waits for its session"
    return f"  {_moment(row.received_at)} {row.kind} {row.request_id}: {outcome}"


def _change(row: Row[Any]) -> str:
    return f"{row.state}: {_WHY_MOVED.get(row.cause, row.cause)}; after it: {_facts(row.facts)}"


def _outcome(outcome: str, reason: str | None) -> str:
    return f"{outcome}, {reason}: {REFUSALS[Reason(reason)].explained}" if reason else outcome


def _facts(facts: Mapping[str, Any] | None) -> str:
    """The numbers, and what else was kept, in one line."""
    if not facts:
        return "no numbers were kept"
    ordered = sorted(facts, key=lambda name: (_NUMBERS.index(name) if name in _NUMBERS else 9, name))
    return ", ".join(f"{name.replace('_', ' ')} {_fact(name, facts[name])}" for name in ordered)


def _fact(name: str, value: object) -> object:
    return "unlimited" if name in ("capacity", "quota") and value is None else value


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
