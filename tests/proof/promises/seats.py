"""Seats, line and counters of each session, replayed from its decisions."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from tests.proof.evidence import Evidence, SessionCounts, StoredEvent, erased_agents
from tests.proof.history import FAILED, OK, ClientOperation
from tests.proof.promises.reading import (
    ENDS,
    GIVES_SEAT,
    STATES,
    Break,
    by_session,
    is_first_come,
    last_decisions,
    request_of,
    requests_in,
    session_states,
    terms_of,
)

_COUNTED = {
    **dict.fromkeys(("enrolled", "attended", "certified", "absent", "absent_justified"), "enrolled"),
    "offered": "offered",
    "waitlisted": "waiting",
}
_NEVER = datetime.max.replace(tzinfo=UTC)
_BY_HAND = "cnfpt"
"""The issuer of the agents whom organisers enrol."""


def seats_given_above_capacity(evidence: Evidence) -> Iterator[Break]:
    """Replay the decisions of each session. A seat that an organiser gave by hand may be one too many."""
    states = session_states(evidence)
    for session_id, decisions in by_session(evidence.decisions).items():
        holders: dict[str, StoredEvent] = {}
        for decision in decisions:
            enrolment_id = decision.data["enrolment_id"]
            if decision.name in GIVES_SEAT and enrolment_id not in holders:
                holders[enrolment_id] = decision
                capacity = terms_of(states, decision).get("capacity")
                if capacity is not None and len(holders) > capacity and not _is_by_hand(decision):
                    yield [f"{len(holders)} of {capacity} seats of {session_id}", *_last(holders)]
            elif decision.name in ENDS:
                holders.pop(enrolment_id, None)


def seats_given_out_of_turn(evidence: Evidence) -> Iterator[Break]:
    """Replay the line of each session in which places depend on the time of receipt alone."""
    states = session_states(evidence)
    received = {(request.source, request.id): request.at for request in requests_in(evidence)}
    for decisions in by_session(evidence.decisions).values():
        if any(not is_first_come(terms_of(states, each)) or each.data.get("together") for each in decisions):
            continue
        line: dict[str, tuple[datetime, int, StoredEvent]] = {}
        for decision in decisions:
            enrolment_id = decision.data["enrolment_id"]
            if decision.name == "AgentWaitlisted":
                at = received.get((decision.data.get("request_source") or "", request_of(decision)))
                line[enrolment_id] = at or _NEVER, decision.number, decision
            elif enrolment_id in line and (decision.name in GIVES_SEAT or decision.name in ENDS):
                first, waited = min(line.values()), line.pop(enrolment_id)
                if decision.name in GIVES_SEAT and first is not waited:
                    yield ["first in line", first[0], first[2], "seated", waited[0], waited[2], decision]


def agents_who_wait_beside_a_free_seat(evidence: Evidence) -> Iterator[Break]:
    counters = {counts.session_id: counts for counts in evidence.counters}
    states = session_states(evidence)
    with_groups = {each.data["session_id"] for each in evidence.decisions if each.data.get("together")}
    for session in evidence.sessions:
        if session.session_id in with_groups:
            continue
        counts = counters.get(session.session_id)
        terms = states.get(session.session_id, {})
        if counts is None or session.status != "published" or not all(map(is_first_come, terms.values())):
            continue
        if counts.waiting and (
            session.capacity is None or counts.enrolled + counts.offered < session.capacity
        ):
            yield [session, counts]


def counters_that_differ(evidence: Evidence) -> Iterator[Break]:
    """Compare the counters of each session with its enrolments, and with its decisions."""
    stored, decided = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for enrolment in evidence.enrolments:
        stored[enrolment.session_id, _COUNTED.get(enrolment.state, "")] += 1
    for decision in last_decisions(evidence).values():
        decided[decision.data["session_id"], _COUNTED.get(STATES[decision.name], "")] += 1
    for counts in evidence.counters:
        for name, counted in (("its enrolments", stored), ("its decisions", decided)):
            found = SessionCounts(
                counts.session_id,
                *(counted[counts.session_id, place] for place in ("enrolled", "offered", "waiting")),
            )
            if found != counts:
                yield ["the counters", counts, f"differ from {name}", found]


def rankings_not_followed(evidence: Evidence) -> Iterator[Break]:
    """Look at candidates who asked once. Nobody who is ranked stays pending, or waits behind the next."""
    names = {"AgentEnrolled": "enrolled", "AgentWaitlisted": "waits", "EnrolmentPending": "pending"}
    asked, last = Counter[tuple[str, str]](), dict[tuple[str, str], StoredEvent]()
    for decision in evidence.decisions:
        candidate = decision.data["session_id"], decision.data["agent"]["agent_id"]
        asked[candidate] += decision.name == "EnrolmentPending"
        last[candidate] = decision
    for ranking in evidence.operations:
        if ranking.action != "select" or ranking.state != OK:
            continue
        waiting: list[StoredEvent] = []
        for agent_id in ranking.asked["ranked"]:
            candidate = ranking.asked["session_id"], agent_id
            if asked[candidate] != 1 or last[candidate].data.get("together"):
                continue
            decision = last[candidate]
            stands = names.get(decision.name)
            if stands == "pending" or (stands == "enrolled" and waiting):
                yield [ranking, decision, *waiting[:1]]
            elif stands == "waits":
                waiting.append(decision)


def _is_by_hand(decision: StoredEvent) -> bool:
    return bool(decision.data["agent"].get("issuer") == _BY_HAND)


def _last(events: Mapping[str, StoredEvent]) -> list[StoredEvent]:
    return list(events.values())[-5:]


def attendance_not_recorded(evidence: Evidence) -> Iterator[Break]:
    """Compare the last mark that an organiser was told is recorded with the last one that was published."""
    published = {
        (decision.data["session_id"], decision.data["agent"]["agent_id"]): decision
        for decision in evidence.decisions
        if decision.name == "AttendanceRecorded"
    }
    recorded: dict[tuple[str, str], tuple[ClientOperation, str]] = {}
    unsure: dict[tuple[str, str], set[str]] = defaultdict(set)
    for operation in evidence.operations:
        if operation.action == "record attendance" and operation.state != FAILED:
            for agent_id, mark in operation.asked["marks"].items():
                place = operation.asked["session_id"], agent_id
                if operation.state == OK:
                    recorded[place] = operation, mark
                else:
                    unsure[place].add(mark)
    erased = erased_agents(evidence.records)
    for place, (operation, mark) in recorded.items():
        decision = published.get(place)
        possible = {mark, *unsure[place]}
        if place[1] not in erased and (decision is None or decision.data["attendance"] not in possible):
            yield [operation, f"{place[1]} was noted {mark}", decision]
