from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.groups import EnrolledTogether, ReceivedList, enrolled_together
from services.enrolment.rules.links import has_seat_for
from services.enrolment.rules.organising import OrganisingFault, judge_destination, judge_join
from services.enrolment.rules.questions import asked_of
from services.enrolment.rules.requests import Swap
from services.enrolment.rules.roster_lines import ChangeKey, RosterLine
from services.enrolment.rules.states import Cause, State
from services.enrolment.service import sessions as sessions_service
from services.enrolment.service.acting import Acting
from services.enrolment.service.enrolments import find_own
from services.enrolment.service.failures import NotFound
from services.enrolment.store import (
    changes,
    enrolments,
    last_nominations,
    notes,
    requests,
    roster_enrolments,
    roster_lines,
    sessions,
)
from services.enrolment.store import groups as groups_store
from services.enrolment.store import people as people_store
from services.enrolment.store.people import FoundPeople
from services.enrolment.tables import EnrolmentChangeRow, NoteRow, RequestRow
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import Question, SessionState
from shared.events.vocabulary import Agent
from shared.read_log import Reading, ReadKind

ELSEWHERE = 20
FOUND = 50
"""The most enrolments that a search shows and records in the log of reads."""
FIRST_VERSION = 1
_STATES = frozenset(State)


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first decision on an enrolment, at the receipt of its request.

    ``state`` is None if unknown. ``made_by`` says who, and why a seat is above capacity. ``left`` is the
    session that the agent left for this one.
    """

    enrolment_id: UUID
    at: datetime
    state: State | None
    made_by: Mapping[str, Any]
    left: SessionState | None

    @property
    def version(self) -> int:
        return FIRST_VERSION


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that still takes people. ``free`` seats are None without limit."""

    session: SessionState
    free: int | None


@dataclass(frozen=True, slots=True)
class PersonInSession:
    """An enrolment with its session, history and notes, oldest first.

    ``moves`` are destinations by request. ``twins`` may be the same person under another issuer, each with
    the obstacle to joining. ``destinations`` have a free seat. ``elsewhere`` are the last :data:`ELSEWHERE`
    other enrolments with this organiser. ``is_back``: the agent has a live enrolment here again.
    """

    line: RosterLine
    session: SessionState
    began: Beginning
    changes: Sequence[EnrolmentChangeRow]
    moves: Mapping[UUID, SessionState]
    notes: Sequence[NoteRow]
    twins: Sequence[tuple[RosterLine, OrganisingFault | None]]
    destinations: Sequence[OpenSession]
    may_leave: bool
    elsewhere: Sequence[EnrolmentInSession]
    is_back: bool

    @property
    def history(self) -> Sequence[EnrolmentChangeRow | NoteRow]:
        events: list[tuple[datetime, EnrolmentChangeRow | NoteRow]] = []
        events += ((change.at, change) for change in self.changes)
        events += ((note.removed_at, note) for note in self.notes if note.removed_at is not None)
        return [event for _, event in sorted(events, key=lambda event: event[0])][::-1]


async def find(tx: Transaction, typed: str, organiser: Principal, reading: Reading) -> FoundPeople:
    """The last session comes first.

    The read is recorded for each person found, or as a read of nobody. The search text is not stored.
    """
    people = await people_store.find(tx, typed, organiser.delegation, FOUND)
    agents = [found.enrolment.agent.key for found in people.found]
    await read_log.record(tx, reading, ReadKind.PERSON, agents=agents, of_a_list=True)
    return people


