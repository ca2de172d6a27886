"""Requests and their answers, and what clients were told."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, permutations

from tests.proof.evidence import (
    NOTICES,
    REQUESTS,
    SESSIONS,
    Evidence,
    StoredEvent,
    TopicRecord,
    erased_agents,
)
from tests.proof.history import OK, UNKNOWN, ClientOperation
from tests.proof.promises.reading import (
    ENDS,
    Break,
    agents_of,
    answers_in,
    grouped,
    last_decisions,
    request_of,
    requests_for_training,
    requests_in,
    requests_to_accept,
    requests_to_decide,
)


def requests_without_answer(evidence: Evidence) -> Iterator[Break]:
    answers = answers_in(evidence)
    for request in requests_to_decide(evidence):
        rejected = answers.get((request.source, request.id, request.place))
        for agent_id in [] if rejected else agents_of(request.data):
            if not answers.get((request.source, request.id, agent_id)):
                yield [request, f"no answer about {agent_id}"]
    for request in requests_to_accept(evidence):
        if not answers.get((request.source, request.id, "")):
            yield [request, "was not accepted"]
    rejected_records = {(source, place) for source, _, place in answers}
    portals = {f"/portals/{portal}" for portal in evidence.issuers}
    for operation in evidence.operations:
        if operation.action == "send bad record" and operation.state == OK:
            source = operation.asked["source"]
            if source in portals and (source, operation.result["place"]) not in rejected_records:
                yield [operation, operation.result["place"], "was not rejected"]


def requests_answered_twice(evidence: Evidence) -> Iterator[Break]:
    for (source, request_id, agent_id), answers in answers_in(evidence).items():
        if len(answers) > 1:
            yield [f"request {request_id} of {source} about {agent_id or 'nobody'}", *answers]


def requests_judged_out_of_order(evidence: Evidence) -> Iterator[Break]:
    """Compare the order of records with the order of decisions, session by session.

    A move also waits for the other session, so it may be judged later.
    """
    judged: dict[tuple[str, str], StoredEvent] = {}
    for decision in evidence.decisions:
        judged.setdefault((decision.data.get("request_source") or "", request_of(decision)), decision)
    latest: dict[tuple[str, int], tuple[TopicRecord, StoredEvent]] = {}
    for request in requests_in(evidence):
        answer = judged.get((request.source, request.id))
        if answer is None or request.name == "SessionSwapRequested":
            continue
        place = request.data["session_id"], request.partition
        before = latest.get(place)
        if before is not None and before[1].number > answer.number:
            yield [*before, request, answer]
        else:
            latest[place] = request, answer


def requests_by_http_that_changed_places(evidence: Evidence) -> Iterator[Break]:
    """A request that a portal sends after another was accepted comes after it on the topic.

    A request that is sent again keeps its place.
    """
    by_http = {event.id for event in evidence.events if event.topic == REQUESTS}
    places = {request.id: request for request in requests_in(evidence) if request.id in by_http}
    sent: dict[str, ClientOperation] = {}
    accepted: dict[str, ClientOperation] = {}
    for operation in evidence.operations:
        request_id = operation.asked.get("request_id", "")
        sent.setdefault(request_id, operation)
        if operation.state == OK:
            accepted.setdefault(request_id, operation)
    of_session = grouped(places.values(), lambda request: request.data["session_id"])
    for before, after in chain.from_iterable(permutations(requests, 2) for requests in of_session.values()):
        earlier, later = accepted.get(before.id), sent.get(after.id)
        if earlier is None or later is None or earlier.ended_at is None:
            continue
        if earlier.ended_at < later.invoked_at and _place(before) > _place(after):
            yield [earlier, before, later, after]


def _place(request: TopicRecord) -> tuple[int, int]:
    return request.partition, request.offset


def requests_refused_by_slowness(evidence: Evidence) -> Iterator[Break]:
    """A session that was published before a request was received is known to whoever judges the request."""
    published: dict[str, TopicRecord] = {}
    for state in evidence.of_topic(SESSIONS):
        published.setdefault(state.data["session_id"], state)
    requests = {(request.source, request.id): request for request in requests_in(evidence)}
    for decision in evidence.decisions:
        request = requests.get((decision.data.get("request_source") or "", request_of(decision)))
        if request is None or decision.data.get("reason") != "unknown_session":
            continue
        session = published.get(decision.data["session_id"])
        if session is not None and session.at < request.at:
            yield [session, request, decision]


def promises_to_clients_not_kept(evidence: Evidence) -> Iterator[Break]:
    """What a client was told is done must be so. What it was not told may be so."""
    requests, erased = (
        [*requests_to_decide(evidence), *requests_to_accept(evidence)],
        erased_agents(evidence.records),
    )
    received = {(request.source, request.id) for request in requests}
    messages = {record.data.get("message_id") for record in evidence.of_topic(NOTICES)}
    sessions = {session.session_id: session for session in evidence.sessions}
    ended = {
        (decision.data["session_id"], decision.data["agent"]["agent_id"])
        for decision in last_decisions(evidence).values()
        if decision.name in ENDS
    }
    for operation in evidence.operations:
        asked = operation.asked
        if operation.state != OK:
            continue
        for request_id in _requests_taken(operation):
            if (asked["source"], request_id) not in received:
                yield [operation, "its request is not on the topic", request_id]
        if operation.action == "withdraw by link" and (asked["session_id"], asked["agent_id"]) not in ended:
            if asked["agent_id"] in erased:
                continue
            yield [operation, "no decision ended the enrolment"]
        if operation.action == "write to participants" and operation.result["message_id"] not in messages:
            yield [operation, "its message did not leave"]
        trained = operation.result["session_id"] if operation.action == "look at training" else None
        if trained and trained not in sessions:
            yield [operation, "its session is gone"]
    for session_id, changes in grouped(_changes(evidence), lambda change: change.asked["session_id"]).items():
        session = sessions[session_id]
        possible = _possible_after(changes)
        if (session.capacity, session.status) not in possible:
            yield [session, *changes[-3:]]


def _requests_taken(operation: ClientOperation) -> Iterable[str]:
    """Return the requests that the client was told were taken."""
    if "request_ids" in operation.asked:
        return set(operation.asked["request_ids"]) - set(operation.result["unknown"])
    return [operation.asked["request_id"]] if "request_id" in operation.asked else []


def requests_for_training_not_kept(evidence: Evidence) -> Iterator[Break]:
    """Compare the catalogue with the topic: each request is there once."""
    kept = Counter(evidence.bespoke)
    for request in requests_for_training(evidence):
        if kept[request.id] != 1:
            yield [request, f"is {kept[request.id]} times in the catalogue"]


def _changes(evidence: Evidence) -> list[ClientOperation]:
    wanted = ("publish session", "change capacity", "cancel session")
    return [each for each in evidence.operations if each.action in wanted and each.state in (OK, UNKNOWN)]


def _possible_after(changes: Sequence[ClientOperation]) -> set[tuple[int | None, str]]:
    """Return each capacity and status that a session can have after these changes of one organiser.

    A change with an unknown end may come late, after others that were answered.
    """
    possible: set[tuple[int | None, str]] = {(None, "draft")}
    late = [change for change in changes if change.state == UNKNOWN]
    for change in changes:
        possible = _after(change, possible) if change.state == OK else possible | _after(change, possible)
    for change in late:
        possible |= _after(change, possible)
    return possible


def _after(change: ClientOperation, possible: set[tuple[int | None, str]]) -> set[tuple[int | None, str]]:
    status = {"publish session": "published", "cancel session": "cancelled"}.get(change.action)
    return {(change.asked.get("capacity", capacity), status or before) for capacity, before in possible}