async def show(
    tx: Transaction, enrolment_id: UUID, organiser: Principal, reading: Reading, now: datetime
) -> PersonInSession | None:
    found = await find_own(tx, enrolment_id, organiser)
    if found is None:
        return None
    session, agent = found.session, found.enrolment.agent.key
    await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=[agent], session_id=session.session_id)
    line = await roster_lines.line_of(tx, session.session_id, enrolment_id)
    may_leave = judge_withdrawal(session, found.enrolment, now) is None
    may_move = may_leave and found.enrolment.state.has_seat
    past = await changes.of_enrolment(tx, enrolment_id)
    [began] = await _beginnings(tx, [found.enrolment])
    [latest] = await roster_enrolments.latest(tx, [(session.session_id, agent)])
    return PersonInSession(
        line=line,
        session=session,
        began=began,
        changes=past,
        moves=await _moves(tx, past),
        notes=(await notes.of_enrolments(tx, [enrolment_id])).get(enrolment_id, []),
        twins=[
            (twin, judge_join(session, found.enrolment, twin.enrolment, now))
            for twin in await roster_lines.lines_of(tx, session.session_id, line.same_person)
        ],
        destinations=await _destinations(tx, session, [found.enrolment.agent], organiser, now)
        if may_move
        else [],
        may_leave=may_leave,
        elsewhere=await people_store.others_of(tx, found.enrolment, organiser.delegation, ELSEWHERE),
        is_back=latest.state.is_live and latest.enrolment_id != enrolment_id,
    )


async def destinations_of_several(
    tx: Transaction, session: SessionState, agents: Sequence[Agent], organiser: Principal, now: datetime
) -> Sequence[OpenSession]:
    """Return other sessions of the offer that could seat at least one of the agents.

    Sessions with required questions are left out, because each agent must answer in person.
    """
    found = await _destinations(tx, session, agents, organiser, now)
    return [there for there in found if not any(question.required for question in there.session.questions)]


async def _destinations(
    tx: Transaction, session: SessionState, agents: Sequence[Agent], organiser: Principal, now: datetime
) -> list[OpenSession]:
    only = agents[0].key if len(agents) == 1 else None
    return [
        OpenSession(there, None if there.capacity is None else max(0, there.capacity - seats.taken))
        for there, seats in await sessions.others_of_offer(tx, session, only, now)
        if judge_destination(session, there, organiser.delegation) is None
        and any(has_seat_for(there, seats, agent, now) for agent in agents)
    ]


async def _beginnings(tx: Transaction, begun: Sequence[Enrolment]) -> list[Beginning]:
    asked = await requests.find_all(tx, {enrolment.request_key for enrolment in begun})
    changed = await changes.have_changed(tx, {enrolment.enrolment_id for enrolment in begun})
    return [
        await _beginning(
            tx, enrolment, asked.get(enrolment.request_key), has_changed=enrolment.enrolment_id in changed
        )
        for enrolment in begun
    ]


async def _beginning(
    tx: Transaction, enrolment: Enrolment, request: RequestRow | None, *, has_changed: bool
) -> Beginning:
    state = None if has_changed else enrolment.state
    made_by: Mapping[str, Any] = {}
    left = None
    if request is not None:
        # A request for several agents can have a common word as outcome, and each agent another answer.
        if has_changed and request.outcome in _STATES:
            state = State(request.outcome)
        made_by = request.facts or {}
        if request.session_id != enrolment.session_id and request.kind == Swap.__name__:
            left = await sessions.find(tx, request.session_id)
            made_by = next((change.facts for change in await changes.of_request(tx, request)), {})
    return Beginning(enrolment.enrolment_id, enrolment.received_at, state, made_by, left)


async def _moves(tx: Transaction, past: Sequence[EnrolmentChangeRow]) -> Mapping[UUID, SessionState]:
    moved = [change.request_id for change in past if change.cause == Cause.MOVED and change.request_id]
    to = await requests.destinations(tx, moved) if moved else {}
    known = await sessions.states(tx, set(to.values()))
    return {request_id: known[session_id] for request_id, session_id in to.items() if session_id in known}


@dataclass(frozen=True, slots=True)
class Destination:
    left: SessionState
    session: SessionState
    questions: Sequence[Question]


async def destination(
    tx: Transaction, enrolment_id: UUID, to_session_id: UUID, organiser: Principal
) -> Destination | None:
    """Return None if the organiser cannot move the agent there."""
    found = await find_own(tx, enrolment_id, organiser)
    there = await sessions.find(tx, to_session_id)
    if found is None or there is None:
        return None
    if judge_destination(found.session, there, organiser.delegation) is not None:
        return None
    return Destination(found.session, there, asked_of(there.questions, found.enrolment.agent.function))


async def read_agent(
    tx: Transaction, enrolment_id: UUID, organiser: Principal, reading: Reading
) -> Agent | None:
    found = await find_own(tx, enrolment_id, organiser)
    if found is None:
        return None
    agent, session_id = found.enrolment.agent, found.session.session_id
    await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=[agent.key], session_id=session_id)
    return agent


async def add_note(acting: Acting, enrolment_id: UUID, text: str) -> None:
    if await find_own(acting.tx, enrolment_id, acting.who) is None:
        raise NotFound(f"enrolment {enrolment_id}")
    await notes.add(acting.tx, enrolment_id, text, acting.who.name, acting.now)


async def remove_note(acting: Acting, enrolment_id: UUID, note_id: UUID) -> None:
    if await find_own(acting.tx, enrolment_id, acting.who) is None:
        raise NotFound(f"enrolment {enrolment_id}")
    await notes.remove(acting.tx, enrolment_id, note_id, acting.who.name, acting.now)


@dataclass(frozen=True, slots=True)
class GroupsOfSession:
    groups: Sequence[EnrolledTogether]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class PastOfSession:
    """First decisions and later changes, the newest first."""

    events: Sequence[EnrolmentChangeRow | Beginning]
    agents: Mapping[UUID, Agent]
    moves: Mapping[UUID, SessionState]


async def history(
    tx: Transaction,
    session_id: UUID,
    organiser: Principal,
    reading: Reading,
    most: int,
    *,
    after: ChangeKey | None,
    before: ChangeKey | None,
) -> PastOfSession | None:
    if await sessions_service.read_own(tx, session_id, organiser, reading) is None:
        return None
    changed = await changes.last_of_session(tx, session_id, most, after=after, before=before)
    begun = await enrolments.last_begun(
        tx, session_id, most, after=_in_begun(after), before=_in_begun(before)
    )
    place = _place_of_change
    keys = sorted([*map(place, changed), *map(_place_of_beginning, begun)], reverse=True)
    shown = set(keys[:most] if before is None else keys[-most:])
    past = [change for change in changed if place(change) in shown]
    first = await _beginnings(tx, [each for each in begun if _place_of_beginning(each) in shown])
    agents = await enrolments.agents(tx, session_id, {enrolment_id for _, _, enrolment_id in shown})
    events: list[EnrolmentChangeRow | Beginning] = [*past, *first]
    return PastOfSession(sorted(events, key=place, reverse=True), agents, await _moves(tx, past))


def _place_of_change(event: EnrolmentChangeRow | Beginning) -> ChangeKey:
    return event.at, event.version, event.enrolment_id


def _place_of_beginning(enrolment: Enrolment) -> ChangeKey:
    return enrolment.received_at, FIRST_VERSION, enrolment.enrolment_id


def _in_begun(place: ChangeKey | None) -> tuple[datetime, UUID] | None:
    """Return the last place among the beginnings up to this place, as the history sorts them."""
    if place is None:
        return None
    at, version, enrolment_id = place
    return at, enrolment_id if version <= FIRST_VERSION else UUID(int=2**128 - 1)


async def nominations(tx: Transaction, session_id: UUID) -> Sequence[ReceivedList]:
    return await last_nominations.of_session(tx, session_id)


async def groups(
    tx: Transaction, session_id: UUID, organiser: Principal, reading: Reading, most: int
) -> GroupsOfSession | None:
    if await sessions_service.read_own(tx, session_id, organiser, reading) is None:
        return None
    begun = await groups_store.begun(tx, session_id, most + 1)
    replaced = await groups_store.replaced(tx, session_id, most + 1)
    return GroupsOfSession(
        enrolled_together(begun[:most], replaced[:most]), max(len(begun), len(replaced)) > most
    )


async def count_notes(tx: Transaction, enrolment_ids: Sequence[UUID]) -> dict[UUID, int]:
    return await notes.count(tx, enrolment_ids)
